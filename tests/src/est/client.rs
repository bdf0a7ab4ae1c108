//! [`EstClient`]: the operations of RFC 7030 over one connection at a time.

use std::sync::Arc;

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use rustls::{ClientConfig, SupportedProtocolVersion};

use super::authority::Credential;
use crate::http::{Answer, Connection};
use crate::tls::ClientTls;

/// How a client comes: what it trusts, shows, knows and speaks.
#[derive(Clone)]
pub struct Caller {
    pub roots: String,
    pub credential: Option<Credential>,
    pub password: Option<(String, String)>,
    /// One TLS version; any if it is not set.
    pub tls: Option<&'static SupportedProtocolVersion>,
}

impl Caller {
    /// Nobody in particular, who trusts these roots.
    pub fn new(roots: &str) -> Self {
        Self {
            roots: roots.to_owned(),
            credential: None,
            password: None,
            tls: None,
        }
    }

    #[must_use]
    pub fn showing(mut self, credential: &Credential) -> Self {
        self.credential = Some(credential.clone());
        self
    }

    #[must_use]
    pub fn knowing(mut self, user: &str, password: &str) -> Self {
        self.password = Some((user.to_owned(), password.to_owned()));
        self
    }

    #[must_use]
    pub fn over(mut self, version: &'static SupportedProtocolVersion) -> Self {
        self.tls = Some(version);
        self
    }

    pub fn client_config(&self) -> Arc<ClientConfig> {
        ClientTls {
            roots: &self.roots,
            credential: self
                .credential
                .as_ref()
                .map(|own| (own.certificate.as_str(), own.key.as_str())),
            version: self.tls,
        }
        .config()
    }

    /// The value of `Authorization`, if a password is known.
    pub fn authorization(&self) -> Option<String> {
        let (user, password) = self.password.as_ref()?;
        let both = STANDARD.encode(format!("{user}:{password}"));
        Some(format!("Basic {both}"))
    }
}

pub struct EstClient {
    /// `https://localhost:PORT/.well-known/est`, and `/LABEL` for any but the default.
    pub base: String,
    pub connection: Connection,
    tls: Arc<ClientConfig>,
    authorization: Option<String>,
}

impl EstClient {
    pub fn new(base: String, caller: &Caller) -> Self {
        let tls = caller.client_config();
        Self {
            base,
            connection: Connection::new(tls.clone()),
            tls,
            authorization: caller.authorization(),
        }
    }

    /// The next request goes over a new connection.
    pub fn reconnect(&mut self) {
        self.connection = Connection::new(self.tls.clone());
    }

    /// RFC 7030 §4.1
    pub async fn cacerts(&mut self) -> Result<Answer> {
        self.get("cacerts").await
    }

    /// RFC 7030 §4.2.1
    pub async fn enroll(&mut self, csr: &[u8]) -> Result<Answer> {
        self.post("simpleenroll", "application/pkcs10", base64(csr))
            .await
    }

    /// RFC 7030 §4.2.2
    pub async fn reenroll(&mut self, csr: &[u8]) -> Result<Answer> {
        self.post("simplereenroll", "application/pkcs10", base64(csr))
            .await
    }

    pub async fn get(&mut self, operation: &str) -> Result<Answer> {
        self.request(Method::GET, operation, &[], Vec::new()).await
    }

    pub async fn post(&mut self, operation: &str, kind: &str, body: Vec<u8>) -> Result<Answer> {
        let headers = [
            ("content-type", kind),
            ("content-transfer-encoding", "base64"),
        ];
        self.request(Method::POST, operation, &headers, body).await
    }

    /// Any request, with this client's password if it has one.
    pub async fn request(
        &mut self,
        method: Method,
        operation: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Answer> {
        let mut headers = headers.to_vec();
        if let Some(authorization) = &self.authorization {
            headers.push(("authorization", authorization));
        }
        let url = format!("{}/{operation}", self.base);
        self.connection.send(method, &url, &headers, body).await
    }
}

fn base64(der: &[u8]) -> Vec<u8> {
    STANDARD.encode(der).into_bytes()
}
