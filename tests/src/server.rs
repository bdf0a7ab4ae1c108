//! The real server as a child process, in a folder of its own.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::program::{Program, build_dir};
use crate::settings::Settings;
use crate::tls::Identity;

/// The plugins that the workspace builds.
pub const PLUGINS: &[&str] = &["libcertdock_openssl_local.so", "libcertdock_skeleton.so"];

/// How long a server may take to become ready; a debug build on a busy machine is slow.
const START: Duration = Duration::from_secs(30);

pub struct Server {
    pub settings: Settings,
    pub identity: Identity,
    dir: TempDir,
    child: Option<Child>,
}

impl Server {
    /// Makes the folder and starts; panics with the log unless it becomes ready.
    pub fn start(settings: Settings) -> Self {
        let mut server = Self::prepare(settings);
        server.restart();
        server
    }

    /// Makes the folder only.
    pub fn prepare(settings: Settings) -> Self {
        Self::prepare_in(settings, &std::env::temp_dir())
    }

    /// The folder is made inside another, to choose the disk that it is on.
    pub fn prepare_in(settings: Settings, parent: &Path) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("certdock-test-")
            .tempdir_in(parent)
            .unwrap();
        let identity = Identity::new();
        fs::create_dir(dir.path().join("plugins")).unwrap();
        fs::write(dir.path().join("tls.pem"), &identity.certificate).unwrap();
        fs::write(dir.path().join("tls.key"), &identity.key).unwrap();
        fs::write(dir.path().join("root.pem"), &identity.root).unwrap();
        let server = Self {
            settings,
            identity,
            dir,
            child: None,
        };
        PLUGINS.iter().for_each(|plugin| server.add_plugin(plugin));
        server.write_config(&server.settings.toml());
        server
    }

    /// Adds a plugin of the tests' own, such as `libcertdock_pending.so`.
    pub fn add_plugin(&self, file: &str) {
        let from = build_dir().join(file);
        let copied = fs::copy(&from, self.plugins().join(file));
        copied.unwrap_or_else(|error| {
            panic!("{}: {error}; run cargo build --workspace", from.display())
        });
    }

    /// Puts a plugin in the place of the one of this name at once, as a careful installer does.
    pub fn exchange_plugin(&self, file: &str, bytes: &[u8]) {
        let begun = self.dir.path().join("begun");
        fs::write(&begun, bytes).unwrap();
        fs::rename(begun, self.plugins().join(file)).unwrap();
    }

    /// Adds a file to the configuration.
    pub fn add_config(&self, name: &str, text: &str) {
        let folder = self.dir.path().join("conf.d");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), text).unwrap();
    }

    pub fn write_config(&self, text: &str) {
        fs::write(self.config(), text).unwrap();
    }

    /// Starts again on the same data and waits until it serves.
    pub fn restart(&mut self) {
        self.spawn();
        self.wait_until_ready();
    }

    /// Starts without waiting.
    pub fn spawn(&mut self) {
        self.spawn_by(Command::new(binary()));
    }

    /// Starts by a command of the caller's, such as one that sets limits first.
    pub fn spawn_by(&mut self, mut command: Command) {
        assert!(self.child.is_none(), "the server runs already");
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .unwrap();
        command
            .args(["serve", "--config"])
            .arg(self.config())
            .env_remove("CERTDOCK_CONFIG")
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        self.child = Some(command.spawn().unwrap());
    }

    pub fn wait_until_ready(&mut self) {
        let end = Instant::now() + START;
        while self
            .admin("/readyz")
            .is_none_or(|(status, _)| status != 200)
        {
            if let Some(status) = self.child.as_mut().unwrap().try_wait().unwrap() {
                panic!("the server ended with {status}:\n{}", self.log());
            }
            assert!(
                Instant::now() < end,
                "the server did not become ready:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for the end of a server that ends by itself; its exit status.
    pub fn wait(&mut self, limit: Duration) -> Option<i32> {
        let mut child = self.child.take().unwrap();
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status.code();
            }
            if Instant::now() > end {
                let _ = child.kill();
                let _ = child.wait();
                panic!(
                    "the server did not end within {} s:\n{}",
                    limit.as_secs(),
                    self.log()
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// `kill -9`
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGTERM, and the exit status.
    pub fn terminate(&mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.wait(Duration::from_secs(40))
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(self.child.as_ref().expect("the server runs"))
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn config(&self) -> PathBuf {
        self.dir.path().join("certdock.toml")
    }

    pub fn plugins(&self) -> PathBuf {
        self.dir.path().join("plugins")
    }

    /// The file that clients trust the server's TLS certificate by.
    pub fn root_pem(&self) -> PathBuf {
        self.dir.path().join("root.pem")
    }

    pub fn directory(&self) -> String {
        self.directory_of("default")
    }

    pub fn directory_of(&self, endpoint: &str) -> String {
        format!("{}/acme/{endpoint}/directory", self.settings.base_url())
    }

    /// Everything the server has said so far, over restarts too.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Status and body of a GET on the admin listener; nothing if nobody listens.
    pub fn admin(&self, path: &str) -> Option<(u16, String)> {
        get(self.settings.admin_port, path)
    }

    /// One of certdock's own commands, on this server's configuration.
    pub fn command(&self, args: &[&str]) -> Program {
        Program::new(binary())
            .args(args)
            .arg("--config")
            .arg(self.config())
            .dir(self.dir.path())
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join("server.log")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<_> = log.lines().rev().take(60).collect();
            eprintln!("--- the server's log, last lines ---");
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}

pub fn binary() -> PathBuf {
    let path = build_dir().join("certdock");
    assert!(
        path.is_file(),
        "{} is not there; run cargo build --workspace",
        path.display()
    );
    path
}

/// A plugin that the workspace builds, as another version of itself: `9.0.1` for example.
pub fn plugin_version(file: &str, version: &str) -> Vec<u8> {
    let mut bytes = fs::read(build_dir().join(file)).unwrap();
    let (from, to) = (b"\nversion=0.1.0\n", format!("\nversion={version}\n"));
    assert_eq!(from.len(), to.len(), "a file's parts stay where they are");
    let note = bytes.windows(from.len()).position(|part| part == from);
    let note = note.expect("a note with a version");
    bytes[note..note + to.len()].copy_from_slice(to.as_bytes());
    bytes
}

/// A plain GET, for health, metrics and CRLs.
pub fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let (status, body) = get_bytes(port, path)?;
    Some((status, String::from_utf8_lossy(&body).into_owned()))
}

pub fn get_bytes(port: u16, path: &str) -> Option<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&answer[..end]);
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer.split_off(end)))
}
