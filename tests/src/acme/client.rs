//! Directory, nonces and signed requests.

use std::sync::Arc;

use anyhow::{Context, Result};
use http::Method;
use rustls::ClientConfig;
use serde_json::{Value, json};

use super::jws::AccountKey;
use crate::http::{Answer, Connection};

/// RFC 8555 §7.1.1
#[derive(Debug, Clone)]
pub struct Directory {
    pub json: Value,
}

impl Directory {
    pub fn url(&self, name: &str) -> &str {
        self.json[name]
            .as_str()
            .unwrap_or_else(|| panic!("the directory has no {name}"))
    }
}

/// A registered account: what signs, and how the server calls it.
pub struct Account {
    pub key: AccountKey,
    pub kid: String,
}

pub struct Client {
    pub connection: Connection,
    pub directory: Directory,
    nonces: Vec<String>,
}

impl Client {
    pub async fn new(directory: &str, tls: Arc<ClientConfig>) -> Result<Self> {
        let mut connection = Connection::new(tls);
        let answer = connection
            .send(Method::GET, directory, &[], Vec::new())
            .await?
            .expect(200)?;
        let directory = Directory {
            json: answer.json(),
        };
        Ok(Self {
            connection,
            directory,
            nonces: Vec::new(),
        })
    }

    /// A nonce from an earlier answer, or a new one (RFC 8555 §7.2).
    pub async fn nonce(&mut self) -> Result<String> {
        if let Some(nonce) = self.nonces.pop() {
            return Ok(nonce);
        }
        let url = self.directory.url("newNonce").to_owned();
        self.plain(Method::HEAD, &url).await?;
        self.nonces.pop().context("newNonce gave no nonce")
    }

    /// Forgets every nonce at hand.
    pub fn forget_nonces(&mut self) {
        self.nonces.clear();
    }

    /// A request without a body.
    pub async fn plain(&mut self, method: Method, url: &str) -> Result<Answer> {
        let answer = self.connection.send(method, url, &[], Vec::new()).await?;
        self.keep_nonce(&answer);
        Ok(answer)
    }

    /// Any bytes as a request.
    pub async fn post_bytes(&mut self, url: &str, kind: &str, body: Vec<u8>) -> Result<Answer> {
        let headers = [("content-type", kind)];
        let answer = self
            .connection
            .send(Method::POST, url, &headers, body)
            .await?;
        self.keep_nonce(&answer);
        Ok(answer)
    }

    /// Any JSON as a signed request, right or wrong.
    pub async fn post_jws(&mut self, url: &str, jws: &Value) -> Result<Answer> {
        self.post_bytes(url, "application/jose+json", jws.to_string().into_bytes())
            .await
    }

    /// Signed with `jwk`, as newAccount and some revocations are.
    pub async fn post_with_jwk(
        &mut self,
        key: &AccountKey,
        url: &str,
        payload: &Value,
    ) -> Result<Answer> {
        let nonce = self.nonce().await?;
        let protected = json!({ "alg": key.alg(), "jwk": key.jwk(), "nonce": nonce, "url": url });
        self.post_jws(
            url,
            &key.flattened(&protected, payload.to_string().as_bytes()),
        )
        .await
    }

    pub async fn post(&mut self, account: &Account, url: &str, payload: &Value) -> Result<Answer> {
        self.post_payload(account, url, payload.to_string().as_bytes())
            .await
    }

    /// RFC 8555 §6.3
    pub async fn post_as_get(&mut self, account: &Account, url: &str) -> Result<Answer> {
        self.post_payload(account, url, b"").await
    }

    async fn post_payload(
        &mut self,
        account: &Account,
        url: &str,
        payload: &[u8],
    ) -> Result<Answer> {
        let nonce = self.nonce().await?;
        let protected = self.protected(account, &nonce, url);
        self.post_jws(url, &account.key.flattened(&protected, payload))
            .await
    }

    /// The protected header of a request in an account's name.
    pub fn protected(&self, account: &Account, nonce: &str, url: &str) -> Value {
        json!({ "alg": account.key.alg(), "kid": account.kid, "nonce": nonce, "url": url })
    }

    /// RFC 8555 §7.3
    pub async fn new_account(&mut self, key: AccountKey) -> Result<Account> {
        let url = self.directory.url("newAccount").to_owned();
        let payload = json!({ "termsOfServiceAgreed": true });
        let answer = self
            .post_with_jwk(&key, &url, &payload)
            .await?
            .expect(201)?;
        let kid = answer
            .header("location")
            .context("an account without a URL")?
            .to_owned();
        Ok(Account { key, kid })
    }

    fn keep_nonce(&mut self, answer: &Answer) {
        self.nonces
            .extend(answer.header("replay-nonce").map(str::to_owned));
    }
}
