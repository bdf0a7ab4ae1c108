//! What a handler may answer, and what must come of it: row by row, where an older server of this kind
//! lost certificates, left orders in processing for ever, or said nothing of why.

use std::fs;
use std::time::Duration;

use certdock_tests::World;
use certdock_tests::certificate::check_chain;
use certdock_tests::issue::{authorize_http01, csr, finalize, new_order};
use rcgen::KeyPair;

use super::{account, command, eventually, id_of, start};

enum Expect {
    /// The client gets its certificate, with a chain.
    Issued,
    /// The order is invalid, and the client is told this.
    Refused(&'static str),
    /// The same, and what the CA returned is kept for the operator.
    Withheld(&'static str),
    /// The order waits for an operator.
    Held,
}

use Expect::{Held, Issued, Refused, Withheld};

/// The label that says what the CA does, what must come of it, and how often it is asked.
const ROWS: &[(&str, Expect, usize)] = &[
    ("fine", Issued, 1),
    ("leaf-only", Issued, 1),
    ("late", Issued, 1),
    ("overdue", Issued, 1),
    ("busy-once", Issued, 2),
    (
        "other-key",
        Withheld("the CA returned a certificate that is not what was asked for"),
        1,
    ),
    (
        "other-name",
        Withheld("the CA returned a certificate that is not what was asked for"),
        1,
    ),
    (
        "no-certificate",
        Refused("the CA handler gave an answer that can't be used"),
        1,
    ),
    ("denied", Refused("the profile allows no such name"), 1),
    ("malformed", Refused("the key is too small"), 1),
    ("internal", Refused("the connector is confused"), 1),
    ("panic", Held, 1),
    ("cut", Held, 1),
    ("poll-new-id", Issued, 1),
    ("poll-no-id", Issued, 1),
    ("poll-fault", Issued, 1),
    ("poll-panic", Issued, 1),
    (
        "poll-rejected",
        Refused("the operator knows no such device"),
        1,
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_of_a_ca_has_its_outcome() {
    let world = start(|_| {}).await;
    let rows = ROWS.iter().map(|row| check(&world, row));
    let orders = futures(rows).await;
    let calls = fs::read_to_string(world.server.dir().join("wayward/calls")).unwrap();
    for ((label, ..), order) in ROWS.iter().zip(&orders) {
        println!("{label}: {order}");
    }
    for (label, _, expected) in ROWS {
        let line = format!("enroll {label}");
        let asked = calls.lines().filter(|call| *call == line).count();
        assert_eq!(asked, *expected, "{label}: {calls}");
    }
    let all = command(&world, &["cert", "list"]).await;
    let withheld: Vec<_> = all["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|certificate| certificate["status"] == "withheld")
        .collect();
    let expected = ROWS.iter().filter(|row| matches!(row.1, Withheld(_)));
    assert_eq!(withheld.len(), expected.count(), "{withheld:?}");
}

async fn futures<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut running: Vec<_> = all.map(Box::pin).collect();
    let mut done: Vec<Option<T>> = running.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (place, future) in done.iter_mut().zip(&mut running) {
            if place.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *place = Some(value);
            }
        }
        if done.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    done.into_iter().map(Option::unwrap).collect()
}

/// Runs one row; the order's URL.
async fn check(world: &World, (label, expect, _): &(&str, Expect, usize)) -> String {
    let (mut client, account) = account(world, "wayward").await;
    let name = format!("{label}.test");
    let names = [name.as_str()];
    let answer = new_order(&mut client, &account, &names).await.unwrap();
    let url = answer.header("location").unwrap().to_owned();
    let order = answer.json();
    let authorization = order["authorizations"][0].as_str().unwrap();
    authorize_http01(&mut client, &account, authorization, &world.http01)
        .await
        .unwrap();
    let request = csr(&KeyPair::generate().unwrap(), &names);
    if matches!(expect, Held) {
        let finalize_url = order["finalize"].as_str().unwrap();
        let csr = certdock_tests::acme::b64(&request);
        let body = serde_json::json!({ "csr": csr });
        let answer = client.post(&account, finalize_url, &body).await.unwrap();
        let answer = answer.expect(200).unwrap();
        assert_eq!(answer.json()["status"], "processing", "{label}");
        eventually(label, Duration::from_secs(10), async || {
            let shown = command(world, &["order", "show", id_of(&url)]).await;
            shown["enrollment"]["state"] == "held"
        })
        .await;
        let answer = client.post_as_get(&account, &url).await.unwrap();
        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert!(wait >= 30, "{label}: {wait}");
        return url;
    }
    let outcome = finalize(&mut client, &account, &url, &order, &request).await;
    match (expect, outcome) {
        (Issued, Ok(certificate)) => {
            let chain = client.post_as_get(&account, &certificate).await.unwrap();
            let text = chain.expect(200).unwrap().text();
            check_chain(&text, &names);
        }
        (Refused(reason) | Withheld(reason), Err(error)) => {
            let error = error.to_string();
            assert!(error.contains(reason), "{label}: {error}");
            assert!(error.contains("\"invalid\""), "{label}: {error}");
        }
        (_, outcome) => panic!("{label}: {outcome:?}"),
    }
    url
}
