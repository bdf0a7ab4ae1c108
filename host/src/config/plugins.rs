//! `[plugins]`: where plugins lie, and which of them may run.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::Plugins;
use super::section::Section;
use super::tree::{Node, Value};
use super::value::{FromNode, OneOrMore, Wrong};
use crate::ids::PluginId;
use crate::plugins::{Ownership, Requirement, Trust, VendorKey};

pub(super) fn plugins(mut section: Section<'_>, base: &Path) -> Plugins {
    let directory = section.get_or("directory", base.join("plugins"));
    let require = section.word(
        "require",
        Requirement::None,
        &[
            ("none", Requirement::None),
            ("pin", Requirement::Pin),
            ("signature", Requirement::Signature),
        ],
    );
    let checked = section.word(
        "ownership",
        true,
        &[("checked", true), ("unchecked", false)],
    );
    let keys = section.get::<OneOrMore<VendorKey>>("keys");
    let pins = section.get::<Pins>("pins");
    if require == Requirement::Signature && !section.has("keys") {
        let text = "no signature can be checked without a key; write the vendor's public key as \
                    keys = [\"RW…\"]";
        section.wrong("require", text);
    }
    let ownership = match checked {
        true => Ownership::Checked {
            owners: masters(&section, base),
        },
        false => Ownership::Unchecked,
    };
    section.finish();
    Plugins {
        directory,
        trust: Trust {
            require,
            ownership,
            pins: pins.map(|pins| pins.0).unwrap_or_default(),
            keys: keys.map(|keys| keys.0).unwrap_or_default(),
        },
    }
}

/// Who could name another folder here may as well own the files in this one: whoever owns the
/// configuration's file, or the folder where one would be read.
fn masters(section: &Section<'_>, base: &Path) -> BTreeSet<u32> {
    let base = match base.as_os_str().is_empty() {
        true => Path::new("."),
        false => base,
    };
    let file = section.place().map(|place| &*place.file);
    file.and_then(|file| std::fs::metadata(file).ok())
        .or_else(|| std::fs::metadata(base).ok())
        .map(|metadata| metadata.uid())
        .into_iter()
        .collect()
}

/// `[plugins.pins]`: the SHA-256 of one file or of several, by plugin.
struct Pins(BTreeMap<PluginId, Vec<String>>);

struct Sha256(String);

impl FromNode for Pins {
    fn from_node(node: &Node) -> Result<Self, Wrong> {
        let Value::Table(tree) = &node.value else {
            let kind = node.value.kind();
            let text = format!("this is {kind}; write a table, [plugins.pins]");
            return Err((node.place.clone(), text));
        };
        let pin = |(id, node): (&String, &Node)| {
            let id = id.parse::<PluginId>().map_err(|_| {
                let text =
                    format!("'{id}' is not a plugin's id; `certdock plugin list` shows them");
                (node.place.clone(), text)
            })?;
            let pins = OneOrMore::<Sha256>::from_node(node)?.0;
            Ok((id, pins.into_iter().map(|pin| pin.0).collect()))
        };
        tree.0.iter().map(pin).collect::<Result<_, _>>().map(Self)
    }
}

impl FromNode for Sha256 {
    fn from_node(node: &Node) -> Result<Self, Wrong> {
        let text = String::from_node(node)?;
        let fits = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match fits {
            true => Ok(Self(text.to_ascii_lowercase())),
            false => Err((
                node.place.clone(),
                format!(
                    "'{text}' is not a SHA-256; write the 64 hexadecimal digits that `certdock plugin \
                     inspect FILE` shows"
                ),
            )),
        }
    }
}

impl FromNode for VendorKey {
    fn from_node(node: &Node) -> Result<Self, Wrong> {
        let text = String::from_node(node)?;
        Self::parse(&text).ok_or_else(|| {
            let text = format!(
                "'{text}' is not a minisign public key; write the second line of the vendor's .pub \
                 file"
            );
            (node.place.clone(), text)
        })
    }
}
