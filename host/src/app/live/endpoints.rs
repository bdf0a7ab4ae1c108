//! [`Endpoints`]: what clients reach, made from the configuration; made anew when that changes.

use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;

use crate::acme::nonce::Nonces;
use crate::acme::{self, Acme};
use crate::app::{Rooms, crl, push};
use crate::config::{self, Config};
use crate::est::{self, Est};
use crate::observe::metrics;
use crate::server::{ClientIdentity, Shutdown};
use crate::validation::{RealValidator, Validator};

/// The endpoints of one configuration.
pub(super) struct Endpoints {
    acme: Vec<Acme>,
    est: Est,
    push: push::Secrets,
    /// What the validator was made by.
    validation: config::Validation,
    shared: acme::Shared,
}

impl Endpoints {
    /// # Errors
    /// The resolver's configuration, a file of an EST label or a secret can't be used.
    pub(super) fn new(config: &Config, rooms: &Rooms) -> anyhow::Result<Self> {
        let shared = acme::Shared {
            base_url: config.server.base_url.clone(),
            store: rooms.store(),
            issuance: Arc::clone(&rooms.issuance),
            validator: validator(&config.validation)?,
            nonces: Arc::new(Nonces::new().context("no nonces can be sealed")?),
        };
        let none = Self {
            acme: Vec::new(),
            est: Est::default(),
            push: push::Secrets::new(),
            validation: config.validation.clone(),
            shared,
        };
        none.renewed(config, rooms)
    }

    /// Those of a changed configuration. What stays the same is taken over as it is, and what clients
    /// have begun at an endpoint that changed can go on there.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub(super) fn renewed(&self, config: &Config, rooms: &Rooms) -> anyhow::Result<Self> {
        let mut shared = self.shared.clone();
        let same = self.validation == config.validation;
        if !same {
            shared.validator = validator(&config.validation)?;
        }
        let acme = config.acme.iter().map(|(name, endpoint)| {
            match self.acme.iter().find(|acme| acme.name == *name) {
                Some(acme) if same && acme.config == *endpoint => acme.clone(),
                Some(acme) => acme.renewed(endpoint.clone(), shared.clone()),
                None => Acme::new(name.clone(), endpoint.clone(), shared.clone()),
            }
        });
        let acme = acme.collect();
        Ok(Self {
            acme,
            est: self.est.renewed(&config.est, &rooms.est)?,
            push: push::secrets(config)?,
            validation: config.validation.clone(),
            shared,
        })
    }

    /// What the public listener serves.
    pub(super) fn router(&self, rooms: &Rooms) -> Router {
        self.acme
            .iter()
            .fold(crl::router(Arc::clone(&rooms.handlers)), |router, acme| {
                router.merge(acme::router(acme.clone()))
            })
            .merge(est::router(self.est.clone()))
            .merge(push::router(
                self.push.clone(),
                Arc::clone(&rooms.handlers),
                Arc::clone(&rooms.issuance),
            ))
            .route_layer(axum::middleware::from_fn(metrics::count_requests))
    }

    /// Begins what endpoints that `former` does not have do by themselves.
    ///
    /// # Errors
    /// If the store can't be read.
    pub(super) async fn begin(
        &self,
        former: Option<&Self>,
        shutdown: &Shutdown,
    ) -> Result<(), crate::store::Error> {
        let is_known = |acme: &Acme| {
            former.is_some_and(|former| former.acme.iter().any(|known| known.name == acme.name))
        };
        for acme in self.acme.iter().filter(|acme| !is_known(acme)) {
            acme.resume_validations().await?;
            tracing::info!(directory = acme.urls().directory(), "ACME directory");
        }
        let none = Est::default();
        let known = former.map_or(&none, |former| &former.est);
        for label in self.est.new_since(known) {
            label.keep_loaded(shutdown);
            tracing::info!(url = label.url(&self.shared.base_url), "EST label");
        }
        Ok(())
    }
}

fn validator(config: &config::Validation) -> anyhow::Result<Arc<dyn Validator>> {
    Ok(Arc::new(RealValidator::new(config)?))
}

/// Clients are asked who they are only where that matters.
pub(crate) fn client_identity(config: &Config) -> ClientIdentity {
    let mut labels = config.est.values();
    if config.est.is_empty() {
        ClientIdentity::Ignored
    } else if labels.any(|label| label.auth.uses_certificates()) {
        ClientIdentity::Requested
    } else {
        ClientIdentity::Bound
    }
}
