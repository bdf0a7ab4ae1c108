//! [`Trust`]: whose certificates a label's clients may show.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use aws_lc_rs::digest::{SHA256, digest};
use certdock_plugin_api::{CaCerts, Crl};
use rustls_pki_types::CertificateDer;

use super::Denied;
use super::anchors::{Anchors, chain_key};
use super::untrusted::Untrusted;
use crate::config::EstLabel;
use crate::est::Label;
use crate::est::watched::Watched;
use crate::handlers::Handler;
use crate::ids::HandlerName;
use crate::server::Shutdown;
use crate::time::UnixTime;

/// What a label trusts: the CAs in files, and those of our own handlers.
pub struct Trust {
    files: Option<Arc<Watched<Anchors>>>,
    handlers: Vec<OfHandler>,
}

/// A certificate that is good.
#[derive(Debug)]
pub(super) struct Good {
    pub(super) der: Vec<u8>,
    /// The handler of ours that issued it.
    pub(super) issuer: Option<HandlerName>,
}

struct OfHandler {
    name: HandlerName,
    /// With the answers of the handler that they were made of.
    anchors: ArcSwapOption<(Arc<CaCerts>, Option<Arc<Crl>>, Anchors)>,
}

impl Trust {
    /// # Errors
    /// A file can't be used.
    pub fn new(config: &EstLabel) -> anyhow::Result<Self> {
        let files = if config.client_ca.is_empty() {
            None
        } else {
            let (certificates, lists) = (config.client_ca.clone(), config.client_crl.clone());
            let paths = [certificates.as_slice(), &lists].concat();
            let read = move || Anchors::load(&certificates, &lists);
            let files = Watched::new("the CAs and lists of EST clients", paths, read)?;
            Some(Arc::new(files))
        };
        let handlers = if config.auth.uses_certificates() {
            config.client_ca_handlers.iter().cloned()
        } else {
            [].iter().cloned()
        };
        Ok(Self {
            files,
            handlers: handlers
                .map(|name| OfHandler {
                    name,
                    anchors: ArcSwapOption::empty(),
                })
                .collect(),
        })
    }

    /// Validates what the client showed, its own certificate first, against each of what is trusted.
    pub(super) async fn check(
        &self,
        label: &Label,
        chain: &[CertificateDer<'static>],
        now: UnixTime,
    ) -> Result<Good, Denied> {
        let Some(leaf) = chain.first() else {
            return Err(Untrusted::Unknown.denied());
        };
        let mut fingerprint = [0; 32];
        for (to, from) in fingerprint.iter_mut().zip(digest(&SHA256, leaf).as_ref()) {
            *to = *from;
        }
        // What was revoked here is revoked, whether or not a list says so yet.
        let record = label.store.certificate_by_fingerprint(&fingerprint).await?;
        if record
            .as_ref()
            .is_some_and(|record| record.revocation.is_some() || record.withheld)
        {
            return Err(Untrusted::Revoked.denied());
        }
        let key = chain_key(chain);
        let mut worst = Untrusted::Unknown;
        for handler in &self.handlers {
            match handler.check(label, chain, key, now).await {
                Ok(()) => {
                    return Ok(Good {
                        der: leaf.to_vec(),
                        issuer: Some(record.map_or(handler.name.clone(), |record| record.handler)),
                    });
                }
                Err(why) => worst = worst.max(why),
            }
        }
        if let Some(files) = &self.files {
            match files.current().check(chain, key, now) {
                Ok(()) => {
                    return Ok(Good {
                        der: leaf.to_vec(),
                        issuer: record.map(|record| record.handler),
                    });
                }
                Err(why) => worst = worst.max(why),
            }
        }
        Err(worst.denied())
    }

    /// Takes up changes of its files until `shutdown` starts or it is gone.
    pub(in crate::est) fn keep_looking(&self, shutdown: &Shutdown) {
        if let Some(files) = &self.files {
            Watched::keep_looking(files, shutdown);
        }
    }

    /// Takes up changes of its files now.
    pub(in crate::est) fn look(&self) {
        if let Some(files) = &self.files {
            files.look();
        }
    }
}

impl OfHandler {
    async fn check(
        &self,
        label: &Label,
        chain: &[CertificateDer<'static>],
        key: [u8; 32],
        now: UnixTime,
    ) -> Result<(), Untrusted> {
        let Some(handler) = label.handlers.get(self.name.as_str()) else {
            return Err(Untrusted::NoAnswer);
        };
        let current = self.current(&handler).await?;
        current.2.check(chain, key, now)
    }

    async fn current(
        &self,
        handler: &Arc<Handler>,
    ) -> Result<Arc<(Arc<CaCerts>, Option<Arc<Crl>>, Anchors)>, Untrusted> {
        let unanswered = |fault: certdock_plugin_api::Fault| {
            tracing::warn!(handler = %self.name, %fault, "EST clients' certificates can't be validated");
            Untrusted::NoAnswer
        };
        let certificates = handler.ca_certs().await.map_err(unanswered)?;
        let list = if handler.abilities().is_none_or(|able| able.crl) {
            Some(handler.crl().await.map_err(unanswered)?)
        } else {
            None
        };
        if let Some(known) = self.anchors.load_full() {
            let same_list = match (&known.1, &list) {
                (Some(known), Some(list)) => Arc::ptr_eq(known, list),
                (None, None) => true,
                _ => false,
            };
            if same_list && Arc::ptr_eq(&known.0, &certificates) {
                return Ok(known);
            }
        }
        let made = Anchors::of_handler(&certificates, list.as_deref()).map_err(|error| {
            tracing::warn!(handler = %self.name, %error, "the handler's CA can't be used for EST clients");
            Untrusted::NoAnswer
        })?;
        let current = Arc::new((certificates, list, made));
        self.anchors.store(Some(Arc::clone(&current)));
        Ok(current)
    }
}
