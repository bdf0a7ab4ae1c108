//! The end of a worker's process: waiting for it, helping along, and telling how it came.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

/// Waits until it has ended, and kills it if that takes longer than `patience`. With it go the programs
/// that it started. How it ended, and whether it was killed.
pub(super) fn reap(child: &mut Child, patience: Duration) -> (std::io::Result<ExitStatus>, bool) {
    let pid = Pid::from_child(child);
    let until = Instant::now() + patience;
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let mut killed = false;
    // It is not yet taken note of, so that its number, and its group's, stay its own.
    while let Ok(None) = rustix::process::waitid(WaitId::Pid(pid), options) {
        if Instant::now() >= until {
            killed = child.kill().is_ok();
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    (child.wait(), killed)
}

/// How it ended, as the end of a sentence that begins with "its worker process".
pub(super) fn tell(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended by itself, with status {code}"),
        (None, Some(signal)) => {
            let name = match signal {
                4 => " (SIGILL)",
                5 => " (SIGTRAP)",
                6 => " (SIGABRT)",
                7 => " (SIGBUS)",
                8 => " (SIGFPE)",
                9 => " (SIGKILL)",
                11 => " (SIGSEGV)",
                15 => " (SIGTERM)",
                24 => " (SIGXCPU: it used all the time that limits.cpu gives it)",
                31 => " (SIGSYS)",
                _ => "",
            };
            format!("was ended by signal {signal}{name}")
        }
        (None, None) => "ended".to_owned(),
    }
}
