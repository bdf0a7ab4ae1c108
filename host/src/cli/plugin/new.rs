//! `certdock plugin new`: a crate of one's own to start a connector from.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use certdock_plugin_api::abi::API_VERSION;
use clap::Args;

use crate::cli::failure::Failure;
use crate::cli::output;

/// The template is the skeleton itself, so that it is never behind.
const SKELETON: &str = include_str!("../../../../plugins/skeleton/src/lib.rs");
const CARGO: &str = include_str!("../../../templates/plugin/Cargo.toml");
const README: &str = include_str!("../../../templates/plugin/README.md");
const HANDLER: &str = include_str!("../../../templates/plugin/handler.toml");
const CI: &str = include_str!("../../../templates/plugin/ci.yml");

/// The id that would call the new crate certdock-plugin-api.
const OWN_DEPENDENCY: &str = "plugin-api";

#[derive(Args)]
pub(in crate::cli) struct Options {
    /// Where to make it; it must not exist, or be empty
    dir: PathBuf,
    /// The plugin's id [default: the folder's name]
    #[arg(long)]
    id: Option<String>,
    /// Who makes it
    #[arg(long, default_value = "Your company")]
    vendor: String,
    /// Where certdock-plugin-api is: a version, or the path of its folder [default: this version]
    #[arg(long, value_name = "VERSION | PATH")]
    plugin_api: Option<String>,
}

pub(super) fn run(options: &Options) -> Result<(), Failure> {
    let template = Template::of(options)?;
    make_folder(&options.dir)?;
    for (name, text) in template.files() {
        write(&options.dir.join(name), &text)?;
    }
    let Template { id, .. } = &template;
    let dir = options.dir.display();
    output::print(&format!(
        "Made {dir}. Next:\n  cd {dir}\n  cargo test\n  cargo build --release\nThen fill in src/lib.rs; \
         {id}.toml is a configuration for it, and README.md says the rest.\n"
    ))
}

struct Template {
    id: String,
    vendor: String,
    api: Api,
}

/// What the crate's manifest says of its one dependency.
enum Api {
    Version(String),
    Path(PathBuf),
}

impl Template {
    fn of(options: &Options) -> Result<Self, Failure> {
        let folder = options.dir.file_name().map(|name| name.to_string_lossy());
        let id = match (&options.id, folder) {
            (Some(id), _) => id.clone(),
            (None, Some(folder)) => folder.into_owned(),
            (None, None) => {
                return Err(Failure::Usage(
                    "the folder has no name to take for the plugin's id; give --id".to_owned(),
                ));
            }
        };
        if !is_fit(&id) {
            return Err(Failure::Usage(format!(
                "'{id}' can't be the plugin's id; use lower-case letters, digits and '-', beginning \
                 with a letter, 40 at most: --id my-ca"
            )));
        }
        if id == OWN_DEPENDENCY {
            return Err(Failure::Usage(format!(
                "'{id}' can't be the plugin's id: its crate, certdock-{id}, would have the name of the \
                 crate that it needs; take another: --id my-ca"
            )));
        }
        let vendor = options.vendor.trim();
        if vendor.is_empty()
            || vendor
                .chars()
                .any(|c| c.is_control() || c == '"' || c == '\\')
        {
            return Err(Failure::Usage(
                "--vendor takes one line of text without quotes".to_owned(),
            ));
        }
        Ok(Self {
            id,
            vendor: vendor.to_owned(),
            api: Api::of(options.plugin_api.as_deref())?,
        })
    }

    fn files(&self) -> [(String, String); 6] {
        let filled = |text: &str| self.filled(text);
        [
            ("Cargo.toml".to_owned(), filled(CARGO)),
            ("README.md".to_owned(), filled(README)),
            (format!("{}.toml", self.id), filled(HANDLER)),
            (".gitignore".to_owned(), "/target\n".to_owned()),
            (".github/workflows/ci.yml".to_owned(), CI.to_owned()),
            ("src/lib.rs".to_owned(), self.source()),
        ]
    }

