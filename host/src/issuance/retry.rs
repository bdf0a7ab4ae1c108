//! When to ask a handler again. Pure: facts and randomness in, a wait out.

use std::time::Duration;

use crate::handlers::Patience;

/// What a client is told while a handler is not in service.
pub(super) const OUT_OF_SERVICE: Duration = Duration::from_secs(30);

/// What a client is told while more calls wait for a handler than may.
pub(super) const TOO_MANY: Duration = Duration::from_secs(10);

/// What a client is told while an operator has to decide.
pub(super) const WHILE_HELD: Duration = Duration::from_secs(60);

const FIRST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(5 * 60);

/// The bounds of a handler's own hints.
const SHORTEST_POLL: Duration = Duration::from_secs(1);
const LONGEST_POLL: Duration = Duration::from_secs(60 * 60);

/// The wait after the fault number `attempts` (from 1): doubling, with a fifth of jitter, and never
/// shorter than what the handler asked for.
pub(super) fn after_fault(attempts: u32, hint: Option<Duration>, jitter: u8) -> Duration {
    let doubled = FIRST.saturating_mul(
        1_u32
            .checked_shl(attempts.saturating_sub(1))
            .unwrap_or(u32::MAX),
    );
    let wait = with_jitter(doubled.min(LONGEST), jitter);
    wait.max(hint.unwrap_or_default().min(LONGEST_POLL))
}

/// The wait before an enrollment that has been pending for `age` is polled. What a CA did not do in
/// minutes it will hardly do in the next: the rhythm slows down with age.
pub(super) fn before_poll(
    patience: &Patience,
    hint: Option<Duration>,
    age: Duration,
    jitter: u8,
) -> Duration {
    let wait = match hint {
        Some(hint) => hint.clamp(SHORTEST_POLL, LONGEST_POLL),
        None => (age / 20).clamp(
            patience.poll_interval,
            patience.slowest_poll.max(patience.poll_interval),
        ),
    };
    with_jitter(wait, jitter)
}

/// When a client should ask for what is looked after in `wait`: a moment later.
pub(super) fn news(wait: Duration) -> Duration {
    wait.max(Duration::from_secs(1)) + Duration::from_secs(1)
}

/// Up to a fifth longer, so that what began together does not go on together.
fn with_jitter(wait: Duration, jitter: u8) -> Duration {
    wait + wait.mul_f64(f64::from(jitter) / 255.0 / 5.0)
}

/// A span for people, in its largest whole unit.
pub(super) fn in_words(span: Duration) -> String {
    let seconds = span.as_secs();
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute")];
    let (count, unit) = units
        .iter()
        .find(|(length, _)| seconds >= *length && seconds.is_multiple_of(*length))
        .map_or((seconds, "second"), |(length, unit)| {
            (seconds / length, *unit)
        });
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

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
    fn polls_slow_down_with_age_and_hints_are_bounded() {
        let patience = Patience::default();
        let hour = 3_600 * SECOND;
        for (hint, age, expect) in [
            (None, Duration::ZERO, 30 * SECOND),
            (None, hour, 180 * SECOND),
            (None, 24 * hour, 900 * SECOND),
            (Some(Duration::ZERO), hour, SECOND),
            (Some(5 * SECOND), 24 * hour, 5 * SECOND),
            (Some(Duration::MAX), Duration::ZERO, hour),
        ] {
            assert_eq!(
                before_poll(&patience, hint, age, 0),
                expect,
                "{hint:?} {age:?}"
            );
        }
        assert_eq!(
            before_poll(&patience, None, Duration::ZERO, 255),
            36 * SECOND
        );
    }

    #[test]
    fn spans_in_words() {
        for (seconds, words) in [
            (86_400, "1 day"),
            (7 * 86_400, "7 days"),
            (5_400, "90 minutes"),
            (1, "1 second"),
            (61, "61 seconds"),
        ] {
            assert_eq!(in_words(seconds * SECOND), words);
        }
    }
}
