//! Insta Certifier, by its REST API: a CA that may take its time.
//!
//! `client` reads what Certifier says, over `certdock_plugin_http`; `api` knows the calls, `chain` puts
//! chains together, `check` looks over a configuration. What is left for this file is a handler: one
//! short method for each thing that the host may ask.
#![forbid(unsafe_code)]

mod api;
mod chain;
mod check;
mod client;
mod config;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use certdock_plugin_api::{
    CaCerts, CaHandler, Chain, ConfigNote, EnrollRequest, Enrollment, Fault, FaultClass, Host,
    News, Poll, PollRequest, PushRequest, RevocationReason, RevokeRequest, export_ca_handler,
};
use der::Decode as _;
use serde_json::Value;

use crate::api::{Api, Object, path_of};
use crate::chain::Issuer;
use crate::client::Client;
pub use crate::config::{Config, User};

/// How often a request is asked after while it is young.
const CLOSELY: Duration = Duration::from_secs(5);

/// One CA of one Certifier.
pub struct Certifier {
    api: Api,
    config: Config,
    /// What the API said of the CA lately.
    issuer: Mutex<Option<(Instant, Arc<Issuer>)>>,
    host: Host,
}

impl CaHandler for Certifier {
    type Config = Config;

    fn open(config: Config, host: Host) -> Result<Self, Fault> {
        let client = Client::new(&config, &host).map_err(|note| {
            Fault::misconfigured(format!("`{}`: {}", note.key, note.message)).code(note.key)
        })?;
        Ok(Self {
            api: Api(client),
            config,
            issuer: Mutex::default(),
            host,
        })
    }

    /// The API has no idempotency key: what it did not answer, it may have done. Such a call ends as
    /// `UnknownOutcome`, and the host sees to it that it is not repeated in silence.
    fn enroll(&self, request: &EnrollRequest) -> Result<Enrollment, Fault> {
        // The API has no word for it, and a certificate that lasts too long is not delivered.
        if request.not_before.is_some() || request.not_after.is_some() {
            return Err(Fault::denied("this CA chooses the validity by itself")
                .code("validity-unsupported"));
        }
        let profile = self.profile(request.profile.as_deref())?;
        let issuer = self.issuer()?;
        let answer = self.api.request(&issuer.href, &request.csr, profile);
        // What is remembered of the CA may be what was wrong.
        if matches!(&answer, Err(fault) if fault.class == FaultClass::Malformed) {
            *self.issuer.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        let answer = answer?;
        match (answer.der(), &answer.href) {
            // Whatever becomes of the chain, an issued certificate must not end as a fault.
            (Some(leaf), _) => Ok(Enrollment::Issued(
                issuer
                    .chain(&self.api, &answer)
                    .unwrap_or_else(|_| Chain::new(vec![leaf])),
            )),
            (None, Some(href)) => Ok(Enrollment::Pending {
                poll_id: self.poll_id(href),
                retry_after: self.closely(self.host.now()),
            }),
            (None, None) => Err(Fault::unknown_outcome("the CA's answer can't be used")
                .private("requesting a certificate: neither certificate nor request came back")),
        }
    }

    fn ca_certs_get(&self) -> Result<CaCerts, Fault> {
        let certificates = self.issuer()?.certificates.clone();
        Ok(CaCerts { certificates })
    }

    fn poll(&self, request: &PollRequest) -> Result<Poll, Fault> {
        let (since, path) = read_poll_id(&request.poll_id)?;
        let answer = self.api.read_request(path)?;
        match (answer.status.as_deref(), &answer.certificate) {
            (Some("accepted"), Some(href)) => {
                let certificate = self.api.read_certificate(path_of(href))?;
                Ok(Poll::Issued(self.issuer()?.chain(&self.api, &certificate)?))
            }
            (Some("accepted") | None, _) => Err(Fault::upstream("the CA's answer can't be used")
                .private("reading a request: it has no status, or no certificate though accepted")),
            (Some("rejected"), _) => Ok(Poll::Rejected {
                reason: answer
                    .message
                    .unwrap_or_else(|| "rejected by the CA's operator".into()),
            }),
            (Some(_), _) => Ok(Poll::Pending {
                poll_id: request.poll_id.clone(),
                retry_after: self.closely(since),
            }),
        }
    }

    fn revoke(&self, request: &RevokeRequest) -> Result<(), Fault> {
        let reason = reason(request.reason)?;
        let certificate = self.find(&request.certificate)?;
        let path = certificate.href.as_deref().map(path_of).ok_or_else(|| {
            Fault::upstream("the CA's answer can't be used")
                .private("looking for a certificate: it has no href")
        })?;
        self.api.revoke(path, reason, request.revoked_at)
    }

    /// A publishing method of Certifier's sends each new certificate. It is taken for a hint only:
    /// what is delivered is what the API itself gives for that serial number.
    fn push(&self, request: &PushRequest) -> Result<Vec<News>, Fault> {
        let certificate = self.find(&pushed(&request.payload))?;
        let chain = self.issuer()?.chain(&self.api, &certificate)?;
        Ok(vec![News::issued(chain)])
    }

    fn health(&self) -> Result<(), Fault> {
        Issuer::find(&self.api, &self.config.ca_name).map(drop)
    }

    fn validate_config(config: &Config, host: &Host) -> Vec<ConfigNote> {
        check::check(config, host)
    }
}

export_ca_handler! {
    handler: Certifier,
    id: "certifier",
    vendor: "The certdock developers",
    provides: [poll, revoke, push, health, validate_config],
}

impl Certifier {
    /// The CA, as the API described it not too long ago. Two who don't know it both ask, for no lock
    /// is held while one does.
    fn issuer(&self) -> Result<Arc<Issuer>, Fault> {
        let known = self
            .issuer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some((at, issuer)) = known
            && at.elapsed() < self.config.cache_lifetime.get()
        {
            return Ok(issuer);
        }
        let issuer = Arc::new(Issuer::find(&self.api, &self.config.ca_name)?);
        let entry = Some((Instant::now(), Arc::clone(&issuer)));
        *self.issuer.lock().unwrap_or_else(PoisonError::into_inner) = entry;
        Ok(issuer)
    }

