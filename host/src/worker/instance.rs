//! [`Instance`]: a handler in a worker, as others see it.

use std::borrow::Cow;
use std::sync::Arc;
use std::thread::JoinHandle;

use certdock_plugin_api::abi::answer::{Answer, UpTo};
use certdock_plugin_api::abi::types::MAX_NEWS;
use certdock_plugin_api::{
    CaCerts, Crl, EnrollRequest, Enrollment, Fault, FaultClass, News, Poll, PollRequest,
    PushRequest, RecoverRequest, Recovery, RevokeRequest,
};
use serde::de::DeserializeOwned;

use super::message::Task;
use super::process::Unanswered;
use super::supervisor::Shared;
use crate::handlers::{Abilities, HandlerInstance};

pub(super) struct Instance {
    pub(super) shared: Arc<Shared>,
    pub(super) abilities: Abilities,
    /// The thread that sees to it that there is a worker.
    pub(super) supervisor: Option<JoinHandle<()>>,
}

impl Instance {
    fn call<T: DeserializeOwned + Answer>(
        &self,
        task: &Task<'_>,
        lost: fn(&'static str) -> Fault,
    ) -> Result<T, Fault> {
        let setup = &self.shared.setup;
        let patience = setup.deadline + setup.limits.overdue;
        let mut again = true;
        loop {
            let process = self.shared.process()?;
            match process.call::<Result<T, Fault>>(task, patience) {
                Ok(answer) => {
                    if !matches!(&answer, Err(fault) if fault.class == FaultClass::Panicked) {
                        self.shared.answered();
                    }
                    return answer;
                }
                // There is another one by now, or will be soon.
                Err(Unanswered::Unsent) if again => {
                    again = false;
                    self.shared.leave(&process);
                }
                Err(Unanswered::Unsent) => {
                    let fault = Fault::busy("the CA handler could not be asked");
                    return Err(fault.private("its worker process takes no calls"));
                }
                Err(Unanswered::Unfit(why)) => {
                    let fault = Fault::internal("the CA handler can't be asked this");
                    return Err(fault.private(why));
                }
                Err(Unanswered::Lost(why)) => {
                    let fault = lost("the CA handler failed");
                    return Err(fault.private(format!("its worker process {why}")));
                }
                Err(Unanswered::Overdue) => {
                    self.shared.stuck(&process);
                    return Err(lost("the CA handler failed").private("its worker process hangs"));
                }
            }
        }
    }
}

/// What may be repeated.
fn again(public: &'static str) -> Fault {
    Fault::upstream(public)
}

/// The CA may have issued, or revoked, by the time the worker was lost.
fn unknown(public: &'static str) -> Fault {
    Fault::unknown_outcome(public)
}

impl HandlerInstance for Instance {
    fn abilities(&self) -> Abilities {
        self.abilities
    }

    fn broken(&self) -> Option<String> {
        self.shared.broken()
    }

    fn enroll(&self, request: &EnrollRequest) -> Result<Enrollment, Fault> {
        self.call(&Task::Enroll(Cow::Borrowed(request)), unknown)
    }

    fn poll(&self, request: &PollRequest) -> Result<Poll, Fault> {
        self.call(&Task::Poll(Cow::Borrowed(request)), again)
    }

    fn recover(&self, request: &RecoverRequest) -> Result<Recovery, Fault> {
        self.call(&Task::Recover(Cow::Borrowed(request)), again)
    }

    fn push(&self, request: &PushRequest) -> Result<Vec<News>, Fault> {
        let news: Result<UpTo<MAX_NEWS, _>, _> =
            self.call(&Task::Push(Cow::Borrowed(request)), again);
        news.map(|news| news.0)
    }

    fn health(&self) -> Result<(), Fault> {
        self.call(&Task::Health, again)
    }

    fn revoke(&self, request: &RevokeRequest) -> Result<(), Fault> {
        self.call(&Task::Revoke(Cow::Borrowed(request)), unknown)
    }

    fn ca_certs_get(&self) -> Result<CaCerts, Fault> {
        self.call(&Task::CaCerts, again)
    }

    fn crl(&self) -> Result<Crl, Fault> {
        self.call(&Task::Crl, again)
    }
}

impl Drop for Instance {
    /// Waits until the handler is closed and its worker has ended.
    fn drop(&mut self) {
        self.shared.close();
        if let Some(supervisor) = self.supervisor.take() {
            // Had it panicked, there would be nothing to wait for.
            let _ = supervisor.join();
        }
    }
}
