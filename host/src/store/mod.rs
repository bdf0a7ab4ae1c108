//! What the server remembers, as small traits in the domain's own verbs. Each verb says what it makes
//! atomic; none knows policy. What a verb has answered for is durable.
//!
//! A verb that changes a state is one guarded write: it says whether this caller made the change, so
//! that of two who race exactly one acts.

mod records;
pub mod sqlite;

use std::collections::BTreeMap;

use async_trait::async_trait;
use certdock_plugin_api::{RevocationReason, Versioned};

use crate::ids::{
    AccountId, AuthorizationId, CertificateId, EndpointName, EnrollmentId, HandlerName, OrderId,
};
use crate::order::{Authorization, ChallengeType, DnsName, Failure, Order};
use crate::time::UnixTime;

pub use records::{
    Account, AccountCreation, AccountKey, AccountStatus, Certificate, Enrollment, EnrollmentState,
    EstRequest, EstUser, ExternalKey, KeyChange, OpenRevocation, Pause, RequestKey, Revocation,
    RevocationState, Thumbprint, Waiting,
};

/// Why the store could not do as asked. None of these is a client's fault.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "the database {path} was written by a newer certdock (schema {found}, known up to {known}); start that version"
    )]
    Newer {
        path: String,
        found: i64,
        known: i64,
    },
    #[error("the database can't be opened: {0}")]
    Open(String),
    #[error("the database is full or can't be written: {0}")]
    Write(String),
    #[error("the database can't be read: {0}")]
    Read(String),
    #[error("the database holds something unreadable: {0}")]
    Corrupt(String),
    #[error("the store is closed")]
    Closed,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// RFC 8555 §7.1.2, §7.3
#[async_trait]
pub trait Accounts: Send + Sync {
    /// Creates the account unless its key has one at this endpoint already. Atomic with the check of
    /// its external account key: if `account.external_key` names one, it must still be live.
    async fn create_account(&self, account: Account) -> Result<AccountCreation>;
    async fn account(&self, id: AccountId) -> Result<Option<Account>>;
    async fn account_by_key(
        &self,
        endpoint: &EndpointName,
        thumbprint: &Thumbprint,
    ) -> Result<Option<Account>>;
    /// Whether a live account had its contacts replaced.
    async fn set_contacts(&self, id: AccountId, contacts: Vec<String>) -> Result<bool>;
    /// Whether a live account was deactivated.
    async fn deactivate_account(&self, id: AccountId) -> Result<bool>;
    /// Replaces the key if it still is `old` and nobody at the endpoint has `new`.
    async fn change_key(
        &self,
        id: AccountId,
        old: Thumbprint,
        new: AccountKey,
    ) -> Result<KeyChange>;
    /// All accounts in order of id, `limit` at most, after `after`.
    async fn accounts(&self, after: Option<AccountId>, limit: usize) -> Result<Vec<Account>>;
}

/// Keys for external account binding (RFC 8555 §7.3.4).
#[async_trait]
pub trait ExternalKeys: Send + Sync {
    /// Whether it was added: false if the endpoint has a key of this id.
    async fn add_external_key(&self, key: ExternalKey) -> Result<bool>;
    async fn external_key(&self, endpoint: &EndpointName, id: &str) -> Result<Option<ExternalKey>>;
    async fn external_keys(&self) -> Result<Vec<ExternalKey>>;
    /// Whether a live key was revoked.
    async fn revoke_external_key(
        &self,
        endpoint: &EndpointName,
        id: &str,
        at: UnixTime,
    ) -> Result<bool>;
}

/// Users of EST (RFC 7030 §3.2.3).
#[async_trait]
pub trait EstUsers: Send + Sync {
    /// Whether it was added: false if there is a user of this name and it is not to be replaced.
    async fn add_est_user(&self, user: EstUser, replace: bool) -> Result<bool>;
    async fn est_user(&self, name: &str) -> Result<Option<EstUser>>;
    /// All of them, in order of their names.
    async fn est_users(&self) -> Result<Vec<EstUser>>;
    /// Whether there was one, and it is no more.
    async fn remove_est_user(&self, name: &str) -> Result<bool>;
}

/// RFC 8555 §7.1.3, §7.1.4
#[async_trait]
pub trait Orders: Send + Sync {
    /// Stores the order and those of its authorizations that are new, together.
    async fn create_order(&self, order: Order, fresh: Vec<Authorization>) -> Result<()>;
    /// The order with its authorizations, those in its own order.
    async fn order(&self, id: OrderId) -> Result<Option<(Order, Vec<Authorization>)>>;
    /// The account's orders that have not failed in order of id, `limit` at most, after `after`
    /// (RFC 8555 §7.1.2.1).
    async fn orders_of_account(
        &self,
        account: AccountId,
        after: Option<OrderId>,
        limit: usize,
    ) -> Result<Vec<OrderId>>;
    /// All orders in order of id, `limit` at most, after `after`.
    async fn orders(&self, after: Option<OrderId>, limit: usize) -> Result<Vec<Order>>;

