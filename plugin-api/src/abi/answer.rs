//! [`Answer`]: the bounds within which [`client`](super::client) hands on what a plugin answers, for a host
//! that has it do so in another process. The plugin is in that process too, and what comes from there may
//! be the plugin's own writing: so the host looks again.

use std::time::Duration;

use super::text;
use super::types::{
    MAX_ALTERNATES, MAX_CERTIFICATE, MAX_CHAIN, MAX_CODE, MAX_KEY, MAX_NEWS, MAX_NOTES,
    MAX_POLL_ID, MAX_PRIVATE, MAX_PUBLIC,
};
use crate::fault::{Fault, FaultClass};
use crate::handler::{CaCerts, Chain, ConfigNote, Crl, Enrollment, Poll, Recovery};
use crate::push::News;
pub use crate::wire::UpTo;

/// What a worker may answer.
pub trait Answer {
    /// Whether `client` could have handed it on.
    fn is_within_bounds(&self) -> bool;
}

/// Whether a text is one line of at most so many bytes.
#[must_use]
pub fn is_line(text: &str, limit: usize) -> bool {
    text.len() <= limit && !text.chars().any(char::is_control)
}

/// The line that is left of a text of the system's, or of a library's, which may be longer.
#[must_use]
pub fn line(text: &str, limit: usize) -> String {
    text::clean(text, limit)
}

/// The beginning of a text that may have several lines.
#[must_use]
pub fn beginning(text: &str, limit: usize) -> String {
    text::cut(text, limit).into_owned()
}

impl Answer for () {
    fn is_within_bounds(&self) -> bool {
        true
    }
}

impl<T: Answer> Answer for Result<T, Fault> {
    fn is_within_bounds(&self) -> bool {
        match self {
            Ok(answer) => answer.is_within_bounds(),
            Err(fault) => fault.is_within_bounds(),
        }
    }
}

impl Answer for Fault {
    fn is_within_bounds(&self) -> bool {
        // That a call took too long, only the host says.
        self.class != FaultClass::TimedOut
            && is_line(&self.code, MAX_CODE)
            && is_line(&self.public, MAX_PUBLIC)
            && is_line(&self.private, MAX_PRIVATE)
            && is_wait(self.retry_after)
    }
}

impl Answer for Enrollment {
    fn is_within_bounds(&self) -> bool {
        match self {
            Self::Issued(chain) => chain.is_within_bounds(),
            Self::Pending {
                poll_id,
                retry_after,
            } => is_pending(poll_id, *retry_after),
        }
    }
}

impl Answer for Poll {
    fn is_within_bounds(&self) -> bool {
        match self {
            Self::Issued(chain) => chain.is_within_bounds(),
            Self::Pending {
                poll_id,
                retry_after,
            } => is_pending(poll_id, *retry_after),
            Self::Rejected { reason } => is_line(reason, MAX_PUBLIC),
        }
    }
}

impl Answer for Recovery {
    fn is_within_bounds(&self) -> bool {
        match self {
            Self::Issued(chain) => chain.is_within_bounds(),
            Self::Pending {
                poll_id,
                retry_after,
            } => is_pending(poll_id, *retry_after),
            Self::Rejected { reason } => is_line(reason, MAX_PUBLIC),
            Self::NotFound => true,
        }
    }
}

impl Answer for UpTo<MAX_NEWS, News> {
    fn is_within_bounds(&self) -> bool {
        self.0.iter().all(|news| {
            let named = !news.poll_id.is_empty() || matches!(news.answer, Some(Poll::Issued(_)));
            named
                && news.poll_id.len() <= MAX_POLL_ID
                && news.answer.as_ref().is_none_or(Answer::is_within_bounds)
        })
    }
}

impl Answer for CaCerts {
    fn is_within_bounds(&self) -> bool {
        are_certificates(&self.certificates)
    }
}

impl Answer for Crl {
    // It has none but those of a message.
    fn is_within_bounds(&self) -> bool {
        true
    }
}

