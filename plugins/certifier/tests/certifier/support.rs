//! A handler with a simulator.

use certdock_certifier::Certifier;
use certdock_plugin_api::testing::{FakeHost, enroll_request};
use certdock_plugin_api::{Chain, Enrollment, Fault};
use certdock_tests::certifier::{Options, Simulator};
use serde_json::{Value, json};

pub(crate) const USER: &str = "certdock";
pub(crate) const PASSWORD: &str = "correct horse";

pub(crate) struct Pair {
    pub(crate) simulator: Simulator,
    pub(crate) host: FakeHost,
    pub(crate) handler: Certifier,
}

/// A handler that is configured well.
pub(crate) fn start(change: impl FnOnce(&mut Options)) -> Pair {
    let mut options = Options::default();
    change(&mut options);
    let simulator = Simulator::start(options);
    let host = host();
    let handler = host.open(&config(&simulator).to_string()).unwrap();
    Pair {
        simulator,
        host,
        handler,
    }
}

pub(crate) fn host() -> FakeHost {
    FakeHost::new()
        .secret_env("PASSWORD", PASSWORD)
        .secret_env("WRONG", "battery staple")
}

pub(crate) fn config(simulator: &Simulator) -> Value {
    json!({
        "api_host": simulator.url(),
        "api_user": USER,
        "api_password": { "env": "PASSWORD" },
        "ca_name": "Simulated Issuing CA",
        "request_timeout": "1s",
    })
}

impl Pair {
    pub(crate) fn enroll(&self) -> Result<Enrollment, Fault> {
        use certdock_plugin_api::CaHandler as _;
        self.handler.enroll(&enroll_request())
    }

    pub(crate) fn issued(&self) -> Chain {
        match self.enroll() {
            Ok(Enrollment::Issued(chain)) => chain,
            other => panic!("{other:?}"),
        }
    }

    /// The poll id of a new request.
    pub(crate) fn pending(&self) -> String {
        match self.enroll() {
            Ok(Enrollment::Pending { poll_id, .. }) => poll_id,
            other => panic!("{other:?}"),
        }
    }
}
