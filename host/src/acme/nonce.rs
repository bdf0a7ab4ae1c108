//! [`Nonces`]: anti-replay nonces (RFC 8555 §6.5) that need no database, and the newNonce resource
//! (§7.2).
//!
//! A nonce is a sealed counter. What was used is remembered as one bit for each of the last
//! [`SPAN`] counters given out, so memory is constant, and a nonce is refused only if it was used,
//! if some eight million others were given out since, or if it is another process's.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::error::Unspecified;
use axum::Router;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use parking_lot::Mutex;

use super::Acme;
use super::request::Fetch;
use super::urls::path;

/// GET and HEAD (RFC 8555 §7.2), and POST-as-GET (§6.3).
pub(super) fn routes() -> Router<Acme> {
    Router::new().route(
        path::NEW_NONCE,
        get(async || StatusCode::NO_CONTENT)
            .head(async || StatusCode::OK)
            .post(async |_: Fetch| StatusCode::NO_CONTENT),
    )
}

/// How many counters are remembered: 2^23 bits are one mebibyte, of which the kernel gives us what
/// was touched.
pub const SPAN: u64 = WORDS * 64;
const WORDS: u64 = 1 << 17;

const COUNTER: usize = 8;
const TAG: usize = 16;

/// Gives out nonces and takes each back once.
pub struct Nonces {
    key: LessSafeKey,
    window: Mutex<Window>,
}

/// A nonce that is ours and was not used when it was looked at.
#[derive(Debug)]
pub struct OpenNonce(u64);

impl Nonces {
    /// # Errors
    /// If the cryptographic library refuses to work.
    pub fn new() -> Result<Self, Unspecified> {
        let key: [u8; 32] = crate::random::bytes();
        Ok(Self {
            key: LessSafeKey::new(UnboundKey::new(&AES_256_GCM_SIV, &key)?),
            window: Mutex::new(Window::default()),
        })
    }

    /// A fresh nonce.
    ///
    /// # Errors
    /// If the cryptographic library refuses to work.
    pub fn issue(&self) -> Result<HeaderValue, Unspecified> {
        let counter = self.window.lock().issue();
        let mut sealed = [0; COUNTER + TAG];
        let (text, tag) = sealed.split_at_mut(COUNTER);
        text.copy_from_slice(&counter.to_be_bytes());
        let made = (self.key).seal_in_place_separate_tag(iv(), Aad::empty(), text)?;
        tag.copy_from_slice(made.as_ref());
        let text = Bytes::from(URL_SAFE_NO_PAD.encode(sealed));
        HeaderValue::from_maybe_shared(text).map_err(|_| Unspecified)
    }

    /// Looks at a nonce without using it up: a cheap refusal for what can't be redeemed.
    #[must_use]
    pub fn open(&self, text: &str) -> Option<OpenNonce> {
        let mut sealed = [0; COUNTER + TAG];
        match URL_SAFE_NO_PAD.decode_slice(text, &mut sealed) {
            Ok(length) if length == sealed.len() => {}
            _ => return None,
        }
        let opened = (self.key).open_in_place(iv(), Aad::empty(), &mut sealed);
        let counter = u64::from_be_bytes(<[u8; COUNTER]>::try_from(opened.ok()?).ok()?);
        self.window
            .lock()
            .is_open(counter)
            .then_some(OpenNonce(counter))
    }

    /// Whether this caller used the nonce up. Of several who try at once, one does.
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "what was redeemed can't be again"
    )]
    pub fn redeem(&self, nonce: OpenNonce) -> bool {
        let OpenNonce(counter) = nonce;
        self.window.lock().redeem(counter)
    }
}

/// GCM-SIV under one key seals each counter once, so the constant IV gives away nothing: equal
/// outputs would need equal counters (RFC 8452 §1).
fn iv() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

/// Which of the last counters were used: a ring of bits, recycled a word at a time.
struct Window {
    next: u64,
    used: Box<[u64]>,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            next: 0,
            used: vec![0; WORDS as usize].into_boxed_slice(),
        }
    }
}

impl Window {
    fn issue(&mut self) -> u64 {
        let counter = self.next;
        self.next += 1;
        if counter.is_multiple_of(64)
            && let Some((word, _)) = self.bit(counter)
        {
            *word = 0;
        }
        counter
    }

    fn is_open(&mut self, counter: u64) -> bool {
        self.is_live(counter)
            && self
                .bit(counter)
                .is_some_and(|(word, bit)| *word & bit == 0)
    }

    fn redeem(&mut self, counter: u64) -> bool {
        let open = self.is_open(counter);
        if let (true, Some((word, bit))) = (open, self.bit(counter)) {
            *word |= bit;
        }
        open
    }

    /// Whether the counter was given out, and its word not recycled since.
    fn is_live(&self, counter: u64) -> bool {
        counter < self.next && counter / 64 + WORDS > (self.next - 1) / 64
    }

    fn bit(&mut self, counter: u64) -> Option<(&mut u64, u64)> {
        let word = self.used.get_mut((counter / 64 % WORDS) as usize)?;
        Some((word, 1 << (counter % 64)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use proptest::prelude::*;

    use super::*;

    fn issue(nonces: &Nonces) -> String {
        nonces.issue().unwrap().to_str().unwrap().to_owned()
    }

    fn take(nonces: &Nonces, text: &str) -> bool {
        nonces.open(text).is_some_and(|nonce| nonces.redeem(nonce))
    }

    proptest! {
        #[test]
        fn each_is_taken_once_in_any_order(order in Just((0..300).collect::<Vec<usize>>()).prop_shuffle()) {
            let nonces = Nonces::new().unwrap();
            let texts: Vec<_> = order.iter().map(|_| issue(&nonces)).collect();
            for &n in &order {
                prop_assert!(take(&nonces, &texts[n]));
                prop_assert!(!take(&nonces, &texts[n]));
            }
        }

        #[test]
        fn what_we_did_not_make_is_refused(text in ".*", byte in 0_usize..32, with in "[A-Za-z0-9_-]") {
            let nonces = Nonces::new().unwrap();
            let mut garbled = issue(&nonces);
            prop_assert!(!take(&nonces, &text));
            let kept = garbled[byte..=byte] == with;
            garbled.replace_range(byte..=byte, &with);
            prop_assert_eq!(take(&nonces, &garbled), kept);
        }
    }

    #[test]
    fn another_process_s_nonce_is_refused() {
        let (ours, theirs) = (Nonces::new().unwrap(), Nonces::new().unwrap());
        issue(&ours);
        assert!(!take(&ours, &issue(&theirs)));
    }

    #[test]
    fn of_many_who_race_one_wins() {
        let nonces = Nonces::new().unwrap();
        for _ in 0..200 {
            let text = issue(&nonces);
            let wins = AtomicUsize::new(0);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        if take(&nonces, &text) {
                            wins.fetch_add(1, Ordering::Relaxed);
                        }
                    });
                }
            });
            assert_eq!(wins.into_inner(), 1);
        }
    }

    #[test]
    fn the_window_forgets_only_what_is_older_than_its_span() {
        let mut window = Window::default();
        assert!(!window.redeem(0), "nothing was given out");
        for counter in 0..SPAN {
            assert_eq!(window.issue(), counter);
        }
        assert!(window.redeem(0));
        // The ring's first word is recycled: its 64 counters go, the next stays.
        window.issue();
        assert!(!window.redeem(0));
        assert!(!window.redeem(63));
        assert!(window.redeem(64));
        assert!(window.redeem(SPAN));
        assert!(!window.redeem(SPAN));
        assert!(!window.redeem(SPAN + 1));
    }
}
