//! [`Validity`]: the dates that a client may ask its certificate to have (RFC 8555 §7.4).

use std::time::Duration;

use crate::time::UnixTime;

/// How far back notBefore may lie: the time a request is under way, and clocks that differ.
const BACKDATING: Duration = Duration::from_secs(5 * 60);

/// What an order asks for; `None` leaves it to the CA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    pub not_before: Option<UnixTime>,
    pub not_after: Option<UnixTime>,
}

/// Why dates are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidValidity {
    #[error("notBefore lies in the past")]
    BeginsInThePast,
    #[error("notAfter lies in the past")]
    EndsInThePast,
    #[error("notAfter is not after notBefore")]
    EndsBeforeItBegins,
    #[error("notBefore lies further ahead than this endpoint takes")]
    BeginsTooLate,
    #[error("notBefore and notAfter span more than this endpoint takes")]
    TooLong,
}

impl Validity {
    /// # Errors
    /// If it is impossible, or reaches further than `longest` from its beginning, or from now.
    pub fn check(self, now: UnixTime, longest: Duration) -> Result<(), InvalidValidity> {
        if let Some(not_before) = self.not_before {
            if not_before.plus(BACKDATING) < now {
                return Err(InvalidValidity::BeginsInThePast);
            }
            if not_before.since(now) > longest {
                return Err(InvalidValidity::BeginsTooLate);
            }
        }
        if let Some(not_after) = self.not_after {
            if not_after <= now {
                return Err(InvalidValidity::EndsInThePast);
            }
            let begin = self.not_before.unwrap_or(now);
            if not_after <= begin {
                return Err(InvalidValidity::EndsBeforeItBegins);
            }
            // RFC 5280 §4.1.2.5: both ends belong to the period.
            if not_after.since(begin) >= longest {
                return Err(InvalidValidity::TooLong);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_within_policy() {
        use InvalidValidity as E;
        const NOW: i64 = 1_800_000_000;
        const LONGEST: i64 = 90 * 86_400;
        for (not_before, not_after, expect) in [
            (None, None, Ok(())),
            (Some(0), None, Ok(())),
            (Some(-300), Some(60), Ok(())),
            (Some(-301), Some(60), Err(E::BeginsInThePast)),
            (None, Some(0), Err(E::EndsInThePast)),
            (None, Some(1), Ok(())),
            (None, Some(LONGEST - 1), Ok(())),
            (None, Some(LONGEST), Err(E::TooLong)),
            (Some(60), Some(60), Err(E::EndsBeforeItBegins)),
            (Some(60), Some(30), Err(E::EndsBeforeItBegins)),
            (Some(60), Some(LONGEST + 59), Ok(())),
            (Some(60), Some(LONGEST + 60), Err(E::TooLong)),
            (Some(LONGEST), None, Ok(())),
            (Some(LONGEST + 1), None, Err(E::BeginsTooLate)),
            (Some(i64::MAX - NOW), None, Err(E::BeginsTooLate)),
        ] {
            let at = |offset: i64| UnixTime::from_secs(NOW + offset);
            let validity = Validity {
                not_before: not_before.map(at),
                not_after: not_after.map(at),
            };
            let longest = Duration::from_secs(LONGEST.unsigned_abs());
            assert_eq!(
                validity.check(at(0), longest),
                expect,
                "{not_before:?} {not_after:?}"
            );
        }
    }
}
