//! [`Users`]: whether a user's password is right.
//!
//! The slow hash is computed once for a right password while the server runs: after that a keyed digest
//! in memory answers. The user itself is asked of the store each time, so that what is removed or
//! changed is so at once. A wrong password, and an unknown user's, always costs the slow hash, so that
//! time tells nothing; there are few at a time, and failures are limited before it is computed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::Denied;
use super::basic::Credentials;
use super::limits::{Limits, Who};
use crate::est::Label;
use crate::est::status::Refusal;
use crate::password;
use crate::store::{EnrollmentState, EstUser, Store};
use crate::time::UnixTime;

/// Slow hashes at once: each takes 19 MiB and a core.
const HASHES: usize = 2;

/// Logins that wait for one. Beyond that, clients come back.
const WAITING: usize = 64;

/// Right passwords remembered.
const REMEMBERED: usize = 100_000;

/// What all labels share.
pub struct Users {
    store: Arc<dyn Store>,
    /// Of this process alone.
    key: hmac::Key,
    /// By user: the digest of its password and of the hash that it was found right against.
    right: Mutex<HashMap<String, [u8; 32]>>,
    limits: Arc<Limits>,
    hashes: Arc<Semaphore>,
    places: Semaphore,
    /// A hash that is no user's, for those that are not there.
    nobody: tokio::sync::OnceCell<String>,
}

impl Users {
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        let key: [u8; 32] = crate::random::bytes();
        Self {
            store,
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            right: Mutex::default(),
            limits: Arc::default(),
            hashes: Arc::new(Semaphore::new(HASHES)),
            places: Semaphore::new(WAITING),
            nobody: tokio::sync::OnceCell::new(),
        }
    }

    /// The user, if the password is right and good here and now.
    pub(super) async fn check(
        &self,
        label: &Label,
        credentials: &Credentials,
        address: Option<IpAddr>,
    ) -> Result<EstUser, Denied> {
        let user = self.store.est_user(&credentials.name).await?;
        let digest = user
            .as_ref()
            .map(|user| self.digest(user, &credentials.password));
        if !digest.is_some_and(|digest| self.is_right(&credentials.name, &digest)) {
            self.check_slowly(user.as_ref(), credentials, address)
                .await?;
            if let Some(digest) = digest {
                self.remember(&credentials.name, digest);
            }
        }
        let Some(user) = user else {
            return Err(wrong("unknown-user"));
        };
        self.check_use(label, user).await
    }

    async fn check_slowly(
        &self,
        user: Option<&EstUser>,
        credentials: &Credentials,
        address: Option<IpAddr>,
    ) -> Result<(), Denied> {
        let _place = self.places.try_acquire().map_err(|_| busy())?;
        let by_user = Who::User(credentials.name.chars().take(64).collect());
        let by_address = address.map(Who::address);
        let permit = Arc::clone(&self.hashes)
            .acquire_owned()
            .await
            .map_err(|_| busy())?;
        // Under the permit: who failed while this one waited has been counted.
        if let Some(user) = user {
            let digest = self.digest(user, &credentials.password);
            if self.is_right(&user.name, &digest) {
                return Ok(());
            }
        }
        let now = Instant::now();
        let waits = [Some(&by_user), by_address.as_ref()];
        let wait = waits
            .into_iter()
            .flatten()
            .filter_map(|who| self.limits.wait(who, now))
            .max();
        if let Some(wait) = wait {
            return Err(Denied::new(
                "limited",
                Refusal::too_many("too many logins have failed; try again later", wait),
            ));
        }
        let hash = match user {
            Some(user) => user.password.clone(),
            None => self.nobody().await?,
        };
        let secret = Zeroizing::new(credentials.password.to_vec());
        let (limits, known) = (Arc::clone(&self.limits), user.is_some());
        // Counted there, for the client may hang up meanwhile.
        let verified = password::aside(move || {
            let right = password::verify(&secret, &hash) && known;
            if right {
                limits.succeeded(&by_user);
            } else {
                let now = Instant::now();
                limits.failed(by_user, now);
                if let Some(address) = by_address {
                    limits.failed(address, now);
                }
            }
            drop(permit);
            right
        });
        match verified.await {
            Some(true) => Ok(()),
            Some(false) if known => Err(wrong("wrong-password")),
            Some(false) => Err(wrong("unknown-user")),
            None => Err(busy()),
        }
    }

    /// A right password may be used up, expired, or for other labels.
    async fn check_use(&self, label: &Label, mut user: EstUser) -> Result<EstUser, Denied> {
        if !user.labels.is_empty() && !user.labels.contains(&label.name) {
            return Err(Denied::new(
                "other-label",
                Refusal::forbidden("this user may not ask at this label"),
            ));
        }
        if let Some(id) = user.used_by {
            let enrollment = self.store.enrollment(id).await?;
            let failed = enrollment.is_none_or(|enrollment| {
                matches!(enrollment.state, EnrollmentState::Failed { .. })
            });
            // What the CA refused gives the password back. Else it is good for asking after that
            // enrollment, however long that takes.
            if failed {
                user.used_by = None;
            }
        }
        let now = UnixTime::now();
        if user.used_by.is_none() && user.expires.is_some_and(|expires| now >= expires) {
            return Err(Denied::new(
                "expired-password",
                Refusal::unauthenticated("this password has expired; ask for a new one"),
            ));
        }
        Ok(user)
    }

    async fn nobody(&self) -> Result<String, Denied> {
        let make = || async {
            let hashed = password::aside(|| password::hash(&crate::random::bytes::<16>()));
            hashed.await.and_then(Result::ok).ok_or_else(busy)
        };
        self.nobody.get_or_try_init(make).await.cloned()
    }

    /// The stored hash is in it, so that a changed password has another digest.
    fn digest(&self, user: &EstUser, password: &[u8]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [user.name.as_bytes(), user.password.as_bytes(), password] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut digest = [0; 32];
        for (to, from) in digest.iter_mut().zip(context.sign().as_ref()) {
            *to = *from;
        }
        digest
    }

    fn is_right(&self, name: &str, digest: &[u8; 32]) -> bool {
        use subtle::ConstantTimeEq as _;
        let right = self.right.lock();
        right
            .get(name)
            .is_some_and(|known| known.ct_eq(digest).into())
    }

    fn remember(&self, name: &str, digest: [u8; 32]) {
        let mut right = self.right.lock();
        if right.len() >= REMEMBERED {
            right.clear();
        }
        right.insert(name.to_owned(), digest);
    }
}

/// The same for whoever is not there and whoever is.
fn wrong(reason: &'static str) -> Denied {
    Denied::new(
        reason,
        Refusal::unauthenticated("there is no such user, or the password is wrong"),
    )
}

fn busy() -> Denied {
    let mut refusal = Refusal::unavailable(Duration::from_secs(1));
    refusal.reason = "too many logins at once; try again in a moment".to_owned();
    Denied::new("busy", refusal)
}
