//! All that a CA handler for certdock compiles against.
//!
//! certdock is a server that issues certificates over ACME and EST. It reaches a CA through a
//! *handler*, and a handler's code comes from a *plugin*: a shared library that the server finds in
//! its plugins directory when it starts. This crate is for people who write one.
//!
//! # A whole handler
//!
//! A plugin is a crate with these lines in its `Cargo.toml`. It needs no other dependency: serde,
//! schemars, serde_json and zeroize come along, re-exported.
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib", "rlib"]     # the rlib is for its tests
//!
//! [dependencies]
//! certdock-plugin-api = "1"
//!
//! [dev-dependencies]
//! certdock-plugin-api = { version = "1", features = ["testing"] }
//! ```
//!
//! This one asks a program on the same machine for certificates:
//!
//! ```
//! use std::io::Write;
//! use std::path::PathBuf;
//! use std::process::{Command, Stdio};
//!
//! use certdock_plugin_api::{
//!     CaCerts, CaHandler, Chain, EnrollRequest, Enrollment, Fault, Host, config, export_ca_handler,
//! };
//!
//! config! {
//!     pub struct Config {
//!         /// Reads a PKCS #10 request (DER) and writes a certificate (DER).
//!         pub program: PathBuf,
//!         /// The CA's certificate, DER.
//!         pub ca_certificate: PathBuf,
//!     }
//! }
//!
//! pub struct ProgramCa {
//!     program: PathBuf,
//!     ca_certificate: Vec<u8>,
//! }
//!
//! impl CaHandler for ProgramCa {
//!     type Config = Config;
//!
//!     fn open(config: Config, host: Host) -> Result<Self, Fault> {
//!         let ca_certificate = std::fs::read(host.resolve(&config.ca_certificate))
//!             .map_err(|error| Fault::misconfigured(format!("ca_certificate: {error}")))?;
//!         Ok(Self { program: host.resolve(&config.program), ca_certificate })
//!     }
//!
//!     fn enroll(&self, request: &EnrollRequest) -> Result<Enrollment, Fault> {
//!         let failed = |e: std::io::Error| Fault::upstream("the CA failed").private(e.to_string());
//!         let mut program = Command::new(&self.program)
//!             .arg(&request.enrollment_id) // the program answers one id with one certificate
//!             .stdin(Stdio::piped())
//!             .stdout(Stdio::piped())
//!             .spawn()
//!             .map_err(failed)?;
//!         if let Some(mut stdin) = program.stdin.take() {
//!             stdin.write_all(&request.csr).map_err(failed)?;
//!         }
//!         let output = program.wait_with_output().map_err(failed)?;
//!         if !output.status.success() {
//!             return Err(Fault::denied("the CA refused").private(output.status.to_string()));
//!         }
//!         Ok(Enrollment::Issued(Chain::new(vec![output.stdout])))
//!     }
//!
//!     fn ca_certs_get(&self) -> Result<CaCerts, Fault> {
//!         Ok(CaCerts { certificates: vec![self.ca_certificate.clone()] })
//!     }
//! }
//!
//! export_ca_handler! {
//!     handler: ProgramCa,
//!     id: "program-ca",
//!     vendor: "Example",
//!     provides: [idempotent],
//! }
//! # fn main() {}
//! ```
//!
//! `cargo build --release`, copy the `.so` into the server's plugins directory, and name its id in
//! the server's configuration:
//!
//! ```toml
//! [handlers.internal]
//! plugin = "program-ca"
//! [handlers.internal.config]
//! program = "/usr/local/bin/sign"
//! ca_certificate = "ca.der"
//! ```
//!
//! `certdock plugin list` shows it. The other methods of [`CaHandler`], for what not every CA can do,
//! are added to the trait's implementation and named under `provides`. A template with all of them, to
//! be copied, is `plugins/skeleton` in certdock's repository.
//!
//! # What the host does for a handler
//!
//! - It authenticates who asks and checks the names, the key and the request's signature before
//!   [`enroll`](CaHandler::enroll), and the certificate after it: right key, right names, valid now,
//!   a chain that verifies. A certificate that is not right never reaches the client.
//! - It journals an enrollment before it calls (with the answer, where the handler is `stateless`), and
//!   calls again under the same [`enrollment_id`](EnrollRequest::enrollment_id) after a transient fault,
//!   and after a crash or a timeout if that can't make a second certificate that somebody has heard of.
//! - It gives each handler threads of its own, a bounded queue and a deadline.
//! - It maps a [`Fault`] to ACME and EST. A handler knows neither protocol's errors.
//!
//! # What a handler does for the host
//!
//! - **One certificate for one enrollment id**, however often it is asked: then it says so with
//!   `provides: [idempotent]`. One that can only look up what became of an id implements
//!   [`recover`](CaHandler::recover). One of whose lost answers nothing is left anywhere is `stateless`
//!   besides. With none of these, a call that was cut off is not repeated unless the operator has said
//!   so.
//! - Its methods may be called **from several threads at once**. They may block, and give up when
//!   the request's `deadline` has passed, since nobody waits any more.
//! - It says by the fault's class whether trying again makes sense. `public` is for strangers: no
//!   addresses, no names of machines. Neither `public` nor `private` holds a secret.
//! - It logs through [`Host`], not to stderr. There is no async runtime and no `tracing` subscriber
//!   on the host's side of a call; a handler that wants a runtime brings its own.
//! - It never ends the process. A panic is caught and becomes a fault, so build with
//!   `panic = "unwind"` (the default); a library built to abort is refused inside the server.
//!
//! # Where a handler runs
//!
//! In a process of its own, unless the operator wants it inside the server. The code is the same, and so
//! is all that [`Host`] offers. In that process a handler has
//! - the network;
//! - to read: the system's libraries and programs, the certificates of public CAs, the files for names
//!   and time zones;
//! - to read and write: the files and folders that its configuration names, below its `config` table. A
//!   file's folder counts with it, so that a new file can take the place of an old one. Others, `/tmp`
//!   too, are the operator's to allow, under `limits` in the handler's table. Symbolic links can't be
//!   made;
//! - an environment with `PATH`, `LANG`, `TZ` and where the public CAs' certificates are, and standard
//!   input from nowhere. What it prints ends in the host's log as a warning;
//! - as much memory and as many open files as `limits` says. One that takes more, crashes, or goes on
//!   with a call long after its deadline is replaced by a new process, which opens the handler anew.
//!
//! # Configuration, secrets, state
//!
//! [`config!`] declares what stands in `[handlers.NAME.config]`; a mistake there is reported with the
//! path of its key. [`HumanDuration`] is `"90d"`, [`SecretRef`] says where a secret is kept (and
//! [`secret`](HostServices::secret) fetches it), and a path is given to
//! [`resolve`](HostServices::resolve), since relative ones are relative to the configuration file.
//! What must outlive a restart goes into the durable, versioned state
//! ([`state_put`](HostServices::state_put) and its neighbours), which is the handler's own and which
//! servers that share a database share. [`bounds`] says how much of each the host bears.
//!
//! # Tests
//!
//! With the feature `testing` there is a `testing` module: a host in memory and sample requests, so
//! that a handler's tests need no server.
//!
//! # Versions
//!
//! A plugin built with any 1.x of this crate runs in every certdock whose own plugin-api is 1.x.
//! Abilities that one side does not know are absent for the other. The compiler's version and its
//! flags don't matter, except for `panic = "abort"`.
#![deny(unsafe_code)]
#![warn(missing_docs)]

