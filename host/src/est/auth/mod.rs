//! Who asks, and what they may have: TLS client certificates, HTTP Basic, the policy of names.
//!
//! [`authenticate`] says who: `trust` validates the certificate shown against its `anchors`, `users`
//! checks the password under the `limits`. [`authorise`] says what: `renewal` ties the CSR to the
//! certificate shown, and `names` looks at each name. [`check_binding`] ties the CSR to the connection.

mod anchors;
mod basic;
mod binding;
mod client;
mod limits;
mod names;
mod renewal;
mod shown;
mod trust;
mod untrusted;
mod users;

use std::net::IpAddr;

use http::request::Parts;

pub use client::Client;
pub use trust::Trust;
pub use users::Users;

use crate::config::ClientAuth;
use crate::est::status::Refusal;
use crate::est::{Label, Operation};
use crate::observe::{audit, metrics};
use crate::request_id::RequestId;
use crate::server::Peer;
use crate::time::UnixTime;
use crate::x509::{CertName, Csr};

/// A login that failed: what the client is told, and one word for metrics and the audit log.
pub(crate) struct Denied {
    pub(crate) reason: &'static str,
    pub(crate) refusal: Box<Refusal>,
}

impl Denied {
    fn new(reason: &'static str, refusal: Refusal) -> Self {
        Self {
            reason,
            refusal: Box::new(refusal),
        }
    }
}

impl From<crate::store::Error> for Denied {
    fn from(error: crate::store::Error) -> Self {
        Self::new("store", error.into())
    }
}

/// Says who sent the request with this head (RFC 7030 §3.2.3, §3.3.2). A certificate that is shown and
/// not good is refused, whatever else the client brings.
///
/// # Errors
/// 401 where a user and a password would help, 429 after too many wrong ones, else 403.
pub async fn authenticate(label: &Label, parts: &Parts) -> Result<Client, Refusal> {
    let peer = parts.extensions.get::<Peer>();
    let address = peer.and_then(|peer| peer.address).map(|peer| peer.ip());
    let found = client(label, parts, peer, address).await;
    found.map_err(|Denied { reason, refusal }| {
        let id = parts.extensions.get::<RequestId>();
        let user = basic::credentials(&parts.headers).ok().flatten();
        let user = user.as_ref().map(|credentials| credentials.name.as_str());
        metrics::est_login_refused(reason);
        audit::est_login_refused(
            &label.name,
            user,
            address,
            reason,
            id.map(RequestId::as_str),
        );
        *refusal
    })
}

async fn client(
    label: &Label,
    parts: &Parts,
    peer: Option<&Peer>,
    address: Option<IpAddr>,
) -> Result<Client, Denied> {
    let auth = label.config.auth;
    let session = peer.and_then(|peer| peer.session.as_deref());
    let mut client = Client {
        exporter: session.and_then(|session| session.exporter),
        ..Client::default()
    };
    let chain = session.map_or(&[][..], |session| &session.certificates);
    if auth.uses_certificates() && !chain.is_empty() {
        let good = label.trust.check(label, chain, UnixTime::now()).await?;
        client.certificate = Some(good.der);
        client.issuer = good.issuer;
    }
    if client.certificate.is_none() && matches!(auth, ClientAuth::Certificate | ClientAuth::Both) {
        return Err(Denied::new(
            "no-certificate",
            Refusal::forbidden("this label needs a TLS client certificate, and none was shown"),
        ));
    }
    if auth.uses_passwords()
        && let Some(credentials) = basic::credentials(&parts.headers)?
    {
        let user = label.users.check(label, &credentials, address).await?;
        client.used_by = user.used_by;
        client.names = user.names;
        client.user = Some(user.name);
    }
    if client.user.is_none() && (auth == ClientAuth::Both || client.certificate.is_none()) {
        let refusal = Refusal::unauthenticated(match auth {
            ClientAuth::Either => "show a TLS client certificate, or give a user and its password",
            _ => "give a user and its password",
        });
        return Err(Denied::new("no-password", refusal));
    }
    Ok(client)
}

/// Whether the CSR names the connection that it comes over, where it must (RFC 7030 §3.5).
///
/// # Errors
/// 403
pub fn check_binding(label: &Label, client: &Client, csr: &Csr) -> Result<(), Refusal> {
    binding::check(label.config.channel_binding, client, csr)
}

/// The names that the client is granted of those that the CSR asks for: all of them, or a refusal
/// that says which is not granted and why.
///
/// # Errors
/// 400 or 403.
pub async fn authorise(
    label: &Label,
    client: &Client,
    csr: &Csr,
    operation: Operation,
) -> Result<Vec<CertName>, Refusal> {
    let current = match &client.certificate {
        Some(der) => Some(shown::read(der)?),
        None => None,
    };
    let config = &label.config;
    if operation != Operation::SimpleReenroll {
        return names::granted(config, client, current.as_ref(), csr.names());
    }
    match renewal::check(config, client, current.as_ref(), csr, UnixTime::now())? {
        renewal::Names::Kept => names::kept(config, csr.names()),
        renewal::Names::Changed => {
            let renamed = csr.clone().renamed();
            let renamed = renamed.map_err(|error| Refusal::malformed(error.to_string()))?;
            names::granted(config, client, current.as_ref(), renamed.names())
        }
    }
}
