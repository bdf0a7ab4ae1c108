//! [`Ledger`]: everything the simulator knows: its CAs, requests and certificates.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant, SystemTime};

use rcgen::{CertificateSigningRequestParams, RevocationReason};
use serde::Serialize;

use super::authority::{self, Ca, Made, Revoked};
use super::fault::Faults;
use super::{Mode, Options, new_id};

pub(super) struct Ledger {
    pub(super) cas: Vec<Ca>,
    pub(super) mode: Mode,
    pub(super) modes: BTreeMap<String, Mode>,
    pub(super) faults: Faults,
    pub(super) counts: Counts,
    pub(super) certificates: HashMap<String, Certificate>,
    /// By the CA's place and the serial number in decimal.
    by_serial: HashMap<(usize, String), String>,
    requests: HashMap<String, Request>,
    /// The requests that are not decided, oldest first.
    waiting: BTreeMap<u64, String>,
    /// How many certificates a public key has that are not revoked.
    good: HashMap<Vec<u8>, u64>,
    revoked: Vec<(usize, Revoked)>,
    next_request: u64,
}

/// What the simulator has done since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Requests for certificates that were taken.
    pub requests: u64,
    /// End-entity certificates.
    pub issued: u64,
    pub rejected: u64,
    pub revoked: u64,
    /// Requests that are not decided.
    pub pending: u64,
    /// Keys that have more than one certificate that is not revoked.
    pub doubled: u64,
    /// Calls of the API, of any kind and outcome.
    pub calls: u64,
    /// Calls that a fault was put on.
    pub faults: u64,
    /// TCP connections that were accepted.
    pub connections: u64,
}

pub(super) struct Certificate {
    pub(super) der: Vec<u8>,
    /// The place of the CA that issued it; none for a root.
    pub(super) issuer: Option<usize>,
    pub(super) serial: Vec<u8>,
    pub(super) revoked: bool,
    public_key: Vec<u8>,
}

struct Request {
    number: u64,
    csr: CertificateSigningRequestParams,
    ca: usize,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Waiting {
        /// When it is accepted by itself.
        accepted_at: Option<Instant>,
        /// Whether an operator may decide it.
        decidable: bool,
    },
    /// With the certificate's id.
    Accepted(String),
    Rejected(String),
}

