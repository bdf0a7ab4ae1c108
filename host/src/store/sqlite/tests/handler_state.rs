use certdock_plugin_api::bounds::LISTED_BYTES;

use super::*;
use crate::ids::HandlerName;
use crate::store::HandlerState as _;

fn handler(name: &str) -> HandlerName {
    name.parse().unwrap()
}

#[test]
fn each_handler_has_its_own_keys() {
    let store = scratch();
    let (one, two) = (handler("one"), handler("two"));
    store.state_put(&one, "k", b"1").unwrap();
    assert_eq!(store.state_get(&two, "k").unwrap(), None);
    store.state_put(&two, "k", b"2").unwrap();
    assert_eq!(store.state_get(&one, "k").unwrap().unwrap().value, b"1");
    assert!(store.state_delete(&one, "k").unwrap());
    assert!(!store.state_delete(&one, "k").unwrap());
    assert_eq!(store.state_get(&two, "k").unwrap().unwrap().value, b"2");
}

#[test]
fn no_version_comes_back() {
    let store = scratch();
    let one = handler("one");
    let mut last = 0;
    let mut newer = |version: u64| {
        assert!(version > last, "{version} after {last}");
        last = version;
    };
    newer(store.state_put(&one, "k", b"a").unwrap());
    newer(store.state_put(&one, "k", b"a").unwrap());
    store.state_delete(&one, "k").unwrap();
    newer(store.state_put(&one, "k", b"a").unwrap());
    store.state_delete(&one, "k").unwrap();
    let made = store.state_compare_and_swap(&one, "k", None, b"a").unwrap();
    newer(made.unwrap());
}

#[test]
fn swapping_needs_the_version_that_is_there() {
    let store = scratch();
    let one = handler("one");
    let swap = |expected, value: &[u8]| {
        store
            .state_compare_and_swap(&one, "k", expected, value)
            .unwrap()
    };
    assert_eq!(swap(Some(1), b"a"), None);
    let first = swap(None, b"a").unwrap();
    assert_eq!(swap(None, b"b"), None);
    assert_eq!(swap(Some(u64::MAX), b"b"), None);
    let second = swap(Some(first), b"c").unwrap();
    assert_eq!(swap(Some(first), b"d"), None);
    let stored = store.state_get(&one, "k").unwrap().unwrap();
    assert_eq!((stored.value, stored.version), (b"c".to_vec(), second));
}

#[test]
fn keys_are_listed_by_prefix_in_byte_order() {
    let store = scratch();
    let one = handler("one");
    for key in ["a", "b", "b/1", "b/2", "b/2\0", "b/ü", "c", ""] {
        store.state_put(&one, key, key.as_bytes()).unwrap();
    }
    store.state_put(&handler("two"), "b/3", b"").unwrap();
    for (prefix, after, limit, expect) in [
        ("b/", None, 10, &["b/1", "b/2", "b/2\0", "b/ü"][..]),
        ("b/", None, 2, &["b/1", "b/2"]),
        ("b/", Some("b/2"), 10, &["b/2\0", "b/ü"]),
        ("b/", Some("a"), 1, &["b/1"]),
        ("b/", Some("c"), 10, &[]),
        ("", Some("b/ü"), 10, &["c"]),
        ("", None, 2, &["", "a"]),
        ("x", None, 10, &[]),
    ] {
        let found = store.state_list(&one, prefix, after, limit).unwrap();
        let keys: Vec<_> = found.keys().map(String::as_str).collect();
        assert_eq!(keys, expect, "{prefix} {after:?} {limit}");
        assert!(found.iter().all(|(key, it)| it.value == key.as_bytes()));
    }
}

#[test]
fn a_listing_is_bounded_and_continued_after_its_last_key() {
    let store = scratch();
    let one = handler("one");
    let value = vec![7; LISTED_BYTES / 4];
    for number in 0..10 {
        store
            .state_put(&one, &format!("large/{number}"), &value)
            .unwrap();
    }
    let mut keys = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = store
            .state_list(&one, "large/", after.as_deref(), usize::MAX)
            .unwrap();
        let bytes: usize = page
            .iter()
            .map(|(key, it)| key.len() + it.value.len())
            .sum();
        assert!(bytes <= LISTED_BYTES, "{bytes}");
        let Some(last) = page.keys().next_back() else {
            break;
        };
        after = Some(last.clone());
        keys.extend(page.into_keys());
    }
    let all: Vec<_> = (0..10).map(|number| format!("large/{number}")).collect();
    assert_eq!(keys, all);
    // Of before there was a bound.
    store
        .state_put(&one, "old/1", &vec![7; LISTED_BYTES + 1])
        .unwrap();
    store.state_put(&one, "old/2", b"").unwrap();
    assert_eq!(store.state_list(&one, "old/", None, 10).unwrap().len(), 1);
}
