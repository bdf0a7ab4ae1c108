use std::io::Write as _;

use super::*;
use crate::validation::testing::Dns;

fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[tokio::test]
async fn both_kinds_of_address_ipv6_first() {
    let dns = Dns::start();
    dns.host("a.example", "192.0.2.1");
    dns.host("a.example", "2001:db8::1");
    dns.host("a.example", "192.0.2.2");
    let found = dns.resolver().addresses("a.example").await.unwrap();
    assert_eq!(found, addresses(&["2001:db8::1", "192.0.2.1", "192.0.2.2"]));
}

#[tokio::test]
async fn nothing_is_remembered() {
    let dns = Dns::start();
    let resolver = dns.resolver();
    assert_eq!(
        resolver.addresses("a.example").await,
        Err(LookupError::NoSuchName)
    );
    dns.host("a.example", "192.0.2.1");
    assert_eq!(
        resolver.addresses("a.example").await,
        Ok(addresses(&["192.0.2.1"]))
    );
    dns.clear();
    dns.host("a.example", "192.0.2.2");
    assert_eq!(
        resolver.addresses("a.example").await,
        Ok(addresses(&["192.0.2.2"]))
    );
}

#[tokio::test]
async fn this_machine_is_never_asked_for() {
    let dns = Dns::start();
    let here = addresses(&["::1", "127.0.0.1"]);
    for name in ["localhost", "a.localhost", "a.b.localhost"] {
        assert_eq!(
            dns.resolver().addresses(name).await.as_ref(),
            Ok(&here),
            "{name}"
        );
        assert_eq!(
            dns.resolver().texts(name).await,
            Err(LookupError::NoSuchName)
        );
    }
    assert!(dns.asked().is_empty());
    let other = dns.resolver().addresses("notlocalhost").await;
    assert_eq!(other, Err(LookupError::NoSuchName));
}

#[tokio::test]
async fn aliases_are_followed_so_far() {
    let dns = Dns::start();
    for hop in 0..7 {
        dns.cname(&format!("a{hop}.example"), &format!("a{}.example", hop + 1));
    }
    dns.host("a7.example", "192.0.2.1");
    let resolver = dns.resolver();
    assert_eq!(
        resolver.addresses("a0.example").await,
        Ok(addresses(&["192.0.2.1"]))
    );
    dns.cname("a.example", "a0.example");
    assert_eq!(
        resolver.addresses("a.example").await,
        Err(LookupError::TooManyAliases)
    );
}

#[tokio::test]
async fn circles_of_aliases_end() {
    let dns = Dns::start();
    dns.cname("a.example", "b.example");
    dns.cname("b.example", "a.example");
    dns.cname("self.example", "self.example");
    let resolver = dns.resolver();
    assert_eq!(
        resolver.addresses("a.example").await,
        Err(LookupError::TooManyAliases)
    );
    assert_eq!(
        resolver.texts("self.example").await,
        Err(LookupError::TooManyAliases)
    );
    assert!(dns.asked().len() <= 3 * MAX_QUERIES);
}

#[tokio::test]
async fn a_whole_chain_in_one_answer() {
    use hickory_proto::rr::Record;
    use hickory_proto::rr::rdata::{A, CNAME};

    let name = |text: &str| Name::from_ascii(text).unwrap();
    let mut answer = Message::response(1, OpCode::Query);
    // In any order, and with a record that is not of the chain.
    answer.add_answer(Record::from_rdata(
        name("x.example."),
        1,
        RData::A(A::new(10, 0, 0, 1)),
    ));
    answer.add_answer(Record::from_rdata(
        name("C.example."),
        1,
        RData::A(A::new(192, 0, 2, 1)),
    ));
    let alias = |target| RData::CNAME(CNAME(name(target)));
    answer.add_answer(Record::from_rdata(
        name("b.example."),
        1,
        alias("c.example."),
    ));
    answer.add_answer(Record::from_rdata(
        name("a.example."),
        1,
        alias("B.example."),
    ));
    let Ok(Step::Found(found)) = follow(&answer, name("A.example."), RecordType::A) else {
        panic!("not followed");
    };
    assert_eq!(found, vec![RData::A(A::new(192, 0, 2, 1))]);
}

