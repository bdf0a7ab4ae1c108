//! [`Repeatable`]: a request that finds its enrollment again when its client repeats it.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::ids::EnrollmentId;
use crate::store::{EstRequest, RequestKey, Result};

/// A request by its key, with those of its neighbours that were answered meanwhile.
#[derive(Clone, Debug)]
pub struct Repeatable {
    pub key: RequestKey,
    /// What the same request began before, if that is given up.
    pub replaces: Option<EnrollmentId>,
    pub answered: Arc<Answered>,
}

impl Repeatable {
    /// Has a write store the request and forget those that were answered. They are taken at the last
    /// moment: what was taken is known neither here nor, once the write is done, to the store.
    pub(super) async fn stored(
        self,
        write: impl AsyncFnOnce(EstRequest) -> Result<bool>,
    ) -> Result<bool> {
        let answered = self.answered.take();
        let stored = write(EstRequest {
            key: self.key,
            replaces: self.replaces,
            answered: answered.clone(),
        });
        let stored = stored.await;
        if stored.is_err() {
            self.answered.put_back(answered);
        }
        stored
    }
}

/// Requests that were answered, still to be forgotten by the store. That happens together with the
/// next write there is, since a write of its own would cost more than it saves: if a crash comes
/// first, a client that repeats an answered request is given the same certificate once more.
#[derive(Debug, Default)]
pub struct Answered(Mutex<BTreeSet<RequestKey>>);

impl Answered {
    /// The request was answered for good: the same one is a new request from now on.
    pub fn add(&self, key: RequestKey) {
        self.0.lock().insert(key);
    }

    #[must_use]
    pub fn contains(&self, key: RequestKey) -> bool {
        self.0.lock().contains(&key)
    }

    /// Hands over all that were answered, for the store to forget.
    fn take(&self) -> Vec<RequestKey> {
        std::mem::take(&mut *self.0.lock()).into_iter().collect()
    }

    /// The store could not be told.
    fn put_back(&self, answered: Vec<RequestKey>) {
        self.0.lock().extend(answered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Error;

    #[tokio::test]
    async fn answered_requests_are_handed_over_once() {
        let answered = Arc::new(Answered::default());
        let key = RequestKey([1; 32]);
        answered.add(key);
        assert!(answered.contains(key));
        let repeatable = Repeatable {
            key: RequestKey([2; 32]),
            replaces: None,
            answered: Arc::clone(&answered),
        };
        let fails = async |request: EstRequest| {
            assert_eq!(request.answered, [key]);
            Err(Error::Closed)
        };
        assert!(repeatable.clone().stored(fails).await.is_err());
        assert!(answered.contains(key));
        let stores = async |request: EstRequest| Ok(request.answered == [key]);
        assert!(repeatable.clone().stored(stores).await.unwrap());
        assert!(!answered.contains(key));
        assert!(!repeatable.stored(stores).await.unwrap());
    }
}
