//! [`Client`]: who asks, once authenticated.

use aws_lc_rs::digest::{SHA256, digest};
use certdock_plugin_api::Requester;

use crate::est::status::Refusal;
use crate::ids::{EnrollmentId, HandlerName};
use crate::x509::NamePattern;

/// An authenticated client: by a password, by a certificate, or by both.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// The EST user whose password was right.
    pub user: Option<String>,
    /// The certificate shown in the TLS handshake, DER; validated.
    pub certificate: Option<Vec<u8>>,
    /// The handler of ours that issued the certificate, if one did.
    pub(in crate::est) issuer: Option<HandlerName>,
    /// Names that the user may ask for.
    pub(in crate::est) names: Vec<NamePattern>,
    /// The enrollment that the user's one-time password began already.
    pub(in crate::est) used_by: Option<EnrollmentId>,
    /// The connection's channel binding.
    pub(in crate::est) exporter: Option<[u8; 32]>,
}

impl Client {
    /// The same for the same client over any connection, and another for every other client.
    #[must_use]
    pub fn identity(&self) -> String {
        let user = self.user.as_deref().unwrap_or_default();
        let certificate = self.certificate.as_deref().map(|der| {
            let bytes = digest(&SHA256, der);
            let hex = bytes.as_ref().iter().map(|byte| format!("{byte:02x}"));
            hex.collect::<String>()
        });
        format!("{}\n{user}", certificate.unwrap_or_default())
    }

    /// What the journal and the handler are told. Who gave a password is known by name.
    #[must_use]
    pub fn requester(&self) -> Requester {
        match (&self.user, &self.certificate) {
            (Some(name), _) => Requester::EstUser { name: name.clone() },
            (None, Some(certificate)) => Requester::ClientCertificate {
                certificate: certificate.clone(),
            },
            (None, None) => Requester::Host,
        }
    }

    /// Whether this client may begin an enrollment: with a one-time password that began one it may
    /// only ask after that one, or begin another in its place.
    ///
    /// # Errors
    /// 401
    pub fn may_begin(&self, replaces: Option<EnrollmentId>) -> Result<(), Refusal> {
        if self.used_by.is_none() || self.used_by == replaces {
            return Ok(());
        }
        Err(Refusal::unauthenticated(
            "this one-time password has been used; ask for a new one",
        ))
    }
}
