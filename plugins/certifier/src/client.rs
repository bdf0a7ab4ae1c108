//! [`Client`]: calls of Certifier, whose answers say in words what a status can't.

use certdock_plugin_api::{ConfigNote, Fault, FaultClass, Host};
use certdock_plugin_http::{Answer, Client as Http, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::config::Config;

/// The code of the fault that tells `check` that a profile is not there.
pub(crate) const UNKNOWN_PROFILE: &str = "profile-unknown";

/// A client of one Certifier.
pub(crate) struct Client(Http);

impl Client {
    /// Reads files and secrets, and reaches nobody.
    ///
    /// # Errors
    /// What is wrong with the configuration, under the key it is about.
    pub(crate) fn new(config: &Config, host: &Host) -> Result<Self, ConfigNote> {
        let user = config.api_user.get(host);
        let user = user.map_err(|fault| ConfigNote::error("api_user", fault.public))?;
        let password = host.secret(&config.api_password);
        let password = password.map_err(|fault| ConfigNote::error("api_password", fault.public))?;
        let user_agent = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
        Http::builder(host, user_agent)
            .timeout(config.request_timeout.get())
            .basic(&user, &password)
            .ca_bundle("ca_bundle", config.ca_bundle.as_deref())?
            .client_certificate(
                ("client_certificate", config.client_certificate.as_deref()),
                ("client_key", config.client_key.as_deref()),
            )?
            .proxy("proxy", config.proxy.as_deref())?
            .build("api_host", &config.api_host)
            .map(Self)
    }

    pub(crate) fn get<T: DeserializeOwned>(
        &self,
        purpose: &str,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, Fault> {
        read(self.0.get(purpose, path, query)?)
    }

    pub(crate) fn post<T: DeserializeOwned>(
        &self,
        purpose: &str,
        path: &str,
        body: &Value,
    ) -> Result<T, Fault> {
        read(self.0.post(purpose, path, body)?)
    }
}

/// Reads an answer: its status first, then its body, and its words where nothing else tells.
fn read<T: DeserializeOwned>(mut answer: Answer<'_>) -> Result<T, Fault> {
    // Some versions may say no in the body alone. A request's own status is a word.
    let inner = answer.json.get("status").and_then(Value::as_u64);
    let inner = inner.and_then(|status| StatusCode::from_u16(status.try_into().ok()?).ok());
    if let Some(status) = inner
        && answer.status.is_success()
        && (status.is_client_error() || status.is_server_error())
    {
        answer.status = status;
    }
    if answer.status.is_success() {
        return answer.read();
    }
    let message = answer.json.get("message").and_then(Value::as_str);
    let message = message.unwrap_or("it does not say why");
    let (refusal, words) = (answer.refusal(message), message.to_lowercase());
    let final_one = matches!(refusal.class, FaultClass::Malformed | FaultClass::Denied);
    Err(if final_one && words.contains("profile") {
        let fault = Fault::misconfigured("the CA does not know the profile");
        answer.fault(fault.code(UNKNOWN_PROFILE))
    } else if final_one && words.contains("already revoked") {
        answer.fault(Fault::already_revoked())
    } else {
        refusal
    })
}
