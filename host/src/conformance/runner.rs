//! [`run`]: starts a process for each check and judges by how it ends.

use std::collections::BTreeMap;
use std::io::{self, Read, Write as _};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Serialize;

use super::check::Check;
use super::job::{Job, Settings};
use super::verdict::Ending;

/// A check goes on in a new process no more often than this.
const MOST_PROCESSES: usize = 4;

/// How long a process may take to end after its check has.
const FAREWELL: Duration = Duration::from_secs(5);

/// How long what a process has printed may take to arrive after its end.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How much is kept of what a plugin prints.
const MOST_OUTPUT: usize = 16 * 1024;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    Passed,
    /// The plugin did not do what it must, or not in time.
    Failed,
    /// The process ended.
    Crashed,
    /// Nothing can be said.
    Skipped,
}

/// What a check found.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    pub name: &'static str,
    pub status: Status,
    pub proves: &'static str,
    /// What was seen, or what is wrong.
    pub detail: String,
    pub milliseconds: u128,
    /// What the plugin printed meanwhile, if anything.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub output: String,
}

/// Runs checks one after the other, as a handler is used by one server, and tells of each as it ends.
pub fn run(
    checks: &[&'static Check],
    settings: &Settings,
    mut tell: impl FnMut(&Finding),
) -> Vec<Finding> {
    let mut ended: BTreeMap<&str, Status> = BTreeMap::new();
    let mut findings = Vec::with_capacity(checks.len());
    for check in checks {
        let started = Instant::now();
        let (status, detail, output) = match obstacle(check, settings.issue, &ended) {
            Some(reason) => (Status::Skipped, reason, String::new()),
            None => one(check, settings),
        };
        let finding = Finding {
            name: check.name,
            status,
            proves: check.proves,
            detail,
            milliseconds: started.elapsed().as_millis(),
            output,
        };
        ended.insert(check.name, status);
        tell(&finding);
        findings.push(finding);
    }
    findings
}

/// Why a check need not be begun.
fn obstacle(check: &Check, issue: bool, ended: &BTreeMap<&str, Status>) -> Option<String> {
    if check.issues && !issue {
        return Some("it would ask for certificates".to_owned());
    }
    let wrong = |name: &&&str| matches!(ended.get(**name), Some(Status::Failed | Status::Crashed));
    if let Some(failed) = check.after.iter().find(wrong) {
        return Some(format!("{failed} has failed, and so would this"));
    }
    let needed = check.needs?;
    match ended.get(needed) {
        Some(Status::Passed) => None,
        _ => Some(format!("it needs {needed}, which has not passed")),
    }
}

fn one(check: &Check, settings: &Settings) -> (Status, String, String) {
    let mut memo = None;
    let mut printed = String::new();
    for _ in 0..MOST_PROCESSES {
        let job = Job {
            check: check.name.to_owned(),
            memo: memo.take(),
            settings: settings.clone(),
        };
        let mut command = Command::new("/proc/self/exe");
        command.args(["plugin", "check-in-child"]);
        let (end, output) = match process(&mut command, &job) {
            Ok(end) => end,
            Err(error) => {
                let reason = format!("no process can be started for it: {error}");
                return (Status::Skipped, reason, printed);
            }
        };
        printed.push_str(&output);
        match end {
            End::Told(Ending::Again(next)) => memo = Some(next),
            End::Told(Ending::Passed(detail)) => return (Status::Passed, detail, printed),
            End::Told(Ending::Failed(reason)) => return (Status::Failed, reason, printed),
            End::Told(Ending::Skipped(reason)) => return (Status::Skipped, reason, printed),
            End::TooLate => {
                let limit = settings.timeout.as_secs_f32();
                return (
                    Status::Failed,
                    format!("it did not end within {limit} seconds"),
                    printed,
                );
            }
            End::Died(status) => {
                let reason = died(status, &printed);
                return (Status::Crashed, reason, printed);
            }
        }
    }
    (
        Status::Failed,
        "it went on in ever new processes".to_owned(),
        printed,
    )
}

/// How a process ended.
enum End {
    Told(Ending),
    TooLate,
    Died(ExitStatus),
}

/// # Errors
/// No process could be started. Whatever happens to one that runs is for the check to tell.
fn process(command: &mut Command, job: &Job) -> io::Result<(End, String)> {
    let text = serde_json::to_vec(job)?;
    let (mut socket, theirs) = UnixStream::pair()?;
    let child = command
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    // The command keeps the child's end, whose closing is waited for.
    command.stdin(Stdio::null());
    let mut child = Killed(child?);
    let mut printed = Printed::default();
    printed.collect(child.0.stdout.take());
    printed.collect(child.0.stderr.take());
    // A child that died already is seen below.
    let _ = socket.write_all(&text);
    let _ = socket.shutdown(Shutdown::Write);

    let end = Instant::now() + job.settings.timeout;
    let end = ending(&mut child, &mut socket, end).unwrap_or_else(|error| {
        End::Told(Ending::Failed(format!(
            "its process can't be followed: {error}; check again"
        )))
    });
    drop(child);
    Ok((end, printed.text()))
}

fn ending(child: &mut Killed, socket: &mut UnixStream, end: Instant) -> io::Result<End> {
    let line = match read_line(socket, end)? {
        Line::Whole(line) => line,
        Line::TooLate => return Ok(End::TooLate),
        Line::None => {
            let status = child.wait_until(Instant::now() + FAREWELL)?;
            return Ok(status.map_or(End::TooLate, End::Died));
        }
    };
    let told: Option<Ending> = serde_json::from_slice(&line).ok();
    let status = child.wait_until(Instant::now() + FAREWELL)?;
    Ok(match (status, told) {
        (Some(status), _) if !status.success() => End::Died(status),
        (_, None) => End::Told(Ending::Failed(garbled(&line))),
        (Some(_), Some(told)) => End::Told(told),
        (None, Some(_)) => End::Told(Ending::Failed(
            "its process does not end: threads of the plugin hold it up".to_owned(),
        )),
    })
}

/// The check itself says nothing but endings.
fn garbled(line: &[u8]) -> String {
    const MOST: usize = 60;
    let text = String::from_utf8_lossy(line);
    let first = text.lines().next().unwrap_or_default();
    let beginning: String = first.chars().take(MOST).collect();
    format!(
        "over the check's own socket came '{}': the plugin writes to a descriptor that is not its own, \
         as one does that has been closed and given to another",
        beginning.escape_debug()
    )
}

enum Line {
    Whole(Vec<u8>),
    /// Nobody will write any more.
    None,
    TooLate,
}

fn read_line(socket: &mut UnixStream, end: Instant) -> io::Result<Line> {
    let mut line = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Line::TooLate);
        }
        socket.set_read_timeout(Some(left))?;
        match socket.read(&mut buffer) {
            Ok(0) => return Ok(Line::None),
            Ok(length) => line.extend_from_slice(buffer.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Line::TooLate),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(Line::None),
            Err(error) => return Err(error),
        }
        if line.ends_with(b"\n") {
            return Ok(Line::Whole(line));
        }
    }
}

