//! [`Validations`]: the checks of challenges under way at an endpoint, one for each challenge however
//! many responses race, and whether or not their clients still wait.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::acme::Acme;
use crate::acme::problem::{Problem, ProblemType};
use crate::ids::{AccountId, AuthorizationId};
use crate::observe::{audit, metrics};
use crate::order::{
    Authorization, AuthorizationStatus, Challenge, ChallengeState, ChallengeType, Failure,
    FailureKind,
};
use crate::store::{Account, AccountStatus};
use crate::time::UnixTime;
use crate::validation::Proof;

/// Checks under way at once, those that wait for the validator included. Each takes about a kilobyte.
const MOST: usize = 4096;

/// What a client is told when there are more.
const BUSY: Duration = Duration::from_secs(10);

/// How often, and how far apart, it is tried to write a result down that the store did not take. After
/// that the challenge is checked again when the client responds again, or after the next start.
const WRITES: u32 = 12;
const WRITE_AGAIN: Duration = Duration::from_secs(5);

/// A response to a challenge.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) account: Account,
    pub(super) authorization: AuthorizationId,
    pub(super) kind: ChallengeType,
    pub(super) request_id: String,
}

/// With the account in it, nobody can meddle with another's checks by naming them.
type Key = (AccountId, AuthorizationId, ChallengeType);

type Settled = Option<Result<Authorization, Problem>>;

#[derive(Clone, Default)]
pub(super) struct Validations(Arc<Mutex<HashMap<Key, watch::Receiver<Settled>>>>);

impl Validations {
    /// Starts the check of a challenge, or joins the one that is under way. The authorization is read
    /// after the start, so whoever comes late finds what the one before him has written.
    pub(super) fn start_or_join(&self, acme: &Acme, wanted: Wanted) -> Result<Pending, Problem> {
        let key = (wanted.account.id, wanted.authorization, wanted.kind);
        let mut under_way = self.0.lock();
        if let Some(result) = under_way.get(&key) {
            return Ok(Pending(result.clone()));
        }
        if under_way.len() >= MOST {
            let mut problem = Problem::new(
                ProblemType::RateLimited,
                "too many challenges are being checked; respond again later",
            );
            problem.retry_after = Some(BUSY);
            return Err(problem);
        }
        let (sender, result) = watch::channel(None);
        under_way.insert(key, result.clone());
        // A runtime that stops drops what is spawned at once, and the entry's drop takes the lock.
        drop(under_way);
        let entry = Entry {
            key,
            among: self.clone(),
        };
        let acme = acme.clone();
        tokio::spawn(async move {
            let settled = check(&acme, wanted).await;
            sender.send_replace(Some(settled));
            drop(entry);
        });
        Ok(Pending(result))
    }
}

/// Takes a check off the list when it ends, however it ends.
struct Entry {
    key: Key,
    among: Validations,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.among.0.lock().remove(&self.key);
    }
}

/// A check whose result is awaited.
pub(super) struct Pending(watch::Receiver<Settled>);

impl Pending {
    /// The authorization as it is after the check.
    pub(super) async fn settled(mut self) -> Result<Authorization, Problem> {
        match self.0.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(settled)) => settled.clone(),
            Ok(None) | Err(_) => Err(Problem::internal(&"the check of a challenge broke off")),
        }
    }
}

impl Acme {
    /// Takes up the checks that were promised to clients before the last stop (RFC 8555 §7.5.1).
    ///
    /// # Errors
    /// If the store can't be read.
    pub async fn resume_validations(&self) -> Result<(), crate::store::Error> {
        let authorizations = self.store.processing_authorizations().await?;
        for authorization in authorizations {
            if authorization.endpoint != self.name {
                continue;
            }
            let Some(account) = self.store.account(authorization.account).await? else {
                continue;
            };
            for challenge in &authorization.challenges {
                if challenge.state != ChallengeState::Processing {
                    continue;
                }
                let wanted = Wanted {
                    account: account.clone(),
                    authorization: authorization.id,
                    kind: challenge.kind,
                    request_id: "resumed".to_owned(),
                };
                if self.validations.start_or_join(self, wanted).is_err() {
                    tracing::warn!(authorization = %authorization.id, "too many checks to resume");
                }
            }
        }
        Ok(())
    }
}

async fn check(acme: &Acme, wanted: Wanted) -> Result<Authorization, Problem> {
    let Wanted {
        account,
        authorization: id,
        kind,
        request_id,
    } = wanted;
    let authorization = acme.authorization_of(&account, id).await?;
    let challenge = authorization
        .challenge(kind)
        .ok_or_else(Problem::not_found)?;
    match challenge.state {
        // Responding once more changes nothing.
        ChallengeState::Valid { .. } | ChallengeState::Invalid { .. } => return Ok(authorization),
        ChallengeState::Pending | ChallengeState::Processing => {}
    }
    if authorization.status(UnixTime::now()) != AuthorizationStatus::Pending {
        return Err(Problem::malformed(
            "the authorization is not pending; its challenges take no response",
        ));
    }

    let started = Instant::now();
    let result = if account.status == AccountStatus::Valid {
        let proof = proof(&account, &authorization, challenge);
        acme.validator.validate(&proof).await
    } else {
        Err(Failure::new(
            FailureKind::Unauthorized,
            "the account is not in use any more",
        ))
    };
    let outcome = if result.is_ok() { "valid" } else { "invalid" };
    metrics::validation(kind.as_str(), outcome, started.elapsed());

    let settled = settle(acme, id, kind, &result).await?;
    let is_open = |challenge: &Challenge| {
        matches!(
            challenge.state,
            ChallengeState::Pending | ChallengeState::Processing
        )
    };
    // Unless something else ended the authorization first.
    if !settled.challenge(kind).is_none_or(is_open) {
        audit::authorization_settled(&settled, kind, result.as_ref().copied(), &request_id);
    }
    Ok(settled)
}

/// RFC 8555 §8.1
fn proof(account: &Account, authorization: &Authorization, challenge: &Challenge) -> Proof {
    let thumbprint = URL_SAFE_NO_PAD.encode(account.key.thumbprint.0);
    Proof {
        kind: challenge.kind,
        name: authorization.name.clone(),
        key_authorization: format!("{}.{thumbprint}", challenge.token.as_str()),
        token: challenge.token.clone(),
    }
}

async fn settle(
    acme: &Acme,
    id: AuthorizationId,
    kind: ChallengeType,
    result: &Result<(), Failure>,
) -> Result<Authorization, Problem> {
    let mut writes = 0;
    loop {
        let now = UnixTime::now();
        let expires = now.plus(acme.config.authorization_lifetime);
        let settled = acme
            .store
            .settle_challenge(id, kind, result.clone(), now, expires)
            .await;
        writes += 1;
        match settled {
            Ok(settled) => return settled.ok_or_else(Problem::not_found),
            Err(error) if writes >= WRITES => return Err(error.into()),
            Err(error) => {
                tracing::error!(authorization = %id, %error, "result of a challenge not written");
                tokio::time::sleep(WRITE_AGAIN).await;
            }
        }
    }
}
