//! [`Repeats`]: what makes a repeated request find the enrollment that it began (RFC 7030 §4.2.3).

use std::collections::BTreeSet;

use aws_lc_rs::digest::{Context, SHA256};
use parking_lot::Mutex;

use crate::est::Operation;
use crate::est::auth::Client;
use crate::ids::EndpointName;
use crate::store::RequestKey;

/// Requests that were answered, still to be forgotten by the store. That happens together with the
/// next write there is, since a write of its own would cost more than it saves: if a crash comes
/// first, a client that repeats an answered request is given the same certificate once more.
#[derive(Debug, Default)]
pub(super) struct Repeats(Mutex<BTreeSet<RequestKey>>);

impl Repeats {
    /// The request was answered for good: the same one is a new request from now on.
    pub(super) fn answered(&self, key: RequestKey) {
        self.0.lock().insert(key);
    }

    pub(super) fn is_answered(&self, key: RequestKey) -> bool {
        self.0.lock().contains(&key)
    }

    /// Hands over all that were answered, for the store to forget.
    pub(super) fn take(&self) -> Vec<RequestKey> {
        std::mem::take(&mut *self.0.lock()).into_iter().collect()
    }

    /// The store could not be told.
    pub(super) fn put_back(&self, answered: Vec<RequestKey>) {
        self.0.lock().extend(answered);
    }
}

/// The same for the same client that asks the same again; another for everybody else.
pub(super) fn key(
    label: &EndpointName,
    client: &Client,
    operation: Operation,
    csr: &[u8],
) -> RequestKey {
    let mut context = Context::new(&SHA256);
    let identity = client.identity();
    for part in [
        label.as_str().as_bytes(),
        operation.as_str().as_bytes(),
        identity.as_bytes(),
        csr,
    ] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut key = RequestKey([0; 32]);
    for (to, from) in key.0.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_or_whatever_differs_has_another_key() {
        let client = |user: &str, certificate: Option<&[u8]>| Client {
            user: (!user.is_empty()).then(|| user.to_owned()),
            certificate: certificate.map(<[u8]>::to_vec),
            ..Client::default()
        };
        let (a, b): (EndpointName, EndpointName) = ("a".parse().unwrap(), "b".parse().unwrap());
        let one = Operation::SimpleEnroll;
        let keys = BTreeSet::from([
            key(&a, &client("u", None), one, b"csr"),
            key(&b, &client("u", None), one, b"csr"),
            key(&a, &client("v", None), one, b"csr"),
            key(&a, &client("u", Some(b"c")), one, b"csr"),
            key(&a, &client("", Some(b"c")), one, b"csr"),
            key(&a, &client("", Some(b"d")), one, b"csr"),
            key(&a, &client("u", None), Operation::SimpleReenroll, b"csr"),
            key(&a, &client("u", None), one, b"csr2"),
        ]);
        assert_eq!(keys.len(), 8);
        let again = key(&a, &client("u", None), one, b"csr");
        assert!(keys.contains(&again));
    }

    #[test]
    fn answered_requests_are_handed_over_once() {
        let repeats = Repeats::default();
        let key = RequestKey([1; 32]);
        repeats.answered(key);
        assert!(repeats.is_answered(key));
        let answered = repeats.take();
        assert_eq!(answered, [key]);
        assert!(repeats.take().is_empty());
        repeats.put_back(answered);
        assert!(repeats.is_answered(key));
    }
}
