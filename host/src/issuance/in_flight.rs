//! [`InFlight`]: which enrollments and revocations somebody in this process works on now.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::ids::{CertificateId, EnrollmentId};
use crate::store::Enrollment;

/// What may be worked on by one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Work {
    Enrollment(EnrollmentId),
    Revocation(CertificateId),
}

/// With the hash of an enrollment's public key.
#[derive(Clone, Debug, Default)]
pub(super) struct InFlight(Arc<Mutex<HashMap<Work, [u8; 32]>>>);

impl InFlight {
    /// The right to work on an enrollment, unless somebody has it. Given back when dropped.
    pub(super) fn claim(&self, enrollment: &Enrollment) -> Option<Claim> {
        self.enter(Work::Enrollment(enrollment.id), enrollment.key_hash)
    }

    pub(super) fn claim_revocation(&self, certificate: CertificateId) -> Option<Claim> {
        self.enter(Work::Revocation(certificate), [0; 32])
    }

    /// Enrollments under way with this public key.
    pub(super) fn with_key(&self, key_hash: &[u8; 32]) -> Vec<EnrollmentId> {
        let works = self.0.lock();
        works
            .iter()
            .filter_map(|(work, key)| match work {
                Work::Enrollment(id) if key == key_hash => Some(*id),
                _ => None,
            })
            .collect()
    }

    fn enter(&self, work: Work, key: [u8; 32]) -> Option<Claim> {
        let mut works = self.0.lock();
        if works.contains_key(&work) {
            return None;
        }
        works.insert(work, key);
        Some(Claim {
            work,
            among: self.clone(),
        })
    }
}

#[derive(Debug)]
pub(super) struct Claim {
    work: Work,
    among: InFlight,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.among.0.lock().remove(&self.work);
    }
}
