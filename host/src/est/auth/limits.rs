//! [`Limits`]: how many logins may fail, by address and by user.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Failures that are forgiven at once; after them, one more for each span of [`FORGIVES`].
const BURST: u32 = 10;

/// How long until one failure is forgotten.
const FORGIVES: Duration = Duration::from_secs(30);

/// Addresses and users remembered. Beyond that those with the fewest failures are forgotten.
const REMEMBERED: usize = 8192;

/// Who failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Who {
    /// IPv6 by /64: one client has that many to choose from.
    Address(IpAddr),
    User(String),
}

impl Who {
    pub(super) fn address(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::from([a, b, c, d, 0, 0, 0, 0])
            }
            address @ IpAddr::V4(_) => address,
        })
    }
}

/// Failures so far, and when they were counted; they fade.
struct Failures {
    count: u32,
    at: Instant,
}

impl Failures {
    fn count(&self, now: Instant) -> u32 {
        let spans = now.saturating_duration_since(self.at).as_secs() / FORGIVES.as_secs();
        self.count
            .saturating_sub(u32::try_from(spans).unwrap_or(u32::MAX))
    }
}

#[derive(Default)]
pub(super) struct Limits(Mutex<HashMap<Who, Failures>>);

impl Limits {
    /// How long this one has to wait, if it has failed too often.
    pub(super) fn wait(&self, who: &Who, now: Instant) -> Option<Duration> {
        let remembered = self.0.lock();
        let failures = remembered.get(who)?;
        if failures.count(now) < BURST {
            return None;
        }
        let passed = now.saturating_duration_since(failures.at);
        let forgiven = FORGIVES * (failures.count - BURST + 1);
        Some(forgiven.saturating_sub(passed))
    }

    pub(super) fn failed(&self, who: Who, now: Instant) {
        let mut remembered = self.0.lock();
        if remembered.len() >= REMEMBERED && !remembered.contains_key(&who) {
            forget(&mut remembered, now);
        }
        let failures = remembered
            .entry(who)
            .or_insert(Failures { count: 0, at: now });
        let faded = failures.count(now);
        // Refused ones are not counted, so this is the most there can be.
        failures.count = (faded + 1).min(BURST * 2);
        if faded == 0 {
            failures.at = now;
        } else {
            let spans = now.saturating_duration_since(failures.at).as_secs() / FORGIVES.as_secs();
            failures.at += FORGIVES * u32::try_from(spans).unwrap_or(0);
        }
    }

    /// A right password: what the user failed before is forgotten.
    pub(super) fn succeeded(&self, who: &Who) {
        self.0.lock().remove(who);
    }
}

/// Makes room: forgets at least half, first those who failed least.
fn forget(remembered: &mut HashMap<Who, Failures>, now: Instant) {
    let mut counts: Vec<u32> = remembered
        .values()
        .map(|failures| failures.count(now))
        .collect();
    counts.sort_unstable();
    let median = counts.get(counts.len() / 2).copied().unwrap_or(0);
    remembered.retain(|_, failures| failures.count(now) > median);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_forgiven_one_by_one() {
        let limits = Limits::default();
        let start = Instant::now();
        let who = Who::User("u".into());
        for _ in 0..BURST {
            assert_eq!(limits.wait(&who, start), None);
            limits.failed(who.clone(), start);
        }
        assert_eq!(limits.wait(&who, start), Some(FORGIVES));
        assert_eq!(limits.wait(&Who::User("v".into()), start), None);
        let nearly = start + FORGIVES - Duration::from_secs(1);
        assert_eq!(limits.wait(&who, nearly), Some(Duration::from_secs(1)));
        let later = start + FORGIVES + Duration::from_secs(10);
        assert_eq!(limits.wait(&who, later), None);
        limits.failed(who.clone(), later);
        assert_eq!(
            limits.wait(&who, later),
            Some(FORGIVES - Duration::from_secs(10))
        );
        limits.succeeded(&who);
        assert_eq!(limits.wait(&who, later), None);
        limits.failed(who.clone(), later);
        assert_eq!(limits.wait(&who, later), None);
    }

    #[test]
    fn memory_is_bounded_and_the_worst_are_remembered() {
        let limits = Limits::default();
        let now = Instant::now();
        let worst = Who::User("worst".into());
        for _ in 0..BURST {
            limits.failed(worst.clone(), now);
        }
        for number in 0..3 * REMEMBERED {
            limits.failed(Who::User(number.to_string()), now);
        }
        assert!(limits.0.lock().len() <= REMEMBERED);
        assert!(limits.wait(&worst, now).is_some());
    }

    #[test]
    fn an_ipv6_client_is_its_network() {
        let who = |text: &str| Who::address(text.parse().unwrap());
        assert_eq!(who("2001:db8::1"), who("2001:db8::ffff:1"));
        assert_ne!(who("2001:db8::1"), who("2001:db8:0:1::1"));
        assert_eq!(who("::ffff:192.0.2.1"), who("192.0.2.1"));
        assert_ne!(who("192.0.2.1"), who("192.0.2.2"));
    }
}
