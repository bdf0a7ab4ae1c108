//! What the other side may send that this version has no name for, or that makes no sense.

use std::time::{Duration, SystemTime};

use abi_stable::std_types::{ROption, RString};

use crate::abi::enroll_1::{EnrollOut, EnrollStatus};
use crate::abi::extension::{Extension, ExtensionTable, find};
use crate::abi::host_base::HostBase;
use crate::abi::host_log_1::{HostLog, LevelCode};
use crate::abi::host_secret_1::{HostSecret, SecretKind};
use crate::abi::poll_1::{PollOut, PollStatus};
use crate::abi::types::{FaultCode, Millis, Timestamp, WireChain, WireFault};
use crate::abi::validate_config_1::{SeverityCode, WireNote};
use crate::testing::FakeHost;
use crate::*;

#[test]
fn unknown_codes_have_a_meaning() {
    for code in [0, 11, u32::MAX] {
        let wire = WireFault {
            class: FaultCode(code),
            code: RString::new(),
            public: "p".into(),
            private: RString::new(),
            retry_after: ROption::RSome(Millis(u64::MAX)),
        };
        let fault = Fault::from(wire);
        assert_eq!(fault.class, FaultClass::Internal);
        assert_eq!(fault.retry_after, Some(Duration::from_millis(u64::MAX)));

        let note = WireNote {
            key: "k".into(),
            severity: SeverityCode(code),
            message: "m".into(),
        };
        assert_eq!(ConfigNote::from(note).severity, Severity::Error);
    }
}

#[test]
fn unknown_answers_are_faults() {
    for code in [0, 4, u32::MAX] {
        let enroll = EnrollOut {
            status: EnrollStatus(code),
            chain: WireChain::default(),
            poll_id: RString::new(),
            retry_after: ROption::RNone,
        };
        assert_eq!(
            enroll.into_enrollment().unwrap_err().class,
            FaultClass::Internal
        );
        let poll = PollOut {
            status: PollStatus(code),
            chain: WireChain::default(),
            poll_id: RString::new(),
            retry_after: ROption::RNone,
            reason: RString::new(),
        };
        assert_eq!(poll.into_poll().unwrap_err().class, FaultClass::Internal);
    }
}

#[test]
fn a_host_bears_with_a_newer_plugin() {
    let fake = FakeHost::new();
    let base = HostBase::new(fake.services());
    let log: &HostLog = find(base.extension).unwrap().unwrap();
    let secret: &HostSecret = find(base.extension).unwrap().unwrap();
    // SAFETY: table and context belong together; the context is released at the end.
    unsafe {
        (log.log)(
            base.context,
            LevelCode(99),
            "message".into(),
            [].as_slice().into(),
        )
    };
    assert_eq!(fake.lines()[0].level, Level::Info);
    // SAFETY: as above.
    let answer = unsafe { (secret.secret)(base.context, SecretKind(99), [].as_slice().into()) };
    let fault = Fault::from(answer.into_result().unwrap_err());
    assert_eq!(fault.class, FaultClass::Misconfigured);
    assert!((base.extension)("certdock.host-log/99".into()).is_none());
    // SAFETY: the one release.
    unsafe { (base.release)(base.context) };
}

/// Looks like an extension of ours, but its function takes something else.
#[repr(C)]
#[derive(abi_stable::StableAbi)]
struct OtherLog {
    log: extern "C" fn(level: u32),
}

impl ExtensionTable for OtherLog {
    const ID: &'static str = HostLog::ID;
}

#[test]
fn a_table_of_another_layout_is_not_used() {
    extern "C" fn log(_: u32) {}
    static TABLE: OtherLog = OtherLog { log };
    extern "C" fn lookup(_: abi_stable::std_types::RStr<'_>) -> ROption<Extension> {
        ROption::RSome(Extension::of(&TABLE))
    }
    assert!(find::<OtherLog>(lookup).unwrap().is_some());
    let complaint = find::<HostLog>(lookup).map(drop).unwrap_err();
    assert!(complaint.contains("HostLog"), "{complaint}");
}

#[test]
fn times_that_do_not_exist_are_refused() {
    let wild = [
        (i64::MAX, 0),
        (i64::MIN, 0),
        (0, 1_000_000_000),
        (0, u32::MAX),
        (i64::MAX, 999_999_999),
    ];
    for (seconds, nanos) in wild {
        // Either is fine on a system with 64 bits of seconds; none may panic.
        let time = Timestamp { seconds, nanos }.to_system();
        assert!(nanos < 1_000_000_000 || time.is_err());
    }
    for time in [
        SystemTime::UNIX_EPOCH,
        SystemTime::UNIX_EPOCH - Duration::new(3, 4),
        SystemTime::now(),
    ] {
        assert_eq!(Timestamp::from(time).to_system(), Ok(time));
    }
}
