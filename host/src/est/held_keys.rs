//! [`HeldKeys`]: keys made for clients whose certificates take their time. In memory only: after a
//! restart they are gone, and a client that comes back is made another.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::est::generated_key::GeneratedKey;
use crate::store::RequestKey;

/// As long as an enrollment may take, and some.
const HELD: Duration = Duration::from_secs(8 * 24 * 60 * 60);

/// Clients that wait at once.
const MOST: usize = 10_000;

#[derive(Default)]
pub(super) struct HeldKeys(Mutex<BTreeMap<RequestKey, (Instant, GeneratedKey)>>);

impl HeldKeys {
    pub(super) fn hold(&self, request: RequestKey, key: GeneratedKey) {
        let now = Instant::now();
        let mut held = self.0.lock();
        held.retain(|_, (since, _)| now.duration_since(*since) < HELD);
        if held.len() >= MOST {
            let oldest = held.iter().min_by_key(|(_, (since, _))| *since);
            if let Some(oldest) = oldest.map(|(request, _)| *request) {
                held.remove(&oldest);
            }
        }
        held.insert(request, (now, key));
    }

    pub(super) fn has(&self, request: RequestKey) -> bool {
        self.0.lock().contains_key(&request)
    }

    pub(super) fn take(&self, request: RequestKey) -> Option<GeneratedKey> {
        self.0.lock().remove(&request).map(|(_, key)| key)
    }
}
