//! A CA handler to start from: copy this crate, rename it, and fill in `enroll` and `ca_certs_get`.
//!
//! Every method that a handler can have is here with what the host expects of it. Delete the
//! optional ones you don't need, and their names under `provides` at the end of this file.
#![forbid(unsafe_code)]

use certdock_plugin_api::{
    CaCerts, CaHandler, ConfigNote, Crl, EnrollRequest, Enrollment, Fault, Host, HumanDuration,
    Poll, PollRequest, RecoverRequest, Recovery, RevokeRequest, SecretRef, config,
    export_ca_handler,
};

config! {
    /// The `[handlers.NAME.config]` table. Every key has a default here, so that an empty one
    /// will do; a real handler has keys that must be given.
    pub struct Config {
        /// Where the CA answers.
        #[serde(default = "default_url")]
        pub url: String,
        /// The password for it: `{ env = "NAME" }` or `{ file = "PATH" }`, never the password itself.
        #[serde(default)]
        pub password: Option<SecretRef>,
        /// How long certificates are to be good for.
        #[serde(default = "default_validity")]
        pub validity: HumanDuration,
    }
}

fn default_url() -> String {
    "https://ca.example".to_owned()
}

fn default_validity() -> HumanDuration {
    HumanDuration::from_days(90)
}

/// An open handler. One value serves many calls at once, so what changes sits behind a lock.
pub struct Skeleton {
    config: Config,
    host: Host,
}

impl CaHandler for Skeleton {
    type Config = Config;

    /// Called when the server starts and when the configuration of the handler changes. Read files
    /// and fetch secrets here; don't insist on reaching the CA, which may be down for a moment.
    fn open(config: Config, host: Host) -> Result<Self, Fault> {
        if let Some(password) = &config.password {
            // Wiped from memory when it is dropped. Keep it no longer than you need it.
            let _password = host.secret(password)?;
        }
        let validity = config.validity.to_string();
        host.info("opened", &[("url", &config.url), ("validity", &validity)]);
        Ok(Self { config, host })
    }

    /// One certificate for `request.csr`, with the names in `request.identifiers` and no others.
    ///
    /// - Answer `Enrollment::Issued(Chain::new(vec![certificate, issuer, …]))`, DER, or
    ///   `Enrollment::Pending` if the CA takes its time and the handler provides `poll`.
    /// - If the same `enrollment_id` always gives the same certificate (hand it to the CA as its
    ///   idempotency key, or remember what came of it with `self.host.state_compare_and_swap`), add
    ///   `idempotent` under `provides`: the host asks again after any interruption.
    /// - `Fault::denied` and `Fault::malformed` are final; after `Fault::busy` and `Fault::upstream`,
    ///   which say that nothing was issued, the host asks again.
    /// - If the answer never came and the CA may have issued, say `Fault::unknown_outcome`.
    fn enroll(&self, request: &EnrollRequest) -> Result<Enrollment, Fault> {
        self.host
            .debug("asked to enroll", &[("enrollment", &request.enrollment_id)]);
        Err(not_implemented("enroll", &self.config.url))
    }

    /// The CA's certificates, DER: the issuing CA first, then its issuer, and so on.
    fn ca_certs_get(&self) -> Result<CaCerts, Fault> {
        Err(not_implemented("ca_certs_get", &self.config.url))
    }

    /// What became of an enrollment that was pending. A fault leaves it pending; what the CA refused
    /// for good is `Poll::Rejected`.
    fn poll(&self, request: &PollRequest) -> Result<Poll, Fault> {
        self.host
            .debug("asked to poll", &[("poll_id", &request.poll_id)]);
        Err(not_implemented("poll", &self.config.url))
    }

    /// What became of an enrollment whose outcome is unknown, found by its id.
    /// `Recovery::NotFound` promises that the CA will not issue for it.
    fn recover(&self, request: &RecoverRequest) -> Result<Recovery, Fault> {
        self.host.debug(
            "asked to recover",
            &[("enrollment", &request.enrollment_id)],
        );
        Err(not_implemented("recover", &self.config.url))
    }

