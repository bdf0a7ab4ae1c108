//! How much a handler may ask of its [`Host`](crate::Host). A later host may bear more, never less.
//!
//! What is beyond these bounds is refused, cut or left out, as each one says; nothing worse happens.

use crate::fault::Fault;

/// Bytes of a key of the state. Writing a longer one is an `Internal` fault, and nothing is written.
pub const STATE_KEY_BYTES: usize = 1024;

/// Bytes of a value of the state. Writing a larger one is an `Internal` fault, and nothing is written.
pub const STATE_VALUE_BYTES: usize = 1024 * 1024;

/// Keys in one listing of the state. The rest is in the next listing, after the last key of this one.
pub const LISTED_KEYS: usize = 10_000;

/// Bytes of keys and values in one listing of the state, unless its first entry alone has more. The
/// rest is in the next listing, after the last key of this one.
pub const LISTED_BYTES: usize = 4 * 1024 * 1024;

/// Series of metrics of one handler, as long as the server runs: names with all their labels. Further
/// ones are left out, which the host's log says once. So are those whose names are not as Prometheus wants
/// them: see [`is_metric_name`].
pub const SERIES: usize = 1000;

/// Bytes of the name and the labels of a series. A longer one is left out like one too many.
pub const SERIES_BYTES: usize = 4096;

/// Lines of a handler's log within [`LOG_SECONDS`] at levels that are logged at all: so many errors and
/// warnings, and as many others. Further ones are left out; the host's log says how many.
pub const LOG_LINES: u32 = 1000;

/// Bytes of those lines, with their fields, likewise.
pub const LOG_BYTES: usize = 1024 * 1024;

/// The span of time for [`LOG_LINES`] and [`LOG_BYTES`].
pub const LOG_SECONDS: u64 = 10;

/// For hosts: whether a metric or a label may have this name. A label may not begin with `__` either, nor
/// be `handler`.
#[must_use]
pub fn is_metric_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
}

/// For hosts: whether an entry may be written to the state.
///
/// # Errors
/// The fault for a handler whose key or value is too large.
pub fn check_entry(key: &str, value: &[u8]) -> Result<(), Fault> {
    if key.len() > STATE_KEY_BYTES || value.len() > STATE_VALUE_BYTES {
        let sizes = format!("the key has {} bytes, the value {}", key.len(), value.len());
        return Err(entry_too_large().private(sizes));
    }
    Ok(())
}

/// For hosts: the fault for an entry of the state that is too large.
#[must_use]
pub fn entry_too_large() -> Fault {
    Fault::internal("the handler's state takes keys of up to 1 KiB and values of up to 1 MiB")
}

/// For hosts: what a listing of the state still has room for.
///
/// ```
/// use certdock_plugin_api::bounds::Room;
///
/// let mut room = Room::for_up_to(2);
/// assert!(room.takes("a", b"1") && room.takes("b", b"2") && !room.takes("c", b"3"));
/// ```
#[derive(Clone, Debug)]
pub struct Room {
    keys: usize,
    bytes: usize,
    first: bool,
}

impl Room {
    /// For a listing of up to `limit` keys.
    #[must_use]
    pub fn for_up_to(limit: usize) -> Self {
        Self {
            keys: limit.min(LISTED_KEYS),
            bytes: LISTED_BYTES,
            first: true,
        }
    }

    /// How many keys it may have at most.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.keys
    }

    /// Whether the next entry fits; where it doesn't, the listing ends.
    pub fn takes(&mut self, key: &str, value: &[u8]) -> bool {
        let size = key.len() + value.len();
        if self.keys == 0 || (size > self.bytes && !self.first) {
            self.keys = 0;
            return false;
        }
        self.first = false;
        self.keys -= 1;
        self.bytes = self.bytes.saturating_sub(size);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_as_large_as_it_may_be() {
        let (key, value) = ("k".repeat(STATE_KEY_BYTES), vec![0; STATE_VALUE_BYTES]);
        assert_eq!(check_entry(&key, &value), Ok(()));
        let fault = check_entry(&format!("{key}k"), b"").unwrap_err();
        assert_eq!(fault.class, crate::FaultClass::Internal);
        assert!(check_entry("", &[&value[..], b"0"].concat()).is_err());
    }

    #[test]
    fn a_listing_has_at_least_one_entry_and_no_gap() {
        let mut room = Room::for_up_to(usize::MAX);
        assert!(room.takes("old", &vec![0; LISTED_BYTES + 1]));
        assert!(!room.takes("next", b"1"));
        let mut room = Room::for_up_to(3);
        assert!(room.takes("a", &[0; 100]));
        assert!(!room.takes("b", &vec![0; LISTED_BYTES]));
        // Else what comes after it would be taken for what comes next.
        assert!(!room.takes("c", b""));
        assert!(!Room::for_up_to(0).takes("a", b""));
        assert_eq!(Room::for_up_to(usize::MAX).keys(), LISTED_KEYS);
    }
}
