//! The panic guard: no panic leaves a plugin, nor the host through a callback.
//!
//! A panic must be caught by the code that raised it: every exported function runs its work through
//! [`run`]. Since a plugin has a standard library of its own, it also has a panic hook of its own;
//! [`install_hook`] makes that one line in the host's log in place of several on stderr.

use std::any::Any;
use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::{Mutex, Once, PoisonError};

use crate::fault::{Fault, FaultClass};
use crate::host::{Host, Level, WeakHost};

thread_local! {
    /// The host of the call that runs on this thread.
    static CURRENT: RefCell<Option<Host>> = const { RefCell::new(None) };
    /// What the hook saw last on this thread, for the fault.
    static SEEN: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The host that opened a handler last, for panics on threads of the plugin's own.
static LAST: Mutex<Option<WeakHost>> = Mutex::new(None);

/// Runs `work` and makes a panic a fault of class [`Panicked`](FaultClass::Panicked) whose
/// `private` holds the text. `host` gets the log line of a panic while `work` runs.
pub(crate) fn run<T>(
    host: Option<&Host>,
    work: impl FnOnce() -> Result<T, Fault>,
) -> Result<T, Fault> {
    // `try_with`: a call may come while a thread ends and its locals are gone.
    let outer = CURRENT
        .try_with(|current| current.replace(host.cloned()))
        .ok()
        .flatten();
    // Unwind safety: nothing is looked at after a panic but the payload. The host replaces an
    // instance that panicked.
    let result = catch_unwind(AssertUnwindSafe(work));
    let _ = CURRENT.try_with(|current| current.replace(outer));
    match result {
        Ok(result) => result,
        Err(payload) => {
            let seen = SEEN.try_with(|seen| seen.take()).ok().flatten();
            let text = seen.unwrap_or_else(|| text_of(&*payload).to_owned());
            discard(payload);
            Err(
                Fault::new(FaultClass::Panicked, "the CA handler failed unexpectedly")
                    .private(text),
            )
        }
    }
}

fn text_of(payload: &(dyn Any + Send)) -> &str {
    if let Some(text) = payload.downcast_ref::<&str>() {
        return text;
    }
    payload
        .downcast_ref::<String>()
        .map_or("a panic without a text", String::as_str)
}

/// Drops a payload whose own drop may panic, and then the payload of that panic may as well: the
/// second one is leaked, not dropped.
fn discard(payload: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        let _leaked = ManuallyDrop::new(second);
    }
}

/// Sends panics of this library to the host's log from now on.
pub(crate) fn install_hook(host: &Host) {
    static INSTALL: Once = Once::new();

    *LAST.lock().unwrap_or_else(PoisonError::into_inner) = Some(host.downgrade());
    INSTALL.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !report(info) {
                previous(info);
            }
        }));
    });
}

/// Says whether the panic happened in a call, so that the host hears of it by the fault, too.
fn report(info: &PanicHookInfo<'_>) -> bool {
    let text = text_of(info.payload());
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let _ = SEEN.try_with(|seen| seen.replace(Some(format!("{text} ({place})"))));
    let current = CURRENT
        .try_with(|current| current.borrow().clone())
        .ok()
        .flatten();
    let in_call = current.is_some();
    let last = || {
        LAST.try_lock()
            .ok()
            .and_then(|last| last.as_ref()?.upgrade())
    };
    if let Some(host) = current.or_else(last) {
        let fields = [("panic", text), ("place", place.as_str())];
        host.log(Level::Error, "the CA handler panicked", &fields);
    }
    in_call
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            std::panic::panic_any(Self);
        }
    }

    #[test]
    fn panics_become_faults_with_their_text() {
        let cases: [(fn(), &str); 3] = [
            (|| panic!("plain"), "plain"),
            (|| panic!("number {}", 7), "number 7"),
            (|| std::panic::panic_any(7), "a panic without a text"),
        ];
        for (work, text) in cases {
            let fault = run(None, || {
                work();
                Ok(())
            })
            .unwrap_err();
            assert_eq!(fault.class, FaultClass::Panicked);
            assert!(fault.private.contains(text), "{fault}");
        }
    }

    #[test]
    fn a_payload_whose_drop_panics_is_contained() {
        let fault = run::<()>(None, || std::panic::panic_any(Bomb)).unwrap_err();
        assert_eq!(fault.class, FaultClass::Panicked);
    }

    #[test]
    fn results_pass_through() {
        assert_eq!(run(None, || Ok(7)), Ok(7));
        assert_eq!(
            run::<()>(None, || Err(Fault::busy("x"))),
            Err(Fault::busy("x"))
        );
    }
}
