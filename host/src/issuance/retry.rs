//! When to ask a handler again. Pure: facts and randomness in, a wait out.

use std::time::Duration;

use certdock_plugin_api::FaultClass;

/// What a client is told while a handler is not in service.
pub(super) const OUT_OF_SERVICE: Duration = Duration::from_secs(30);

/// An enrollment that has not ended after this long never will.
pub(super) const GIVE_UP: Duration = Duration::from_secs(24 * 60 * 60);

const FIRST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(5 * 60);

/// The rhythm of polls where the handler gave no hint, and the bounds of its hints.
const POLL: Duration = Duration::from_secs(30);
const SHORTEST_POLL: Duration = Duration::from_secs(1);
const LONGEST_POLL: Duration = Duration::from_secs(60 * 60);

/// Whether an enrollment that met with this fault is asked for again under the same id.
pub(super) fn is_worth_it(class: FaultClass) -> bool {
    class.is_transient()
}

/// The wait after the fault number `attempts` (from 1): doubling, with a fifth of jitter, and never
/// shorter than what the handler asked for.
pub(super) fn after_fault(attempts: u32, hint: Option<Duration>, jitter: u8) -> Duration {
    let doubled = FIRST.saturating_mul(
        1_u32
            .checked_shl(attempts.saturating_sub(1))
            .unwrap_or(u32::MAX),
    );
    let wait = doubled.min(LONGEST);
    let wait = wait + wait.mul_f64(f64::from(jitter) / 255.0 / 5.0);
    wait.max(hint.unwrap_or_default().min(LONGEST_POLL))
}

/// The wait before a pending enrollment is polled.
pub(super) fn before_poll(hint: Option<Duration>) -> Duration {
    hint.unwrap_or(POLL).clamp(SHORTEST_POLL, LONGEST_POLL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound() {
        for (attempts, expect) in [
            (1, 2),
            (2, 4),
            (3, 8),
            (8, 256),
            (9, 300),
            (40, 300),
            (u32::MAX, 300),
        ] {
            assert_eq!(
                after_fault(attempts, None, 0),
                Duration::from_secs(expect),
                "{attempts}"
            );
        }
        assert_eq!(after_fault(9, None, 255), Duration::from_secs(360));
        assert_eq!(
            after_fault(1, Some(Duration::from_secs(60)), 0),
            Duration::from_secs(60)
        );
    }

    #[test]
    fn hints_of_handlers_are_bounded() {
        assert_eq!(before_poll(None), POLL);
        assert_eq!(before_poll(Some(Duration::ZERO)), SHORTEST_POLL);
        assert_eq!(before_poll(Some(Duration::MAX)), LONGEST_POLL);
    }
}
