//! Each rule, on the skeleton's real library.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use minisign::KeyPair;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::plugins::tests::skeleton;

/// A folder with the skeleton in it.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self {
            folder: TempDir::new().unwrap(),
        };
        std::fs::write(place.file(), skeleton()).unwrap();
        place
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("skeleton.so")
    }

    fn write_signature(&self, signature: impl AsRef<[u8]>) {
        std::fs::write(signature::file(&self.file()), signature).unwrap();
    }

    fn check(&self, trust: &Trust) -> Result<Trusted, String> {
        let inspected = Inspection::of(&self.file()).unwrap();
        trust
            .check(&inspected)
            .map_err(|refusal| refusal.to_string())
    }

    fn sha256(&self) -> String {
        Inspection::of(&self.file()).unwrap().sha256
    }
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn refused(outcome: Result<Trusted, String>, says: &[&str]) {
    let text = outcome.unwrap_err();
    for word in says {
        assert!(text.contains(word), "{text:?} does not say {word:?}");
    }
}

#[test]
fn a_file_that_others_may_write_to_is_refused() {
    let place = Place::new();
    let trust = Trust::default();
    assert_eq!(place.check(&trust), Ok(Trusted::ByPlace));
    for mode in [0o666, 0o664, 0o602] {
        set_mode(&place.file(), mode);
        refused(place.check(&trust), &["skeleton.so", "chmod go-w"]);
    }
    let unchecked = Trust {
        ownership: Ownership::Unchecked,
        ..Trust::default()
    };
    assert_eq!(place.check(&unchecked), Ok(Trusted::Unchecked));
}

#[test]
fn so_is_one_in_a_folder_that_others_may_write_to() {
    let place = Place::new();
    let trust = Trust::default();
    let folder = place.folder.path();
    for mode in [0o777, 0o775] {
        set_mode(folder, mode);
        refused(
            place.check(&trust),
            &[folder.to_str().unwrap(), "chmod go-w"],
        );
    }
    // Nobody but its owner can replace a file there.
    set_mode(folder, 0o1777);
    assert_eq!(place.check(&trust), Ok(Trusted::ByPlace));
}

#[test]
fn every_folder_above_it_counts() {
    let top = TempDir::new().unwrap();
    let top = top.path().canonicalize().unwrap();
    let levels = [top.clone(), top.join("a"), top.join("a/b")];
    std::fs::create_dir_all(&levels[2]).unwrap();
    let file = levels[2].join("skeleton.so");
    std::fs::write(&file, skeleton()).unwrap();
    // Above a link, and above what it leads to.
    let elsewhere = Place::new();
    let link_here = levels[2].join("link.so");
    let link_elsewhere = elsewhere.folder.path().join("link.so");
    std::os::unix::fs::symlink(elsewhere.file(), &link_here).unwrap();
    std::os::unix::fs::symlink(&file, &link_elsewhere).unwrap();
    for named in [file, link_here, link_elsewhere] {
        let inspected = Inspection::of(&named).unwrap();
        let check = || {
            let checked = Trust::default().check(&inspected);
            checked.map_err(|refusal| refusal.to_string())
        };
        for folder in &levels {
            assert_eq!(check(), Ok(Trusted::ByPlace));
            set_mode(folder, 0o777);
            refused(check(), &[&format!("may write to {},", folder.display())]);
            set_mode(folder, 0o755);
        }
    }
}

/// A folder's owner may open it to others, or put another file there.
#[test]
fn only_trusted_users_own_a_folder() {
    let place = Place::new();
    let folder = place.folder.path().canonicalize().unwrap();
    let ours = rustix::process::geteuid().as_raw();
    let vendor = place::Owner::of(54_321, 0o755);
    let check = |trusted: &[u32]| {
        let trusted = trusted.iter().copied().collect();
        let checked = place::check_for(&place.file(), vendor, &trusted);
        checked.map_err(|refusal| refusal.to_string())
    };
    let foreign = format!("{} belongs to user {ours}", folder.display());
    assert!(check(&[54_321]).unwrap_err().starts_with(&foreign));
    assert_eq!(check(&[54_321, ours, 0]), Ok(()));
    // The folders above that one are root's.
    if ours != 0 {
        let foreign = "belongs to user 0";
        assert!(check(&[54_321, ours]).unwrap_err().contains(foreign));
    }
}

#[test]
fn a_link_counts_with_what_it_leads_to() {
    let place = Place::new();
    let trust = Trust::default();
    let other = TempDir::new().unwrap();
    let link = other.path().join("link.so");
    std::os::unix::fs::symlink(place.file(), &link).unwrap();
    let check = || {
        trust
            .check(&Inspection::of(&link).unwrap())
            .map_err(|refusal| refusal.to_string())
    };
    assert_eq!(check(), Ok(Trusted::ByPlace));
    // The link's own folder.
    set_mode(other.path(), 0o777);
    refused(check(), &[other.path().to_str().unwrap()]);
    set_mode(other.path(), 0o755);
    // The one that it leads to.
    set_mode(place.folder.path(), 0o777);
    refused(check(), &[place.folder.path().to_str().unwrap()]);
}

