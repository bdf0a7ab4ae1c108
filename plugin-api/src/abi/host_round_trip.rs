//! Every service of a host over the wire and back, with both sides in this program.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::testing::FakeHost;
use crate::*;

/// A host whose every service panics.
struct Cruel;

impl HostServices for Cruel {
    fn log(&self, _: Level, _: &str, _: &[(&str, &str)]) {
        panic!("log")
    }
    fn now(&self) -> SystemTime {
        panic!("now")
    }
    fn secret(&self, _: &SecretRef) -> Result<zeroize::Zeroizing<Vec<u8>>, Fault> {
        panic!("secret")
    }
    fn resolve(&self, _: &std::path::Path) -> PathBuf {
        panic!("resolve")
    }
    fn metric_add(&self, _: &str, _: &[(&str, &str)], _: u64) {
        panic!("metric_add")
    }
    fn metric_set(&self, _: &str, _: &[(&str, &str)], _: f64) {
        panic!("metric_set")
    }
    fn state_get(&self, _: &str) -> Result<Option<Versioned>, Fault> {
        panic!("state_get")
    }
    fn state_put(&self, _: &str, _: &[u8]) -> Result<u64, Fault> {
        panic!("state_put")
    }
    fn state_compare_and_swap(
        &self,
        _: &str,
        _: Option<u64>,
        _: &[u8],
    ) -> Result<Option<u64>, Fault> {
        panic!("state_compare_and_swap")
    }
    fn state_delete(&self, _: &str) -> Result<bool, Fault> {
        panic!("state_delete")
    }
    fn state_list(
        &self,
        _: &str,
        _: Option<&str>,
        _: usize,
    ) -> Result<std::collections::BTreeMap<String, Versioned>, Fault> {
        panic!("state_list")
    }
}

/// A host as a plugin sees it: over the wire.
fn over_the_wire(services: Arc<dyn HostServices>) -> Host {
    let base = abi::host_base::HostBase::new(services);
    // SAFETY: a fresh base, given away once.
    unsafe { abi::shim::connect_host(base) }
}

#[test]
fn services_cross() {
    let fake = FakeHost::new()
        .at(SystemTime::UNIX_EPOCH + Duration::new(5, 7))
        .base_dir("/etc/certdock")
        .secret_env("NAME", "hush");
    let host = over_the_wire(fake.services());
    host.log(Level::Trace, "message", &[("key", "value")]);
    let line = &fake.lines()[0];
    assert_eq!(
        (line.level, line.message.as_str()),
        (Level::Trace, "message")
    );
    assert_eq!(line.fields["key"], "value");
    assert_eq!(host.now(), SystemTime::UNIX_EPOCH + Duration::new(5, 7));
    assert_eq!(
        **host.secret(&SecretRef::Env("NAME".to_owned())).unwrap(),
        *b"hush"
    );
    let missing = host.secret(&SecretRef::File("missing".into())).unwrap_err();
    assert_eq!(missing.class, FaultClass::Misconfigured);
    assert_eq!(
        host.resolve("ca.pem".as_ref()),
        PathBuf::from("/etc/certdock/ca.pem")
    );
    host.metric_add("calls", &[("kind", "a")], 2);
    host.metric_set("level", &[], 0.5);
    assert_eq!((fake.counter("calls"), fake.gauge("level")), (2, Some(0.5)));
    assert_eq!(host.state_get("k"), Ok(None));
    let first = host.state_put("k", b"1").unwrap();
    assert_eq!(host.state_compare_and_swap("k", None, b"2"), Ok(None));
    let second = host.state_compare_and_swap("k", Some(first), b"2").unwrap();
    let state = Versioned {
        value: b"2".to_vec(),
        version: second.unwrap(),
    };
    assert_eq!(host.state_get("k"), Ok(Some(state.clone())));
    assert_eq!(host.state_list("", None, 9).unwrap()["k"], state);
    assert_eq!(host.state_list("", Some("k"), 9).unwrap().len(), 0);
    assert_eq!(host.state_delete("k"), Ok(true));
    fake.set_state_down(true);
    assert_eq!(host.state_get("k").unwrap_err().class, FaultClass::Internal);
}

#[test]
fn a_host_that_panics_does_not_take_the_plugin_along() {
    let host = over_the_wire(Arc::new(Cruel));
    host.info("message", &[]);
    assert!(host.now() > SystemTime::UNIX_EPOCH);
    assert_eq!(host.resolve("a".as_ref()), PathBuf::from("a"));
    host.metric_add("m", &[], 1);
    host.metric_set("m", &[], 1.0);
    let faults = [
        host.secret(&SecretRef::Env("E".to_owned())).unwrap_err(),
        host.state_get("k").unwrap_err(),
        host.state_put("k", b"").unwrap_err(),
        host.state_compare_and_swap("k", None, b"").unwrap_err(),
        host.state_delete("k").unwrap_err(),
        host.state_list("k", None, 1).unwrap_err(),
    ];
    for fault in faults {
        assert_eq!(fault.class, FaultClass::Panicked);
    }
}