    /// The skeleton's code under other names. `Connector` can't collide with what it imports, as a
    /// name made of the id could.
    fn source(&self) -> String {
        let body = SKELETON
            .split_once("//!\n")
            .map_or(SKELETON, |(_, body)| body);
        let renamed = body
            .replace("id: \"skeleton\"", "id: \"{{id}}\"")
            .replace("The certdock developers", "{{vendor}}")
            .replace("Skeleton", "Connector")
            .replace("skeleton", "connector");
        self.filled(&format!(
            "//! A CA handler for certdock: {{{{id}}}}.\n//!\n{renamed}"
        ))
    }

    /// The template with its `{{NAME}}` filled in. What has been put in is not looked at again: it may be
    /// anything.
    fn filled(&self, template: &str) -> String {
        let mut text = String::with_capacity(2 * template.len());
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("{{") {
            text.push_str(before);
            let place = after
                .split_once("}}")
                .and_then(|(name, after)| Some((self.value(name)?, after)));
            match place {
                Some((value, after)) => {
                    text.push_str(&value);
                    rest = after;
                }
                None => {
                    text.push_str("{{");
                    rest = after;
                }
            }
        }
        text + rest
    }

    fn value(&self, name: &str) -> Option<String> {
        Some(match name {
            "id" => self.id.clone(),
            "underscored" => self.id.replace('-', "_"),
            "vendor" => self.vendor.clone(),
            "api" => self.api.requirement(false),
            "api_with_testing" => self.api.requirement(true),
            _ => return None,
        })
    }
}

impl Api {
    fn of(given: Option<&str>) -> Result<Self, Failure> {
        let Some(given) = given else {
            return Ok(Self::Version(API_VERSION.to_owned()));
        };
        let is_version = given.starts_with(|c: char| c.is_ascii_digit())
            && given.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if is_version {
            return Ok(Self::Version(given.to_owned()));
        }
        let path = Path::new(given);
        let found = path.join("Cargo.toml").is_file();
        match path.canonicalize() {
            Ok(path) if found => Ok(Self::Path(path)),
            _ => Err(Failure::Usage(format!(
                "there is no crate in {given}; give a version, or the folder of certdock-plugin-api"
            ))),
        }
    }

    fn requirement(&self, testing: bool) -> String {
        let features = if testing {
            ", features = [\"testing\"]"
        } else {
            ""
        };
        match self {
            Self::Version(version) => format!("{{ version = \"{version}\"{features} }}"),
            // As TOML writes a string with whatever may stand in a path.
            Self::Path(path) => {
                let path = toml::Value::from(&*path.to_string_lossy());
                format!("{{ path = {path}{features} }}")
            }
        }
    }
}

fn is_fit(id: &str) -> bool {
    id.len() <= 40
        && id.starts_with(|c: char| c.is_ascii_lowercase())
        && id
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !id.ends_with('-')
}

