//! [`Strikes`]: when a handler that keeps panicking is taken out of service.

use std::sync::atomic::{AtomicU32, Ordering};

use certdock_plugin_api::FaultClass;

/// Panics in a row, with no good call between them, after which a handler is in quarantine. A plugin
/// that panics may have left its own state broken, and one that always does only costs time.
pub(super) const LIMIT: u32 = 5;

/// Counts them.
#[derive(Debug, Default)]
pub(super) struct Strikes(AtomicU32);

impl Strikes {
    /// Takes note of a call's end; `None` is a good one. Whether this was the panic too many, which
    /// one call alone is told.
    pub(super) fn note(&self, fault: Option<FaultClass>) -> bool {
        match fault {
            Some(FaultClass::Panicked) => self.0.fetch_add(1, Ordering::Relaxed) + 1 == LIMIT,
            // The host's own word: the plugin has not answered.
            Some(FaultClass::Busy | FaultClass::TimedOut) => false,
            // Any answer, a refusal too, shows that the plugin works.
            _ => {
                // Only read as a rule: good calls are many and on several threads.
                if self.0.load(Ordering::Relaxed) != 0 {
                    self.forget();
                }
                false
            }
        }
    }

    pub(super) fn forget(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}
