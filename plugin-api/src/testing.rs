//! A fake host and sample requests, for a handler's own tests (feature `testing`).
//!
//! ```
//! use certdock_plugin_api::testing::{FakeHost, enroll_request};
//!
//! let fake = FakeHost::new().secret_env("CA_PASSWORD", "hush");
//! let host = fake.host();
//! host.info("opened", &[("url", "https://ca.example")]);
//! host.state_put("serial", b"7").unwrap();
//!
//! assert_eq!(fake.lines()[0].message, "opened");
//! assert_eq!(fake.host().state_get("serial").unwrap().unwrap().value, b"7");
//! assert_eq!(enroll_request().identifiers.len(), 2);
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use zeroize::Zeroizing;

use crate::bounds;
use crate::fault::Fault;
use crate::handler::{
    CaHandler, EnrollRequest, Identifier, PollRequest, RecoverRequest, RevocationReason,
    RevokeRequest,
};
use crate::host::{Host, HostServices, Level, SecretRef, Versioned};
use crate::push::PushRequest;

/// A host in memory. Clones share everything, and so do all hosts made from them.
#[derive(Clone, Debug, Default)]
pub struct FakeHost(Arc<Mutex<Inner>>);

/// A line that was logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How important it is.
    pub level: Level,
    /// What it says.
    pub message: String,
    /// Its fields by name.
    pub fields: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
struct Inner {
    now: Option<SystemTime>,
    base_dir: PathBuf,
    secrets: BTreeMap<String, Vec<u8>>,
    /// By the configurations of the handlers that were opened, with whole paths. Any is given before.
    named: Option<Vec<SecretRef>>,
    lines: Vec<Line>,
    counters: BTreeMap<String, u64>,
    gauges: BTreeMap<String, f64>,
    state: BTreeMap<String, Versioned>,
    last_version: u64,
    state_is_down: bool,
}

impl FakeHost {
    /// A host with no secrets, no state, the system's time, and the working directory as base.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops the clock at a time. May be called again to move it.
    #[must_use]
    pub fn at(self, now: SystemTime) -> Self {
        self.set_now(now);
        self
    }

    /// Relative paths in the configuration are resolved against this directory.
    #[must_use]
    pub fn base_dir(self, directory: impl Into<PathBuf>) -> Self {
        self.inner().base_dir = directory.into();
        self
    }

    /// Gives `{ env = "NAME" }` a value; the process's environment is never looked at.
    #[must_use]
    pub fn secret_env(self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.inner().secrets.insert(name.into(), value.into());
        self
    }

    /// Stops the clock at a time.
    pub fn set_now(&self, now: SystemTime) {
        self.inner().now = Some(now);
    }

    /// Makes every access to the state fail, or work again.
    pub fn set_state_down(&self, down: bool) {
        self.inner().state_is_down = down;
    }

    /// What a handler gets in [`CaHandler::open`].
    #[must_use]
    pub fn host(&self) -> Host {
        Host::new(self.services())
    }

    /// The services alone.
    #[must_use]
    pub fn services(&self) -> Arc<dyn HostServices> {
        Arc::new(self.clone())
    }

    /// Opens a handler from its configuration as JSON, as a host does: unknown keys are refused, the
    /// handler's [`validate_config`](CaHandler::validate_config) is asked first, and from then on only
    /// secrets that the configuration names are given.
    ///
    /// # Errors
    /// What parsing, validating or opening says.
    pub fn open<H: CaHandler>(&self, config: &str) -> Result<H, Fault> {
        let host = self.host();
        let named = SecretRef::all_in(config);
        let named: Vec<_> = named.iter().map(|named| self.located(named)).collect();
        self.inner().named.get_or_insert_default().extend(named);
        let config = crate::export::parse_config::<H::Config>(config)?;
        let errors = H::validate_config(&config, &host)
            .into_iter()
            .find(|note| note.severity == crate::handler::Severity::Error);
        match errors {
            Some(note) => Err(
                Fault::misconfigured(format!("`{}`: {}", note.key, note.message)).code(note.key),
            ),
            None => H::open(config, host),
        }
    }

    /// All that was logged so far, oldest first.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        self.inner().lines.clone()
    }

    /// The value of a counter, all labels together.
    #[must_use]
    pub fn counter(&self, name: &str) -> u64 {
        self.inner().counters.get(name).copied().unwrap_or_default()
    }

    /// The last value of a gauge.
    #[must_use]
    pub fn gauge(&self, name: &str) -> Option<f64> {
        self.inner().gauges.get(name).copied()
    }

    /// All keys of the state.
    #[must_use]
    pub fn state_keys(&self) -> Vec<String> {
        self.inner().state.keys().cloned().collect()
    }

    /// With a whole path.
    fn located(&self, reference: &SecretRef) -> SecretRef {
        match reference {
            SecretRef::Env(_) => reference.clone(),
            SecretRef::File(path) => SecretRef::File(self.resolve(path)),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> Result<MutexGuard<'_, Inner>, Fault> {
        let inner = self.inner();
        if inner.state_is_down {
            return Err(Fault::internal("the host's store failed"));
        }
        Ok(inner)
    }
}

