//! Several secrets: the first makes, all are accepted, none is shown.

use patchbay_sdk::options::{Problems, SECRETS_MAX, Secrets};
use serde::Deserialize;
use serde_json::{Value, json};

fn secrets(value: Value) -> Result<Secrets, String> {
    Secrets::deserialize(value).map_err(|error| error.to_string())
}

#[test]
fn one_secret_or_a_list_of_them() {
    let one = secrets(json!("first")).expect("one");
    assert_eq!(one.newest().map(|secret| secret.expose()), Some("first"));
    let two = secrets(json!(["new", "old"])).expect("two");
    assert_eq!(two.newest().map(|secret| secret.expose()), Some("new"));
    assert_eq!(two.all().len(), 2);
    assert!(Secrets::default().newest().is_none());
    assert_eq!(format!("{two:?}").matches("redacted").count(), 2);
    for wrong in [
        json!([]),
        json!(5),
        json!(vec!["x"; SECRETS_MAX + 1]),
        json!(null),
    ] {
        let sentence = secrets(wrong.clone()).expect_err("wrong");
        assert!(
            sentence.contains("a secret or a list of 1 to 8 secrets"),
            "{sentence}"
        );
    }
}

#[test]
fn a_short_secret_is_named_where_it_stands() {
    let paths = |value: Value| -> Vec<String> {
        let mut problems = Problems::default();
        problems.secrets("keys", &secrets(value).expect("secrets"), 4);
        problems
            .found()
            .into_iter()
            .map(|problem| problem.path)
            .collect()
    };
    assert_eq!(paths(json!("abc")), ["keys"]);
    assert_eq!(paths(json!(["abcd", "abc"])), ["keys.1"]);
    assert_eq!(paths(json!("abcd")), [""; 0]);
}

#[test]
fn bounds_include_their_ends() {
    let is_problem = |found: u32| {
        let mut problems = Problems::default();
        problems.between("n", found, 2, 4);
        !problems.found().is_empty()
    };
    assert_eq!([1, 2, 4, 5].map(is_problem), [true, false, false, true]);
}
