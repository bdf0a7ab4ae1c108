//! The long runs: many orders at once, and a store that is full of history.

use std::time::Duration;

use crate::load::{self, Load};
use crate::report::Report;
use crate::subject::{Isolation, Subject};

const CONCURRENCY: usize = 32;

/// No order of 10,000 may hang or be lost, and memory stays small.
pub(crate) async fn ten_thousand(report: &mut Report) {
    let subject = Subject::certdock(Isolation::InProcess).await;
    let run = load::run(&subject, &Load::counted(CONCURRENCY, 10_000)).await;
    report.ten_thousand(&run);
}

/// The rate before and after 50,000 orders of the same four accounts.
pub(crate) async fn fifty_thousand_stored(report: &mut Report, time: Duration) {
    let subject = Subject::certdock(Isolation::InProcess).await;
    let accounts = load::accounts(&subject)
        .await
        .expect("the server registers accounts");
    let probe = Load::timed(8, time);
    load::work(&subject, &accounts, &Load::counted(8, 500)).await;
    let before = load::work(&subject, &accounts, &probe).await;
    let filled = load::work(&subject, &accounts, &Load::counted(CONCURRENCY, 50_000)).await;
    let after = load::work(&subject, &accounts, &probe).await;
    report.fifty_thousand(&before, &filled, &after);
}
