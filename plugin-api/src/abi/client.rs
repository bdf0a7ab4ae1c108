//! [`Plugin`] and [`Instance`]: a plugin as the host sees it, safe to use.

use std::sync::Arc;

use super::ca_certs_1::{self, CaCertsGet};
use super::crl_1::{self, CrlTable};
use super::enroll_1::{self, Enroll};
use super::extension::{ExtensionTable, find};
use super::health_1::{self, HealthTable};
use super::host_base::HostBase;
use super::idempotent_1::Idempotent;
use super::poll_1::{self, PollTable};
use super::push_1::{self, PushTable};
use super::recover_1::{self, RecoverTable};
use super::revoke_1::{self, Revoke};
use super::root::{Description, RootRef};
use super::shim;
use super::stateless_1::Stateless;
use super::text::{self, clean};
use super::types::{Handle, MAX_NAME, MAX_SCHEMA};
use super::validate_config_1::{self, ValidateConfig};
use crate::fault::Fault;
use crate::handler::{
    CaCerts, ConfigNote, Crl, EnrollRequest, Enrollment, Poll, PollRequest, RecoverRequest,
    Recovery, RevokeRequest,
};
use crate::host::HostServices;
use crate::push::{News, PushRequest};

/// A plugin whose root and extensions have been checked.
#[derive(Clone, Copy)]
pub struct Plugin {
    root: RootRef,
    tables: Tables,
}

#[derive(Clone, Copy)]
struct Tables {
    enroll: &'static Enroll,
    ca_certs: &'static CaCertsGet,
    poll: Option<&'static PollTable>,
    recover: Option<&'static RecoverTable>,
    idempotent: Option<&'static Idempotent>,
    stateless: Option<&'static Stateless>,
    push: Option<&'static PushTable>,
    health: Option<&'static HealthTable>,
    revoke: Option<&'static Revoke>,
    crl: Option<&'static CrlTable>,
    validate_config: Option<&'static ValidateConfig>,
}

/// Who a plugin says that it is, in its code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The plugin's id.
    pub id: String,
    /// The plugin's own version.
    pub version: String,
    /// Who made it.
    pub vendor: String,
    /// The version of plugin-api it was built with.
    pub api_version: String,
}

/// The optional extensions that a plugin has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Provided {
    /// `certdock.poll/1`
    pub poll: bool,
    /// `certdock.recover/1`
    pub recover: bool,
    /// `certdock.idempotent/1`
    pub idempotent: bool,
    /// `certdock.stateless/1`
    pub stateless: bool,
    /// `certdock.push/1`
    pub push: bool,
    /// `certdock.health/1`
    pub health: bool,
    /// `certdock.revoke/1`
    pub revoke: bool,
    /// `certdock.crl/1`
    pub crl: bool,
    /// `certdock.validate-config/1`
    pub validate_config: bool,
}

/// An extension that can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// The extension's id.
    pub id: &'static str,
    /// What the layout checker found, many lines; `None` if the plugin has no such extension.
    pub detail: Option<String>,
}

impl Plugin {
    /// Finds and checks a plugin's extensions. An optional one with another layout is left out, and
    /// told of in the list.
    ///
    /// # Errors
    /// An extension that every plugin must have is missing or has another layout.
    pub fn connect(root: RootRef) -> Result<(Self, Vec<Unusable>), Unusable> {
        let mut left_out = Vec::new();
        let tables = Tables {
            enroll: required(root)?,
            ca_certs: required(root)?,
            poll: optional(root, &mut left_out),
            recover: optional(root, &mut left_out),
            idempotent: optional(root, &mut left_out),
            stateless: optional(root, &mut left_out),
            push: optional(root, &mut left_out),
            health: optional(root, &mut left_out),
            revoke: optional(root, &mut left_out),
            crl: optional(root, &mut left_out),
            validate_config: optional(root, &mut left_out),
        };
        Ok((Self { root, tables }, left_out))
    }

    /// Who the plugin is.
    #[must_use]
    pub fn description(&self) -> Identity {
        let Description {
            id,
            version,
            vendor,
            api_version,
        } = (self.root.describe())();
        Identity {
            id: clean(&id, MAX_NAME),
            version: clean(&version, MAX_NAME),
            vendor: clean(&vendor, MAX_NAME),
            api_version: clean(&api_version, MAX_NAME),
        }
    }

    /// The JSON Schema of its configuration; empty if it has none, or if that can't be one.
    #[must_use]
    pub fn schema(&self) -> String {
        let schema = (self.root.schema())();
        let fits = schema.len() <= MAX_SCHEMA;
        let schema = text::whole(&schema).filter(|_| fits);
        schema.unwrap_or_default().to_owned()
    }

    /// Which optional extensions it has.
    #[must_use]
    pub fn provided(&self) -> Provided {
        Provided {
            poll: self.tables.poll.is_some(),
            recover: self.tables.recover.is_some(),
            idempotent: self.tables.idempotent.is_some(),
            stateless: self.tables.stateless.is_some(),
            push: self.tables.push.is_some(),
            health: self.tables.health.is_some(),
            revoke: self.tables.revoke.is_some(),
            crl: self.tables.crl.is_some(),
            validate_config: self.tables.validate_config.is_some(),
        }
    }

    /// Whether it has an extension of this id, known to this version or not.
    #[must_use]
    pub fn has_extension(&self, id: &str) -> bool {
        (self.root.extension())(id.into()).is_some()
    }

    /// Looks for mistakes in a configuration (JSON). No notes if the plugin does not do that.
    #[must_use]
    pub fn validate_config(&self, config: &str, host: Arc<dyn HostServices>) -> Vec<ConfigNote> {
        match self.tables.validate_config {
            Some(table) => validate_config_1::send(table, config, HostBase::new(host)),
            None => Vec::new(),
        }
    }

