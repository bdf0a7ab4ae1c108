//! Audit rows: events of target `audit`, one for every act that changes who may have what. Each has
//! `act` and the ids of what it is about; none holds a secret or a whole certificate.

use std::net::IpAddr;

use certdock_plugin_api::{Fault, Requester, RevocationReason};

use crate::ids::{AccountId, CertificateId, EndpointName, HandlerName};
use crate::order::{Authorization, ChallengeType, Failure};
use crate::store::{Certificate, Enrollment};
use crate::time::UnixTime;

/// Who caused an act.
#[derive(Clone, Copy, Debug)]
pub enum By<'a> {
    /// A client, by the request of this id.
    Request(&'a str),
    /// A command.
    Operator,
}

impl By<'_> {
    fn as_str(&self) -> &'static str {
        match self {
            Self::Request(_) => "client",
            Self::Operator => "operator",
        }
    }

    fn request_id(&self) -> Option<&str> {
        match self {
            Self::Request(id) => Some(id),
            Self::Operator => None,
        }
    }
}

/// An event of target `audit`, with `act` first.
macro_rules! row {
    ($act:literal, $($fields:tt)*) => { row!(info: $act, $($fields)*) };
    ($level:ident: $act:literal, $($fields:tt)*) => {
        tracing::$level!(target: "audit", act = $act, $($fields)*)
    };
}

/// An operator put another file of a handler's plugin in service.
pub fn plugin_exchanged(handler: &HandlerName, generation: u64, sha256: &str) {
    row!("plugin-exchanged", %handler, generation, sha256, by = By::Operator.as_str());
}

pub fn account_created(
    account: AccountId,
    endpoint: &EndpointName,
    external_key: Option<&str>,
    request_id: &str,
) {
    row!("account-created", %account, %endpoint, external_key, request_id);
}

pub fn account_updated(account: AccountId, endpoint: &EndpointName, request_id: &str) {
    row!("account-updated", %account, %endpoint, request_id);
}

pub fn account_deactivated(account: AccountId, endpoint: &EndpointName, by: By<'_>) {
    let (who, request_id) = (by.as_str(), by.request_id());
    row!("account-deactivated", %account, %endpoint, by = who, request_id);
}

/// RFC 8555 §7.3.5
pub fn account_key_changed(account: AccountId, endpoint: &EndpointName, request_id: &str) {
    row!("account-key-changed", %account, %endpoint, request_id);
}

/// A challenge was checked, and its authorization is now valid or invalid.
pub fn authorization_settled(
    authorization: &Authorization,
    challenge: ChallengeType,
    result: Result<(), &Failure>,
    request_id: &str,
) {
    row!(
        "authorization-settled",
        authorization = %authorization.id,
        account = %authorization.account,
        endpoint = %authorization.endpoint,
        identifier = %authorization.identifier(),
        %challenge,
        outcome = if result.is_ok() { "valid" } else { "invalid" },
        reason = result.err().map(|failure| failure.detail.as_str()),
        request_id
    );
}

pub fn authorization_deactivated(authorization: &Authorization, request_id: &str) {
    row!(
        "authorization-deactivated",
        authorization = %authorization.id,
        account = %authorization.account,
        endpoint = %authorization.endpoint,
        identifier = %authorization.identifier(),
        request_id
    );
}

/// Policy refused a request before anything was stored.
pub fn enrollment_refused(
    endpoint: &EndpointName,
    handler: &HandlerName,
    reason: &str,
    request_id: &str,
) {
    row!("enrollment-refused", %endpoint, %handler, reason, request_id);
}

pub fn enrollment_failed(enrollment: &Enrollment, failure: &Failure) {
    row!(
        warn: "enrollment-failed",
        enrollment = %enrollment.id,
        handler = %enrollment.handler,
        endpoint = %enrollment.endpoint,
        reason = failure.detail,
        request_id = enrollment.request_id
    );
}

pub fn certificate_issued(enrollment: &Enrollment, certificate: CertificateId, serial: &[u8]) {
    row!(
        "certificate-issued",
        enrollment = %enrollment.id,
        %certificate,
        serial = hex(serial),
        handler = %enrollment.handler,
        endpoint = %enrollment.endpoint,
        requester = requester(&enrollment.requester),
        request_id = enrollment.request_id
    );
}

/// A handler returned a certificate that failed the server's checks; it is kept, not delivered.
pub fn certificate_withheld(
    enrollment: &Enrollment,
    certificate: Option<&Certificate>,
    reason: &dyn std::fmt::Display,
) {
    row!(
        error: "certificate-withheld",
        enrollment = %enrollment.id,
        certificate = certificate.map(|kept| tracing::field::display(kept.id)),
        serial = certificate.map(|kept| hex(&kept.serial)),
        handler = %enrollment.handler,
        endpoint = %enrollment.endpoint,
        %reason,
        request_id = enrollment.request_id
    );
}

