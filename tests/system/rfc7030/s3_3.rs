//! RFC 7030 §3.2.3 and §3.3.2: who a client is, by certificate, by password, or by both.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use certdock_tests::est::{
    Authority, Caller, Credential, Csr, EstWorld, TLS_VERSIONS, certificates,
};
use certdock_tests::http::{Answer, Connection};
use http::Method;
use serde_json::Value;

use super::check_refusal;

async fn enroll(world: &EstWorld, label: &str, caller: &Caller) -> Answer {
    let csr = Csr::new("asked.est.test");
    let mut client = world.client_of(label, caller);
    client.enroll(&csr.der).await.unwrap()
}

/// 401 tells how a password would help, and 403 is said where none would.
fn check_denial(case: &str, answer: &Answer, statuses: &[u16]) {
    assert!(statuses.contains(&answer.status), "{case}: {answer:?}");
    let challenge = answer.header("www-authenticate");
    assert_eq!(challenge.is_some(), answer.status == 401, "{case}");
    if let Some(challenge) = challenge {
        assert!(
            challenge.starts_with("Basic realm=\""),
            "{case}: {challenge}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_label_asks_for_what_it_wants() {
    let world = EstWorld::start().await;
    let nobody = world.anybody();
    let user = world.user("device").await;
    let holder = world.holder("asked.est.test").await;
    let (name, password) = user.password.clone().unwrap();
    let both = holder.clone().knowing(&name, &password);
    let wrong = nobody.clone().knowing("device", "wrong");
    let unknown = nobody.clone().knowing("nobody", &password);
    let expected = [
        // label, nobody, user, holder, both, wrong password, unknown user
        ("default", [401, 200, 200, 200, 401, 401]),
        ("basic", [401, 200, 401, 200, 401, 401]),
        ("certificate", [403, 403, 200, 200, 403, 403]),
        ("both", [401, 403, 401, 200, 401, 401]),
    ];
    for (version, tls) in TLS_VERSIONS {
        for (label, statuses) in expected {
            let callers = [&nobody, &user, &holder, &both, &wrong, &unknown];
            for (number, (caller, status)) in callers.into_iter().zip(statuses).enumerate() {
                let case = format!("{version} {label} {number}");
                let answer = enroll(&world, label, &caller.clone().over(tls)).await;
                if status == 200 {
                    assert_eq!(answer.status, 200, "{case}: {}", answer.text());
                } else {
                    // With nothing at all, or the wrong half of two, either may be said.
                    let either: &[u16] = if label == "both" {
                        &[401, 403]
                    } else {
                        &[status]
                    };
                    check_denial(&case, &answer, either);
                }
            }
        }
    }
}

/// An expired, a revoked, a self-signed and a foreign certificate, with and without a password.
#[tokio::test(flavor = "multi_thread")]
async fn bad_certificates_are_refused() {
    let world = EstWorld::start().await;
    let user = world.user("device").await;
    let (name, password) = user.password.clone().unwrap();
    let foreign = Authority::new("Factory CA");
    let not_for_clients = world.factory.issue("asked.est.test", |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    });
    let not_yet = world.factory.issue("asked.est.test", |params| {
        params.not_before = rcgen::date_time_ymd(2100, 1, 1);
        params.not_after = rcgen::date_time_ymd(2101, 1, 1);
    });
    let broken = {
        let good = world.factory.client("asked.est.test");
        let mut der = good.der();
        *der.last_mut().unwrap() ^= 1;
        let certificate = pem::encode(&pem::Pem::new("CERTIFICATE", der));
        Credential {
            certificate,
            key: good.key,
        }
    };
    let cases = [
        ("expired", world.factory.expired("asked.est.test")),
        ("not yet valid", not_yet),
        ("revoked", world.revoked.clone()),
        ("self-signed", Credential::self_signed("asked.est.test")),
        ("foreign", foreign.client("asked.est.test")),
        ("not for clients", not_for_clients),
        ("broken", broken),
    ];
    for (version, tls) in TLS_VERSIONS {
        for (case, credential) in &cases {
            for with_password in [false, true] {
                let case = format!("{version}, {case}, password: {with_password}");
                let mut caller = world.anybody().over(tls).showing(credential);
                if with_password {
                    caller = caller.knowing(&name, &password);
                }
                let csr = Csr::new("asked.est.test");
                let mut client = world.client_of("factory", &caller);
                match client.enroll(&csr.der).await {
                    Ok(answer) => check_denial(&case, &answer, &[401, 403]),
                    // A server may end the handshake instead.
                    Err(error) => assert!(format!("{error:#}").contains("alert"), "{error:#}"),
                }
            }
        }
        let good = world.factory.client("asked.est.test");
        let caller = world.anybody().over(tls).showing(&good);
        let answer = enroll(&world, "factory", &caller).await;
        assert_eq!(answer.status, 200, "{version}: {}", answer.text());
        // It is good there only.
        let answer = enroll(&world, "certificate", &caller).await;
        check_denial(version, &answer, &[403]);
    }
    assert_eq!(world.issued().await.len(), 2);
}

/// A CA that a client's certificate comes from through another one in between.
#[tokio::test(flavor = "multi_thread")]
async fn a_chain_is_followed() {
    let world = EstWorld::prepare(|settings| {
        settings.more = settings.more.replace("client_crl = \"factory.crl\"\n", "");
    });
    let mut world = world;
    world.server.restart();
    let (middle, authority) = world.factory.intermediate("Line 7");
    let mut credential = authority.client("asked.est.test");
    credential.certificate.push_str(&middle);
    let caller = world.anybody().showing(&credential);
    let answer = enroll(&world, "factory", &caller).await;
    assert_eq!(answer.status, 200, "{}", answer.text());

    // A leaf is no CA.
    let leaf = world.factory.client("leaf.est.test");
    let below = leaf.as_authority().client("asked.est.test");
    let chain = Credential {
        certificate: below.certificate + &leaf.certificate,
        key: below.key,
    };
    let answer = enroll(&world, "factory", &world.anybody().showing(&chain)).await;
    check_denial("below a leaf", &answer, &[401, 403]);
}

/// The id under which a certificate is listed.
async fn listed(world: &EstWorld, credential: &Credential) -> String {
    let der = credential.der();
    let (_, certificate) = x509_parser::parse_x509_certificate(&der).unwrap();
    let serial = certificate.raw_serial_as_string().replace(':', "");
    let found = world.issued().await.into_iter().find(|one| {
        let listed = one["serial"].as_str().unwrap_or_default();
        listed
            .trim_start_matches('0')
            .eq_ignore_ascii_case(serial.trim_start_matches('0'))
    });
    let id = found.and_then(|one| one["id"].as_str().map(str::to_owned));
    id.expect("the certificate is listed")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_our_own_ca_revokes_counts_at_once() {
    let world = EstWorld::start().await;
    let holder = world.holder("asked.est.test").await;
    let answer = enroll(&world, "certificate", &holder).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let id = listed(&world, holder.credential.as_ref().unwrap()).await;
    let revoke = ["cert", "revoke", &id];
    world.server.command(&revoke).run().await.success();
    let answer = enroll(&world, "certificate", &holder).await;
    check_denial("revoked", &answer, &[403]);
    let csr = Csr::new("asked.est.test");
    let mut client = world.client_of("certificate", &holder);
    let answer = client.reenroll(&csr.der).await.unwrap();
    check_denial("revoked, renewing", &answer, &[403]);
}

/// A CA may revoke without the server's doing: then its list alone says so.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_our_own_ca_s_list_is_revoked() {
    let mut world = EstWorld::start().await;
    let holder = world.holder("asked.est.test").await;
    let other = world.holder("other.est.test").await;
    let id = listed(&world, holder.credential.as_ref().unwrap()).await;
    let revoke = ["cert", "revoke", &id];
    world.server.command(&revoke).run().await.success();
    assert_eq!(world.server.terminate(), Some(0));
    let database = rusqlite::Connection::open(world.server.dir().join("certdock.db")).unwrap();
    let forget = "UPDATE certificates SET revoked_at = NULL, revocation_reason = NULL \
                  WHERE revoked_at IS NOT NULL";
    assert_eq!(database.execute(forget, []).unwrap(), 1);
    drop(database);
    world.server.restart();
    let answer = enroll(&world, "certificate", &holder).await;
    check_refusal("on the list", &answer, 403);
    assert!(answer.text().contains("revoked"), "{}", answer.text());
    let answer = enroll(&world, "certificate", &other).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// TLS client authentication is EST's affair: ACME serves whoever shows whatever.
#[tokio::test(flavor = "multi_thread")]
async fn acme_does_not_mind_certificates() {
    let world = EstWorld::start().await;
    for (version, tls) in TLS_VERSIONS {
        for credential in [
            None,
            Some(world.factory.client("acme.est.test")),
            Some(world.factory.expired("acme.est.test")),
            Some(Credential::self_signed("acme.est.test")),
        ] {
            let mut caller = world.anybody().over(tls);
            caller.credential = credential;
            let mut connection = Connection::new(caller.client_config());
            let directory = world.server.directory();
            let answer = connection
                .send(Method::GET, &directory, &[], Vec::new())
                .await
                .unwrap();
            assert_eq!(answer.status, 200, "{version}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_time_passwords_are_good_for_one_certificate() {
    let world = EstWorld::start().await;
    let once = world
        .user_with("first", &["--once", "--expires", "1h"])
        .await;
    // What is refused uses nothing up.
    let mut client = world.client(&once);
    let answer = client
        .enroll(&Csr::new("foreign.example").der)
        .await
        .unwrap();
    assert!([400, 403].contains(&answer.status), "{}", answer.text());
    let answer = enroll(&world, "default", &once).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    check_denial("again", &enroll(&world, "default", &once).await, &[401]);

    let short = world.user_with("short", &["--expires", "1s"]).await;
    tokio::time::sleep(std::time::Duration::from_millis(2100)).await;
    check_denial("late", &enroll(&world, "default", &short).await, &[401]);
}

/// Nobody but the client knows whether the answer arrived. It is given the same certificate for the same
/// request, over restarts too, until that is revoked; nothing else for anything else.
#[tokio::test(flavor = "multi_thread")]
async fn who_lost_the_answer_to_a_one_time_password_asks_again() {
    let mut world = EstWorld::start().await;
    let once = world.user_with("first", &["--once"]).await;
    let csr = Csr::new("asked.est.test");
    let ask = async |world: &EstWorld, label: &str, csr: &Csr| {
        let mut client = world.client_of(label, &once);
        client.enroll(&csr.der).await.unwrap()
    };
    let first = ask(&world, "default", &csr).await;
    let first = certificates(&first.expect(200).unwrap().body);
    for restarts in [false, true] {
        if restarts {
            world.server.kill();
            world.server.restart();
        }
        let again = ask(&world, "default", &csr).await.expect(200).unwrap();
        assert_eq!(certificates(&again.body), first, "{restarts}");
        let other = ask(&world, "default", &Csr::new("asked.est.test")).await;
        check_denial("another request", &other, &[401]);
        let other = ask(&world, "basic", &csr).await;
        check_denial("another label", &other, &[401]);
    }
    let issued = world.issued().await;
    assert_eq!(issued.len(), 1);
    let revoke = ["cert", "revoke", issued[0]["id"].as_str().unwrap()];
    world.server.command(&revoke).run().await.success();
    check_denial("revoked", &ask(&world, "default", &csr).await, &[401]);

    // A new password is a new certificate.
    let again = world.server.command(&["est-user", "remove", "first"]);
    again.run().await.success();
    let once = world.user_with("first", &["--once"]).await;
    let mut client = world.client(&once);
    let second = client.enroll(&csr.der).await.unwrap().expect(200).unwrap();
    assert_ne!(certificates(&second.body), first);
}

/// Two at once with one password: one certificate.
#[tokio::test(flavor = "multi_thread")]
async fn a_race_for_a_one_time_password_has_one_winner() {
    let world = EstWorld::start().await;
    let once = world.user_with("race", &["--once"]).await;
    let asked: Vec<_> = (0..8)
        .map(|_| {
            let mut client = world.client(&once);
            tokio::spawn(async move {
                let csr = Csr::new("asked.est.test");
                client.enroll(&csr.der).await.unwrap().status
            })
        })
        .collect();
    let mut granted = 0;
    for one in asked {
        granted += usize::from(one.await.unwrap() == 200);
    }
    assert_eq!(granted, 1);
    assert_eq!(world.issued().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_listed_and_removed_and_keep_to_their_labels() {
    let world = EstWorld::start().await;
    let bound = world.user_with("bound", &["--label", "basic"]).await;
    assert_eq!(enroll(&world, "basic", &bound).await.status, 200);
    check_denial(
        "elsewhere",
        &enroll(&world, "default", &bound).await,
        &[401, 403],
    );

    let list = ["est-user", "list", "--json"];
    let outcome = world.server.command(&list).run().await.success();
    let listed: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(listed["items"][0]["name"], "bound", "{listed}");
    let (_, password) = bound.password.clone().unwrap();
    assert!(!outcome.stdout.contains(&password) && !outcome.stdout.contains("argon2"));

    let again = ["est-user", "add", "bound"];
    assert_eq!(world.server.command(&again).run().await.status, Some(1));
    let remove = ["est-user", "remove", "bound"];
    world.server.command(&remove).run().await.success();
    check_denial("removed", &enroll(&world, "basic", &bound).await, &[401]);

    // Neither the log nor the store holds a password.
    assert!(!world.server.log().contains(&password));
    let store = fs::read(world.server.dir().join("certdock.db")).unwrap();
    let wal = fs::read(world.server.dir().join("certdock.db-wal")).unwrap_or_default();
    for bytes in [store, wal] {
        let found = bytes
            .windows(password.len())
            .any(|part| part == password.as_bytes());
        assert!(!found, "the store holds the password");
    }
}

/// Logins that are forgiven at once, by user and by address.
const FORGIVEN: u8 = 10;

/// As a client from this address of the machine.
async fn enroll_from(world: &EstWorld, from: u8, caller: &Caller) -> Answer {
    let mut client = world.client(caller);
    client.connection.from = Some([127, 0, 0, from].into());
    client
        .enroll(&Csr::new("asked.est.test").der)
        .await
        .unwrap()
}

/// Who guesses is slowed down, also once the guess is right.
#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_limited() {
    let world = EstWorld::start().await;
    let user = world.user("guessed").await;
    let mut limited = None;
    for number in 0..200 {
        let caller = world
            .anybody()
            .knowing("guessed", &format!("guess {number}"));
        let answer = enroll(&world, "default", &caller).await;
        if answer.status == 429 {
            limited = Some(answer);
            break;
        }
        check_denial("a guess", &answer, &[401]);
    }
    let answer = limited.expect("a limit");
    check_refusal("limited", &answer, 429);
    assert!(answer.header("retry-after").is_some());
    assert_eq!(enroll(&world, "default", &user).await.status, 429);
}

/// No user is tried twice: it is the address that has to wait.
#[tokio::test(flavor = "multi_thread")]
async fn guessing_at_many_users_is_limited() {
    let world = EstWorld::start().await;
    let user = world.user("device").await;
    for number in 0..FORGIVEN {
        let guess = world.anybody().knowing(&format!("user {number}"), "guess");
        let answer = enroll_from(&world, 2, &guess).await;
        check_denial("a guess", &answer, &[401]);
    }
    let answer = enroll_from(&world, 2, &user).await;
    check_refusal("limited", &answer, 429);
    assert!(answer.header("retry-after").is_some());
    assert_eq!(enroll_from(&world, 3, &user).await.status, 200);
    // It has been seen to be right.
    assert_eq!(enroll_from(&world, 2, &user).await.status, 200);
}

/// No address tries twice: it is the user that has to wait.
#[tokio::test(flavor = "multi_thread")]
async fn guessing_from_many_addresses_is_limited() {
    let world = EstWorld::start().await;
    let user = world.user("guessed").await;
    let other = world.user("device").await;
    for number in 0..FORGIVEN {
        let guess = world.anybody().knowing("guessed", "guess");
        let answer = enroll_from(&world, 2 + number, &guess).await;
        check_denial("a guess", &answer, &[401]);
    }
    let answer = enroll_from(&world, 100, &user).await;
    check_refusal("limited", &answer, 429);
    assert!(answer.header("retry-after").is_some());
    assert_eq!(enroll_from(&world, 2, &other).await.status, 200);
}

/// What a client with a User-Agent is told with 401; others are not, as BouncyCastle can't take it.
#[tokio::test(flavor = "multi_thread")]
async fn a_401_says_why_to_who_has_a_user_agent() {
    let world = EstWorld::start().await;
    let csr = STANDARD.encode(Csr::new("asked.est.test").der);
    for (headers, says) in [
        (
            &[
                ("content-type", "application/pkcs10"),
                ("user-agent", "device/1"),
            ][..],
            true,
        ),
        (&[("content-type", "application/pkcs10")], false),
    ] {
        let mut client = world.client(&world.anybody());
        let body = csr.clone().into_bytes();
        let answer = client.request(Method::POST, "simpleenroll", headers, body);
        let answer = answer.await.unwrap();
        check_denial("nobody", &answer, &[401]);
        let text = answer.text();
        assert_eq!(
            text.contains("give a user and its password"),
            says,
            "{text}"
        );
        let id = answer.header("x-request-id").expect("a request id");
        assert_eq!(text.contains(id), says, "{text}");
        assert_eq!(text.is_empty(), !says, "{text}");
    }
}
