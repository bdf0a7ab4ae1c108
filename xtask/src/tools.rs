//! What the tests need beside the Rust toolchain, installed where it is missing.
//!
//! Debian packages go into the system (which needs root), everything else into `target/tools`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::shell;

/// What PyPI gives: the newest certbot and Gufo ACME, and the linter every certificate must pass.
const PYTHON: &[&str] = &["certbot", "gufo_acme", "pkilint==0.13.3"];

const CARGO_DENY: &str = "0.20.2";

/// A Debian package and how to see that what it brings is there.
struct Package {
    name: &'static str,
    present: fn() -> bool,
}

const PACKAGES: &[Package] = &[
    Package {
        name: "curl",
        present: || shell::installed("curl"),
    },
    Package {
        name: "default-jdk-headless",
        present: || shell::installed("javac") && shell::installed("java"),
    },
    Package {
        name: "gcc",
        present: || shell::installed("cc"),
    },
    Package {
        name: "lego",
        present: || shell::installed("lego"),
    },
    Package {
        name: "libbcpkix-java",
        present: || Path::new("/usr/share/java/bcpkix.jar").exists(),
    },
    Package {
        name: "libbcprov-java",
        present: || Path::new("/usr/share/java/bcprov.jar").exists(),
    },
    Package {
        name: "libbctls-java",
        present: || Path::new("/usr/share/java/bctls.jar").exists(),
    },
    Package {
        name: "libbcutil-java",
        present: || Path::new("/usr/share/java/bcutil.jar").exists(),
    },
    // strongSwan's elliptic curves and AES-GCM.
    Package {
        name: "libstrongswan-standard-plugins",
        present: || Path::new("/usr/lib/ipsec/plugins/libstrongswan-openssl.so").exists(),
    },
    Package {
        name: "libssl-dev",
        present: || shell::answers("pkg-config", &["--exists", "openssl"]),
    },
    // Plugins are signed with it.
    Package {
        name: "minisign",
        present: || shell::installed("minisign"),
    },
    Package {
        name: "openssl",
        present: || shell::installed("openssl"),
    },
    Package {
        name: "pebble",
        present: || shell::installed("pebble"),
    },
    Package {
        name: "pkg-config",
        present: || shell::installed("pkg-config"),
    },
    Package {
        name: "python3-venv",
        present: || shell::answers("python3", &["-c", "import ensurepip, venv"]),
    },
    Package {
        name: "strongswan-pki",
        present: || shell::answers("pki", &["--est", "--help"]),
    },
    // Watches what crosses between allocators.
    Package {
        name: "valgrind",
        present: || shell::installed("valgrind"),
    },
];

/// Installs what is missing and names what is missing still.
pub(crate) fn install() -> Result<Vec<String>> {
    let mut missing = debian()?;
    let folder = folder()?;
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    if let Err(error) = python(&folder) {
        missing.push(format!("{} from PyPI ({error:#})", PYTHON.join(", ")));
    }
    if let Err(error) = cargo_deny(&folder) {
        missing.push(format!("cargo-deny {CARGO_DENY} ({error:#})"));
    }
    Ok(missing)
}

/// `cargo deny` as installed here.
pub(crate) fn deny_program() -> Result<PathBuf> {
    Ok(folder()?.join("bin/cargo-deny"))
}

fn folder() -> Result<PathBuf> {
    Ok(shell::target_dir()?.join("tools"))
}

/// The Debian packages that are not there at the end.
fn debian() -> Result<Vec<String>> {
    let wanted = absent();
    if !wanted.is_empty() {
        match apt() {
            Some(apt) => {
                shell::succeeds(apt.command().args(["-q", "update"]))?;
                let install = ["-q", "install", "--yes", "--no-install-recommends"];
                shell::succeeds(apt.command().args(install).args(&wanted))?;
            }
            None => println!(
                "Installing Debian packages needs root; as root run: apt-get install {}",
                wanted.join(" ")
            ),
        }
    }
    Ok(absent()
        .into_iter()
        .map(|name| format!("the Debian package {name}"))
        .collect())
}

fn absent() -> Vec<&'static str> {
    PACKAGES
        .iter()
        .filter(|package| !(package.present)())
        .map(|package| package.name)
        .collect()
}

/// How apt-get can be run here.
enum Apt {
    Directly,
    BySudo,
}

fn apt() -> Option<Apt> {
    if !shell::installed("apt-get") {
        return None;
    }
    let id = Command::new("id").arg("-u").output().ok()?;
    if id.stdout.trim_ascii() == b"0" {
        return Some(Apt::Directly);
    }
    shell::answers("sudo", &["--non-interactive", "true"]).then_some(Apt::BySudo)
}

impl Apt {
    fn command(&self) -> Command {
        let mut command = match self {
            Self::Directly => Command::new("apt-get"),
            Self::BySudo => shell::command("sudo", ["--preserve-env=DEBIAN_FRONTEND", "apt-get"]),
        };
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    }
}

/// A private virtual environment, made again when the list above changes.
fn python(folder: &Path) -> Result<()> {
    let venv = folder.join("venv");
    let stamp = venv.join("installed");
    let list = PYTHON.join("\n");
    if fs::read_to_string(&stamp).is_ok_and(|text| text == list) {
        return Ok(());
    }
    let make = [
        "-m".as_ref(),
        "venv".as_ref(),
        "--clear".as_ref(),
        venv.as_os_str(),
    ];
    shell::run(&mut shell::command("python3", make))?;
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ];
    shell::run(shell::command(venv.join("bin/python"), pip).args(PYTHON))?;
    fs::write(&stamp, list).with_context(|| format!("writing {}", stamp.display()))
}

/// Built without optimisation: it runs for a second, and building is what takes time.
fn cargo_deny(folder: &Path) -> Result<()> {
    let own = folder.join("bin/cargo-deny");
    let version = Command::new(&own).arg("--version").output();
    if version.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).contains(CARGO_DENY)) {
        return Ok(());
    }
    let mut install = shell::cargo(["install", "cargo-deny", "--locked", "--debug", "--quiet"]);
    install
        .args(["--version", CARGO_DENY, "--force", "--root"])
        .arg(folder);
    install.env("CARGO_PROFILE_DEV_DEBUG", "0");
    install.env("CARGO_TARGET_DIR", folder.join("build"));
    shell::run(&mut install)?;
    // The intermediate files are a gigabyte that nobody needs again.
    fs::remove_dir_all(folder.join("build")).context("removing cargo-deny's build files")
}
