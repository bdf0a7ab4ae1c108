//! A complete order, step by step or at once.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use serde_json::{Value, json};

use crate::acme::{Account, Answer, Client, b64};
use crate::challenge::Http01;

/// How long an authorization or an order may take to come to an end.
const LIMIT: Duration = Duration::from_secs(60);

/// What a complete order leaves.
pub struct Issued {
    pub order: String,
    pub certificate: String,
    pub chain: String,
    pub key: KeyPair,
}

/// A CSR (DER) for these names in the SAN.
pub fn csr(key: &KeyPair, names: &[&str]) -> Vec<u8> {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.serialize_request(key).unwrap().der().to_vec()
}

/// A CSR (DER) for one name, in the CN alone.
pub fn csr_with_cn(key: &KeyPair, name: &str) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serialize_request(key).unwrap().der().to_vec()
}

pub fn identifiers(names: &[&str]) -> Value {
    names
        .iter()
        .map(|name| json!({ "type": "dns", "value": name }))
        .collect()
}

pub async fn new_order(client: &mut Client, account: &Account, names: &[&str]) -> Result<Answer> {
    let url = client.directory.url("newOrder").to_owned();
    client
        .post(account, &url, &json!({ "identifiers": identifiers(names) }))
        .await
}

/// A challenge of a kind from an authorization.
pub fn challenge<'a>(authorization: &'a Value, kind: &str) -> Result<&'a Value> {
    let list = authorization["challenges"]
        .as_array()
        .context("an authorization without challenges")?;
    let found = list.iter().find(|challenge| challenge["type"] == kind);
    found.with_context(|| format!("no {kind} in {authorization}"))
}

/// Reads a resource until its status is none of these; the answer then.
pub async fn poll(
    client: &mut Client,
    account: &Account,
    url: &str,
    while_in: &[&str],
) -> Result<Answer> {
    let end = Instant::now() + LIMIT;
    let mut pause = Duration::from_millis(2);
    loop {
        let answer = client.post_as_get(account, url).await?.expect(200)?;
        let json = answer.json();
        let status = json["status"].as_str().unwrap_or_default();
        if !while_in.contains(&status) {
            return Ok(answer);
        }
        if Instant::now() > end {
            bail!("{url} is still {status} after {} s", LIMIT.as_secs());
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(250));
    }
}

/// Fulfils the http-01 challenge of one authorization and waits for its end.
pub async fn authorize_http01(
    client: &mut Client,
    account: &Account,
    url: &str,
    responder: &Http01,
) -> Result<()> {
    let authorization = client.post_as_get(account, url).await?.expect(200)?.json();
    if authorization["status"] != "pending" {
        return Ok(());
    }
    let challenge = challenge(&authorization, "http-01")?;
    let token = challenge["token"]
        .as_str()
        .context("a challenge without a token")?;
    responder.set(token, &format!("{token}.{}", account.key.thumbprint()));
    let challenge_url = challenge["url"]
        .as_str()
        .context("a challenge without a URL")?;
    let answer = client
        .post(account, challenge_url, &json!({}))
        .await?
        .expect(200)?
        .json();
    if answer["status"] != "valid" {
        let end = poll(client, account, url, &["pending", "processing"])
            .await?
            .json();
        if end["status"] != "valid" {
            bail!("the authorization became {end}");
        }
    }
    responder.remove(token);
    Ok(())
}

/// Sends the CSR and waits for the certificate's URL.
pub async fn finalize(
    client: &mut Client,
    account: &Account,
    order_url: &str,
    order: &Value,
    csr: &[u8],
) -> Result<String> {
    let url = order["finalize"]
        .as_str()
        .context("an order without finalize")?;
    let answer = client
        .post(account, url, &json!({ "csr": b64(csr) }))
        .await?
        .expect(200)?;
    let mut order = answer.json();
    if order["status"] != "valid" {
        order = poll(client, account, order_url, &["processing", "ready"])
            .await?
            .json();
    }
    let url = order["certificate"].as_str();
    url.map(str::to_owned)
        .with_context(|| format!("no certificate in {order}"))
}

/// One complete order by http-01.
pub async fn issue(
    client: &mut Client,
    account: &Account,
    names: &[&str],
    responder: &Http01,
) -> Result<Issued> {
    let key = KeyPair::generate()?;
    let csr = csr(&key, names);
    let (order, certificate, chain) =
        issue_with_csr(client, account, names, &csr, responder).await?;
    Ok(Issued {
        order,
        certificate,
        chain,
        key,
    })
}

/// URL of the order, URL of the certificate, and the certificate with its chain.
pub async fn issue_with_csr(
    client: &mut Client,
    account: &Account,
    names: &[&str],
    csr: &[u8],
    responder: &Http01,
) -> Result<(String, String, String)> {
    let answer = new_order(client, account, names).await?.expect(201)?;
    let order_url = answer
        .header("location")
        .context("an order without a URL")?
        .to_owned();
    let order = answer.json();
    for authorization in order["authorizations"].as_array().into_iter().flatten() {
        let url = authorization.as_str().context("an authorization's URL")?;
        authorize_http01(client, account, url, responder).await?;
    }
    let certificate = finalize(client, account, &order_url, &order, csr).await?;
    let chain = client
        .post_as_get(account, &certificate)
        .await?
        .expect(200)?
        .text();
    Ok((order_url, certificate, chain))
}