impl Ledger {
    pub(super) fn new(options: &Options) -> Self {
        let root = Ca::root("Simulated Root CA");
        let intermediate = Ca::below("Simulated Intermediate CA", 0, &root);
        let issuing = Ca::below(&options.ca_name, 1, &intermediate);
        // Names that the filter by name finds, too: a client has to compare.
        let others = (0..options.other_cas).map(|n| format!("{} {n:03}", options.ca_name));
        let others: Vec<_> = others.map(|name| Ca::below(&name, 0, &root)).collect();
        // The issuing CA is the last of the list, so that it stands on the last page.
        let mut cas = vec![root, intermediate];
        cas.extend(others);
        cas.push(issuing);
        let mut ledger = Self {
            cas: Vec::new(),
            mode: options.mode,
            modes: options.modes.clone(),
            faults: Faults::default(),
            counts: Counts::default(),
            certificates: HashMap::new(),
            by_serial: HashMap::new(),
            requests: HashMap::new(),
            waiting: BTreeMap::new(),
            good: HashMap::new(),
            revoked: Vec::new(),
            next_request: 0,
        };
        for ca in &cas {
            let certificate = Certificate {
                der: ca.certificate().der().to_vec(),
                issuer: ca.above,
                serial: ca.serial.clone(),
                revoked: false,
                public_key: Vec::new(),
            };
            let serial = authority::decimal(&ca.serial);
            if let Some(above) = ca.above {
                let id = ca.certificate_id.clone();
                ledger.by_serial.insert((above, serial), id);
            }
            let id = ca.certificate_id.clone();
            ledger.certificates.insert(id, certificate);
        }
        ledger.cas = cas;
        ledger
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            pending: self.waiting.len() as u64,
            doubled: self.good.values().filter(|count| **count > 1).count() as u64,
            ..self.counts
        }
    }

    /// The place of the CA with this id.
    pub(super) fn ca(&self, id: &str) -> Option<usize> {
        self.cas.iter().position(|ca| ca.id == id)
    }

    pub(super) fn mode_of(&self, profile: &str) -> Mode {
        self.modes.get(profile).copied().unwrap_or(self.mode)
    }

    /// Issues at once; the certificate's id.
    pub(super) fn issue(&mut self, ca: usize, csr: CertificateSigningRequestParams) -> String {
        let made = self.cas[ca].issue(csr);
        self.counts.issued += 1;
        self.enter(ca, made)
    }

    fn enter(&mut self, ca: usize, made: Made) -> String {
        let id = new_id();
        let serial = authority::decimal(&made.serial);
        *self.good.entry(made.public_key.clone()).or_default() += 1;
        self.by_serial.insert((ca, serial), id.clone());
        let certificate = Certificate {
            der: made.der,
            issuer: Some(ca),
            serial: made.serial,
            revoked: false,
            public_key: made.public_key,
        };
        self.certificates.insert(id.clone(), certificate);
        id
    }

    /// Keeps a request for later; its id.
    pub(super) fn keep(
        &mut self,
        ca: usize,
        csr: CertificateSigningRequestParams,
        accepted_after: Option<Duration>,
        decidable: bool,
    ) -> String {
        let id = new_id();
        let number = self.next_request;
        self.next_request += 1;
        let state = State::Waiting {
            accepted_at: accepted_after.map(|span| Instant::now() + span),
            decidable,
        };
        let request = Request {
            number,
            csr,
            ca,
            state,
        };
        self.requests.insert(id.clone(), request);
        self.waiting.insert(number, id.clone());
        id
    }

    /// Where a request stands now.
    pub(super) fn state(&mut self, id: &str) -> Option<State> {
        let state = self.requests.get(id)?.state.clone();
        if let State::Waiting {
            accepted_at: Some(at),
            ..
        } = state
            && at <= Instant::now()
        {
            self.accept(id);
            return self.requests.get(id).map(|request| request.state.clone());
        }
        Some(state)
    }

    /// The undecided requests with their names, oldest first.
    pub(super) fn waiting(&self) -> Vec<(String, Vec<String>)> {
        let names = |id: &String| {
            let csr = self.requests.get(id).map(|request| &request.csr.params);
            let names = csr.map(|csr| csr.subject_alt_names.as_slice());
            let names = names.unwrap_or_default().iter().map(|name| match name {
                rcgen::SanType::DnsName(name) => name.to_string(),
                other => format!("{other:?}"),
            });
            names.collect()
        };
        self.waiting
            .values()
            .map(|id| (id.clone(), names(id)))
            .collect()
    }

    /// An operator's word. Says why it can't be followed.
    pub(super) fn decide(&mut self, id: &str, verdict: Verdict) -> Result<Option<String>, String> {
        match self.state(id) {
            None => return Err("there is no such request".to_owned()),
            Some(State::Waiting {
                decidable: true, ..
            }) => {}
            Some(State::Waiting { .. }) => return Err("this request is never decided".to_owned()),
            Some(_) => return Err("the request is decided already".to_owned()),
        }
        Ok(match verdict {
            Verdict::Approve => self.accept(id),
            Verdict::Reject(message) => {
                self.reject(id, message);
                None
            }
        })
    }

    fn accept(&mut self, id: &str) -> Option<String> {
        let request = self.requests.get(id)?;
        let (number, ca, csr) = (request.number, request.ca, request.csr.clone());
        let certificate = self.issue(ca, csr);
        self.waiting.remove(&number);
        self.requests.get_mut(id)?.state = State::Accepted(certificate.clone());
        Some(certificate)
    }

    pub(super) fn reject(&mut self, id: &str, message: String) {
        if let Some(request) = self.requests.get_mut(id) {
            self.waiting.remove(&request.number);
            request.state = State::Rejected(message);
            self.counts.rejected += 1;
        }
    }

    /// The certificate with this serial number that the CA issued.
    pub(super) fn by_serial(&self, ca: usize, serial: &str) -> Option<&String> {
        self.by_serial.get(&(ca, serial.to_owned()))
    }

    /// Whether the certificate was there and not yet revoked.
    pub(super) fn revoke(
        &mut self,
        id: &str,
        reason: RevocationReason,
        invalid_since: SystemTime,
    ) -> bool {
        let Some(certificate) = self.certificates.get_mut(id) else {
            return false;
        };
        let (false, Some(ca)) = (certificate.revoked, certificate.issuer) else {
            return false;
        };
        certificate.revoked = true;
        if let Some(good) = self.good.get_mut(&certificate.public_key) {
            *good = good.saturating_sub(1);
        }
        let serial = certificate.serial.clone();
        self.counts.revoked += 1;
        self.revoked.push((
            ca,
            Revoked {
                serial,
                at: SystemTime::now(),
                reason,
                invalid_since,
            },
        ));
        true
    }

    pub(super) fn crl(&self, ca: usize) -> Vec<u8> {
        let revoked: Vec<_> = self
            .revoked
            .iter()
            .filter(|(issuer, _)| *issuer == ca)
            .map(|(_, revoked)| revoked.clone())
            .collect();
        self.cas[ca].crl(revoked.len() as u64 + 1, &revoked)
    }
}

/// What an operator says.
pub(super) enum Verdict {
    Approve,
    Reject(String),
}