#[tokio::test]
async fn large_answers_come_by_tcp() {
    let dns = Dns::start();
    dns.set_udp_limit(200);
    let strings = vec!["x".repeat(200); 20];
    dns.txt(
        "a.example",
        &strings.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    let found = dns.resolver().texts("a.example").await.unwrap();
    assert_eq!(found, vec!["x".repeat(4000).into_bytes()]);
}

#[tokio::test]
async fn a_server_without_edns_is_understood() {
    let dns = Dns::start();
    dns.forget_edns();
    dns.host("a.example", "192.0.2.1");
    let found = dns.resolver().addresses("a.example").await;
    assert_eq!(found, Ok(addresses(&["192.0.2.1"])));
}

/// RFC 5452 §9.1: what does not repeat id and question is not the answer.
#[tokio::test]
async fn forged_answers_are_dropped() {
    use hickory_proto::rr::Record;
    use hickory_proto::rr::rdata::A;

    fn forged(query: &Message) -> Message {
        let mut answer = Message::response(query.metadata.id, OpCode::Query);
        answer.add_query(query.queries[0].clone());
        let name = query.queries[0].name.clone();
        answer.add_answer(Record::from_rdata(name, 1, RData::A(A::new(10, 0, 0, 1))));
        answer
    }
    let dns = Dns::start();
    dns.host("a.example", "192.0.2.1");
    dns.stray(|query| {
        let mut answer = forged(query);
        answer.metadata.id = query.metadata.id.wrapping_add(1);
        answer.to_vec().unwrap()
    });
    dns.stray(|query| {
        let mut answer = forged(query);
        answer.queries[0].name = Name::from_ascii("b.example.").unwrap();
        answer.to_vec().unwrap()
    });
    dns.stray(|query| {
        let mut answer = forged(query);
        answer.queries.clear();
        answer.to_vec().unwrap()
    });
    dns.stray(|query| {
        let mut answer = forged(query);
        answer.metadata.message_type = MessageType::Query;
        answer.to_vec().unwrap()
    });
    dns.stray(|_| b"not a message".to_vec());
    dns.stray(|_| Vec::new());
    let found = dns.resolver().addresses("a.example").await;
    assert_eq!(found, Ok(addresses(&["192.0.2.1"])));
}

#[tokio::test]
async fn failures_are_told_apart() {
    let dns = Dns::start();
    dns.fail("broken.example");
    let resolver = dns.resolver();
    for (name, expect) in [
        ("missing.example", LookupError::NoSuchName),
        (
            "broken.example",
            LookupError::Refused(ResponseCode::ServFail),
        ),
    ] {
        assert_eq!(resolver.addresses(name).await, Err(expect));
        assert_eq!(resolver.texts(name).await, Err(expect));
    }
    let long = format!("_acme-challenge.{}", "abcdefgh.".repeat(27) + "abcdefghi");
    assert_eq!(resolver.texts(&long).await, Err(LookupError::NameTooLong));
    // Nobody there: the port answers with an ICMP error.
    let gone = std::net::UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    assert_eq!(
        Resolver::new(gone).texts("a.example").await,
        Err(LookupError::NoAnswer)
    );
}

#[tokio::test]
async fn the_next_server_is_asked_when_one_fails() {
    let (first, second) = (Dns::start(), Dns::start());
    first.fail("a.example");
    second.host("a.example", "192.0.2.1");
    let resolver = Resolver {
        servers: vec![first.address, second.address],
    };
    assert_eq!(
        resolver.addresses("a.example").await,
        Ok(addresses(&["192.0.2.1"]))
    );
}

#[test]
fn the_systems_resolvers() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let read = |file: &tempfile::NamedTempFile| Resolver::from_system(file.path()).unwrap().servers;
    assert_eq!(read(&file), vec!["127.0.0.1:53".parse().unwrap()]);
    file.write_all(b"# by hand\nnonsense\nnameserver 192.0.2.1\nnameserver 2001:db8::1\noptions edns0\nnameserver 192.0.2.3\nnameserver 192.0.2.4\n").unwrap();
    let expect: Vec<SocketAddr> = ["192.0.2.1:53", "[2001:db8::1]:53", "192.0.2.3:53"]
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
    assert_eq!(read(&file), expect);
    let missing = Resolver::from_system(Path::new("/nonexistent/resolv.conf")).unwrap();
    assert_eq!(missing.servers, vec!["127.0.0.1:53".parse().unwrap()]);
}
