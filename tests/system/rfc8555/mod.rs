//! RFC 8555, a module for each section.

mod s6_2;
mod s6_3;
mod s6_5;
mod s7_1;
mod s7_3;
mod s7_3_4;
mod s7_3_5;
mod s7_4;
mod s7_4_csr;
mod s7_5;
mod s7_6;
pub(crate) mod s8_3;
mod s8_4;

use certdock_tests::acme::Answer;

/// Checks that an answer is a problem of one of these types, with all that every error carries.
#[track_caller]
fn check_problem(case: &str, answer: &Answer, status: u16, types: &[&str]) {
    let said = format!("{case}: {} {}", answer.status, answer.text());
    assert_eq!(answer.status, status, "{said}");
    assert!(
        types.contains(&answer.problem().as_str()),
        "{said}, expected {types:?}"
    );
    // RFC 8555 §6.7, RFC 7807 §3
    assert_eq!(
        answer.header("content-type"),
        Some("application/problem+json"),
        "{said}"
    );
    let detail = answer.json()["detail"].as_str().map(str::len);
    assert!(detail.is_some_and(|length| length > 0), "{said}");
    // RFC 8555 §6.5: every answer to a POST has one, errors too.
    assert!(answer.header("replay-nonce").is_some(), "{said}");
    check_index_link(answer);
}

/// RFC 8555 §7.1: on every resource but the directory.
#[track_caller]
fn check_index_link(answer: &Answer) {
    let links = answer.all("link");
    assert!(
        links.iter().any(|link| link.contains("rel=\"index\"")),
        "{:?}",
        answer.headers
    );
}
