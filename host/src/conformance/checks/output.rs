//! What a plugin says: on the server's standard output, and in its faults.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use certdock_plugin_api::abi::types::{MAX_CODE, MAX_PRIVATE, MAX_PUBLIC};
use certdock_plugin_api::{EnrollRequest, Fault, Identifier, PollRequest};
use rustix::fs::{MemfdFlags, memfd_create};

use crate::conformance::bench::Bench;
use crate::conformance::calls::Open;
use crate::conformance::check::Check;
use crate::conformance::sample::{FIXED_CSR, Sample, enrollment_id};
use crate::conformance::verdict::{Stop, Verdict, ensure};

use super::services::{ANSWERS, ask_around};

pub(super) const CHECKS: &[Check] = &[
    Check::new(
        "output.stdout",
        "it writes nothing to standard output",
        stdout,
    )
    .needs("life.closes")
    .after(ANSWERS),
    Check::new(
        "output.stderr",
        "it writes nothing to standard error",
        stderr,
    )
    .needs("life.closes")
    .after(ANSWERS),
    Check::new(
        "output.faults",
        "its faults say in one short line what a client may know, and a page at most for the operator",
        faults,
    )
    .needs("life.opens")
    .after(ANSWERS),
];

/// The life of a handler, with a certificate if one may be asked for.
fn live(bench: &Bench) -> Result<(), Stop> {
    let open = bench.open()?;
    ask_around(&open)?;
    ask_for_one(bench, &open)?;
    open.close()
}

fn ask_for_one(bench: &Bench, open: &Open) -> Result<Option<Fault>, Stop> {
    if !bench.settings().issue {
        return Ok(None);
    }
    let request = Sample::new(&bench.settings().names)?.request();
    Ok(open.enroll(request)?.err())
}

fn file() -> Result<File, Stop> {
    let file = memfd_create("output", MemfdFlags::CLOEXEC)
        .map_err(|error| Stop::Skipped(format!("no memory file can be made: {error}")))?;
    Ok(File::from(file))
}

fn silent(file: &File) -> Verdict {
    let mut bytes = [0; 200];
    let length = file.read_at(&mut bytes, 0).unwrap_or(0);
    ensure(length == 0, || {
        let text = String::from_utf8_lossy(bytes.get(..length).unwrap_or_default());
        let line = text.lines().next().unwrap_or_default();
        format!("it writes '{}'; log through `Host`", line.escape_debug())
    })?;
    Ok(String::new())
}

fn stdout(bench: &Bench) -> Verdict {
    let file = file()?;
    rustix::stdio::dup2_stdout(&file).map_err(|error| Stop::Skipped(error.to_string()))?;
    live(bench)?;
    silent(&file)
}

fn stderr(bench: &Bench) -> Verdict {
    let file = file()?;
    rustix::stdio::dup2_stderr(&file).map_err(|error| Stop::Skipped(error.to_string()))?;
    live(bench)?;
    silent(&file)
}

fn faults(bench: &Bench) -> Verdict {
    let open = bench.open()?;
    let names = || vec![Identifier::Dns("check.certdock.example".to_owned())];
    let mut all = vec![
        open.enroll(EnrollRequest::new(enrollment_id(), Vec::new(), Vec::new()))?
            .err(),
        open.enroll(EnrollRequest::new(
            enrollment_id(),
            FIXED_CSR.get(..99).unwrap_or_default(),
            names(),
        ))?
        .err(),
        open.ca_certs_get()?.err(),
        ask_for_one(bench, &open)?,
    ];
    if open.provided.poll {
        all.push(
            open.poll(PollRequest::new("check", "certdock-check", FIXED_CSR))?
                .err(),
        );
    }
    for fault in all.iter().flatten() {
        fits("public", &fault.public, MAX_PUBLIC)?;
        fits("private", &fault.private, MAX_PRIVATE)?;
        fits("code", &fault.code, MAX_CODE)?;
        let text = format!("{}{}{}", fault.public, fault.private, fault.code);
        ensure(!text.contains(char::REPLACEMENT_CHARACTER), || {
            "a fault's text is not UTF-8; take it from bytes with `from_utf8_lossy`".to_owned()
        })?;
        ensure(!fault.public.trim().is_empty(), || {
            format!(
                "a fault of class {} says nothing to the client",
                fault.class.as_str()
            )
        })?;
    }
    Ok(format!("{} faults", all.iter().flatten().count()))
}

/// Whether it was cut at the boundary, where a letter may have been in the way.
fn fits(field: &str, text: &str, most: usize) -> Result<(), Stop> {
    ensure(text.len() + 4 <= most, || {
        format!("the `{field}` of a fault is longer than {most} bytes, and was cut; say it shortly")
    })
}
