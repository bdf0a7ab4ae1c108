//! [`FromNode`]: one value of the configuration from its place in the tree.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use certdock_plugin_api::SecretRef;
use ipnet::IpNet;

use super::CsrAttribute;
use super::mistake::Place;
use super::tree::{Node, Value};
use crate::ids::{HandlerName, PluginId};
use crate::order::{ChallengeType, DnsName};

/// A value that is not as it should be: where, and a sentence that says what to write instead.
pub(super) type Wrong = (Place, String);

pub(super) trait FromNode: Sized {
    fn from_node(node: &Node) -> Result<Self, Wrong>;
}

fn unfit<T>(node: &Node, want: &str) -> Result<T, Wrong> {
    let kind = node.value.kind();
    Err((node.place.clone(), format!("this is {kind}; write {want}")))
}

fn text<'a>(node: &'a Node, want: &str) -> Result<&'a str, Wrong> {
    match &node.value {
        Value::String(text) => Ok(text),
        _ => unfit(node, want),
    }
}

fn parsed<T: FromStr>(node: &Node, want: &str) -> Result<T, Wrong> {
    let text = text(node, want)?;
    text.parse()
        .map_err(|_| (node.place.clone(), format!("'{text}' is not {want}")))
}

impl FromNode for String {
    fn from_node(node: &Node) -> Result<Self, Wrong> {
        let text = text(node, "a string")?;
        if text.is_empty() {
            return Err((node.place.clone(), "this is empty; give it a value".into()));
        }
        Ok(text.to_owned())
    }
}

impl FromNode for bool {
    fn from_node(node: &Node) -> Result<Self, Wrong> {
        match node.value {
            Value::Boolean(flag) => Ok(flag),
            _ => unfit(node, "true or false"),
        }
    }
}

impl FromNode for u16 {
    fn from_node(node: &Node) -> Result<Self, Wrong> {
        match node.value {
            Value::Integer(port @ 1..=65535) => Ok(port as Self),
            Value::Integer(port) => Err((
                node.place.clone(),
                format!("{port} is not a port; write 1 to 65535"),
            )),
            _ => unfit(node, "a port, 80 for example"),
        }
    }
}

impl FromNode for i64 {
    fn from_node(node: &Node) -> Result<Self, Wrong> {
        match node.value {
            Value::Integer(number) => Ok(number),
            _ => unfit(node, "a whole number"),
        }
    }
}

/// "30s", "5m", "12h", "90d"
impl FromNode for Duration {
    fn from_node(node: &Node) -> Result<Self, Wrong> {
        let text = text(node, DURATION)?;
        duration(text).map_err(|wrong| (node.place.clone(), wrong))
    }
}

const DURATION: &str = "a duration such as \"30s\", \"5m\", \"12h\" or \"90d\"";

/// "30s", "5m", "12h", "90d"
///
/// # Errors
/// One sentence that says what to write.
pub fn duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("'{text}' is not {DURATION}");
    let unit = match text.as_bytes().last() {
        Some(b's') => 1,
        Some(b'm') => 60,
        Some(b'h') => 60 * 60,
        Some(b'd') => 24 * 60 * 60,
        _ => return Err(bad()),
    };
    let digits = text.get(..text.len() - 1).unwrap_or_default();
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad());
    }
    let count: u32 = digits.parse().map_err(|_| bad())?;
    if count == 0 {
        return Err(format!("'{text}' is no time at all; write at least \"1s\""));
    }
    Ok(Duration::from_secs(u64::from(count) * unit))
}

/// Relative to the file it stands in.
impl FromNode for PathBuf {
    fn from_node(node: &Node) -> Result<Self, Wrong> {
        let path = String::from_node(node)?;
        Ok(node.place.resolve(&path))
    }
}

impl FromNode for SocketAddr {
    fn from_node(node: &Node) -> Result<Self, Wrong> {
        parsed(
            node,
            "an address with its port, \"0.0.0.0:14000\" or \"[::]:14000\" for example",
        )
    }
}

impl FromNode for IpNet {
    fn from_node(node: &Node) -> Result<Self, Wrong> {
        parsed(node, "an address range, \"10.0.0.0/8\" for example")
    }
}

impl FromNode for DnsName {
    fn from_node(node: &Node) -> Result<Self, Wrong> {
        parsed(node, "a DNS name, \"example.com\" for example")
    }
}

impl FromNode for ChallengeType {
    fn from_node(node: &Node) -> Result<Self, Wrong> {
        parsed(node, "a challenge; known are http-01, dns-01, tls-alpn-01")
    }
}

impl FromNode for HandlerName {
    fn from_node(node: &Node) -> Result<Self, Wrong> {
        let text = text(node, "the NAME of a [handlers.NAME]")?;
        text.parse()
            .map_err(|wrong: crate::ids::InvalidName| (node.place.clone(), wrong.to_string()))
    }
}

