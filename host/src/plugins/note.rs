//! [`Note`]: what a plugin says of itself, read from its bytes before any of its code runs.

use certdock_plugin_api::abi::{API_VERSION, CARRIER_VERSION};
use certdock_plugin_api::{export, note};
use serde::Serialize;

use super::elf::Image;
use super::refusal::Refusal;
use crate::ids::PluginId;

/// Longer notes and values are nonsense.
const LONGEST_NOTE: usize = 4096;
const LONGEST_VALUE: usize = 256;

/// A plugin's metadata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    pub id: PluginId,
    /// The plugin's own version.
    pub version: String,
    pub vendor: String,
    /// The version of plugin-api it was built with.
    pub api_version: String,
    /// The revision of `abi_stable`'s header.
    pub abi_stable: String,
    /// `unwind` or `abort`.
    pub panic: String,
    pub target: String,
    /// The optional abilities it declares.
    pub provides: Vec<String>,
    /// The compiler it was built with, where the file still says so.
    pub rustc: Option<String>,
}

impl Note {
    /// Reads the note of an image.
    ///
    /// # Errors
    /// There is none, or it is not as it must be.
    pub(super) fn read(image: &Image<'_>) -> Result<Self, Refusal> {
        // The name's final NUL is not part of it for a reader.
        let name = note::NAME.strip_suffix(b"\0").unwrap_or(note::NAME);
        let mut found = image.notes(name, note::TYPE);
        let text = found.next().ok_or(Refusal::NoNote)?;
        if found.next().is_some() {
            return Err(Refusal::BadNote("there is more than one"));
        }
        let mut note = Self::parse(text)?;
        note.rustc = image.compiler().map(str::to_owned);
        Ok(note)
    }

    fn parse(text: &[u8]) -> Result<Self, Refusal> {
        if text.len() > LONGEST_NOTE {
            return Err(Refusal::BadNote("it is too long"));
        }
        let text = std::str::from_utf8(text).map_err(|_| Refusal::BadNote("it is no text"))?;
        let value = |key: &str| {
            text.lines()
                .filter_map(|line| line.split_once('='))
                .find(|(k, _)| *k == key)
                .map(|f| f.1)
        };
        let needed = |key: &str| {
            let value = value(key).ok_or(Refusal::BadNote("it lacks a line"))?;
            if value.is_empty() || value.len() > LONGEST_VALUE || value.contains(char::is_control) {
                return Err(Refusal::BadNote(
                    "a value in it is empty, too long or no plain text",
                ));
            }
            Ok(value.to_owned())
        };
        let id = needed("id")?;
        let id = Some(id.as_str())
            .filter(|id| export::is_id(id))
            .and_then(|id| id.parse().ok())
            .ok_or(Refusal::BadNote("its id is none"))?;
        Ok(Self {
            id,
            version: needed("version")?,
            vendor: needed("vendor")?,
            api_version: needed("api")?,
            abi_stable: needed("abi_stable")?,
            panic: needed("panic")?,
            target: needed("target")?,
            provides: value("provides")
                .unwrap_or_default()
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
            rustc: None,
        })
    }

    /// Whether this host can run such a plugin.
    ///
    /// # Errors
    /// Says why not.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        let ours = major(API_VERSION).unwrap_or_default();
        if major(&self.api_version) != Some(ours) {
            let found = self.api_version.clone();
            return Err(Refusal::OtherMajor {
                found,
                expected: ours,
            });
        }
        if self.abi_stable != CARRIER_VERSION {
            let found = self.abi_stable.clone();
            return Err(Refusal::OtherCarrier {
                found,
                expected: CARRIER_VERSION,
            });
        }
        Ok(())
    }

    /// Whether a panic of it ends the process that it is in.
    #[must_use]
    pub fn aborts(&self) -> bool {
        self.panic != "unwind"
    }
}

fn major(version: &str) -> Option<u64> {
    version.split_once('.')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "id=my-ca\nversion=0.3.1\nvendor=Example=Co\napi=1.4.2\nabi_stable=0.11\n\
                        panic=unwind\ntarget=x\nprovides=poll crl \nlater=ignored\n";

    #[test]
    fn a_note_is_read() {
        let note = Note::parse(GOOD.as_bytes()).unwrap();
        assert_eq!(note.id.as_str(), "my-ca");
        assert_eq!(note.vendor, "Example=Co");
        assert_eq!(note.provides, ["poll", "crl"]);
        assert!(note.check().is_ok(), "a newer minor version is welcome");
    }

    #[test]
    fn bad_notes_are_refused() {
        let cases = [
            ("id=my-ca", "id=My CA", "its id is none"),
            ("id=my-ca", "id=-", "its id is none"),
            ("id=my-ca", "ident=my-ca", "lacks a line"),
            ("version=0.3.1", "version=", "empty"),
            (
                "vendor=Example",
                "vendor=\u{1b}[31mExample",
                "no plain text",
            ),
        ];
        for (from, to, expected) in cases {
            let message = Note::parse(GOOD.replace(from, to).as_bytes())
                .unwrap_err()
                .to_string();
            assert!(message.contains(expected), "{message}");
        }
        assert!(Note::parse(b"\xff\xfe").is_err());
        assert!(Note::parse(&[b'a'; LONGEST_NOTE + 1]).is_err());
    }

    #[test]
    fn other_builds_are_refused_before_they_run() {
        let cases = [
            ("api=1.4.2", "api=2.0.0", "plugin-api 2.0.0"),
            ("api=1.4.2", "api=0.9.0", "plugin-api 0.9.0"),
            ("api=1.4.2", "api=what", "plugin-api what"),
            ("abi_stable=0.11", "abi_stable=0.12", "abi_stable 0.12"),
        ];
        for (from, to, expected) in cases {
            let note = Note::parse(GOOD.replace(from, to).as_bytes()).unwrap();
            let message = note.check().unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".*") {
            let _ = Note::parse(text.as_bytes()).map(|note| note.check());
        }
    }
}