    /// Revokes `request.certificate`, DER, found by issuer and serial number. If it is revoked
    /// already, say `Fault::already_revoked()`.
    fn revoke(&self, request: &RevokeRequest) -> Result<(), Fault> {
        let reason = request.reason.code().to_string();
        self.host.debug("asked to revoke", &[("reason", &reason)]);
        Err(not_implemented("revoke", &self.config.url))
    }

    /// The CA's current revocation list, DER, which the host serves at `/crl/NAME`.
    fn crl(&self) -> Result<Crl, Fault> {
        Err(not_implemented("crl", &self.config.url))
    }

    /// Mistakes that parsing can't find, each with the key it is about. `certdock check` shows them
    /// with their place in the file. Changes nothing.
    fn validate_config(config: &Config, host: &Host) -> Vec<ConfigNote> {
        let mut notes = Vec::new();
        if !config.url.starts_with("https://") {
            notes.push(ConfigNote::error("url", "must begin with https://"));
        }
        if let Some(Err(fault)) = config
            .password
            .as_ref()
            .map(|password| host.secret(password))
        {
            notes.push(ConfigNote::error("password", fault.public));
        }
        notes
    }
}

fn not_implemented(method: &str, url: &str) -> Fault {
    Fault::unsupported(format!("this handler's {method} is not implemented"))
        .code("not-implemented")
        .private(format!("the CA would have been {url}"))
}

export_ca_handler! {
    handler: Skeleton,
    id: "skeleton",
    vendor: "The certdock developers",
    provides: [poll, recover, revoke, crl, validate_config],
}

#[cfg(test)]
mod tests {
    use certdock_plugin_api::testing::{
        FakeHost, enroll_request, poll_request, recover_request, revoke_request,
    };
    use certdock_plugin_api::{FaultClass, RevocationReason};

    use super::*;

    fn open(config: &str) -> Result<Skeleton, Fault> {
        FakeHost::new().secret_env("PASSWORD", "hush").open(config)
    }

    #[test]
    fn an_empty_configuration_will_do() {
        let skeleton = open("{}").unwrap();
        assert_eq!(skeleton.config.validity, HumanDuration::from_days(90));
    }

    #[test]
    fn mistakes_in_the_configuration_are_named() {
        let cases = [
            (r#"{ "ulr": "https://ca.example" }"#, "ulr"),
            (r#"{ "url": "http://ca.example" }"#, "url"),
            (r#"{ "validity": "soon" }"#, "validity"),
            (r#"{ "password": "hush" }"#, "password"),
            (r#"{ "password": { "env": "MISSING" } }"#, "password"),
        ];
        for (config, key) in cases {
            let fault = open(config).err().unwrap();
            assert_eq!(fault.class, FaultClass::Misconfigured, "{config}");
            assert!(fault.public.contains(key), "{config}: {fault}");
        }
        assert!(open(r#"{ "password": { "env": "PASSWORD" } }"#).is_ok());
    }

    #[test]
    fn the_log_tells_what_happens_and_no_secret() {
        let host = FakeHost::new().secret_env("PASSWORD", "hush");
        let _: Skeleton = host
            .open(r#"{ "password": { "env": "PASSWORD" } }"#)
            .unwrap();
        assert_eq!(host.lines()[0].message, "opened");
        assert!(!format!("{:?}", host.lines()).contains("hush"));
    }

    #[test]
    fn every_call_says_that_it_is_not_implemented() {
        let skeleton = open("{}").unwrap();
        let faults = [
            skeleton.enroll(&enroll_request()).unwrap_err(),
            skeleton.ca_certs_get().unwrap_err(),
            skeleton.poll(&poll_request("1")).unwrap_err(),
            skeleton.recover(&recover_request()).unwrap_err(),
            skeleton
                .revoke(&revoke_request(RevocationReason::Superseded))
                .unwrap_err(),
            skeleton.crl().unwrap_err(),
        ];
        for fault in faults {
            assert_eq!(fault.class, FaultClass::Unsupported);
            assert!(fault.public.contains("not implemented"), "{fault}");
        }
    }
}
