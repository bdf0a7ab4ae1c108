//! RFC 8555 §8.3: http-01.

use std::net::Ipv4Addr;

use certdock_tests::World;
use certdock_tests::acme::{Account, Client};
use certdock_tests::challenge::response;
use certdock_tests::issue::{challenge, new_order, poll};
use hickory_proto::op::ResponseCode;
use serde_json::{Value, json};

/// What a validator is shown for one name, and what must come of it.
pub(crate) struct Attempt<'a> {
    pub(crate) world: &'a World,
    pub(crate) client: Client,
    pub(crate) account: Account,
}

impl<'a> Attempt<'a> {
    pub(crate) async fn new(world: &'a World) -> Self {
        let (client, account) = world.account().await;
        Self {
            world,
            client,
            account,
        }
    }

    /// Orders a name, lets the test prepare for token and key authorization, and says ready.
    /// The challenge at its end, and its order.
    pub(crate) async fn run(
        &mut self,
        kind: &str,
        name: &str,
        prepare: impl FnOnce(&World, &str, &str),
    ) -> (Value, Value) {
        let made = new_order(&mut self.client, &self.account, &[name])
            .await
            .unwrap();
        let order_url = made.header("location").unwrap().to_owned();
        let url = made.json()["authorizations"][0]
            .as_str()
            .unwrap()
            .to_owned();
        let authorization = self
            .client
            .post_as_get(&self.account, &url)
            .await
            .unwrap()
            .json();
        let one = challenge(&authorization, kind).unwrap();
        let token = one["token"].as_str().unwrap();
        prepare(
            self.world,
            token,
            &format!("{token}.{}", self.account.key.thumbprint()),
        );
        let challenge_url = one["url"].as_str().unwrap();
        let answer = self
            .client
            .post(&self.account, challenge_url, &json!({}))
            .await
            .unwrap();
        answer.expect(200).unwrap();
        let open = ["pending", "processing"];
        let end = poll(&mut self.client, &self.account, challenge_url, &open)
            .await
            .unwrap()
            .json();
        let order = self
            .client
            .post_as_get(&self.account, &order_url)
            .await
            .unwrap()
            .json();
        (end, order)
    }

    pub(crate) async fn check_refused(
        &mut self,
        case: &str,
        kind: &str,
        name: &str,
        types: &[&str],
        prepare: impl FnOnce(&World, &str, &str),
    ) {
        let (challenge, order) = self.run(kind, name, prepare).await;
        assert_eq!(challenge["status"], "invalid", "{case}: {challenge}");
        assert_eq!(order["status"], "invalid", "{case}: {order}");
        let said = challenge["error"]["type"].as_str().unwrap_or_default();
        let said = said.rsplit(':').next().unwrap();
        assert!(types.contains(&said), "{case}: {challenge}");
        // What was fetched is never told.
        assert!(
            !challenge.to_string().contains("INNER"),
            "{case}: {challenge}"
        );
    }

    pub(crate) async fn check_valid(
        &mut self,
        case: &str,
        kind: &str,
        name: &str,
        prepare: impl FnOnce(&World, &str, &str),
    ) {
        let (challenge, order) = self.run(kind, name, prepare).await;
        assert_eq!(challenge["status"], "valid", "{case}: {challenge}");
        assert_eq!(order["status"], "ready", "{case}: {order}");
    }
}

fn path(token: &str) -> String {
    format!("/.well-known/acme-challenge/{token}")
}

fn redirect(to: &str) -> Vec<u8> {
    response("302 Found", &format!("location: {to}\r\n"), "")
}