impl Answer for Chain {
    fn is_within_bounds(&self) -> bool {
        are_certificates(&self.certificates)
            && self.alternates.len() <= MAX_ALTERNATES
            && self.alternates.iter().all(|one| are_certificates(one))
    }
}

impl Answer for UpTo<MAX_NOTES, ConfigNote> {
    fn is_within_bounds(&self) -> bool {
        let mut notes = self.0.iter();
        notes.all(|note| is_line(&note.key, MAX_KEY) && is_line(&note.message, MAX_PUBLIC))
    }
}

fn are_certificates(certificates: &[Vec<u8>]) -> bool {
    (1..=MAX_CHAIN).contains(&certificates.len())
        && certificates.iter().all(|one| one.len() <= MAX_CERTIFICATE)
}

fn is_pending(poll_id: &str, retry_after: Option<Duration>) -> bool {
    poll_id.len() <= MAX_POLL_ID && is_wait(retry_after)
}

/// Whether it is as long as [`Millis`](super::types::Millis) can say.
fn is_wait(retry_after: Option<Duration>) -> bool {
    retry_after.is_none_or(|wait| wait <= Duration::from_millis(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_would_not_hand_on_is_told() {
        let text = |size| "x".repeat(size);
        let fault = || Fault::denied(text(MAX_PUBLIC));
        let good = fault().code(text(MAX_CODE)).private(text(MAX_PRIVATE));
        let longest = Duration::from_millis(u64::MAX);
        assert!(good.retry_after(longest).is_within_bounds());
        let mut bad = vec![
            Fault::denied(text(MAX_PUBLIC + 1)),
            Fault::denied("two\nlines"),
            fault().code(text(MAX_CODE + 1)),
            fault().private(text(MAX_PRIVATE + 1)),
            fault().private("two\nlines"),
            fault().retry_after(Duration::from_secs(u64::MAX)),
            Fault::new(FaultClass::TimedOut, ""),
        ];
        assert!(bad.iter().all(|fault| !fault.is_within_bounds()));
        let answer: Result<(), Fault> = Err(bad.remove(0));
        assert!(!answer.is_within_bounds() && Ok::<_, Fault>(()).is_within_bounds());

        let poll_id = |size, retry_after| Enrollment::Pending {
            poll_id: text(size),
            retry_after,
        };
        assert!(poll_id(MAX_POLL_ID, Some(longest)).is_within_bounds());
        assert!(!poll_id(MAX_POLL_ID + 1, None).is_within_bounds());
        assert!(!poll_id(1, Some(Duration::MAX)).is_within_bounds());
    }

    #[test]
    fn so_are_chains_and_lists() {
        let certificates = |count, size| vec![vec![0; size]; count];
        let chain = |count, size| Chain::new(certificates(count, size));
        assert!(chain(MAX_CHAIN, MAX_CERTIFICATE).is_within_bounds());
        for bad in [
            chain(0, 0),
            chain(MAX_CHAIN + 1, 1),
            chain(1, MAX_CERTIFICATE + 1),
        ] {
            assert!(!bad.is_within_bounds());
            let certificates = bad.certificates.clone();
            assert!(!CaCerts { certificates }.is_within_bounds());
            let mut alternate = chain(1, 1);
            alternate.alternates = vec![bad.certificates.clone()];
            assert!(!Enrollment::Issued(alternate).is_within_bounds());
            assert!(!Poll::Issued(bad.clone()).is_within_bounds());
            assert!(!Recovery::Issued(bad.clone()).is_within_bounds());
            assert!(!UpTo(vec![News::issued(bad)]).is_within_bounds());
        }
        let mut many = chain(1, 1);
        many.alternates = vec![certificates(1, 1); MAX_ALTERNATES + 1];
        assert!(!many.is_within_bounds());
        assert!(UpTo(vec![News::changed("p")]).is_within_bounds());
        assert!(!UpTo(vec![News::changed("")]).is_within_bounds());
        let note = |key: &str| UpTo(vec![ConfigNote::error(key, "m")]);
        assert!(note("key").is_within_bounds() && !note("a\nb").is_within_bounds());
    }
}