/// A child that does not outlive its check, nor does what it started.
struct Killed(Child);

impl Killed {
    fn wait_until(&mut self, end: Instant) -> io::Result<Option<ExitStatus>> {
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() >= end {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a child prints.
#[derive(Default)]
struct Printed {
    kept: Arc<Mutex<Vec<u8>>>,
    /// Each is dropped when nobody can write any more.
    readers: Vec<Arc<()>>,
}

impl Printed {
    /// Reads on until nobody can write any more.
    fn collect(&mut self, pipe: Option<impl Read + Send + 'static>) {
        let Some(mut pipe) = pipe else { return };
        let kept = Arc::clone(&self.kept);
        let reads = Arc::new(());
        self.readers.push(Arc::clone(&reads));
        let reader = move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = pipe.read(&mut buffer) {
                let mut kept = kept.lock();
                let room = MOST_OUTPUT.saturating_sub(kept.len()).min(length);
                kept.extend_from_slice(buffer.get(..room).unwrap_or_default());
            }
            drop(reads);
        };
        // Without a reader the child is stopped by its time limit at worst.
        let _ = std::thread::Builder::new()
            .name("printed".to_owned())
            .spawn(reader);
    }

    /// What was written last may still be on its way when the child has ended.
    fn text(&self) -> String {
        let end = Instant::now() + LAST_WORDS;
        let reads = |reader: &Arc<()>| Arc::strong_count(reader) > 1;
        while self.readers.iter().any(reads) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(1));
        }
        String::from_utf8_lossy(&self.kept.lock()).into_owned()
    }
}

