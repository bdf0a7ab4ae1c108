//! What the server and a worker say to each other. Both are one program, so there are no versions.

use std::borrow::Cow;
use std::path::PathBuf;

use certdock_plugin_api::{
    EnrollRequest, Level, PollRequest, PushRequest, RecoverRequest, RevokeRequest, SecretRef,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Limits, Paths};
use crate::handlers::Abilities;

/// The first call of all: what the worker is for. The reply is [`Started`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Start {
    /// The server's process.
    pub(super) server: i32,
    /// The group of processes that the server belongs to.
    pub(super) group: i32,
    /// The plugin's id, as its note has it.
    pub(super) plugin: String,
    pub(super) threads: usize,
    pub(super) limits: Limits,
    pub(super) paths: Paths,
    pub(super) base_dir: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Started {
    /// What this system has no means to take away from the worker, each in a few words.
    pub(super) lacks: Vec<String>,
    pub(super) loaded: Result<Loaded, NotLoaded>,
}

/// What a plugin's code says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Loaded {
    pub(crate) abilities: Abilities,
    /// The JSON Schema of its configuration; empty if it has none.
    pub(crate) schema: String,
    /// Extensions that can't be used, with what the layout checker found.
    pub(crate) unusable: Vec<(String, Option<String>)>,
}

/// Why it could not be loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NotLoaded {
    /// One sentence.
    pub(crate) reason: String,
    /// The long form, for the debug log.
    pub(crate) detail: Option<String>,
}

/// What the server asks of a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Task<'a> {
    /// Answered with `Vec<ConfigNote>`; all others but the last with a `Result<_, Fault>`.
    ValidateConfig(Cow<'a, str>),
    Open(Cow<'a, str>),
    Enroll(Cow<'a, EnrollRequest>),
    Poll(Cow<'a, PollRequest>),
    Recover(Cow<'a, RecoverRequest>),
    Push(Cow<'a, PushRequest>),
    Health,
    Revoke(Cow<'a, RevokeRequest>),
    CaCerts,
    Crl,
    /// Close the handler. Answered with `()`.
    Close,
}

/// What a plugin asks of the host. Answered with a `Result<_, Fault>`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Errand<'a> {
    Secret(SecretRef),
    StateGet(Cow<'a, str>),
    StatePut {
        key: Cow<'a, str>,
        value: Cow<'a, [u8]>,
    },
    StateSwap {
        key: Cow<'a, str>,
        expected: Option<u64>,
        value: Cow<'a, [u8]>,
    },
    StateDelete(Cow<'a, str>),
    StateList {
        prefix: Cow<'a, str>,
        after: Option<Cow<'a, str>>,
        limit: usize,
    },
}

/// What a plugin tells the host.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Note<'a> {
    Log {
        level: Level,
        message: Cow<'a, str>,
        fields: Pairs<'a>,
    },
    MetricAdd {
        name: Cow<'a, str>,
        labels: Pairs<'a>,
        value: u64,
    },
    MetricSet {
        name: Cow<'a, str>,
        labels: Pairs<'a>,
        value: f64,
    },
}

pub(super) type Pairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// Bytes that are wiped when they are dropped.
#[derive(Serialize, Deserialize)]
pub(super) struct Secret(pub(super) Zeroizing<Vec<u8>>);
