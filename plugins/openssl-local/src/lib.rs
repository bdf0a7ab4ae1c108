//! A CA on this machine, from a key and certificates in files.
//!
//! One request becomes one certificate like this: `csr` reads what is taken over, `names` and
//! `profile` say what is allowed and what goes in, `enrollment` puts it together, `serial` numbers
//! it, `certificate` encodes it and `key` signs. `authority` holds the CA, `create` makes a new one;
//! `revocation` and `crl` are the way back.
#![forbid(unsafe_code)]

mod authority;
mod certificate;
mod config;
mod create;
mod crl;
mod csr;
mod enrollment;
mod key;
mod names;
mod profile;
mod revocation;
mod serial;

use certdock_plugin_api::{
    CaCerts, CaHandler, Chain, ConfigNote, Crl, EnrollRequest, Enrollment, Fault, Host,
    RevokeRequest, export_ca_handler,
};

use crate::authority::Authority;
use crate::config::Report;
pub use crate::config::{Config, KeyType, NewCa, ProfileConfig};
use crate::names::NameRules;
use crate::profile::Profiles;
use crate::serial::SerialNumbers;

/// A local CA in service.
pub struct OpensslLocal {
    host: Host,
    authority: Authority,
    serials: SerialNumbers,
    profiles: Profiles,
    names: NameRules,
    /// Seconds.
    backdate: u64,
    /// Seconds.
    crl_validity: u64,
}

impl CaHandler for OpensslLocal {
    type Config = Config;

    fn open(config: Config, host: Host) -> Result<Self, Fault> {
        let mut report = Report::default();
        let policy = Policy::new(&config, &mut report);
        if let Some(fault) = report.fault() {
            return Err(fault);
        }
        create::create(&config, &host)?;
        let authority = Authority::load(&config, &host, &mut report);
        for warning in report.warnings() {
            host.warn(&warning, &[]);
        }
        match authority {
            Some(authority) => Self::new(authority, policy, &config, host),
            None => Err(report
                .fault()
                .unwrap_or_else(|| Fault::internal("the CA could not be loaded"))),
        }
    }

    fn enroll(&self, request: &EnrollRequest) -> Result<Enrollment, Fault> {
        let certificate = enrollment::issue(self, request)?;
        let above = |chain: &Vec<Vec<u8>>| {
            std::iter::once(&certificate)
                .chain(chain)
                .cloned()
                .collect::<Vec<_>>()
        };
        Ok(Enrollment::Issued(Chain {
            certificates: above(&self.authority.served),
            alternates: self.authority.alternates.iter().map(above).collect(),
        }))
    }

    fn ca_certs_get(&self) -> Result<CaCerts, Fault> {
        Ok(CaCerts {
            certificates: self.authority.certificates(),
        })
    }

    fn revoke(&self, request: &RevokeRequest) -> Result<(), Fault> {
        revocation::revoke(&self.authority, &self.host, request)
    }

    fn crl(&self) -> Result<Crl, Fault> {
        crl::build(&self.authority, &self.host, self.crl_validity)
    }

    fn validate_config(config: &Config, host: &Host) -> Vec<ConfigNote> {
        let mut report = Report::default();
        Policy::new(config, &mut report);
        if !create::pending(config, host) {
            Authority::load(config, host, &mut report);
        }
        report.into_notes()
    }
}

impl OpensslLocal {
    fn new(
        authority: Authority,
        policy: Policy,
        config: &Config,
        host: Host,
    ) -> Result<Self, Fault> {
        let serials = SerialNumbers::new(&authority.key).map_err(|error| {
            Fault::internal("the key of the serial numbers can't be derived")
                .private(error.to_string())
        })?;
        Ok(Self {
            host,
            authority,
            serials,
            profiles: policy.profiles,
            names: policy.names,
            backdate: config.backdate.get().as_secs(),
            crl_validity: config.crl_validity.get().as_secs(),
        })
    }
}

export_ca_handler! {
    handler: OpensslLocal,
    id: "openssl-local",
    vendor: "The certdock developers",
    provides: [idempotent, stateless, revoke, crl, validate_config],
}

/// What the configuration says by itself, without a look at files.
struct Policy {
    profiles: Profiles,
    names: NameRules,
}

impl Policy {
    fn new(config: &Config, report: &mut Report) -> Self {
        report.seconds("validity", config.validity);
        report.seconds("crl_validity", config.crl_validity);
        if config.backdate > config.validity {
            report.error("backdate", "it must not exceed `validity`", "");
        }
        create::check(config, report);
        Self {
            profiles: Profiles::new(config, report),
            names: NameRules::new(&config.allowed_names, &config.denied_names, report),
        }
    }
}