    /// Opens a handler with its configuration (JSON).
    ///
    /// # Errors
    /// What the plugin says.
    pub fn open(&self, config: &str, host: Arc<dyn HostServices>) -> Result<Instance, Fault> {
        self.open_with(config, HostBase::new(host))
    }

    /// Opens a handler on a host that offers no service at all, for checks of how it bears that.
    ///
    /// # Errors
    /// What the plugin says.
    pub fn open_bare(&self, config: &str, host: Arc<dyn HostServices>) -> Result<Instance, Fault> {
        self.open_with(config, HostBase::bare(host))
    }

    fn open_with(&self, config: &str, base: HostBase) -> Result<Instance, Fault> {
        // SAFETY: the root's functions fit its layout, which has been checked; the base is valid
        // and the plugin's from here on.
        let answer = unsafe { (self.root.open())(config.into(), base) };
        let handle = shim::result(answer)?;
        Ok(Instance {
            root: self.root,
            tables: self.tables,
            handle,
        })
    }
}

fn required<T: ExtensionTable>(root: RootRef) -> Result<&'static T, Unusable> {
    match find(root.extension()) {
        Ok(Some(table)) => Ok(table),
        Ok(None) => Err(Unusable {
            id: T::ID,
            detail: None,
        }),
        Err(detail) => Err(Unusable {
            id: T::ID,
            detail: Some(detail),
        }),
    }
}

fn optional<T: ExtensionTable>(root: RootRef, left_out: &mut Vec<Unusable>) -> Option<&'static T> {
    find(root.extension()).unwrap_or_else(|detail| {
        left_out.push(Unusable {
            id: T::ID,
            detail: Some(detail),
        });
        None
    })
}

/// An open handler. Every method may be called from several threads at once and blocks until the
/// plugin answers; dropping it closes the handler.
pub struct Instance {
    root: RootRef,
    tables: Tables,
    handle: Handle,
}

// In all blocks below: handle and tables are of one plugin, and the handle is closed on drop only.
impl Instance {
    /// [`CaHandler::enroll`](crate::CaHandler::enroll)
    ///
    /// # Errors
    /// What the plugin says, or `Internal` if its answer can't be used.
    pub fn enroll(&self, request: &EnrollRequest) -> Result<Enrollment, Fault> {
        // SAFETY: handle and table belong together and are alive.
        unsafe { enroll_1::send(self.tables.enroll, self.handle, request) }
    }

    /// [`CaHandler::ca_certs_get`](crate::CaHandler::ca_certs_get)
    ///
    /// # Errors
    /// As for [`enroll`](Self::enroll).
    pub fn ca_certs_get(&self) -> Result<CaCerts, Fault> {
        // SAFETY: as above.
        unsafe { ca_certs_1::send(self.tables.ca_certs, self.handle) }
    }

    /// [`CaHandler::poll`](crate::CaHandler::poll)
    ///
    /// # Errors
    /// As for [`enroll`](Self::enroll); `Unsupported` if the plugin has no such extension.
    pub fn poll(&self, request: &PollRequest) -> Result<Poll, Fault> {
        let table = self.tables.poll.ok_or_else(|| absent("poll"))?;
        // SAFETY: as above.
        unsafe { poll_1::send(table, self.handle, request) }
    }

    /// [`CaHandler::recover`](crate::CaHandler::recover)
    ///
    /// # Errors
    /// As for [`poll`](Self::poll).
    pub fn recover(&self, request: &RecoverRequest) -> Result<Recovery, Fault> {
        let table = self.tables.recover.ok_or_else(|| absent("recover"))?;
        // SAFETY: as above.
        unsafe { recover_1::send(table, self.handle, request) }
    }

    /// [`CaHandler::push`](crate::CaHandler::push)
    ///
    /// # Errors
    /// As for [`poll`](Self::poll).
    pub fn push(&self, request: &PushRequest) -> Result<Vec<News>, Fault> {
        let table = self.tables.push.ok_or_else(|| absent("push"))?;
        // SAFETY: as above.
        unsafe { push_1::send(table, self.handle, request) }
    }

    /// [`CaHandler::health`](crate::CaHandler::health)
    ///
    /// # Errors
    /// As for [`poll`](Self::poll).
    pub fn health(&self) -> Result<(), Fault> {
        let table = self.tables.health.ok_or_else(|| absent("health"))?;
        // SAFETY: as above.
        unsafe { health_1::send(table, self.handle) }
    }

    /// [`CaHandler::revoke`](crate::CaHandler::revoke)
    ///
    /// # Errors
    /// As for [`poll`](Self::poll).
    pub fn revoke(&self, request: &RevokeRequest) -> Result<(), Fault> {
        let table = self.tables.revoke.ok_or_else(|| absent("revoke"))?;
        // SAFETY: as above.
        unsafe { revoke_1::send(table, self.handle, request) }
    }

    /// [`CaHandler::crl`](crate::CaHandler::crl)
    ///
    /// # Errors
    /// As for [`poll`](Self::poll).
    pub fn crl(&self) -> Result<Crl, Fault> {
        let table = self.tables.crl.ok_or_else(|| absent("crl"))?;
        // SAFETY: as above.
        unsafe { crl_1::send(table, self.handle) }
    }
}

fn absent(ability: &str) -> Fault {
    Fault::unsupported(format!(
        "this CA handler does not have the ability {ability}"
    ))
}

impl Drop for Instance {
    fn drop(&mut self) {
        // SAFETY: the one close; `&mut self` shows that no call is in progress.
        unsafe { (self.root.close())(self.handle) }
    }
}