impl Inner {
    fn write(&mut self, key: &str, value: &[u8]) -> u64 {
        self.last_version += 1;
        let state = Versioned {
            value: value.to_vec(),
            version: self.last_version,
        };
        self.state.insert(key.to_owned(), state);
        self.last_version
    }
}

impl HostServices for FakeHost {
    fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]) {
        let fields = fields
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        self.inner().lines.push(Line {
            level,
            message: message.to_owned(),
            fields,
        });
    }

    fn now(&self) -> SystemTime {
        self.inner().now.unwrap_or_else(SystemTime::now)
    }

    fn secret(&self, reference: &SecretRef) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let reference = &self.located(reference);
        let unnamed = |named: &Vec<_>| !named.contains(reference);
        if self.inner().named.as_ref().is_some_and(unnamed) {
            return Err(Fault::misconfigured(format!(
                "the handler's configuration names no secret {reference:?}"
            )));
        }
        match reference {
            SecretRef::Env(name) => self
                .inner()
                .secrets
                .get(name)
                .cloned()
                .map(Zeroizing::new)
                .ok_or_else(|| {
                    Fault::misconfigured(format!("the environment has no variable {name}"))
                }),
            SecretRef::File(path) => {
                let mut secret = Zeroizing::new(std::fs::read(path).map_err(|error| {
                    Fault::misconfigured(format!("{} can't be read", path.display()))
                        .private(error.to_string())
                })?);
                if secret.ends_with(b"\n") {
                    secret.pop();
                    if secret.ends_with(b"\r") {
                        secret.pop();
                    }
                }
                Ok(secret)
            }
        }
    }

    fn resolve(&self, path: &Path) -> PathBuf {
        let joined = self.inner().base_dir.join(path);
        std::path::absolute(&joined).unwrap_or(joined)
    }

    fn metric_add(&self, name: &str, _labels: &[(&str, &str)], value: u64) {
        let mut inner = self.inner();
        let counter = inner.counters.entry(name.to_owned()).or_default();
        *counter = counter.saturating_add(value);
    }

    fn metric_set(&self, name: &str, _labels: &[(&str, &str)], value: f64) {
        self.inner().gauges.insert(name.to_owned(), value);
    }

    fn state_get(&self, key: &str) -> Result<Option<Versioned>, Fault> {
        Ok(self.state()?.state.get(key).cloned())
    }

    fn state_put(&self, key: &str, value: &[u8]) -> Result<u64, Fault> {
        let mut inner = self.state()?;
        bounds::check_entry(key, value)?;
        Ok(inner.write(key, value))
    }

    fn state_compare_and_swap(
        &self,
        key: &str,
        expected: Option<u64>,
        value: &[u8],
    ) -> Result<Option<u64>, Fault> {
        let mut inner = self.state()?;
        bounds::check_entry(key, value)?;
        if inner.state.get(key).map(|state| state.version) != expected {
            return Ok(None);
        }
        Ok(Some(inner.write(key, value)))
    }

    fn state_delete(&self, key: &str) -> Result<bool, Fault> {
        Ok(self.state()?.state.remove(key).is_some())
    }

    fn state_list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<BTreeMap<String, Versioned>, Fault> {
        let inner = self.state()?;
        let mut room = bounds::Room::for_up_to(limit);
        Ok(inner
            .state
            .iter()
            .filter(|(key, _)| key.starts_with(prefix) && after.is_none_or(|a| key.as_str() > a))
            .take_while(|(key, state)| room.takes(key, &state.value))
            .map(|(key, state)| (key.clone(), state.clone()))
            .collect())
    }
}

/// A PKCS #10 request (DER) with a P-256 key for [`SAMPLE_NAMES`], in CN and SAN.
pub const SAMPLE_CSR: &[u8] = include_bytes!("testing/p256.csr.der");

/// The same with an RSA key of 2048 bits.
pub const SAMPLE_CSR_RSA: &[u8] = include_bytes!("testing/rsa2048.csr.der");

/// A certificate (DER, self-signed) for the first of [`SAMPLE_NAMES`], to be revoked.
pub const SAMPLE_CERTIFICATE: &[u8] = include_bytes!("testing/certificate.der");

/// The names in the sample requests.
pub const SAMPLE_NAMES: [&str; 2] = ["www.example.test", "*.example.test"];

/// A request with [`SAMPLE_CSR`], asked for at a fixed time, with a minute to answer.
#[must_use]
pub fn enroll_request() -> EnrollRequest {
    let names = SAMPLE_NAMES.map(|name| Identifier::Dns(name.to_owned()));
    let mut request = EnrollRequest::new("sample-1", SAMPLE_CSR, names.to_vec());
    // 2030-01-01T00:00:00Z
    request.requested_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_893_456_000);
    request.deadline = SystemTime::now() + Duration::from_secs(60);
    request
}

