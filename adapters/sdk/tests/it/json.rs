//! JSON errors name the field and never what was sent.

use patchbay_sdk::{Reject, parse_json, parse_object};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "only read")]
struct Body {
    name: String,
    items: Vec<Item>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "only read")]
struct Item {
    n: u32,
    kind: Kind,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Red,
    Blue,
}

fn error(text: &str) -> String {
    match parse_json::<Body>(text.as_bytes()) {
        Err(Reject::Malformed(sentence)) => sentence,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_field_is_named_and_its_value_is_not() {
    let cases = [
        (r#"{"name":5,"items":[]}"#, "`name`: expected a string"),
        (r#"{"name":"a"}"#, "missing field `items`"),
        (
            r#"{"name":"a","items":"secret"}"#,
            "`items`: expected a list",
        ),
        (
            r#"{"name":"a","items":[{"n":"secret at line 7, expected x"}]}"#,
            "`items[0].n`: expected a whole number, 0 or more",
        ),
        (
            r#"{"name":"a","items":[{"n":1,"kind":"secret"}]}"#,
            "`items[0].kind`: expected `red` or `blue`",
        ),
        (
            r#"{"name":"a","items":[5]}"#,
            "`items[0]`: expected an object",
        ),
        (
            r#"{"name":"a","name":"b","items":[]}"#,
            "duplicate field `name`",
        ),
        ("{\"name\":\n secret}", "not JSON at line 2, column 2"),
        ("", "not JSON at line 1, column 0"),
        (
            r#"{"name":"a","items":[]} secret"#,
            "more follows after the JSON",
        ),
    ];
    for (text, sentence) in cases {
        assert_eq!(error(text), sentence, "{text}");
    }
}

#[test]
fn a_list_of_values_is_no_object() {
    assert!(
        parse_json::<Item>(br#"[1,"red"]"#).is_ok(),
        "serde's own way"
    );
    let outcome = parse_object::<Item>(br#" [1,"red"]"#).expect_err("a list");
    assert_eq!(outcome, Reject::Malformed("expected an object".to_owned()));
    assert!(parse_object::<Item>(br#" {"n":1,"kind":"blue"} "#).is_ok());
}