/// A call was cut off, and nobody knows whether the CA issued: the order waits for an operator, or for
/// the CA to send the certificate.
pub fn enrollment_held(enrollment: &Enrollment, fault: &Fault) {
    row!(
        warn: "enrollment-held",
        enrollment = %enrollment.id,
        handler = %enrollment.handler,
        endpoint = %enrollment.endpoint,
        reason = %fault,
        request_id = enrollment.request_id
    );
}

/// Nobody knows whether the CA issued, and it is asked again, as configured.
pub fn enrollment_repeated(enrollment: &Enrollment, fault: &Fault) {
    row!(
        warn: "enrollment-repeated",
        enrollment = %enrollment.id,
        handler = %enrollment.handler,
        endpoint = %enrollment.endpoint,
        reason = %fault,
        request_id = enrollment.request_id
    );
}

pub fn enrollment_retried(enrollment: &Enrollment) {
    row!(
        "enrollment-retried",
        enrollment = %enrollment.id,
        handler = %enrollment.handler,
        endpoint = %enrollment.endpoint,
        by = By::Operator.as_str()
    );
}

pub fn enrollment_cancelled(enrollment: &Enrollment) {
    row!(
        "enrollment-cancelled",
        enrollment = %enrollment.id,
        handler = %enrollment.handler,
        endpoint = %enrollment.endpoint,
        by = By::Operator.as_str()
    );
}

/// What a CA that keeps nothing has issued was dropped, since the enrollment could not be written down:
/// nobody has seen it.
pub fn certificate_dropped(enrollment: &Enrollment, serial: &[u8]) {
    row!(
        warn: "certificate-dropped",
        enrollment = %enrollment.id,
        serial = hex(serial),
        handler = %enrollment.handler,
        endpoint = %enrollment.endpoint,
        request_id = enrollment.request_id
    );
}

/// The CA issued a certificate too many for an enrollment: it is kept, and revoked.
pub fn certificate_surplus(
    enrollment: &Enrollment,
    surplus: &Certificate,
    delivered: Option<&Certificate>,
) {
    row!(
        warn: "certificate-surplus",
        enrollment = %enrollment.id,
        certificate = %surplus.id,
        serial = hex(&surplus.serial),
        delivered = delivered.map(|delivered| tracing::field::display(delivered.id)),
        delivered_serial = delivered.map(|delivered| hex(&delivered.serial)),
        handler = %enrollment.handler,
        endpoint = %enrollment.endpoint,
        request_id = enrollment.request_id
    );
}

/// A revocation that the CA could not do at once.
pub fn revocation_accepted(certificate: &Certificate, reason: RevocationReason, request_id: &str) {
    row!(
        "revocation-accepted",
        certificate = %certificate.id,
        serial = hex(&certificate.serial),
        handler = %certificate.handler,
        endpoint = %certificate.endpoint,
        reason = reason.code(),
        request_id
    );
}

/// The CA refused a revocation that had been accepted.
pub fn revocation_refused(certificate: &Certificate, fault: &Fault) {
    row!(
        error: "revocation-refused",
        certificate = %certificate.id,
        serial = hex(&certificate.serial),
        handler = %certificate.handler,
        endpoint = %certificate.endpoint,
        reason = %fault
    );
}

pub fn certificate_revoked(certificate: &Certificate, reason: RevocationReason, request_id: &str) {
    row!(
        "certificate-revoked",
        certificate = %certificate.id,
        serial = hex(&certificate.serial),
        handler = %certificate.handler,
        endpoint = %certificate.endpoint,
        reason = reason.code(),
        request_id
    );
}

pub fn external_key_added(endpoint: &EndpointName, key: &str) {
    row!("external-key-added", %endpoint, key, by = By::Operator.as_str());
}

pub fn external_key_revoked(endpoint: &EndpointName, key: &str) {
    row!("external-key-revoked", %endpoint, key, by = By::Operator.as_str());
}

pub fn est_user_added(user: &str, once: bool, expires: Option<UnixTime>) {
    let expires = expires.map(tracing::field::display);
    row!(
        "est-user-added",
        user,
        once,
        expires,
        by = By::Operator.as_str()
    );
}

pub fn est_user_removed(user: &str) {
    row!("est-user-removed", user, by = By::Operator.as_str());
}

/// A client of EST was not let in.
pub fn est_login_refused(
    label: &EndpointName,
    user: Option<&str>,
    address: Option<IpAddr>,
    reason: &str,
    request_id: Option<&str>,
) {
    let address = address.map(tracing::field::display);
    row!("est-login-refused", %label, user, address, reason, request_id);
}

/// The account, the user, or what else stands for who asked.
#[must_use]
pub fn requester(requester: &Requester) -> String {
    match requester {
        Requester::AcmeAccount { account, .. } => format!("account {account}"),
        Requester::EstUser { name } => format!("user {name}"),
        Requester::ClientCertificate { .. } => "client certificate".to_owned(),
        Requester::Host => "this server".to_owned(),
        _ => "unknown".to_owned(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