    /// Leaves orders of an account out of its list from now on: they are dead.
    async fn unlist_orders(&self, ids: Vec<OrderId>) -> Result<()>;

    /// Stores an authorization that is asked for in advance (RFC 8555 §7.4.1), unless the account has
    /// one for that name that is pending at `authorization.created`: which is the answer then.
    async fn create_authorization(
        &self,
        authorization: Authorization,
    ) -> Result<Option<Authorization>>;
    async fn authorization(&self, id: AuthorizationId) -> Result<Option<Authorization>>;
    /// The account's authorizations for these names that are valid at `now`: for each name the one
    /// that lives longest, and likewise for the wildcard over it.
    async fn valid_authorizations(
        &self,
        account: AccountId,
        names: &[DnsName],
        now: UnixTime,
    ) -> Result<Vec<Authorization>>;
    /// Moves a pending challenge of a pending authorization to processing. Whether it did.
    async fn claim_challenge(&self, id: AuthorizationId, kind: ChallengeType) -> Result<bool>;
    /// Writes a challenge's result if the authorization still is pending: on success the
    /// authorization becomes valid until `expires`, else invalid. Answers with the authorization as
    /// it then is.
    async fn settle_challenge(
        &self,
        id: AuthorizationId,
        kind: ChallengeType,
        result: std::result::Result<(), Failure>,
        now: UnixTime,
        expires: UnixTime,
    ) -> Result<Option<Authorization>>;
    /// Whether a pending or valid authorization was deactivated (RFC 8555 §7.5.2).
    async fn deactivate_authorization(&self, id: AuthorizationId) -> Result<bool>;
    /// Pending authorizations that have a challenge in processing: to be resumed after a restart.
    async fn processing_authorizations(&self) -> Result<Vec<Authorization>>;
}

/// The journal of what handlers were asked.
#[async_trait]
pub trait Enrollments: Send + Sync {
    /// Stores the enrollment and, if it belongs to an order, moves that order from ready to
    /// processing, together. False, and nothing stored, if the order was not ready, be it that
    /// somebody else moved it on or that an authorization of it was withdrawn. If an EST user asks, a
    /// one-time password is used up with it; false if that was done already, or the user is gone.
    async fn begin_enrollment(&self, enrollment: Enrollment) -> Result<bool>;
    /// Begins an enrollment and ends it with the certificate that is there already, together: all
    /// that [`begin_enrollment`](Self::begin_enrollment) does (or
    /// [`begin_est_enrollment`](EstRequests::begin_est_enrollment), with a request) and
    /// [`complete_enrollment`](Self::complete_enrollment). False, and nothing stored, where it could not
    /// have begun.
    async fn record_issued(
        &self,
        enrollment: Enrollment,
        request: Option<EstRequest>,
        certificate: Certificate,
    ) -> Result<bool>;
    async fn enrollment(&self, id: EnrollmentId) -> Result<Option<Enrollment>>;
    /// Those that have not ended, held ones too, in the order of their ids.
    async fn unfinished_enrollments(
        &self,
        after: Option<EnrollmentId>,
        most: usize,
    ) -> Result<Vec<Enrollment>>;
    /// Notes that the handler is about to be asked for a deferred enrollment, until `deadline`. Whether
    /// it was deferred.
    async fn ask_enrollment(&self, id: EnrollmentId, deadline: UnixTime) -> Result<bool>;
    /// Notes how an enrollment goes on. Whether it was unfinished.
    async fn put_off_enrollment(&self, id: EnrollmentId, pause: Pause) -> Result<bool>;
    /// Stores the certificate, ends the enrollment and makes its order valid, together. Whether an
    /// unfinished enrollment was ended.
    async fn complete_enrollment(&self, id: EnrollmentId, certificate: Certificate)
    -> Result<bool>;
    /// Ends the enrollment and makes its order invalid, together. A certificate that was refused is
    /// kept for the operator (`withheld`). Whether an unfinished enrollment was ended.
    async fn fail_enrollment(
        &self,
        id: EnrollmentId,
        failure: Failure,
        withheld: Option<Certificate>,
    ) -> Result<bool>;
    /// Unfinished enrollments of a handler whose next attempt is due, the longest due first. Those that
    /// are held are never due.
    async fn due_enrollments(
        &self,
        handler: &HandlerName,
        now: UnixTime,
        limit: usize,
    ) -> Result<Vec<Enrollment>>;
    /// When the next of them is due.
    async fn next_due(&self, handler: &HandlerName) -> Result<Option<UnixTime>>;
    /// At start: calls that a crash cut off are due `now`, not when they would have ended. How many.
    async fn take_up_cut_off(&self, handler: &HandlerName, now: UnixTime) -> Result<usize>;
    /// The handlers that have unfinished enrollments or revocations.
    async fn handlers_with_work(&self) -> Result<Vec<HandlerName>>;
    /// Pending enrollments of a handler with this poll id.
    async fn enrollments_by_poll_id(
        &self,
        handler: &HandlerName,
        poll_id: &str,
        limit: usize,
    ) -> Result<Vec<Enrollment>>;
    /// Enrollments of a handler with this public key that are pending, or of which the outcome of a
    /// call was unknown at any time, finished or not.
    async fn enrollments_by_key(
        &self,
        handler: &HandlerName,
        key_hash: &[u8; 32],
        limit: usize,
    ) -> Result<Vec<Enrollment>>;
}

