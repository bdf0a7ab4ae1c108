//! [`Paging`]: which part of a listing is asked for.

use std::str::FromStr;

use serde::Deserialize;

use super::error::Error;
use super::views::Page;

/// Items in one answer at most.
const LARGEST: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Paging {
    after: Option<String>,
    limit: Option<usize>,
}

impl Paging {
    pub(super) fn limit(&self) -> usize {
        self.limit.unwrap_or(LARGEST).clamp(1, LARGEST)
    }

    pub(super) fn after<Id: FromStr>(&self) -> Result<Option<Id>, Error> {
        let parse = |text: &str| {
            text.parse()
                .map_err(|_| Error::Invalid(format!("'{text}' is not an id to go on after")))
        };
        self.after.as_deref().map(parse).transpose()
    }

    /// The answer, made of the records that the store gave for [`limit`](Self::limit).
    pub(super) fn page<R, T>(
        &self,
        records: &[R],
        id: impl Fn(&R) -> String,
        items: Vec<T>,
    ) -> Page<T> {
        let full = records.len() >= self.limit();
        Page {
            next: records.last().filter(|_| full).map(id),
            items,
        }
    }
}
