//! The code, loaded and asked who it is.

use std::time::Duration;

use crate::conformance::bench::Bench;
use crate::conformance::check::Check;
use crate::conformance::process;
use crate::conformance::verdict::{Stop, Verdict, ensure};

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "load.links",
        "the dynamic linker takes it, and its root and the tables that it must have fit",
        links,
    )
    .needs("file.unwinds"),
    Check::new(
        "load.extensions",
        "every table that it has is laid out as this certdock knows it",
        extensions,
    )
    .needs("load.links"),
    Check::new(
        "load.describes",
        "its code says the same of it as its note",
        describes,
    )
    .needs("load.links"),
    Check::new(
        "load.steady",
        "it gives the same description, schema and tables whenever it is asked",
        steady,
    )
    .needs("load.links"),
    Check::new(
        "load.unknown-extensions",
        "asked for an extension that it can't know, it says that it has none",
        unknown_extensions,
    )
    .needs("load.links"),
    Check::new(
        "load.quiet",
        "loading alone starts no threads and opens no files",
        quiet,
    )
    .needs("load.links"),
    Check::new(
        "load.twice",
        "a second copy loads beside the first, as in an upgrade",
        twice,
    )
    .needs("load.links"),
];

fn links(bench: &Bench) -> Verdict {
    bench.load()?;
    Ok(String::new())
}

fn extensions(bench: &Bench) -> Verdict {
    let loaded = bench.load()?;
    let unusable = loaded.unusable.first();
    ensure(unusable.is_none(), || {
        let id = unusable.map_or("", |extension| extension.id);
        format!("{id} has another layout; rebuild it with a plugin-api as it was published")
    })?;
    Ok(String::new())
}

fn describes(bench: &Bench) -> Verdict {
    let loaded = bench.load()?;
    let (note, code) = (&loaded.note, loaded.client.description());
    for (what, in_note, in_code) in [
        ("id", note.id.as_str(), code.id.as_str()),
        ("version", &note.version, code.version.as_str()),
        ("vendor", &note.vendor, code.vendor.as_str()),
        ("plugin-api", &note.api_version, code.api_version.as_str()),
    ] {
        ensure(in_note == in_code, || {
            format!("its note says {what} '{in_note}', and its code '{in_code}'; rebuild it")
        })?;
    }
    let has = loaded.client.provided();
    for (ability, has) in [
        ("poll", has.poll),
        ("recover", has.recover),
        ("idempotent", has.idempotent),
        ("stateless", has.stateless),
        ("revoke", has.revoke),
        ("push", has.push),
        ("health", has.health),
        ("crl", has.crl),
        ("validate_config", has.validate_config),
    ] {
        let named = note.provides.iter().any(|name| name == ability);
        ensure(named == has, || {
            format!("note and code disagree whether it provides {ability}; rebuild it")
        })?;
    }
    Ok(String::new())
}

fn steady(bench: &Bench) -> Verdict {
    let loaded = bench.load()?;
    let client = loaded.client;
    let same = loaded.within("describe", move || {
        let ask = || (format!("{:?}", client.description()), client.schema());
        let first = ask();
        (0..1000).all(|_| ask() == first)
    })?;
    ensure(same, || "its answers change".to_owned())?;
    Ok("asked 1000 times".to_owned())
}

fn unknown_extensions(bench: &Bench) -> Verdict {
    let client = bench.load()?.client;
    let long = "x".repeat(1 << 20);
    let ids = [
        "",
        "/",
        "enroll",
        "certdock.enroll",
        "certdock.enroll/0",
        "certdock.enroll/999",
        "certdock.enroll/1\0",
        "CERTDOCK.ENROLL/1",
        "org.example.certdock-check/1",
        "\u{202e}é",
        &long,
    ];
    for id in ids {
        ensure(!client.has_extension(id), || {
            let short: String = id.chars().take(40).collect();
            format!("it says that it has the extension '{short}'")
        })?;
    }
    ensure(client.has_extension("certdock.enroll/1"), || {
        "asked again, it no longer has certdock.enroll/1".to_owned()
    })?;
    Ok(String::new())
}

fn quiet(bench: &Bench) -> Verdict {
    let (threads, files) = (process::threads()?, process::descriptors()?);
    let _loaded = bench.load()?;
    // Time for what a constructor may have started.
    std::thread::sleep(Duration::from_millis(50));
    ensure(process::threads()? <= threads, || {
        "loading it starts a thread; start it when a handler is opened".to_owned()
    })?;
    let after = process::descriptors()?;
    // The library itself lies in a memory file, which the server keeps.
    let new = |(number, target): &(&String, &String)| {
        !files.contains_key(*number) && !target.contains("memfd:")
    };
    match after.iter().find(new) {
        None => Ok(String::new()),
        Some((_, target)) => Err(Stop::Failed(format!(
            "loading it opens {target}; open it when a handler is opened"
        ))),
    }
}

fn twice(bench: &Bench) -> Verdict {
    let (first, second) = (bench.load()?, bench.load()?);
    let same = first.client.schema() == second.client.schema();
    ensure(same, || "the two copies differ".to_owned())?;
    Ok(String::new())
}
