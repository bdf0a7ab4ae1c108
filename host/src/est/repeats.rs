//! [`key`]: what makes a repeated request find the enrollment that it began (RFC 7030 §4.2.3).

use aws_lc_rs::digest::{Context, SHA256};

use crate::est::Operation;
use crate::est::auth::Client;
use crate::ids::EndpointName;
use crate::store::RequestKey;

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
    use std::collections::BTreeSet;

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
}