// `config!` names this crate by its name, in this crate's own tests, too.
extern crate self as certdock_plugin_api;

#[allow(unsafe_code)]
pub mod abi;
pub mod bounds;
pub mod config;
pub mod export;
pub mod fault;
pub mod handler;
pub mod host;
pub mod note;
pub mod push;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

mod guard;
#[cfg(feature = "wire")]
mod wire;

pub use config::HumanDuration;
pub use fault::{Fault, FaultClass};
pub use handler::{
    CaCerts, CaHandler, Chain, ConfigNote, Crl, EnrollRequest, Enrollment, Identifier, Poll,
    PollRequest, Protocol, RecoverRequest, Recovery, Requester, RevocationReason, RevokeRequest,
    Severity,
};
pub use host::{Host, HostServices, Level, SecretRef, Versioned};
pub use push::{News, PushRequest};

pub use schemars;
pub use serde;
pub use serde_json;
pub use zeroize;

/// What the macros expand to. Not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use abi_stable::library::LibHeader;

    pub use crate::abi::root::header;
    pub use crate::export::{Export, check};
    pub use crate::note::{Line, Note, TARGET, build, size};
}

#[cfg(test)]
mod tests {
    /// The promise of the guide: a whole handler on one page, of ordinary Rust.
    #[test]
    fn the_guides_handler_is_short_and_plain() {
        let guide = include_str!("lib.rs")
            .split("# What the host does")
            .next()
            .unwrap();
        let example: Vec<&str> = guide
            .split("```\n")
            .find(|block| block.contains("export_ca_handler! {"))
            .unwrap()
            .lines()
            .filter(|line| {
                line.len() > "//! ".len() && !line.starts_with("//! # ") || *line == "//!"
            })
            .collect();
        assert!(example.len() <= 60, "{} lines", example.len());
        let plain = |line: &&str| !line.contains("unsafe") && !line.contains("abi_stable");
        assert!(example.iter().all(plain));
    }
}