/// Nothing that is there is written over.
fn make_folder(dir: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::Failed(format!("{} can't be made: {error}", dir.display()))
    };
    match std::fs::read_dir(dir) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(Failure::Usage(format!(
                "{} is there and not empty; name another folder",
                dir.display()
            ))),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => {
            std::fs::create_dir_all(dir).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(Path::new(""));
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(path, text))
        .map_err(|error| Failure::Failed(format!("{} can't be written: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(dir: &Path) -> Options {
        Options {
            dir: dir.to_owned(),
            id: None,
            vendor: "Example & Sons".to_owned(),
            plugin_api: None,
        }
    }

    #[test]
    fn nothing_of_the_template_shows_through() {
        let folder = tempfile::tempdir().unwrap();
        let template = Template::of(&options(&folder.path().join("my-ca-2"))).unwrap();
        for (name, text) in template.files() {
            for trace in [
                "keleton",
                "{{id",
                "{{un",
                "{{ve",
                "{{api",
                "The certdock dev",
            ] {
                assert!(!text.contains(trace), "{name} has {trace}:\n{text}");
            }
        }
        let source = template.source();
        assert!(
            source.starts_with("//! A CA handler for certdock: my-ca-2.\n//!\n//! Every method")
        );
        assert!(source.contains("id: \"my-ca-2\",\n    vendor: \"Example & Sons\","));
        let files = template.files();
        assert!(files[1].1.contains("libcertdock_my_ca_2.so"));
        let manifest: toml::Table = files[0].1.parse().unwrap();
        assert_eq!(
            manifest["dependencies"]["certdock-plugin-api"]["version"].as_str(),
            Some(API_VERSION)
        );
    }

    #[test]
    fn what_is_put_in_stays_as_it_was_given() {
        let folder = tempfile::tempdir().unwrap();
        // Whatever a template calls its places, or did once.
        let api = folder
            .path()
            .join("DAVID's {{id}} {{api}} API_WITH_TESTING skeleton");
        std::fs::create_dir(&api).unwrap();
        std::fs::write(api.join("Cargo.toml"), "").unwrap();
        let api = api.canonicalize().unwrap();
        let api = api.to_str().unwrap();
        for (id, vendor) in [
            ("skeleton-ca", "Skeleton Key Ltd"),
            ("skeleton", "The certdock developers' friends"),
            ("id", "{{id}} {{vendor}} API ID"),
        ] {
            let given = Options {
                id: Some(id.to_owned()),
                vendor: vendor.to_owned(),
                plugin_api: Some(api.to_owned()),
                ..options(&folder.path().join("x"))
            };
            let template = Template::of(&given).unwrap();
            let files = template.files();
            let manifest: toml::Table = files[0].1.parse().unwrap();
            let package = format!("certdock-{id}");
            assert_eq!(manifest["package"]["name"].as_str(), Some(&*package));
            for table in ["dependencies", "dev-dependencies"] {
                let path = &manifest[table]["certdock-plugin-api"]["path"];
                assert_eq!(path.as_str(), Some(api), "{table}");
            }
            assert_eq!(files[2].0, format!("{id}.toml"));
            let handler: toml::Table = files[2].1.parse().unwrap();
            assert_eq!(handler["handlers"][id]["plugin"].as_str(), Some(id));
            assert_eq!(handler["acme"][id]["handler"].as_str(), Some(id));
            let source = template.source();
            let exported =
                format!("handler: Connector,\n    id: \"{id}\",\n    vendor: \"{vendor}\",\n");
            assert!(source.contains(&exported), "{source}");
        }
    }

    #[test]
    fn what_is_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("mine");
        run(&options(&dir)).unwrap();
        let before = std::fs::read(dir.join("src/lib.rs")).unwrap();
        assert!(matches!(run(&options(&dir)), Err(Failure::Usage(text)) if text.contains("empty")));
        assert_eq!(std::fs::read(dir.join("src/lib.rs")).unwrap(), before);
    }

    #[test]
    fn ids_and_places_that_cant_be_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for id in [
            "",
            "My-CA",
            "1ca",
            "a b",
            "ca\"",
            "ca-",
            "é",
            &"a".repeat(41),
        ] {
            let options = Options {
                id: Some(id.to_owned()),
                ..options(&folder.path().join("x"))
            };
            assert!(matches!(run(&options), Err(Failure::Usage(_))), "{id}");
        }
        let dir = folder.path().join("plugin-api");
        let named = Options {
            id: Some("my-ca".to_owned()),
            ..options(&dir)
        };
        assert!(Template::of(&named).is_ok());
        assert!(
            matches!(run(&options(&dir)), Err(Failure::Usage(text)) if text.contains("take another"))
        );
        for api in ["", "/nowhere", "latest"] {
            let options = Options {
                plugin_api: Some(api.to_owned()),
                ..options(&folder.path().join("x"))
            };
            assert!(matches!(run(&options), Err(Failure::Usage(_))), "{api}");
        }
        assert!(!folder.path().join("x").exists());
    }
}
