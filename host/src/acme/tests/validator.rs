//! [`TestValidator`]: finds proofs, or does not, as a test tells it.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::order::{Failure, FailureKind};
use crate::validation::{Proof, Validator};

#[derive(Default)]
pub(super) struct TestValidator {
    /// Names for which it finds no proof.
    pub(super) fails: Mutex<BTreeSet<String>>,
    pub(super) takes: Mutex<Duration>,
    /// What it was asked for.
    pub(super) asked: Mutex<Vec<Proof>>,
}

impl TestValidator {
    pub(super) fn fail(&self, name: &str) {
        self.fails.lock().insert(name.to_owned());
    }

    pub(super) fn take(&self, time: Duration) {
        *self.takes.lock() = time;
    }

    pub(super) fn asked(&self) -> usize {
        self.asked.lock().len()
    }
}

#[async_trait]
impl Validator for TestValidator {
    async fn validate(&self, proof: &Proof) -> Result<(), Failure> {
        self.asked.lock().push(proof.clone());
        let time = *self.takes.lock();
        tokio::time::sleep(time).await;
        if self.fails.lock().contains(proof.name.as_str()) {
            return Err(Failure::new(
                FailureKind::Unauthorized,
                "the proof is not there",
            ));
        }
        Ok(())
    }
}
