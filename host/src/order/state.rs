//! [`Order`] and its status (RFC 8555 §7.1.3, §7.1.6).

use crate::ids::{AccountId, AuthorizationId, CertificateId, EndpointName, EnrollmentId, OrderId};
use crate::order::{Authorization, AuthorizationStatus, Failure, Identifier};
use crate::time::UnixTime;

/// A client's request for a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    pub id: OrderId,
    pub account: AccountId,
    pub endpoint: EndpointName,
    pub identifiers: Vec<Identifier>,
    pub not_before: Option<UnixTime>,
    pub not_after: Option<UnixTime>,
    pub created: UnixTime,
    pub expires: UnixTime,
    /// In the order of `identifiers`.
    pub authorizations: Vec<AuthorizationId>,
    pub progress: Progress,
}

/// What is stored of an order's status. Whether an open order is pending, ready or dead follows from
/// its authorizations and the time, so that no second copy can disagree with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    Open,
    Processing {
        enrollment: EnrollmentId,
    },
    Valid {
        enrollment: EnrollmentId,
        certificate: CertificateId,
    },
    Invalid {
        enrollment: Option<EnrollmentId>,
        failure: Failure,
    },
}

/// RFC 8555 §7.1.6
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderStatus {
    Pending,
    Ready,
    Processing,
    Valid,
    Invalid,
}

impl OrderStatus {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Processing => "processing",
            Self::Valid => "valid",
            Self::Invalid => "invalid",
        }
    }
}

impl Order {
    /// The status to show and to decide by.
    ///
    /// RFC 8555 §7.1.6: pending until every authorization is valid; invalid once one of them is
    /// anything but pending or valid, or once the order itself has expired.
    #[must_use]
    pub fn status(&self, authorizations: &[Authorization], now: UnixTime) -> OrderStatus {
        match self.progress {
            Progress::Processing { .. } => OrderStatus::Processing,
            Progress::Valid { .. } => OrderStatus::Valid,
            Progress::Invalid { .. } => OrderStatus::Invalid,
            Progress::Open if now >= self.expires => OrderStatus::Invalid,
            // An authorization that can't be found authorizes nothing.
            Progress::Open if authorizations.len() != self.authorizations.len() => {
                OrderStatus::Invalid
            }
            Progress::Open => {
                let mut status = OrderStatus::Ready;
                for authorization in authorizations {
                    match authorization.status(now) {
                        AuthorizationStatus::Valid => {}
                        AuthorizationStatus::Pending => status = OrderStatus::Pending,
                        AuthorizationStatus::Invalid
                        | AuthorizationStatus::Deactivated
                        | AuthorizationStatus::Expired
                        | AuthorizationStatus::Revoked => return OrderStatus::Invalid,
                    }
                }
                status
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::AuthorizationState as S;

    const NOW: UnixTime = UnixTime::from_secs(1_000);

    fn authorization(state: S, expires: i64) -> Authorization {
        Authorization {
            id: AuthorizationId::from_bytes([1; 16]),
            account: AccountId::from_bytes([2; 16]),
            endpoint: "default".parse().unwrap(),
            name: "a.example".parse().unwrap(),
            wildcard: false,
            created: UnixTime::from_secs(0),
            expires: UnixTime::from_secs(expires),
            state,
            challenges: Vec::new(),
        }
    }

    fn check(progress: Progress, expires: i64, authorizations: &[(S, i64)], expect: OrderStatus) {
        let authorizations: Vec<_> = authorizations
            .iter()
            .map(|&(state, at)| authorization(state, at))
            .collect();
        let order = Order {
            id: OrderId::from_bytes([3; 16]),
            account: AccountId::from_bytes([2; 16]),
            endpoint: "default".parse().unwrap(),
            identifiers: Vec::new(),
            not_before: None,
            not_after: None,
            created: UnixTime::from_secs(0),
            expires: UnixTime::from_secs(expires),
            authorizations: authorizations.iter().map(|a| a.id).collect(),
            progress,
        };
        assert_eq!(order.status(&authorizations, NOW), expect);
    }

    #[test]
    fn status_follows_from_authorizations_and_time() {
        use OrderStatus::{Invalid, Pending, Processing, Ready, Valid};
        let enrollment = EnrollmentId::from_bytes([4; 16]);
        let certificate = CertificateId::from_bytes([5; 16]);

        check(Progress::Open, 2_000, &[(S::Pending, 2_000)], Pending);
        check(
            Progress::Open,
            2_000,
            &[(S::Valid, 2_000), (S::Pending, 2_000)],
            Pending,
        );
        check(
            Progress::Open,
            2_000,
            &[(S::Valid, 2_000), (S::Valid, 2_000)],
            Ready,
        );
        check(
            Progress::Open,
            2_000,
            &[(S::Pending, 2_000), (S::Invalid, 2_000)],
            Invalid,
        );
        check(
            Progress::Open,
            2_000,
            &[(S::Valid, 2_000), (S::Deactivated, 2_000)],
            Invalid,
        );
        check(Progress::Open, 2_000, &[(S::Revoked, 2_000)], Invalid);
        check(Progress::Open, 2_000, &[(S::Valid, 1_000)], Invalid);
        check(Progress::Open, 2_000, &[(S::Pending, 1_000)], Invalid);
        check(Progress::Open, 1_000, &[(S::Valid, 2_000)], Invalid);
        check(
            Progress::Processing { enrollment },
            1_000,
            &[(S::Invalid, 0)],
            Processing,
        );
        check(
            Progress::Valid {
                enrollment,
                certificate,
            },
            1_000,
            &[],
            Valid,
        );
    }
}
