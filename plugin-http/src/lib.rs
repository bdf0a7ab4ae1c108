//! What a handler needs to talk to a CA that has a REST API: JSON over HTTP with a mature blocking
//! client ([ureq](https://docs.rs/ureq) on rustls), and the answer to what is hard about it: which
//! [`Fault`](certdock_plugin_api::Fault) a call that brought nothing must end with.
//!
//! A *question* ([`Client::get`]) changes nothing at the CA, so that it may be asked again. An *order*
//! ([`Client::post`]) does: if it was sent and not answered, the CA may have followed it, and the fault
//! is [`UnknownOutcome`](certdock_plugin_api::FaultClass::UnknownOutcome); if it was never sent, since
//! there was no connection, it is [`Upstream`](certdock_plugin_api::FaultClass::Upstream). The host
//! repeats the latter and never the former in silence.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use certdock_plugin_api::{ConfigNote, Fault, Host};
//! use certdock_plugin_http::Client;
//! use serde_json::json;
//!
//! fn client(host: &Host, api_host: &str) -> Result<Client, ConfigNote> {
//!     let user_agent = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
//!     Client::builder(host, user_agent)
//!         .timeout(Duration::from_secs(20))
//!         .basic(b"user", b"password")
//!         .build("api_host", api_host)
//! }
//!
//! fn request(client: &Client, csr: &str) -> Result<String, Fault> {
//!     let answer = client.post("requesting a certificate", "/v1/requests", &json!({ "csr": csr }))?;
//!     if answer.status.is_success() {
//!         return answer.read();
//!     }
//!     let words = answer.json.get("message").and_then(|message| message.as_str());
//!     Err(answer.refusal(words.unwrap_or("it does not say why")))
//! }
//! ```
#![forbid(unsafe_code)]

mod answer;
mod builder;
mod client;
mod connector;

pub use answer::{Answer, CREDENTIALS, NO_CONNECTION, NOT_WORKING};
pub use builder::Builder;
pub use client::Client;
pub use http::StatusCode;
