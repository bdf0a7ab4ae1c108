//! The server's own certificate, from files or from one of our own handlers.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use certdock_plugin_api::{Protocol, Requester};

use crate::config::{Server, Tls};
use crate::ids::{EndpointName, HandlerName};
use crate::issuance::{CertificateRequest, Issuance};
use crate::request_id::RequestId;
use crate::server::{CurrentCertificate, OwnCertificate, Shutdown, keep_issued, keep_loaded, load};

/// Sees to it that there is a certificate, now and after it has expired.
///
/// # Errors
/// The configured files can't be used. A handler that does not issue yet is no error: it is asked
/// again, and readiness says what is missing.
pub(super) fn keep_certificate(
    server: &Server,
    data: &Path,
    issuance: &Arc<Issuance>,
    shutdown: &Shutdown,
) -> anyhow::Result<Arc<CurrentCertificate>> {
    let current = CurrentCertificate::new();
    match &server.tls {
        Tls::Files { certificate, key } => {
            current.install(load(certificate, key)?);
            shutdown.spawn(keep_loaded(
                certificate.clone(),
                key.clone(),
                Arc::clone(&current),
                shutdown.clone(),
            ));
        }
        Tls::Handler(handler) => {
            let own = OwnCertificate {
                file: data.join("tls.pem"),
                names: names(server)?,
            };
            let endpoint: EndpointName = "server".parse()?;
            let (handler, issuance) = (handler.clone(), Arc::clone(issuance));
            let enroll = move |csr, names| {
                let (handler, endpoint) = (handler.clone(), endpoint.clone());
                issue(Arc::clone(&issuance), handler, endpoint, csr, names)
            };
            shutdown.spawn(keep_issued(
                own,
                enroll,
                Arc::clone(&current),
                shutdown.clone(),
            ));
        }
    }
    Ok(current)
}

/// The name that clients reach the server by.
fn names(server: &Server) -> anyhow::Result<Vec<String>> {
    let url: http::Uri = server.base_url.parse().context("base_url is not a URL")?;
    let host = url.host().context("base_url has no host")?;
    Ok(vec![host.to_owned()])
}

async fn issue(
    issuance: Arc<Issuance>,
    handler: HandlerName,
    endpoint: EndpointName,
    csr: Vec<u8>,
    names: Vec<String>,
) -> anyhow::Result<Vec<Vec<u8>>> {
    let identifiers = names
        .iter()
        .map(|name| name.parse())
        .collect::<Result<_, _>>()
        .context("the host of base_url is no DNS name; use certificate and key instead")?;
    let certificate = issuance
        .obtain(CertificateRequest {
            order: None,
            repeatable: None,
            handler,
            profile: None,
            protocol: Protocol::Internal,
            endpoint,
            requester: Requester::Host,
            csr,
            checked: None,
            identifiers,
            not_before: None,
            not_after: None,
            request_id: RequestId::random().as_str().to_owned(),
        })
        .await?;
    Ok(std::iter::once(certificate.der)
        .chain(certificate.issuers)
        .collect())
}
