//! plugin-api in other versions, and plugins of other builds: a workspace under `target/variants` in
//! which one plugin and one host (`tests/fixtures/versions`) compile against each version.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::program::{Outcome, Program, build_dir};

/// A version of plugin-api.
pub struct Api {
    /// Part of the names of its plugin and host.
    pub name: &'static str,
    pub source: Source,
}

pub enum Source {
    /// As frozen in `tests/fixtures/versions/plugin-api-VERSION`.
    Frozen(&'static str),
    /// Today's.
    Today,
    /// Today's with changes, called this version.
    Changed(&'static str, &'static [Edit]),
}

/// A change of a source file.
pub struct Edit {
    pub file: &'static str,
    /// Stands there exactly once. Empty if the file is new.
    pub from: &'static str,
    pub to: &'static str,
}

/// How things are compiled.
#[derive(Clone, Copy, Debug, Default)]
pub struct Build {
    /// Of the folder that gets what was built.
    pub name: &'static str,
    /// `+nightly` and the like; empty for the toolchain that the tests run with.
    pub toolchain: &'static str,
    /// Settings of the profile, such as `opt-level=3`.
    pub profile: &'static [&'static str],
    /// Gives every type whose layout is the compiler's affair one that hangs on this, in all that has
    /// to do with the boundary.
    pub layout_seed: Option<u32>,
    /// With an allocator of their own.
    pub own_allocator: bool,
}

/// The workspace.
pub struct Versions {
    dir: PathBuf,
}

/// What a build has made.
pub struct Built {
    dir: PathBuf,
}

impl Built {
    /// The plugin's library.
    pub fn plugin(&self, api: &str) -> PathBuf {
        let api = api.replace('-', "_");
        self.dir.join(format!("libvariant_{api}.so"))
    }

    /// The host's program.
    pub fn host(&self, api: &str) -> PathBuf {
        self.dir.join(format!("host-{api}"))
    }
}

impl Versions {
    /// Writes all sources; what is there already and the same is left alone, so that cargo sees that
    /// it has not changed.
    pub fn write(name: &str, apis: &[Api]) -> Self {
        let dir = build_dir().parent().unwrap().join("variants").join(name);
        // Packages of one name can't be members together.
        let apart: Vec<_> = apis.iter().map(|api| format!("api-{}", api.name)).collect();
        let workspace = format!(
            "[workspace]\nresolver = \"3\"\nmembers = [\"host-*\", \"variant-*\"]\n\
             exclude = {apart:?}\n\n[profile.dev]\ndebug = 0\nincremental = false\n"
        );
        write(&dir.join("Cargo.toml"), &workspace);
        if !dir.join("Cargo.lock").exists() {
            // The versions that are tested here, whatever has been published since.
            fs::copy(root().join("Cargo.lock"), dir.join("Cargo.lock")).unwrap();
        }
        for api in apis {
            api.write(&dir.join(format!("api-{}", api.name)));
            let name = format!("variant-{}", api.name);
            let library = "[lib]\ncrate-type = [\"cdylib\"]\npath = \"plugin.rs\"\n";
            package(&dir.join(&name), &name, library, "plugin.rs", api.name);
            let name = format!("host-{}", api.name);
            let program = format!("[[bin]]\nname = \"{name}\"\npath = \"host.rs\"\n");
            package(&dir.join(&name), &name, &program, "host.rs", api.name);
        }
        Self { dir }
    }

    /// Builds plugins and hosts of these versions. One build at a time.
    pub async fn build(&self, build: Build, plugins: &[&str], hosts: &[&str]) -> Built {
        static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        let _turn = TURN.lock().await;
        let target = self.dir.parent().unwrap().join(match build.layout_seed {
            // What some dependencies compile to hangs on whether unstable features may be used: where
            // that goes back and forth in one place, all are compiled again each time.
            Some(_) => UNSTABLE,
            None => "target",
        });
        let outcome = self.cargo(build, plugins, hosts, &target).await;
        outcome.success();
        let dir = self.dir.join("built").join(build.name);
        fs::create_dir_all(&dir).unwrap();
        let built = Built { dir };
        let files = |built: &Built| {
            let plugins = plugins.iter().map(|api| built.plugin(api));
            let hosts = hosts.iter().map(|api| built.host(api));
            plugins.chain(hosts).collect::<Vec<_>>()
        };
        let made = Built {
            dir: target.join(TRIPLE).join("debug"),
        };
        for (from, to) in files(&made).iter().zip(files(&built)) {
            // Not written over: somebody may run it.
            let _ = fs::remove_file(&to);
            fs::copy(from, &to).unwrap();
        }
        built
    }

