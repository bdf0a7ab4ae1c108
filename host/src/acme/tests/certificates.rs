//! RFC 8555 §7.4.2

use super::ca::Does;
use super::{House, csr, text};

#[tokio::test]
async fn a_chain_is_strict_pem_with_the_certificate_first() {
    let house = House::new().await;
    let client = house.server.registered().await;
    let (order, _) = client.certified(&["a.example"]).await;
    let answer = client.fetch(text(&order["certificate"])).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type"),
        Some("application/pem-certificate-chain")
    );
    assert!(answer.links("alternate").is_empty());
    assert_eq!(answer.links("index").len(), 1);

    let body = std::str::from_utf8(&answer.body).unwrap();
    assert!(body.starts_with("-----BEGIN CERTIFICATE-----\n"));
    assert!(body.ends_with("-----END CERTIFICATE-----\n"));
    assert!(!body.contains('\r') && !body.contains("\n\n"));
    assert!(body.lines().all(|line| line.len() <= 64));
    let stored = house.store.certificates(None, 2).await.unwrap().remove(0);
    let chain: Vec<_> = pem::parse_many(body)
        .unwrap()
        .into_iter()
        .map(pem::Pem::into_contents)
        .collect();
    assert_eq!(chain, [vec![stored.der], stored.issuers].concat());
    assert_eq!(chain.len(), 2);
}

#[tokio::test]
async fn alternate_chains_are_linked_from_each_other() {
    let house = House::new().await;
    house.ca.now_does(Does::IssueWithAlternate);
    let client = house.server.registered().await;
    let (order, _) = client.certified(&["a.example"]).await;
    let url = text(&order["certificate"]);
    let default = client.fetch(url).await;
    let [alternate] = default.links("alternate").try_into().unwrap();
    let other = client.fetch(&alternate).await;
    assert_eq!(other.status, 200);
    assert_eq!(other.links("alternate"), [url]);

    let parse = |body: &[u8]| pem::parse_many(body).unwrap();
    let (one, two) = (parse(&default.body), parse(&other.body));
    assert_eq!(one[0], two[0]);
    assert_ne!(one[1], two[1]);
    assert_eq!((one.len(), two.len()), (2, 3));
    for n in ["1", "-1", "x", "0x0", "99999999999999999999999"] {
        client
            .fetch(&format!("{url}/{n}"))
            .await
            .expect_problem(404, "malformed");
    }
}

#[tokio::test]
async fn a_withheld_certificate_is_not_delivered() {
    let house = House::new().await;
    house.ca.now_does(Does::IssueWrongly);
    let client = house.server.registered().await;
    let (_, order) = client.ready(&["a.example"]).await;
    client
        .finalize(&order, &csr(&["a.example"]).0)
        .await
        .expect(200);
    let kept = house.store.certificates(None, 2).await.unwrap().remove(0);
    assert!(kept.withheld);
    let url = client.acme.urls.certificate(kept.id);
    client.fetch(&url).await.expect_problem(404, "malformed");
}