#[test]
fn only_trusted_users_own_a_plugin() {
    let place = Place::new();
    let mut inspected = Inspection::of(&place.file()).unwrap();
    inspected.owner = place::Owner::of(54_321, 0o755);
    let trusting = |owners: &[u32]| Trust {
        ownership: Ownership::Checked {
            owners: owners.iter().copied().collect(),
        },
        ..Trust::default()
    };
    let refusal = trusting(&[54_322]).check(&inspected).unwrap_err();
    refused(Err(refusal.to_string()), &["skeleton.so", "user 54321"]);
    assert!(trusting(&[54_321]).check(&inspected).is_ok());
}

#[test]
fn a_pin_must_fit() {
    let place = Place::new();
    let pinned = |require, pins: &[&str]| Trust {
        require,
        pins: BTreeMap::from([(
            "skeleton".parse().unwrap(),
            pins.iter().map(|pin| (*pin).to_owned()).collect(),
        )]),
        ..Trust::default()
    };
    let (right, wrong) = (place.sha256(), "0".repeat(64));
    for require in [Requirement::None, Requirement::Pin] {
        let fits = pinned(require, &[&wrong, &right]);
        assert_eq!(place.check(&fits), Ok(Trusted::Pinned));
        let other = pinned(require, &[&wrong]);
        refused(place.check(&other), &["[plugins.pins]", &right]);
    }
    let demanded = Trust {
        require: Requirement::Pin,
        ..Trust::default()
    };
    refused(
        place.check(&demanded),
        &["not pinned", &format!("skeleton = \"{right}\"")],
    );
}

fn sign(pair: &KeyPair, bytes: &[u8]) -> String {
    let signature = minisign::sign(
        Some(&pair.pk),
        &pair.sk,
        bytes,
        Some("skeleton 0.1.0"),
        None,
    );
    signature.unwrap().into_string()
}

fn signed_by(require: Requirement, pairs: &[&KeyPair]) -> Trust {
    Trust {
        require,
        keys: pairs
            .iter()
            .map(|pair| VendorKey::parse(&pair.pk.to_base64()).unwrap())
            .collect(),
        ..Trust::default()
    }
}

#[test]
fn a_signature_must_be_of_the_file_and_by_a_known_key() {
    let place = Place::new();
    let vendor = KeyPair::generate_unencrypted_keypair().unwrap();
    let stranger = KeyPair::generate_unencrypted_keypair().unwrap();
    let demanded = signed_by(Requirement::Signature, &[&stranger, &vendor]);
    refused(
        place.check(&demanded),
        &["not signed", "skeleton.so.minisig"],
    );
    assert_eq!(
        place.check(&signed_by(Requirement::None, &[&vendor])),
        Ok(Trusted::ByPlace)
    );

    place.write_signature(sign(&vendor, &skeleton()));
    let signed = Ok(Trusted::Signed {
        key: vendor.pk.to_base64(),
        comment: "skeleton 0.1.0".to_owned(),
    });
    assert_eq!(place.check(&demanded), signed);

    // A signature that is there counts whether or not one is demanded.
    for require in [Requirement::None, Requirement::Signature] {
        let unknown = signed_by(require, &[&stranger]);
        refused(place.check(&unknown), &["minisig", "[plugins] keys"]);
    }
    place.write_signature(sign(&vendor, b"another file"));
    refused(place.check(&demanded), &["minisig", "not of this file"]);
}

#[test]
fn what_is_no_signature_is_refused() {
    let place = Place::new();
    let vendor = KeyPair::generate_unencrypted_keypair().unwrap();
    let trust = signed_by(Requirement::None, &[&vendor]);
    let good = sign(&vendor, &skeleton());
    for text in ["", "hello", &good[..good.len() / 2], &"\n".repeat(100)] {
        place.write_signature(text);
        refused(place.check(&trust), &["minisig", "again"]);
    }
    for bytes in [vec![0xff; 300], vec![b'a'; 10_000]] {
        place.write_signature(bytes);
        refused(place.check(&trust), &["minisig", "again"]);
    }
    // The signer's comment is signed as well.
    place.write_signature(good.replace("skeleton 0.1.0", "skeleton 9.9.9"));
    refused(place.check(&trust), &["minisig", "not of this file"]);

    std::fs::remove_file(signature::file(&place.file())).unwrap();
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        signature::file(&place.file()),
        rustix::fs::Mode::from_raw_mode(0o600),
    )
    .unwrap();
    refused(place.check(&trust), &["minisig", "again"]);
}

proptest! {
    #[test]
    fn no_signature_or_key_ends_the_server(text in "(?s).{0,400}", key in "[A-Za-z0-9+/=]{0,60}") {
        let _ = VendorKey::parse(&key);
        if let Ok(signature) = Signature::decode(&text) {
            let vendor = KeyPair::generate_unencrypted_keypair().unwrap();
            let key = VendorKey::parse(&vendor.pk.to_base64()).unwrap();
            prop_assert!(key.key.verify(b"bytes", &signature, false).is_err());
        }
    }

    #[test]
    fn nor_does_one_that_was_damaged(at in 0_usize..400, with: char) {
        let vendor = KeyPair::generate_unencrypted_keypair().unwrap();
        let mut text: Vec<char> = sign(&vendor, b"bytes").chars().collect();
        let at = at % text.len();
        text[at] = with;
        let text: String = text.into_iter().collect();
        if let Ok(signature) = Signature::decode(&text) {
            let key = VendorKey::parse(&vendor.pk.to_base64()).unwrap();
            let _ = key.key.verify(b"bytes", &signature, false);
        }
    }
}
