//! [`Open`]: an open handler whose calls end: in an answer, or in a check that failed.

use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use certdock_plugin_api::abi::client::{Instance, Provided};
use certdock_plugin_api::{
    CaCerts, Chain, Crl, EnrollRequest, Enrollment, Fault, FaultClass, News, Poll, PollRequest,
    PushRequest, RecoverRequest, Recovery, RevokeRequest,
};

use super::bench::{no_panic, within};
use super::sample::Sample;
use super::verdict::Stop;

/// What a handler answers.
pub(super) type Answer<T> = Result<T, Fault>;

/// An open handler. It is closed by [`close`](Self::close) only: a handler that hangs must not keep
/// the check from ending.
#[derive(Clone)]
pub(super) struct Open {
    instance: ManuallyDrop<Arc<Instance>>,
    pub(super) provided: Provided,
    pub(super) deadline: Duration,
}

/// One method for each of a handler's. What has a deadline gets the one that the host would give it.
macro_rules! calls {
    ($($name:ident($($request:ident: $kind:ty)?) -> $reply:ty;)*) => {$(
        pub(super) fn $name(&self $(, mut $request: $kind)?) -> Result<Answer<$reply>, Stop> {
            $($request.deadline = SystemTime::now() + self.deadline;)?
            self.call(stringify!($name), move |instance| instance.$name($(&$request)?))
        }
    )*};
}

impl Open {
    pub(super) fn new(instance: Instance, provided: Provided, deadline: Duration) -> Self {
        Self {
            instance: ManuallyDrop::new(Arc::new(instance)),
            provided,
            deadline,
        }
    }

    calls! {
        enroll(request: EnrollRequest) -> Enrollment;
        poll(request: PollRequest) -> Poll;
        recover(request: RecoverRequest) -> Recovery;
        push(request: PushRequest) -> Vec<News>;
        revoke(request: RevokeRequest) -> ();
        health() -> ();
        ca_certs_get() -> CaCerts;
        crl() -> Crl;
    }

    /// Any call, or several, within the time that one may take.
    pub(super) fn call<T: Send + 'static>(
        &self,
        what: &str,
        work: impl FnOnce(&Instance) -> Answer<T> + Send + 'static,
    ) -> Result<Answer<T>, Stop> {
        let instance = Arc::clone(&self.instance);
        no_panic(what, within(what, self.deadline, move || work(&instance))?)
    }

    /// Closes it, unless a clone is in use.
    pub(super) fn close(self) -> Result<(), Stop> {
        let instance = ManuallyDrop::into_inner(self.instance);
        within("close", self.deadline, move || drop(instance))
    }

    /// The CA's certificates.
    pub(super) fn ca_certs(&self) -> Result<Vec<Vec<u8>>, Stop> {
        let answer = implemented("ca_certs_get", self.ca_certs_get()?)?;
        Ok(answer.certificates)
    }

    /// A certificate for the sample, waited for if it takes its time.
    pub(super) fn issue(&self, sample: &Sample, patience: Duration) -> Result<Chain, Stop> {
        self.issue_as(&sample.request(), patience)
    }

    pub(super) fn issue_as(
        &self,
        request: &EnrollRequest,
        patience: Duration,
    ) -> Result<Chain, Stop> {
        let enrollment = implemented("enroll", self.enroll(request.clone())?)?;
        let Enrollment::Pending {
            poll_id,
            retry_after,
        } = enrollment
        else {
            return issued(enrollment);
        };
        self.wait(request, poll_id, retry_after, patience)
    }

    /// Polls until there is a certificate.
    pub(super) fn wait(
        &self,
        request: &EnrollRequest,
        mut poll_id: String,
        mut retry_after: Option<Duration>,
        patience: Duration,
    ) -> Result<Chain, Stop> {
        if !self.provided.poll {
            return Err(Stop::failed(
                "`enroll` answers with pending, and the plugin does not provide poll",
            ));
        }
        let end = Instant::now() + patience;
        let mut last = String::new();
        while Instant::now() < end {
            std::thread::sleep(pause(retry_after));
            let id = &request.enrollment_id;
            let poll = PollRequest::new(id.as_str(), poll_id.as_str(), request.csr.as_slice());
            let answer = match self.poll(poll)? {
                Err(fault) if may_pass(&fault) => {
                    last = format!(", and last it said {fault}");
                    retry_after = fault.retry_after;
                    continue;
                }
                answer => implemented("poll", answer)?,
            };
            last.clear();
            match answer {
                Poll::Issued(chain) => return Ok(chain),
                Poll::Rejected { reason } => {
                    return Err(Stop::Failed(format!("the CA refused: {reason}")));
                }
                Poll::Pending {
                    poll_id: next,
                    retry_after: wait,
                } => {
                    if !next.is_empty() {
                        poll_id = next;
                    }
                    retry_after = wait;
                }
                _ => return Err(unknown("poll")),
            }
        }
        Err(Stop::Skipped(format!(
            "the CA did not issue within {} seconds{last}; let it issue by itself, or give it more time \
             with --patience",
            patience.as_secs()
        )))
    }
}

/// Whether a poll says no more than that the CA can't be asked at the moment.
pub(super) fn may_pass(fault: &Fault) -> bool {
    fault.class.is_transient() || fault.class == FaultClass::UnknownOutcome
}

/// How long to wait before the next poll: less than a CA may want, since somebody waits.
pub(super) fn pause(retry_after: Option<Duration>) -> Duration {
    let most = Duration::from_secs(1);
    retry_after
        .unwrap_or(most)
        .clamp(Duration::from_millis(50), most)
}

/// The answer of something that a handler need not have written yet.
pub(super) fn implemented<T>(what: &str, answer: Answer<T>) -> Result<T, Stop> {
    match answer {
        Ok(answer) => Ok(answer),
        Err(fault) if fault.class == FaultClass::Unsupported => Err(Stop::Skipped(format!(
            "`{what}` is not implemented: {}",
            fault.public
        ))),
        Err(fault) => Err(Stop::fault(what, &fault)),
    }
}

/// Skips unless the plugin has the ability.
pub(super) fn ability(has: bool, name: &str) -> Result<(), Stop> {
    if has {
        return Ok(());
    }
    Err(Stop::Skipped(format!("the plugin does not provide {name}")))
}

fn issued(enrollment: Enrollment) -> Result<Chain, Stop> {
    match enrollment {
        Enrollment::Issued(chain) => Ok(chain),
        _ => Err(unknown("enroll")),
    }
}

pub(super) fn unknown(what: &str) -> Stop {
    Stop::Failed(format!(
        "`{what}` gave an answer that this certdock does not know"
    ))
}
