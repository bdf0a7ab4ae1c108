//! [`run`]: the process that runs one check. Its standard input is one end of a socket, over which it
//! gets its job and tells how it ended; whoever started it reads what the plugin prints.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, Signal};

use super::bench::Bench;
use super::check::Check;
use super::job::Job;
use super::verdict::{Ending, Stop, Verdict};

/// A plugin that takes ever more is not to take the machine along.
const MOST_MEMORY: u64 = 2 << 30;

/// How long threads of the plugin's own are listened to after the last call.
const LISTEN: Duration = Duration::from_millis(20);

/// Runs the check that comes over standard input.
///
/// # Errors
/// There is none, or nobody to tell.
pub fn run() -> io::Result<()> {
    let mut parent = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // The plugin finds nothing there to read.
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    confine()?;
    let mut text = String::new();
    parent.read_to_string(&mut text)?;
    let job: Job = serde_json::from_str(&text)?;
    let ending = Ending::from(check(job));
    let mut line = serde_json::to_vec(&ending)?;
    line.push(b'\n');
    parent.write_all(&line)
}

/// A session of its own, so that all that the plugin starts ends with it; no core files; an end when
/// whoever started it ends; a bound on its memory.
fn confine() -> io::Result<()> {
    // Fails for the first process of a group, which already is what is wanted.
    let _ = rustix::process::setsid();
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    rustix::process::setrlimit(Resource::Core, none)?;
    let enough = Rlimit {
        current: Some(MOST_MEMORY),
        maximum: Some(MOST_MEMORY),
    };
    rustix::process::setrlimit(Resource::Data, enough)?;
    Ok(())
}

fn check(job: Job) -> Verdict {
    let check = Check::find(&job.check).ok_or_else(|| Stop::skipped("there is no such check"))?;
    // Relative paths lead to the same place for a plugin that does not ask the host for them.
    std::env::set_current_dir(&job.settings.base_dir)
        .map_err(|error| Stop::Skipped(format!("its folder can't be entered: {error}")))?;
    let bench = Bench::new(job);
    let verdict = (check.run)(&bench);
    std::thread::sleep(LISTEN);
    // Outside of calls nobody else hears of them: when a handler is closed, on threads of its own.
    match (verdict, bench.host.panics().first()) {
        (Ok(_) | Err(Stop::Skipped(_) | Stop::Again(_)), Some(panic)) => {
            Err(Stop::Failed(panic.clone()))
        }
        (verdict, _) => verdict,
    }
}
