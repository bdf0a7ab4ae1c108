//! [`Client`]: one API's calls.

use std::time::Duration;

use certdock_plugin_api::{Fault, Host};
use http::{Response, header};
use serde_json::Value;
use ureq::{Agent, Body};
use zeroize::Zeroizing;

use crate::answer::{Answer, Kind, no_answer};
use crate::builder::Builder;

/// Largest answer that is read, and how much of it is logged.
const LARGEST: u64 = 8 * 1024 * 1024;
const LOGGED: usize = 2048;

/// Longest query, in bytes: no server reads a longer one, and ureq panics at it.
const LONGEST_QUERY: usize = 8 * 1024;

/// A client of one API with one user's credentials.
///
/// It keeps connections open, follows no redirect (that could lead the password elsewhere), takes no
/// proxy from the environment, and logs each call at debug level without the password. May be used
/// from any thread; a call blocks its own.
pub struct Client {
    pub(crate) agent: Agent,
    /// `scheme://host:port`
    pub(crate) origin: String,
    pub(crate) authorization: Option<Zeroizing<String>>,
    /// What is struck out of everything that is logged or part of a fault.
    pub(crate) secrets: Vec<Zeroizing<String>>,
    pub(crate) host: Host,
}

impl Client {
    /// Begins a client. `user_agent` is what it calls itself (RFC 9110 §10.1.5).
    #[must_use]
    pub fn builder<'a>(host: &'a Host, user_agent: &'a str) -> Builder<'a> {
        Builder::new(host, user_agent)
    }

    /// Asks something. `purpose` says in logs and faults which call it is ("listing CAs"), `path`
    /// begins with a slash, `query` is encoded here.
    ///
    /// # Errors
    /// If no whole answer came: [`Upstream`](certdock_plugin_api::FaultClass::Upstream).
    pub fn get(
        &self,
        purpose: &str,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Answer<'_>, Fault> {
        if query.iter().map(|(_, value)| value.len()).sum::<usize>() > LONGEST_QUERY {
            return Err(Fault::malformed("what to ask the CA for is too long"));
        }
        let mut request = self.agent.get(format!("{}{path}", self.origin));
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, &**authorization);
        }
        let answer = request.query_pairs(query.iter().copied()).call();
        let sent = format!("GET {path} {query:?}");
        self.finish(Kind::Question, purpose, &sent, answer)
    }

    /// Orders something, with a body in JSON; otherwise as [`get`](Self::get).
    ///
    /// # Errors
    /// If no whole answer came: [`Upstream`](certdock_plugin_api::FaultClass::Upstream) if nothing was
    /// sent either, else [`UnknownOutcome`](certdock_plugin_api::FaultClass::UnknownOutcome).
    pub fn post(&self, purpose: &str, path: &str, body: &Value) -> Result<Answer<'_>, Fault> {
        let mut request = self.agent.post(format!("{}{path}", self.origin));
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, &**authorization);
        }
        let body = body.to_string();
        let answer = request.content_type("application/json").send(&body);
        let sent = format!("POST {path} {body}");
        self.finish(Kind::Order, purpose, &sent, answer)
    }

    fn finish(
        &self,
        kind: Kind,
        purpose: &str,
        sent: &str,
        answer: Result<Response<Body>, ureq::Error>,
    ) -> Result<Answer<'_>, Fault> {
        let answer = answer.and_then(|mut response| {
            let body = response.body_mut().with_config().limit(LARGEST);
            let body = body.read_to_vec()?;
            Ok((response, body))
        });
        let received = match &answer {
            Ok((head, body)) => format!("{} {}", head.status(), String::from_utf8_lossy(body)),
            Err(error) => error.to_string(),
        };
        let (sent, received) = (self.for_the_log(sent), self.for_the_log(&received));
        self.host
            .debug(purpose, &[("sent", &sent), ("received", &received)]);
        let said = format!("{purpose}: {received}");
        let (head, body) = answer.map_err(|error| no_answer(kind, &error).private(&said))?;
        let retry_after = head.headers().get(header::RETRY_AFTER);
        let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
        Ok(Answer {
            status: head.status(),
            json: serde_json::from_slice(&body).unwrap_or_default(),
            kind,
            retry_after: retry_after.map(Duration::from_secs),
            said,
            client: self,
        })
    }

    /// One line, not too long, in which secrets are struck out.
    pub(crate) fn for_the_log(&self, text: &str) -> String {
        let secrets = self.secrets.iter().filter(|secret| !secret.is_empty());
        let text = secrets.fold(text.replace('\n', " "), |text, secret| {
            text.replace(secret.as_str(), "***")
        });
        let end = text.floor_char_boundary(LOGGED);
        text.get(..end).unwrap_or_default().to_owned()
    }
}
