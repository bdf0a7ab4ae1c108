//! [`Label`]: one EST label while the server runs (RFC 7030 §3.2.2).

use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::Semaphore;

use crate::config::{self, EstLabel};
use crate::est::auth::{Trust, Users};
use crate::est::held_keys::HeldKeys;
use crate::est::ra::RegistrationAuthority;
use crate::est::watched::Watched;
use crate::est::{PREFIX, cacerts, csrattrs};
use crate::handlers::{Handler, Handlers};
use crate::ids::EndpointName;
use crate::issuance::{Answered, Issuance};
use crate::server::Shutdown;
use crate::store::Store;

/// What labels share.
#[derive(Clone)]
pub struct Shared {
    pub store: Arc<dyn Store>,
    pub issuance: Arc<Issuance>,
    pub handlers: Arc<Handlers>,
    pub users: Arc<Users>,
}

/// What every operation of a label works with.
pub struct Label {
    pub name: EndpointName,
    pub config: EstLabel,
    pub store: Arc<dyn Store>,
    pub issuance: Arc<Issuance>,
    pub handlers: Arc<Handlers>,
    /// Who signs what the server says in CMS.
    ra: Option<Arc<Watched<RegistrationAuthority>>>,
    /// Keys made for clients that wait.
    pub(super) keys: Arc<HeldKeys>,
    /// One key is made at a time.
    pub(super) key_making: Arc<Semaphore>,
    pub(super) users: Arc<Users>,
    /// Whose certificates clients may show.
    pub(super) trust: Arc<Trust>,
    /// Requests that the store is still to forget.
    pub(super) answered: Arc<Answered>,
    pub(super) ca_certs: cacerts::Rendered,
    /// The answer to csrattrs, DER.
    pub(super) csrattrs: Option<Vec<u8>>,
}

/// Whether a label's own certificate and key can be used.
///
/// # Errors
/// Says why not.
pub(crate) fn check_registration_authority(
    files: &config::RegistrationAuthority,
) -> anyhow::Result<()> {
    RegistrationAuthority::load(files).map(drop)
}

fn watched(
    files: config::RegistrationAuthority,
) -> anyhow::Result<Arc<Watched<RegistrationAuthority>>> {
    let paths = vec![files.certificate.clone(), files.key.clone()];
    let read = move || RegistrationAuthority::load(&files);
    let what = "the files of an EST label's RA";
    Ok(Arc::new(Watched::new(what, paths, read)?))
}

impl Label {
    /// What the label's clients wait for is taken over from the `former` one of its name.
    ///
    /// # Errors
    /// A file that the label needs can't be used.
    pub(super) fn new(
        name: EndpointName,
        config: EstLabel,
        shared: Shared,
        former: Option<&Self>,
    ) -> anyhow::Result<Self> {
        let trust = Trust::new(&config)
            .with_context(|| format!("the EST label {name} can't validate certificates"))?;
        Ok(Self {
            csrattrs: csrattrs::render(&config.csrattrs, config.template.as_ref()),
            ra: config.ra.clone().map(watched).transpose()?,
            keys: former.map_or_else(Arc::default, |former| Arc::clone(&former.keys)),
            key_making: Arc::new(Semaphore::new(1)),
            trust: Arc::new(trust),
            name,
            config,
            store: shared.store,
            issuance: shared.issuance,
            handlers: shared.handlers,
            users: shared.users,
            answered: former.map_or_else(Arc::default, |former| Arc::clone(&former.answered)),
            ca_certs: cacerts::Rendered::default(),
        })
    }

    /// Takes up changes of its files until `shutdown` starts or the label is gone.
    pub fn keep_loaded(&self, shutdown: &Shutdown) {
        self.trust.keep_looking(shutdown);
        if let Some(ra) = &self.ra {
            Watched::keep_looking(ra, shutdown);
        }
    }

    /// Takes up changes of its files now.
    pub(super) fn look(&self) {
        self.trust.look();
        if let Some(ra) = &self.ra {
            ra.look();
        }
    }

    /// Who signs what the server says in CMS, if the label has somebody.
    pub(super) fn ra(&self) -> Option<Arc<RegistrationAuthority>> {
        self.ra.as_ref().map(|ra| ra.current())
    }

    /// Where its operations are.
    #[must_use]
    pub fn url(&self, base_url: &str) -> String {
        format!("{base_url}{PREFIX}/{}", self.name)
    }

    /// The CA behind the label.
    #[must_use]
    pub fn handler(&self) -> Option<Arc<Handler>> {
        self.handlers.get(self.config.handler.as_str())
    }
}
