use std::time::Duration;

use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};

use super::*;
use crate::time::UnixTime;

fn names(texts: &[&str]) -> Vec<CertName> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn params(common: Option<&str>, sans: &[&str]) -> CertificateParams {
    let mut params =
        CertificateParams::new(sans.iter().map(|&san| san.to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    if let Some(common) = common {
        params.distinguished_name.push(DnType::CommonName, common);
    }
    params
}

fn csr(params: &CertificateParams) -> Vec<u8> {
    let key = KeyPair::generate().unwrap();
    params.serialize_request(&key).unwrap().der().to_vec()
}

#[test]
fn names_must_be_those_asked_for_both_ways() {
    for (common, sans, asked, expect) in [
        (None, &["a.example"][..], &["a.example"][..], ""),
        (
            Some("a.example"),
            &["a.example", "b.example"],
            &["b.example", "a.example"],
            "",
        ),
        (Some("a.example"), &[], &["a.example"], ""),
        (Some("A.Example"), &[], &["a.example"], ""),
        (None, &["*.a.example"], &["*.a.example"], ""),
        (
            None,
            &["a.example"],
            &["a.example", "b.example"],
            "does not name b.example",
        ),
        (
            Some("b.example"),
            &["a.example"],
            &["a.example", "b.example"],
            "does not name b.example",
        ),
        (
            None,
            &["a.example", "b.example"],
            &["a.example"],
            "names b.example, which was not",
        ),
        (
            Some("c.example"),
            &["a.example"],
            &["a.example"],
            "names c.example, which was not",
        ),
        (None, &[], &["a.example"], "does not name a.example"),
    ] {
        let csr = Csr::parse(&csr(&params(common, sans))).unwrap();
        match csr.check_names(&names(asked)) {
            Ok(()) => assert_eq!(expect, "", "{common:?} {sans:?}"),
            Err(error) => {
                assert!(!expect.is_empty(), "{common:?} {sans:?}: {error}");
                assert!(error.to_string().contains(expect), "{error}");
            }
        }
    }
}

#[test]
fn what_nobody_authorised_is_refused() {
    let mut mail = params(None, &["a.example"]);
    mail.subject_alt_names
        .push(SanType::Rfc822Name("a@b.example".try_into().unwrap()));
    let mut address = params(None, &["a.example"]);
    address
        .subject_alt_names
        .push(SanType::IpAddress("10.0.0.1".parse().unwrap()));
    let person = params(Some("John Smith"), &["a.example"]);

    for (params, expect) in [
        (mail, "an e-mail address"),
        (address, "an IP address"),
        (person, "'John Smith' can't be certified"),
    ] {
        let csr = Csr::parse(&csr(&params)).unwrap();
        let error = csr
            .check_names(&names(&["a.example"]))
            .unwrap_err()
            .to_string();
        assert!(error.contains(expect), "{error}");
    }
}

#[test]
fn a_ca_is_not_for_the_asking() {
    let mut usage = params(None, &["a.example"]);
    usage.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let error = Csr::parse(&csr(&usage)).unwrap_err().to_string();
    assert!(error.contains("key usage"), "{error}");
}

#[test]
fn a_changed_request_is_refused() {
    let good = csr(&params(None, &["a.example"]));
    let mut changed = good.clone();
    let place = changed
        .windows(9)
        .position(|window| window == b"a.example")
        .unwrap();
    changed[place] = b'b';
    let error = Csr::parse(&changed).unwrap_err().to_string();
    assert!(error.contains("signature is not by its own key"), "{error}");

    let mut longer = good;
    longer.push(0);
    assert!(
        Csr::parse(&longer)
            .unwrap_err()
            .to_string()
            .contains("bytes follow")
    );
    assert!(
        Csr::parse(b"nonsense")
            .unwrap_err()
            .to_string()
            .contains("not a PKCS #10")
    );
}

/// A root, an issuing CA below it, and a leaf with the given names.
struct Pki {
    root: Vec<u8>,
    issuing: Vec<u8>,
    leaf: Vec<u8>,
    leaf_key: Vec<u8>,
}

fn pki(sans: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Pki {
    let ca = |name: &str| {
        let mut params = params(Some(name), &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    };
    let (root_key, issuing_key, leaf_key) = (
        KeyPair::generate().unwrap(),
        KeyPair::generate().unwrap(),
        KeyPair::generate().unwrap(),
    );
    let root = ca("Root").self_signed(&root_key).unwrap();
    let root_issuer = Issuer::new(ca("Root"), root_key);
    let issuing = ca("Issuing").signed_by(&issuing_key, &root_issuer).unwrap();
    let issuing_issuer = Issuer::new(ca("Issuing"), issuing_key);
    let mut leaf = params(None, sans);
    change(&mut leaf);
    let leaf = leaf.signed_by(&leaf_key, &issuing_issuer).unwrap();
    Pki {
        root: root.der().to_vec(),
        issuing: issuing.der().to_vec(),
        leaf: leaf.der().to_vec(),
        leaf_key: rcgen::PublicKeyData::subject_public_key_info(&leaf_key),
    }
}

fn check(pki: &Pki, asked: &[&str]) -> Result<IssuedCertificate, ChainError> {
    let now = UnixTime::now();
    IssuedCertificate::check(&pki.leaf, &pki.leaf_key, &names(asked), (None, None), now)
}

#[test]
fn a_right_certificate_passes() {
    let pki = pki(&["a.example", "*.b.example"], |_| {});
    let issued = check(&pki, &["*.b.example", "a.example"]).unwrap();
    assert!(!issued.serial.is_empty());
    assert_eq!(IssuedCertificate::read(&pki.leaf), Some(issued));
}

#[test]
fn a_wrong_certificate_is_refused() {
    let now = UnixTime::now();
    let other = pki(&["a.example"], |_| {});
    let mine = pki(&["a.example"], |_| {});
    let mixed = Pki {
        leaf_key: other.leaf_key,
        ..pki(&["a.example"], |_| {})
    };
    assert_eq!(check(&mixed, &["a.example"]), Err(ChainError::OtherKey));
    assert!(matches!(
        check(&mine, &["b.example"]),
        Err(ChainError::Names(_))
    ));
    assert!(matches!(
        check(&mine, &["a.example", "b.example"]),
        Err(ChainError::Names(_))
    ));

    let ca = pki(&["a.example"], |leaf| {
        leaf.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)
    });
    assert_eq!(check(&ca, &["a.example"]), Err(ChainError::IsCa));

    let moment = |at: UnixTime| time::OffsetDateTime::from_unix_timestamp(at.as_secs()).unwrap();
    let expired = pki(&["a.example"], |leaf| {
        leaf.not_before = moment(UnixTime::from_secs(now.as_secs() - 7_200));
        leaf.not_after = moment(UnixTime::from_secs(now.as_secs() - 3_600));
    });
    assert!(matches!(
        check(&expired, &["a.example"]),
        Err(ChainError::Validity(..))
    ));
    let early = pki(&["a.example"], |leaf| {
        leaf.not_before = moment(now.plus(Duration::from_secs(3_600)));
    });
    assert!(matches!(
        check(&early, &["a.example"]),
        Err(ChainError::Validity(..))
    ));
}

#[test]
fn links_are_checked() {
    let mine = pki(&["a.example"], |_| {});
    let other = pki(&["a.example"], |_| {});
    let verified = VerifiedIssuers::default();
    let chain = |ders: &[&Vec<u8>]| ders.iter().map(|&der| der.clone()).collect::<Vec<_>>();

    for _ in 0..2 {
        assert_eq!(
            verified.check(&chain(&[&mine.leaf, &mine.issuing, &mine.root])),
            Ok(())
        );
    }
    assert_eq!(verified.check(&[]), Err(ChainError::Empty));
    assert!(matches!(
        verified.check(&chain(&[&mine.leaf, &mine.root])),
        Err(ChainError::BrokenLink(1, _))
    ));
    assert!(matches!(
        verified.check(&chain(&[&mine.leaf, &other.issuing])),
        Err(ChainError::BrokenLink(1, _))
    ));
    assert!(matches!(
        verified.check(&chain(&[&mine.leaf, &mine.issuing, &other.root])),
        Err(ChainError::BrokenLink(2, _))
    ));
    assert_eq!(
        verified.check(&chain(&[&mine.leaf, &b"junk".to_vec()])),
        Err(ChainError::Unreadable(2))
    );
}

#[test]
fn a_leaf_alone_is_completed() {
    let pki = pki(&["a.example"], |_| {});
    let ca_certificates = [pki.issuing.clone(), pki.root.clone()];
    assert_eq!(
        complete(vec![pki.leaf.clone()], &ca_certificates),
        vec![pki.leaf.clone(), pki.issuing.clone()]
    );
    let whole = vec![pki.leaf.clone(), pki.issuing.clone(), pki.root];
    assert_eq!(complete(whole.clone(), &ca_certificates), whole);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let _ = Csr::parse(&bytes);
        let _ = IssuedCertificate::read(&bytes);
    }

    #[test]
    fn no_change_of_a_request_panics(place in 0_usize..200, value in any::<u8>()) {
        let mut der = csr(&params(Some("a.example"), &["a.example"]));
        if let Some(byte) = der.get_mut(place) {
            *byte = value;
        }
        let _ = Csr::parse(&der);
    }
}

#[test]
fn attributes_keep_their_values() {
    let key = KeyPair::generate().unwrap();
    let set = |octets: &[u8]| {
        let head = [0x31, octets.len() as u8 + 2, 0x04, octets.len() as u8];
        [&head[..], octets].concat()
    };
    let attributes = [7_u64, 8].map(|last| rcgen::Attribute {
        oid: if last == 7 {
            &[1, 2, 3, 7]
        } else {
            &[1, 2, 3, 8]
        },
        values: set(&[last as u8; 5]),
    });
    let params = CertificateParams::new(["a.example".to_owned()]).unwrap();
    let der = params
        .serialize_request_with_attributes(&key, attributes.into())
        .unwrap();
    let csr = Csr::parse(der.der()).unwrap();
    assert_eq!(csr.attributes.len(), 2);
    assert_eq!(csr.attribute("1.2.3.7").unwrap().values, set(&[7; 5])[2..]);
    assert_eq!(csr.attribute("1.2.3.8").unwrap().values, set(&[8; 5])[2..]);
    assert!(csr.extension_request.is_some());

    let without = CertificateParams::default()
        .serialize_request(&key)
        .unwrap();
    let csr = Csr::parse(without.der()).unwrap();
    assert!(csr.attributes.is_empty() && csr.extension_request.is_none());
}
