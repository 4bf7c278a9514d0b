//! Keys that cannot be mistaken for each other, and clocks that cannot be right.

use patchbay_message::{Attributes, Severity, Time, limits::KEY_BYTES_MAX};
use patchbay_sdk::device;
use proptest::prelude::*;
use serde_json::json;

proptest! {
    #[test]
    fn other_parts_make_another_key(a in "\\PC{0,40}", b in "\\PC{0,40}", c in "\\PC{0,40}") {
        let whole = device::key(&[&a, &b, &c]);
        prop_assert!(whole.len() <= KEY_BYTES_MAX && !whole.chars().any(char::is_control));
        let joined = format!("{b}{c}");
        prop_assert_ne!(&whole, &device::key(&[&a, &joined]));
        if a != b {
            prop_assert_ne!(whole, device::key(&[&b, &a, &c]));
        }
    }
}

#[test]
fn a_long_key_is_as_good_as_a_short_one() {
    let long = "x".repeat(1000);
    let key = device::key(&["devices", &long]);
    assert!(
        key.len() <= KEY_BYTES_MAX && key.starts_with("sha256:"),
        "{key}"
    );
    assert_ne!(key, device::key(&["devices", &"x".repeat(1001)]));
}

#[test]
fn a_clock_that_was_never_set_or_is_far_ahead_is_not_believed() {
    let now: Time = "2026-11-20T12:00:00Z".parse().expect("a time");
    let believed = |text: &str| device::plausible(text.parse().expect("a time"), now).is_some();
    assert!(believed("2000-01-01T00:00:00Z") && believed("2026-11-21T12:00:00Z"));
    assert!(!believed("1999-12-31T23:59:59Z") && !believed("2026-11-21T12:00:01Z"));
}

#[test]
fn silence_is_told_as_the_router_reads_it() {
    let told = device::silence(
        std::time::Duration::from_secs(900),
        "offline",
        &Severity::Major,
    );
    let expected = json!({ "after_ms": 900_000, "code": "offline", "severity": "major" });
    assert_eq!(told, expected);
}

#[test]
fn readings_that_do_not_fit_are_known() {
    let readings = |n: usize| Attributes::from_iter([("a".to_owned(), json!("x".repeat(n)))]);
    assert!(device::fits(&readings(10)) && !device::fits(&readings(20_000)));
}
