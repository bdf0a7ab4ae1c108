//! The file by itself, before any of its code runs.

use crate::conformance::bench::Bench;
use crate::conformance::check::Check;
use crate::conformance::verdict::{Stop, Verdict, ensure};
use crate::plugins::{Inspection, Ownership, Refusal, Requirement, Trust, VendorKey};

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "file.library",
        "the file is a whole shared library for this machine, without a search path of its own",
        library,
    ),
    Check::new(
        "file.note",
        "it carries one note that says who it is, readable without running it",
        note,
    )
    .needs("file.library"),
    Check::new(
        "file.api",
        "it was built with a plugin-api that this certdock takes",
        api,
    )
    .needs("file.note"),
    Check::new(
        "file.unwinds",
        "it was built with panic = \"unwind\", so that a panic can be caught",
        unwinds,
    )
    .needs("file.api"),
    Check::new(
        "file.abilities",
        "the abilities that its note names are known to this certdock, and go together",
        abilities,
    )
    .needs("file.api"),
    Check::new(
        "file.place",
        "where it lies, nobody but trusted users can change it",
        place,
    )
    .needs("file.note")
    .after(&["file.api"]),
    Check::new(
        "file.signature",
        "it is signed by the key that was given",
        signature,
    )
    .needs("file.note"),
];

fn library(bench: &Bench) -> Verdict {
    match Inspection::of(&bench.settings().file) {
        Err(
            refusal @ (Refusal::Unreadable(_)
            | Refusal::NotAFile(_)
            | Refusal::Empty
            | Refusal::TooLarge(_)
            | Refusal::NotALibrary(_)
            | Refusal::WrongMachine { .. }
            | Refusal::Damaged(_)
            | Refusal::SearchPath),
        ) => Err(Stop::failed(refusal.to_string())),
        _ => Ok(String::new()),
    }
}

fn note(bench: &Bench) -> Verdict {
    match Inspection::of(&bench.settings().file) {
        Ok(found) => Ok(format!(
            "{} {}, by {}",
            found.note.id, found.note.version, found.note.vendor
        )),
        Err(refusal @ (Refusal::NoNote | Refusal::BadNote(_))) => {
            Err(Stop::failed(refusal.to_string()))
        }
        Err(_) => Ok(String::new()),
    }
}

fn api(bench: &Bench) -> Verdict {
    match Inspection::of(&bench.settings().file) {
        Err(refusal @ (Refusal::OtherMajor { .. } | Refusal::OtherCarrier { .. })) => {
            Err(Stop::failed(refusal.to_string()))
        }
        Ok(found) => Ok(format!("plugin-api {}", found.note.api_version)),
        Err(_) => Ok(String::new()),
    }
}

fn unwinds(bench: &Bench) -> Verdict {
    match Inspection::of(&bench.settings().file) {
        Err(refusal @ Refusal::AbortsOnPanic) => Err(Stop::failed(refusal.to_string())),
        Ok(found) if found.note.panic != "unwind" => {
            Err(Stop::failed(Refusal::AbortsOnPanic.to_string()))
        }
        _ => Ok(String::new()),
    }
}

fn abilities(bench: &Bench) -> Verdict {
    const KNOWN: [&str; 9] = [
        "poll",
        "recover",
        "idempotent",
        "stateless",
        "revoke",
        "push",
        "health",
        "crl",
        "validate_config",
    ];
    let provides = bench.inspect()?.note.provides;
    let has = |ability: &str| provides.iter().any(|name| name == ability);
    let keeps = ["poll", "push", "recover"]
        .into_iter()
        .find(|name| has(name));
    if let Some(keeps) = keeps.filter(|_| has("stateless")) {
        return Err(Stop::failed(format!(
            "it provides stateless, though {keeps} needs something to be kept of an enrollment; the \
             host takes no notice of the promise; leave out one of the two"
        )));
    }
    match provides
        .iter()
        .find(|ability| !KNOWN.contains(&ability.as_str()))
    {
        None => Ok(provides.join(", ")),
        Some(unknown) => Err(Stop::Skipped(format!(
            "this certdock does not know the ability {unknown}; it is older than the plugin"
        ))),
    }
}

/// What counts is where the file will lie, so that its place now is not the plugin's fault.
fn place(bench: &Bench) -> Verdict {
    let trust = Trust {
        ownership: Ownership::default(),
        ..Trust::default()
    };
    match trust.check(&bench.inspect()?) {
        Ok(_) => Ok(String::new()),
        Err(refusal) => Err(Stop::Skipped(format!(
            "a server would not take it from where it lies now: {refusal}"
        ))),
    }
}

fn signature(bench: &Bench) -> Verdict {
    let Some(key) = &bench.settings().key else {
        return Err(Stop::skipped("no public key was given; name it with --key"));
    };
    let key = VendorKey::parse(key).ok_or_else(|| {
        Stop::failed("the key is not a minisign public key; give the second line of its .pub file")
    })?;
    let trust = Trust {
        require: Requirement::Signature,
        ownership: Ownership::Unchecked,
        keys: vec![key],
        ..Trust::default()
    };
    let trusted = trust
        .check(&bench.inspect()?)
        .map_err(|refusal| Stop::failed(refusal.to_string()))?;
    ensure(trusted.to_string() == "signed", || {
        "it is not signed".to_owned()
    })?;
    Ok(String::new())
}
