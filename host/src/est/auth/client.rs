//! [`Client`]: who asks, once authenticated.

use aws_lc_rs::digest::{SHA256, digest};
use certdock_plugin_api::Requester;

/// An authenticated client: by a password, by a certificate, or by both.
#[derive(Clone, Debug)]
pub struct Client {
    /// The EST user whose password was right.
    pub user: Option<String>,
    /// The certificate shown in the TLS handshake, DER; validated.
    pub certificate: Option<Vec<u8>>,
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
}