/// [`enroll_request`] answered with pending: the poll for `poll_id`.
#[must_use]
pub fn poll_request(poll_id: &str) -> PollRequest {
    PollRequest::new("sample-1", poll_id, SAMPLE_CSR)
}

/// [`enroll_request`] cut off: asks what became of it.
#[must_use]
pub fn recover_request() -> RecoverRequest {
    RecoverRequest::new("sample-1", SAMPLE_CSR)
}

/// Somebody sent this.
#[must_use]
pub fn push_request(payload: impl Into<Vec<u8>>) -> PushRequest {
    PushRequest::new(payload)
}

/// Asks to revoke [`SAMPLE_CERTIFICATE`].
#[must_use]
pub fn revoke_request(reason: RevocationReason) -> RevokeRequest {
    RevokeRequest::new(SAMPLE_CERTIFICATE, reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::{CaCerts, Enrollment};

    #[test]
    fn swapping_needs_the_version_one_has_seen() {
        let fake = FakeHost::new();
        let first = fake
            .state_compare_and_swap("k", None, b"1")
            .unwrap()
            .unwrap();
        assert_eq!(fake.state_compare_and_swap("k", None, b"2"), Ok(None));
        assert_eq!(
            fake.state_compare_and_swap("k", Some(first + 1), b"2"),
            Ok(None)
        );
        let second = fake
            .state_compare_and_swap("k", Some(first), b"2")
            .unwrap()
            .unwrap();
        assert_ne!(first, second);
        assert_eq!(fake.state_delete("k"), Ok(true));
        assert_eq!(fake.state_delete("k"), Ok(false));
        assert_eq!(
            fake.state_compare_and_swap("k", Some(second), b"3"),
            Ok(None)
        );
    }

    #[test]
    fn lists_page_by_key() {
        let fake = FakeHost::new();
        for key in ["a/2", "a/1", "b/1", "a/3"] {
            fake.state_put(key, b"").unwrap();
        }
        let keys = |after, limit| -> Vec<String> {
            fake.state_list("a/", after, limit)
                .unwrap()
                .into_keys()
                .collect()
        };
        assert_eq!(keys(None, 2), ["a/1", "a/2"]);
        assert_eq!(keys(Some("a/2"), 2), ["a/3"]);
    }

    #[test]
    fn the_state_has_the_bounds_of_a_real_host() {
        let fake = FakeHost::new();
        let mut value = vec![0; bounds::STATE_VALUE_BYTES];
        for number in 0..10 {
            fake.state_put(&number.to_string(), &value).unwrap();
        }
        value.push(0);
        assert_eq!(
            fake.state_put("0", &value).unwrap_err().class,
            crate::FaultClass::Internal
        );
        assert!(fake.state_compare_and_swap("x", None, &value).is_err());
        let (mut after, mut pages) = (None, Vec::new());
        loop {
            let page = fake.state_list("", after.as_deref(), usize::MAX).unwrap();
            let Some(last) = page.keys().next_back() else {
                break;
            };
            after = Some(last.clone());
            pages.push(page.len());
        }
        assert_eq!(pages, [3, 3, 3, 1]);
    }

    struct Open;

    impl CaHandler for Open {
        type Config = BTreeMap<String, SecretRef>;

        fn open(_: Self::Config, _: Host) -> Result<Self, Fault> {
            Ok(Self)
        }

        fn enroll(&self, _: &EnrollRequest) -> Result<Enrollment, Fault> {
            Err(Fault::unsupported("no"))
        }

        fn ca_certs_get(&self) -> Result<CaCerts, Fault> {
            Err(Fault::unsupported("no"))
        }
    }

    #[test]
    fn a_handler_gets_the_secrets_that_its_configuration_names() {
        let fake = FakeHost::new();
        let fake = fake.secret_env("MINE", "1").secret_env("OTHERS", "2");
        let [mine, others] = ["MINE", "OTHERS"].map(|name| SecretRef::Env(name.to_owned()));
        assert!(fake.secret(&others).is_ok());
        fake.open::<Open>(r#"{"password": {"env": "MINE"}}"#)
            .unwrap();
        assert_eq!(*fake.secret(&mine).unwrap(), b"1");
        let fault = fake.secret(&others).unwrap_err();
        assert!(fault.public.contains("names no secret"), "{fault}");
    }

    #[test]
    fn a_secret_file_loses_one_line_break() {
        let directory =
            std::env::temp_dir().join(format!("certdock-testing-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let fake = FakeHost::new().base_dir(&directory);
        for (content, expected) in [
            ("hush\r\n", "hush"),
            ("hush\n\n", "hush\n"),
            ("hush\r", "hush\r"),
            ("\n", ""),
        ] {
            std::fs::write(directory.join("secret"), content).unwrap();
            let secret = fake.secret(&SecretRef::File("secret".into())).unwrap();
            assert_eq!(*secret, expected.as_bytes(), "{content:?}");
        }
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
