//! Debian's pebble, as fast as it can be told to be.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use certdock_tests::tls::Identity;
use serde_json::json;
use tempfile::TempDir;

pub(crate) struct Pebble {
    child: Child,
    pub(crate) directory: String,
    pub(crate) identity: Identity,
    _dir: TempDir,
}

impl Pebble {
    pub(crate) fn start(dns: SocketAddr, http01_port: u16, tls_alpn01_port: u16) -> Self {
        let dir = TempDir::new().unwrap();
        let identity = Identity::new();
        let (port, management) = (certdock_tests::ports::free(), certdock_tests::ports::free());
        let file = |name: &str| dir.path().join(name);
        fs::write(file("cert.pem"), &identity.certificate).unwrap();
        fs::write(file("key.pem"), &identity.key).unwrap();
        let config = json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": file("cert.pem"),
            "privateKey": file("key.pem"),
            "httpPort": http01_port,
            "tlsPort": tls_alpn01_port,
            "externalAccountBindingRequired": false,
        }});
        fs::write(file("config.json"), config.to_string()).unwrap();
        let child = Command::new("pebble")
            .args(["-dnsserver", &dns.to_string(), "-config"])
            .arg(file("config.json"))
            .envs([
                ("PEBBLE_VA_NOSLEEP", "1"),
                ("PEBBLE_WFE_NONCEREJECT", "0"),
                ("PEBBLE_AUTHZREUSE", "0"),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pebble is a Debian package; cargo xtask test installs it");
        wait_for(port);
        let directory = format!("https://localhost:{port}/dir");
        Self {
            child,
            directory,
            identity,
            _dir: dir,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        // It is gone or it goes now; both are fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until somebody listens on a port.
pub(crate) fn wait_for(port: u16) {
    let end = Instant::now() + Duration::from_secs(20);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < end, "nobody listens on port {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
