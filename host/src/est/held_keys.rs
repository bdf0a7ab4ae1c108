//! [`HeldKeys`]: keys made for clients, until their certificates are there. In memory only: after a
//! restart they are gone, and a client that comes back is made another.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use parking_lot::Mutex;

use crate::est::generated_key::GeneratedKey;

/// As long as an enrollment may take, and some.
const HELD: Duration = Duration::from_secs(8 * 24 * 60 * 60);

/// Clients that wait at once.
const MOST: usize = 10_000;

/// Which key: the hash of the CSR that was made with it, by which the journal has it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Made([u8; 32]);

impl Made {
    /// By its CSR, DER.
    pub(super) fn by(csr: &[u8]) -> Self {
        let mut hash = [0; 32];
        for (to, from) in hash.iter_mut().zip(digest(&SHA256, csr).as_ref()) {
            *to = *from;
        }
        Self(hash)
    }
}

#[derive(Default)]
pub(super) struct HeldKeys(Mutex<BTreeMap<Made, (Instant, GeneratedKey)>>);

impl HeldKeys {
    pub(super) fn hold(&self, made: Made, key: GeneratedKey) {
        self.hold_since(Instant::now(), made, key);
    }

    fn hold_since(&self, now: Instant, made: Made, key: GeneratedKey) {
        let mut held = self.0.lock();
        held.retain(|_, (since, _)| now.duration_since(*since) < HELD);
        if held.len() >= MOST {
            let oldest = held.iter().min_by_key(|(_, (since, _))| *since);
            if let Some(oldest) = oldest.map(|(made, _)| *made) {
                held.remove(&oldest);
            }
        }
        held.insert(made, (now, key));
    }

    pub(super) fn has(&self, made: Made) -> bool {
        self.0.lock().contains_key(&made)
    }

    pub(super) fn take(&self, made: Made) -> Option<GeneratedKey> {
        self.0.lock().remove(&made).map(|(_, key)| key)
    }

    /// There will be no certificate for it.
    pub(super) fn wipe(&self, made: Made) {
        drop(self.take(made));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::est::generated_key::KeyKind;

    #[test]
    fn keys_are_held_once_and_for_a_while() {
        let held = HeldKeys::default();
        let now = Instant::now();
        let key = || GeneratedKey::generate(KeyKind::Ed25519).unwrap();
        let (a, b, c) = (Made::by(b"a"), Made::by(b"b"), Made::by(b"c"));
        let first = key();
        let pkcs8 = first.pkcs8().to_vec();
        held.hold_since(now, a, first);
        held.hold_since(now, b, key());
        assert_eq!(held.take(a).unwrap().pkcs8(), pkcs8);
        assert!(!held.has(a) && held.take(a).is_none());
        assert!(held.has(b));
        held.wipe(b);
        assert!(!held.has(b));
        held.hold_since(now, a, key());
        held.hold_since(now + HELD, c, key());
        assert!(!held.has(a) && held.has(c));
    }
}