    async fn cargo(&self, build: Build, plugins: &[&str], hosts: &[&str], to: &Path) -> Outcome {
        let packages = || {
            let plugins = plugins.iter().map(|api| format!("variant-{api}"));
            plugins.chain(hosts.iter().map(|api| format!("host-{api}")))
        };
        let mut cargo = Program::new("cargo");
        if !build.toolchain.is_empty() {
            // `cargo` is that of a toolchain when cargo runs the tests; rustup's is beside it.
            cargo = Program::new(rustup_cargo()).arg(build.toolchain);
        }
        // With `--target` what runs while compiling is built only once, whatever the profile.
        cargo = cargo
            .args(["build", "--offline", "--quiet", "--target", TRIPLE])
            .arg("--target-dir")
            .arg(to);
        for package in packages() {
            cargo = cargo.arg("--package").arg(package);
        }
        if build.own_allocator {
            for package in packages() {
                cargo = cargo.args(["--features", &format!("{package}/own-allocator")]);
            }
        }
        for setting in build.profile {
            cargo = cargo.args(["--config", &format!("profile.dev.{setting}")]);
        }
        if let Some(seed) = build.layout_seed {
            let flags = format!("[\"-Zrandomize-layout\", \"-Zlayout-seed={seed}\"]");
            cargo = cargo.env("RUSTC_BOOTSTRAP", "1").arg("-Zprofile-rustflags");
            for package in [
                "abi_stable",
                "certdock-plugin-api",
                "variant-today",
                "host-today",
            ] {
                let setting = format!("profile.dev.package.{package}.rustflags={flags}");
                cargo = cargo.args(["--config", &setting]);
            }
        }
        cargo
            .env("RUSTFLAGS", "")
            .dir(&self.dir)
            .run_within(Duration::from_secs(900))
            .await
    }
}

/// The folder beneath `target/variants` for all that is built with unstable features of the compiler.
pub const UNSTABLE: &str = "unstable";

const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// Whether a toolchain, `nightly` say, is installed.
pub fn installed(toolchain: &str) -> bool {
    let rustup = std::process::Command::new("rustup")
        .args(["run", toolchain, "rustc", "--version"])
        .output();
    rustup.is_ok_and(|output| output.status.success())
}

fn rustup_cargo() -> PathBuf {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let own = home.map(|home| home.join("bin/cargo"));
    own.filter(|cargo| cargo.exists())
        .unwrap_or_else(|| PathBuf::from("cargo"))
}

impl Api {
    fn write(&self, dir: &Path) {
        let today = root().join("plugin-api");
        match self.source {
            Source::Frozen(version) => {
                let frozen = format!("tests/fixtures/versions/plugin-api-{version}");
                copy(&root().join(frozen), dir, &[]);
            }
            Source::Today => {
                copy(&today.join("src"), &dir.join("src"), &[]);
                write(&dir.join("Cargo.toml"), standalone_manifest());
            }
            Source::Changed(version, edits) => {
                for edit in edits.iter().filter(|edit| edit.from.is_empty()) {
                    write(&dir.join("src").join(edit.file), edit.to);
                }
                copy(&today.join("src"), &dir.join("src"), edits);
                let manifest = standalone_manifest();
                let own = format!("\nversion = \"{}\"\n", today_version());
                assert!(manifest.contains(&own), "{manifest}");
                let manifest = manifest.replacen(&own, &format!("\nversion = \"{version}\"\n"), 1);
                write(&dir.join("Cargo.toml"), &manifest);
            }
        }
    }
}

/// plugin-api's version now.
pub fn today_version() -> String {
    let manifest = fs::read_to_string(root().join("plugin-api/Cargo.toml")).unwrap();
    let line = manifest.lines().find_map(|l| l.strip_prefix("version = "));
    line.unwrap().trim_matches('"').to_owned()
}

/// plugin-api's manifest with all that it inherits written out.
fn standalone_manifest() -> String {
    let own = fs::read_to_string(root().join("plugin-api/Cargo.toml")).unwrap();
    let own = own.split("[lints]").next().unwrap();
    let line = |line: &str| match line.strip_suffix(".workspace = true") {
        Some(key) => inherited(key),
        None => line.to_owned(),
    };
    own.lines().map(|l| line(l) + "\n").collect()
}

/// The line of the workspace's manifest that says this.
fn inherited(key: &str) -> String {
    let workspace = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let begins = format!("{key} = ");
    let found = workspace.lines().find(|line| line.starts_with(&begins));
    found.unwrap_or_else(|| panic!("no {key}")).to_owned()
}

fn package(dir: &Path, name: &str, target: &str, source: &str, api: &str) {
    let allocator = inherited("dlmalloc").replace(" }", ", optional = true }");
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"0.4.2\"\nedition = \"2024\"\npublish = false\n\n\
         {target}\n[dependencies]\nabi_stable = {{ version = \"=0.11.3\", default-features = false }}\n\
         certdock-plugin-api = {{ path = \"../api-{api}\", features = [\"testing\"] }}\n\
         {allocator}\n\n[features]\nown-allocator = [\"dep:dlmalloc\"]\n"
    );
    write(&dir.join("Cargo.toml"), &manifest);
    let text = root().join("tests/fixtures/versions").join(source);
    write(&dir.join(source), fs::read(text).unwrap());
}

fn copy(from: &Path, to: &Path, edits: &[Edit]) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            let below: Vec<_> = edits
                .iter()
                .filter_map(|edit| {
                    let file = edit.file.strip_prefix(&name)?.strip_prefix('/')?;
                    Some(Edit { file, ..*edit })
                })
                .collect();
            copy(&path, &to.join(&name), &below);
            continue;
        }
        let mut bytes = fs::read(&path).unwrap();
        for Edit { from, to, .. } in edits.iter().filter(|edit| edit.file == name) {
            let text = String::from_utf8(bytes).unwrap();
            assert_eq!(text.matches(from).count(), 1, "{name}: {from}");
            bytes = text.replacen(from, to, 1).into_bytes();
        }
        write(&to.join(name), bytes);
    }
}

fn write(file: &Path, bytes: impl AsRef<[u8]>) {
    if fs::read(file).is_ok_and(|there| there == bytes.as_ref()) {
        return;
    }
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, bytes).unwrap();
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