/// Requests of EST clients that wait for their answer (RFC 7030 §4.2.3): whoever asks again with the
/// same request is to get what came of it, and the CA is to be asked once.
#[async_trait]
pub trait EstRequests: Send + Sync {
    /// Stores the enrollment together with the request that it is for, and forgets those requests that
    /// have been answered. False, and nothing stored, if the same request has an enrollment already,
    /// other than the one to be replaced; a one-time password that that one used up is good once more.
    async fn begin_est_enrollment(
        &self,
        enrollment: Enrollment,
        request: EstRequest,
    ) -> Result<bool>;
    /// The enrollment of this request.
    async fn est_request(&self, key: RequestKey) -> Result<Option<EnrollmentId>>;
    /// Forgets the request at once, if this is its enrollment still.
    async fn forget_est_request(&self, key: RequestKey, enrollment: EnrollmentId) -> Result<()>;
}

/// What handlers returned.
#[async_trait]
pub trait Certificates: Send + Sync {
    async fn certificate(&self, id: CertificateId) -> Result<Option<Certificate>>;
    /// By the SHA-256 of its DER.
    async fn certificate_by_fingerprint(
        &self,
        fingerprint: &[u8; 32],
    ) -> Result<Option<Certificate>>;
    /// Keeps a certificate that is one too many, and notes that it is to be revoked, together. Whether
    /// it was new.
    async fn keep_surplus(
        &self,
        certificate: Certificate,
        revocation: OpenRevocation,
    ) -> Result<bool>;
    /// Whether an unrevoked certificate was marked revoked. What the journal of revocations holds of it
    /// is done with, together.
    async fn mark_revoked(
        &self,
        id: CertificateId,
        reason: RevocationReason,
        at: UnixTime,
    ) -> Result<bool>;
    /// All certificates in order of id, `limit` at most, after `after`.
    async fn certificates(
        &self,
        after: Option<CertificateId>,
        limit: usize,
    ) -> Result<Vec<Certificate>>;
}

/// The journal of revocations that CAs have not confirmed.
#[async_trait]
pub trait Revocations: Send + Sync {
    /// Whether it was begun: false if the certificate is revoked, or a revocation of it is under way.
    /// One that the CA refused gives way.
    async fn begin_revocation(&self, revocation: OpenRevocation) -> Result<bool>;
    async fn open_revocation(&self, certificate: CertificateId) -> Result<Option<OpenRevocation>>;
    /// Notes how a revocation that is under way goes on. Whether there is one.
    async fn put_off_revocation(&self, revocation: OpenRevocation) -> Result<bool>;
    /// Forgets a revocation that did not come about, and of which whoever asked was told so.
    async fn withdraw_revocation(&self, certificate: CertificateId) -> Result<bool>;
    /// Those of a handler that are due, the longest due first.
    async fn due_revocations(
        &self,
        handler: &HandlerName,
        now: UnixTime,
        limit: usize,
    ) -> Result<Vec<OpenRevocation>>;
    async fn next_due_revocation(&self, handler: &HandlerName) -> Result<Option<UnixTime>>;
}

/// The durable key-value state of handlers, each in its own scope. Called from handler threads, so
/// it blocks. See [`certdock_plugin_api::HostServices`] for the meaning of each verb.
pub trait HandlerState: Send + Sync {
    fn state_get(&self, handler: &HandlerName, key: &str) -> Result<Option<Versioned>>;
    fn state_put(&self, handler: &HandlerName, key: &str, value: &[u8]) -> Result<u64>;
    fn state_compare_and_swap(
        &self,
        handler: &HandlerName,
        key: &str,
        expected: Option<u64>,
        value: &[u8],
    ) -> Result<Option<u64>>;
    fn state_delete(&self, handler: &HandlerName, key: &str) -> Result<bool>;
    /// Bounded as a plugin's listing is, whatever `limit` says.
    fn state_list(
        &self,
        handler: &HandlerName,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<BTreeMap<String, Versioned>>;
}

/// The server's own small facts: keys that must outlive a restart.
#[async_trait]
pub trait Settings: Send + Sync {
    /// The value of `key`; `value` is stored first if it has none.
    async fn setting_or_insert(&self, key: &str, value: Vec<u8>) -> Result<Vec<u8>>;
    /// Whether the store answers.
    async fn ping(&self) -> Result<()>;
}

/// The whole store.
pub trait Store:
    Accounts
    + ExternalKeys
    + EstUsers
    + Orders
    + Enrollments
    + EstRequests
    + Certificates
    + Revocations
    + HandlerState
    + Settings
    + 'static
{
}

impl<T> Store for T where
    T: Accounts
        + ExternalKeys
        + EstUsers
        + Orders
        + Enrollments
        + EstRequests
        + Certificates
        + Revocations
        + HandlerState
        + Settings
        + 'static
{
}