#[tokio::test(flavor = "multi_thread")]
async fn right_answers_are_valid() {
    let world = World::start().await;
    let mut attempt = Attempt::new(&world).await;
    let port = world.http01.port();
    attempt
        .check_valid("plain", "http-01", "plain.test", |world, token, key| {
            world.http01.set(token, key)
        })
        .await;
    let head = world.http01.requests().pop().unwrap();
    assert!(head.to_lowercase().contains("host: plain.test"), "{head}");
    // RFC 8555 §8.3: white space at the end is ignored.
    attempt
        .check_valid(
            "white space",
            "http-01",
            "space.test",
            |world, token, key| {
                world.http01.set(token, &format!("{key} \r\n\t"));
            },
        )
        .await;
    attempt
        .check_valid(
            "a redirect",
            "http-01",
            "redirect.test",
            |world, token, key| {
                let target = format!("http://other.test:{port}/elsewhere");
                world.http01.set_raw(&path(token), redirect(&target));
                world
                    .http01
                    .set_raw("/elsewhere", response("200 OK", "", key));
            },
        )
        .await;
    attempt
        .check_valid("a CNAME", "http-01", "alias.test", |world, token, key| {
            world.dns.set_cname("alias.test", "target.test");
            world.http01.set(token, key);
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_answers_are_refused() {
    let world = World::start().await;
    let mut attempt = Attempt::new(&world).await;
    let unauthorized = &["unauthorized", "incorrectResponse"][..];
    let connection = &["connection", "unauthorized", "incorrectResponse"][..];
    type Prepare = fn(&World, &str, &str);
    let cases: [(&str, &[&str], Prepare); 9] = [
        ("nothing there", unauthorized, |_, _, _| {}),
        ("the token alone", unauthorized, |world, token, _| {
            world.http01.set(token, token)
        }),
        ("another thumbprint", unauthorized, |world, token, _| {
            world.http01.set(token, &format!("{token}.INNER"));
        }),
        ("white space in front", unauthorized, |world, token, key| {
            world.http01.set(token, &format!(" {key}"));
        }),
        ("more than enough", unauthorized, |world, token, key| {
            world
                .http01
                .set(token, &format!("{key}{}", "x".repeat(1 << 20)));
        }),
        ("an error page", unauthorized, |world, token, key| {
            world
                .http01
                .set_raw(&path(token), response("500 INNER", "", key));
        }),
        ("a redirect to itself", connection, |world, token, _| {
            world.http01.set_raw(&path(token), redirect(&path(token)));
        }),
        ("a redirect to a file", connection, |world, token, _| {
            world
                .http01
                .set_raw(&path(token), redirect("file:///etc/passwd"));
        }),
        ("not HTTP", connection, |world, token, _| {
            world
                .http01
                .set_raw(&path(token), b"INNER\r\n\r\n".to_vec());
        }),
    ];
    for (number, (case, types, prepare)) in cases.into_iter().enumerate() {
        attempt
            .check_refused(case, "http-01", &format!("w{number}.test"), types, prepare)
            .await;
    }
}

/// Validators dial only what policy allows, also after a redirect.
#[tokio::test(flavor = "multi_thread")]
async fn inner_addresses_are_not_dialled() {
    let world =
        World::with(|settings| settings.validation = "deny = [\"127.0.0.99/32\"]\n".to_owned())
            .await;
    let mut attempt = Attempt::new(&world).await;
    let port = world.http01.port();
    let types = ["connection", "dns", "unauthorized", "rejectedIdentifier"];
    for (number, address) in [
        [10, 0, 0, 1],
        [192, 168, 1, 1],
        [169, 254, 169, 254],
        [0, 0, 0, 0],
        [127, 0, 0, 99],
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("inner{number}.test");
        world.dns.set_a(&name, &[Ipv4Addr::from(address)]);
        attempt
            .check_refused(&name, "http-01", &name, &types, |world, token, key| {
                world.http01.set(token, key)
            })
            .await;
        let outer = format!("outer{number}.test");
        let target = format!("http://{name}:{port}/x");
        attempt
            .check_refused(&outer, "http-01", &outer, &types, |world, token, _| {
                world.http01.set_raw(&path(token), redirect(&target));
            })
            .await;
    }
    attempt
        .check_refused(
            "a redirect to an address",
            "http-01",
            "literal.test",
            &types,
            |world, token, _| {
                world
                    .http01
                    .set_raw(&path(token), redirect("http://169.254.169.254/latest"));
            },
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_do_not_resolve_are_a_dns_problem() {
    let world = World::start().await;
    let mut attempt = Attempt::new(&world).await;
    world.dns.fail("broken.test", ResponseCode::ServFail);
    world.dns.fail("refused.test", ResponseCode::Refused);
    for name in ["broken.test", "refused.test", "missing.example"] {
        attempt
            .check_refused(name, "http-01", name, &["dns"], |_, _, _| {})
            .await;
    }
}