    fn profile(&self, asked: Option<&str>) -> Result<Option<&str>, Fault> {
        let Some(name) = asked else {
            return Ok(self.config.profile_id.as_deref());
        };
        let id = self.config.profiles.get(name).map(String::as_str);
        let unknown = || Fault::denied(format!("this CA has no profile \"{name}\""));
        id.map(Some).ok_or_else(unknown)
    }

    /// The CA's own record of a certificate, DER, found by its serial number.
    fn find(&self, certificate: &[u8]) -> Result<Object, Fault> {
        let parsed = x509_cert::Certificate::from_der(certificate)
            .map_err(|_| Fault::malformed("this is no X.509 certificate"))?;
        let issuer = self.issuer()?;
        let serial = parsed.tbs_certificate().serial_number().as_bytes();
        let found = self.api.find(&issuer.href, serial)?;
        found
            .filter(|found| found.der().is_none_or(|der| der == certificate))
            .ok_or_else(|| Fault::denied("the CA does not know this certificate"))
    }

    /// Where to ask, with when the request was made.
    fn poll_id(&self, href: &str) -> String {
        let since = self.host.now().duration_since(SystemTime::UNIX_EPOCH);
        format!("{} {}", since.unwrap_or_default().as_secs(), path_of(href))
    }

    fn closely(&self, since: SystemTime) -> Option<Duration> {
        let age = self.host.now().duration_since(since).unwrap_or_default();
        (age < self.config.polling_timeout.get()).then_some(CLOSELY)
    }
}

fn read_poll_id(poll_id: &str) -> Result<(SystemTime, &str), Fault> {
    let parts = poll_id.split_once(' ');
    parts
        .and_then(|(seconds, path)| {
            let since = Duration::from_secs(seconds.parse().ok()?);
            Some((SystemTime::UNIX_EPOCH.checked_add(since)?, path))
        })
        .ok_or_else(|| Fault::internal("the poll id is not this handler's").private(poll_id))
}

/// The reasons that the API has a word for.
fn reason(reason: RevocationReason) -> Result<&'static str, Fault> {
    Ok(match reason {
        RevocationReason::Unspecified => "unspecified",
        RevocationReason::KeyCompromise => "keyCompromise",
        RevocationReason::AffiliationChanged => "affiliationChanged",
        RevocationReason::Superseded => "superseded",
        RevocationReason::CessationOfOperation => "cessationOfOperation",
        RevocationReason::CertificateHold => "certificateHold",
        _ => {
            return Err(Fault::malformed(
                "the CA does not know this revocation reason",
            ));
        }
    })
}

/// The certificate in what was pushed: PEM, DER, or either in base64 under `payload` in JSON, which
/// is what scripts for an older server send.
fn pushed(payload: &[u8]) -> Vec<u8> {
    let json: Option<Value> = serde_json::from_slice(payload).ok();
    let inner = json.and_then(|json| STANDARD.decode(json.get("payload")?.as_str()?).ok());
    let payload = inner.as_deref().unwrap_or(payload);
    pem::parse(payload).map_or_else(|_| payload.to_vec(), pem::Pem::into_contents)
}
