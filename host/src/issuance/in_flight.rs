//! [`InFlight`]: which enrollments somebody in this process works on now.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::ids::EnrollmentId;

#[derive(Clone, Debug, Default)]
pub(super) struct InFlight(Arc<Mutex<HashSet<EnrollmentId>>>);

impl InFlight {
    /// The right to work on an enrollment, unless somebody has it. Given back when dropped.
    pub(super) fn claim(&self, id: EnrollmentId) -> Option<Claim> {
        self.0.lock().insert(id).then(|| Claim {
            id,
            among: self.clone(),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.0.lock().len()
    }
}

#[derive(Debug)]
pub(super) struct Claim {
    id: EnrollmentId,
    among: InFlight,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.among.0.lock().remove(&self.id);
    }
}
