//! `isolation` and `[handlers.NAME.limits]`: where a handler's code runs, and what it may use there.

use super::section::Section;
use super::tree::{Node, Value};
use super::value::{FromNode, OneOrMore, Wrong};
use crate::plugins::Isolation;
use crate::worker::Limits;

/// `isolation` and `allow_abort`
pub(super) fn isolation(section: &mut Section<'_>) -> Isolation {
    let aborting = section.get_or("allow_abort", false);
    section.word(
        "isolation",
        Isolation::Process,
        &[
            ("process", Isolation::Process),
            ("in-process", Isolation::InProcess { aborting }),
        ],
    )
}

pub(super) fn limits(mut section: Section<'_>, isolation: Isolation) -> Limits {
    let default = Limits::default();
    let given = section.whole().is_some();
    let memory = section.get::<Size>("memory");
    let files = section.number("files", 1024, 32..=1_000_000);
    let limits = Limits {
        memory: memory.map_or(default.memory, |size| size.0),
        files: files as u64,
        cpu: section.get("cpu"),
        overdue: section.get_or("overdue", default.overdue),
        read: paths(&mut section, "read"),
        write: paths(&mut section, "write"),
    };
    if given && isolation != Isolation::Process {
        section.wrong_here(
            "a handler inside the server has no limits of its own; take this table away, or write \
             isolation = \"process\"",
        );
    }
    section.finish();
    limits
}

fn paths(section: &mut Section<'_>, name: &'static str) -> Vec<std::path::PathBuf> {
    let paths = section.get::<OneOrMore<std::path::PathBuf>>(name);
    paths.map(|paths| paths.0).unwrap_or_default()
}

/// "512MiB", "2GiB"
struct Size(u64);

/// A worker with less can't even start.
const LEAST: u64 = 32 << 20;

impl FromNode for Size {
    fn from_node(node: &Node) -> Result<Self, Wrong> {
        let wrong = |text: String| (node.place.clone(), text);
        let Value::String(text) = &node.value else {
            let kind = node.value.kind();
            let text = format!("this is {kind}; write a size such as \"512MiB\" or \"2GiB\"");
            return Err(wrong(text));
        };
        let units = [("MiB", 1 << 20), ("GiB", 1 << 30)];
        let size = units.iter().find_map(|(unit, bytes): &(_, u64)| {
            let count: u32 = text.strip_suffix(unit)?.trim_end().parse().ok()?;
            u64::from(count).checked_mul(*bytes)
        });
        match size {
            Some(size) if size >= LEAST => Ok(Self(size)),
            Some(_) => Err(wrong(format!(
                "'{text}' is too little to start with; write at least \"{}MiB\"",
                LEAST >> 20
            ))),
            None => Err(wrong(format!(
                "'{text}' is not a size such as \"512MiB\" or \"2GiB\""
            ))),
        }
    }
}
