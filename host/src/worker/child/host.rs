//! [`RemoteHost`]: the host's services, asked of the server over the connection.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use certdock_plugin_api::abi::answer::UpTo;
use certdock_plugin_api::{Fault, HostServices, Level, SecretRef, Versioned, bounds};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::worker::frame;
use crate::worker::link::Link;
use crate::worker::message::{Errand, Note, Pairs, Secret};

pub(super) struct RemoteHost {
    pub(super) link: Arc<Link>,
    pub(super) base_dir: PathBuf,
}

impl RemoteHost {
    fn ask<T: DeserializeOwned>(&self, errand: &Errand<'_>) -> Result<T, Fault> {
        let failed = |why: String| Fault::internal("the host can't be asked").private(why);
        let sent = self
            .link
            .call(errand)
            .map_err(|bad| failed(bad.to_string()))?;
        let reply = sent.reply.recv();
        let body = reply.map_err(|_| failed("the connection has ended".to_owned()))?;
        frame::decode::<Result<T, Fault>>(&body).map_err(|bad| failed(bad.to_string()))?
    }

    fn tell(&self, note: &Note<'_>) {
        // There is nobody else to tell.
        let _ = self.link.note(note);
    }
}

fn pairs<'a>(pairs: &[(&'a str, &'a str)]) -> Pairs<'a> {
    let pairs = pairs.iter();
    UpTo(
        pairs
            .map(|&(name, value)| (name.into(), value.into()))
            .collect(),
    )
}

impl HostServices for RemoteHost {
    fn log(&self, level: Level, message: &str, fields: &[(&str, &str)]) {
        self.tell(&Note::Log {
            level,
            message: message.into(),
            fields: pairs(fields),
        });
    }

    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn secret(&self, reference: &SecretRef) -> Result<Zeroizing<Vec<u8>>, Fault> {
        self.ask(&Errand::Secret(reference.clone()))
            .map(|secret: Secret| secret.0)
    }

    fn resolve(&self, path: &Path) -> PathBuf {
        self.base_dir.join(path)
    }

    fn metric_add(&self, name: &str, labels: &[(&str, &str)], value: u64) {
        self.tell(&Note::MetricAdd {
            name: name.into(),
            labels: pairs(labels),
            value,
        });
    }

    fn metric_set(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.tell(&Note::MetricSet {
            name: name.into(),
            labels: pairs(labels),
            value,
        });
    }

    fn state_get(&self, key: &str) -> Result<Option<Versioned>, Fault> {
        self.ask(&Errand::StateGet(key.into()))
    }

    fn state_put(&self, key: &str, value: &[u8]) -> Result<u64, Fault> {
        bounds::check_entry(key, value)?;
        self.ask(&Errand::StatePut {
            key: key.into(),
            value: value.into(),
        })
    }

    fn state_compare_and_swap(
        &self,
        key: &str,
        expected: Option<u64>,
        value: &[u8],
    ) -> Result<Option<u64>, Fault> {
        bounds::check_entry(key, value)?;
        self.ask(&Errand::StateSwap {
            key: key.into(),
            expected,
            value: value.into(),
        })
    }

    fn state_delete(&self, key: &str) -> Result<bool, Fault> {
        self.ask(&Errand::StateDelete(key.into()))
    }

    fn state_list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<BTreeMap<String, Versioned>, Fault> {
        self.ask(&Errand::StateList {
            prefix: prefix.into(),
            after: after.map(Cow::Borrowed),
            limit,
        })
    }
}