impl FromNode for PluginId {
    fn from_node(node: &Node) -> Result<Self, Wrong> {
        let text = text(node, "a plugin's id, \"openssl-local\" for example")?;
        text.parse()
            .map_err(|wrong: crate::ids::InvalidName| (node.place.clone(), wrong.to_string()))
    }
}

/// "challengePassword", "1.2.3.4", or { oid = "ecPublicKey", values = ["secp384r1"] }
impl FromNode for SecretRef {
    fn from_node(node: &Node) -> Result<Self, Wrong> {
        const WANT: &str = "{ file = \"PATH\" } or { env = \"NAME\" }, never the secret itself";
        let Value::Table(table) = &node.value else {
            return unfit(node, WANT);
        };
        let mut entries = table.0.iter();
        match (entries.next(), entries.next()) {
            (Some((name, value)), None) if name == "file" => {
                // Relative to the handler's folder, as in the plugin's own table; not resolved here.
                Ok(Self::File(String::from_node(value)?.into()))
            }
            (Some((name, value)), None) if name == "env" => {
                Ok(Self::Env(String::from_node(value)?))
            }
            _ => Err((node.place.clone(), format!("write {WANT}"))),
        }
    }
}

impl FromNode for CsrAttribute {
    fn from_node(node: &Node) -> Result<Self, Wrong> {
        const WANT: &str = "an OID, or { oid = \"OID\", values = [\"OID\"] }";
        let oid = |node: &Node| {
            let text = text(node, WANT)?;
            Self::oid(text).map_err(|wrong| (node.place.clone(), wrong))
        };
        let (kind, values) = match &node.value {
            Value::Table(table) => match (table.0.get("oid"), table.0.get("values")) {
                (Some(kind), Some(values)) if table.0.len() == 2 => (kind, Some(values)),
                _ => return Err((node.place.clone(), format!("write {WANT}"))),
            },
            _ => (node, None),
        };
        let values = match values.map(|values| &values.value) {
            None => Vec::new(),
            Some(Value::Array(items)) => items.iter().map(oid).collect::<Result<_, _>>()?,
            Some(_) => return Err((node.place.clone(), format!("write {WANT}"))),
        };
        Ok(Self {
            oid: oid(kind)?,
            values,
        })
    }
}

impl<T: FromNode> FromNode for Vec<T> {
    fn from_node(node: &Node) -> Result<Self, Wrong> {
        match &node.value {
            Value::Array(items) => items.iter().map(T::from_node).collect(),
            _ => unfit(node, "a list, in [ ]"),
        }
    }
}

/// One value, or a list of them.
pub(super) struct OneOrMore<T>(pub(super) Vec<T>);

impl<T: FromNode> FromNode for OneOrMore<T> {
    fn from_node(node: &Node) -> Result<Self, Wrong> {
        match &node.value {
            Value::Array(items) if items.is_empty() => Err((
                node.place.clone(),
                "this list is empty; name at least one".into(),
            )),
            Value::Array(items) => items.iter().map(T::from_node).collect::<Result<_, _>>(),
            _ => T::from_node(node).map(|one| vec![one]),
        }
        .map(Self)
    }
}

/// The value as JSON, for a plugin.
pub(super) fn to_json(value: &Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match value {
        Value::String(text) | Value::Datetime(text) => Json::from(text.as_str()),
        Value::Integer(number) => Json::from(*number),
        Value::Float(number) => Json::from(*number),
        Value::Boolean(flag) => Json::from(*flag),
        Value::Array(items) => items.iter().map(|item| to_json(&item.value)).collect(),
        Value::Table(table) => Json::Object(
            table
                .0
                .iter()
                .map(|(name, node)| (name.clone(), to_json(&node.value)))
                .collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::tree::Tree;

    fn value<T: FromNode>(text: &str) -> Result<T, String> {
        let tree = Tree::parse(Path::new("/etc/x.toml"), &format!("k = {text}")).unwrap();
        T::from_node(&tree.0["k"]).map_err(|(_, text)| text)
    }

    #[test]
    fn durations() {
        for (text, seconds) in [
            ("30s", 30),
            ("5m", 300),
            ("12h", 43_200),
            ("90d", 7_776_000),
        ] {
            assert_eq!(
                value(&format!("\"{text}\"")),
                Ok(Duration::from_secs(seconds))
            );
        }
        for text in [
            "\"\"",
            "\"s\"",
            "\"30\"",
            "\"-1s\"",
            "\"1.5h\"",
            "\"0d\"",
            "\"5é\"",
            "\"99999999999d\"",
            "\"1 h\"",
            "\"+1s\"",
            "30",
        ] {
            assert!(value::<Duration>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn paths_are_relative_to_their_file() {
        assert_eq!(value("'a/b'"), Ok(PathBuf::from("/etc/a/b")));
        assert_eq!(value("'/a'"), Ok(PathBuf::from("/a")));
    }

    #[test]
    fn a_wrong_kind_is_named() {
        let message = value::<SocketAddr>("443").unwrap_err();
        assert!(
            message.starts_with("this is a whole number; write an address"),
            "{message}"
        );
    }
}