fn died(status: ExitStatus, printed: &str) -> String {
    let how = match (status.signal(), status.code()) {
        (Some(signal), _) => format!("the process died of {}", signal_name(signal)),
        (None, Some(code)) => format!("the plugin ended the process, with status {code}"),
        (None, None) => "the process died".to_owned(),
    };
    match printed
        .lines()
        .map(str::trim)
        .rfind(|line| !line.is_empty())
    {
        Some(last) => format!("{how}; the last it said was: {last}"),
        None => how,
    }
}

/// signal(7)
fn signal_name(number: i32) -> String {
    match number {
        4 => "SIGILL, an illegal instruction".to_owned(),
        6 => "SIGABRT, an abort".to_owned(),
        7 => "SIGBUS, a bad address".to_owned(),
        8 => "SIGFPE, an impossible calculation".to_owned(),
        9 => "SIGKILL".to_owned(),
        11 => "SIGSEGV, a bad address".to_owned(),
        other => format!("signal {other}"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::worker::Limits;

    /// What comes of a process that runs this shell script, whose standard input is the socket.
    fn scripted(script: &str) -> (End, String) {
        let mut command = Command::new("sh");
        process(command.args(["-c", script]), &job()).unwrap()
    }

    fn job() -> Job {
        Job {
            check: "life.opens".to_owned(),
            memo: None,
            settings: Settings {
                file: PathBuf::new(),
                sha256: None,
                config: None,
                base_dir: PathBuf::new(),
                names: Vec::new(),
                deadline: Duration::from_secs(1),
                limits: Limits::default(),
                patience: Duration::ZERO,
                timeout: Duration::from_secs(30),
                rounds: 1,
                seed: 1,
                key: None,
                issue: true,
            },
        }
    }

    #[test]
    fn a_process_is_judged_by_what_it_tells_and_how_it_ends() {
        let passes = r#"echo '{"passed":"well"}' >&0"#;
        let (end, printed) = scripted(&format!("echo loudly; {passes}"));
        assert!(matches!(end, End::Told(Ending::Passed(detail)) if detail == "well"));
        assert_eq!(printed, "loudly\n");

        for script in [format!("echo x >&0; {passes}"), "echo x >&0".to_owned()] {
            let (end, _) = scripted(&script);
            assert!(
                matches!(&end, End::Told(Ending::Failed(why)) if why.contains("came 'x'")),
                "{script}"
            );
        }
        for script in ["exit 3", "echo x >&0; exit 3"] {
            let (end, _) = scripted(script);
            assert!(
                matches!(end, End::Died(status) if status.code() == Some(3)),
                "{script}"
            );
        }
    }

    #[test]
    fn only_what_can_not_be_started_is_no_ending() {
        assert!(process(&mut Command::new("/nowhere"), &job()).is_err());
    }

    #[test]
    fn a_check_is_left_out_where_it_could_say_nothing_new() {
        let one = Check::find("leak.memory").unwrap();
        let issuing = Check::find("enroll.answers").unwrap();
        let obstacle = |check, issue, ended: &[(&'static str, Status)]| {
            let ended = ended.iter().copied().collect();
            obstacle(check, issue, &ended).unwrap_or_default()
        };
        let opened = ("life.opens", Status::Passed);
        assert_eq!(obstacle(one, true, &[opened]), "");
        assert_eq!(
            obstacle(one, true, &[]),
            "it needs life.opens, which has not passed"
        );
        for (status, said) in [
            (Status::Passed, ""),
            (Status::Skipped, ""),
            (Status::Failed, "ca.health has failed, and so would this"),
            (Status::Crashed, "ca.health has failed, and so would this"),
        ] {
            assert_eq!(obstacle(one, true, &[opened, ("ca.health", status)]), said);
        }
        assert_eq!(
            obstacle(issuing, false, &[opened]),
            "it would ask for certificates"
        );
    }
}
