//! RFC 7030 §4.4 with §4.2.3: keys that the server makes while the CA takes its time.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use certdock_tests::est::{Caller, Csr, EstWorld, Part, certificates_of, post_bound};
use certdock_tests::http::Answer;
use rcgen::KeyPair;

use super::s4_4::ask;
use super::{check_refusal, is_for};

/// The label at which a key has to wait for its certificate.
const SLOW: &str = "slow";

fn check_pending(answer: &Answer) {
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert!(answer.header("retry-after").is_some());
}

/// Asks until the key is there; it fits the certificate.
async fn check_delivered(world: &EstWorld, caller: &Caller, csr: &Csr) {
    let end = Instant::now() + Duration::from_secs(30);
    let answer = loop {
        let answer = ask(world, SLOW, caller, csr).await;
        if answer.status != 202 || Instant::now() > end {
            break answer;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    let parts = Part::all(&answer.expect(200).unwrap());
    let certificate = certificates_of(&parts[1].der).remove(0);
    let made = KeyPair::try_from(parts[0].der.as_slice()).unwrap();
    assert!(is_for(&certificate, &made));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_waits_for_its_certificate() {
    let world = EstWorld::start().await;
    let (user, other) = (world.user("device").await, world.user("other").await);
    let once = world.user_with("once", &["--once"]).await;
    let csr = Csr::new("made.est.test");
    for (caller, enrolled) in [(&user, 1), (&user, 1), (&other, 2), (&once, 3), (&once, 3)] {
        check_pending(&ask(&world, SLOW, caller, &csr).await);
        assert_eq!(world.officer_enrollments(), enrolled);
    }
    let another = Csr::new("made.est.test");
    check_refusal(
        "another request with the same password",
        &ask(&world, SLOW, &once, &another).await,
        401,
    );
    world.officer("approved", "made.est.test", "");
    for caller in [&user, &other, &once] {
        check_delivered(&world, caller, &csr).await;
    }
    assert_eq!(world.officer_enrollments(), 3);
    assert_eq!(world.issued().await.len(), 3);
}

/// Whether the certificate is there at once, or the CA takes its time.
#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_is_given_the_same_key_later() {
    let world = EstWorld::start().await;
    for (user, approved) in [("patient", true), ("late", false)] {
        let once = world.user_with(user, &["--once"]).await;
        let name = format!("{user}.est.test");
        let csr = Csr::new(&name);
        let before = world.officer_enrollments();
        if approved {
            world.officer("approved", &name, "");
        }
        world.officer_is_absent(true);
        tokio::select! {
            answer = ask(&world, SLOW, &once, &csr) => panic!("{}", answer.text()),
            () = asked(&world, before + 1) => {}
        }
        // The server is to notice it.
        tokio::time::sleep(Duration::from_millis(300)).await;
        world.officer_is_absent(false);
        if !approved {
            check_pending(&ask(&world, SLOW, &once, &csr).await);
            world.officer("approved", &name, "");
        }
        check_delivered(&world, &once, &csr).await;
        assert_eq!(world.officer_enrollments(), before + 1, "{user}");
    }
    assert_eq!(world.issued().await.len(), 2);
}

/// Waits until the officer has been asked so often.
async fn asked(world: &EstWorld, times: usize) {
    let end = Instant::now() + Duration::from_secs(30);
    while world.officer_enrollments() < times {
        assert!(Instant::now() < end, "{:?}", world.officer_calls());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Nobody has the first one any more. Neither a one-time password nor a binding to the first
/// connection is an obstacle, and the password is good for no more.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_another_key_is_made() {
    let mut world = EstWorld::start().await;
    let once = world.user_with("once", &["--once"]).await;
    let mut csr = None;
    let bound = |binding: [u8; 32]| {
        let made = Csr::with_challenge("made.est.test", &STANDARD.encode(binding));
        csr.insert(made).der.clone()
    };
    let answer = post_bound(world.port(), "slow/serverkeygen", &once, bound).await;
    assert_eq!(answer.unwrap().status(), 202);
    let csr = csr.unwrap();
    world.server.kill();
    world.server.restart();
    let another = Csr::new("made.est.test");
    let answer = ask(&world, SLOW, &once, &another).await;
    check_refusal("another request", &answer, 401);
    check_pending(&ask(&world, SLOW, &once, &csr).await);
    check_pending(&ask(&world, SLOW, &once, &csr).await);
    assert_eq!(world.officer_enrollments(), 2);
    world.officer("approved", "made.est.test", "");
    check_delivered(&world, &once, &csr).await;

    check_refusal("again", &ask(&world, SLOW, &once, &csr).await, 401);
    // That the key was delivered is written down while the answer is on its way, before what is written later.
    world.user("later").await;
    world.server.kill();
    world.server.restart();
    let answer = ask(&world, SLOW, &once, &csr).await;
    check_refusal("again, after a restart", &answer, 401);
    assert_eq!(world.officer_enrollments(), 2);
}
