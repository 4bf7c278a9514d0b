//! Expressions: judged when they are read, bounded when they run, silent about what they saw.

use std::time::{Duration, Instant};

use patchbay_sdk::expr::{
    ENTRIES_MAX, EvalError, Expr, Joined, Scope, Source, Table, Variables, lossless_json,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const SCOPE: Scope<'_> = Scope {
    variables: &["body", "topic", "level", "text", "bytes"],
    fields: &[("topic", &["site", "device"])],
};

fn compile(text: &str) -> Result<Expr, String> {
    Expr::compile(&Source::text(text), SCOPE)
}

fn eval(text: &str, body: &Value) -> Result<Value, EvalError> {
    let table = Table::new(
        [("1", "critical"), ("true", "yes"), ("*", "warning")]
            .map(|(key, word)| (key.to_owned(), word.to_owned())),
    );
    let mut variables = Variables::default();
    variables.set("body", body.clone())?;
    variables.set("topic", json!({ "site": "s", "device": "d" }))?;
    variables.set_text("text", Some("some text"));
    variables.set_bytes("bytes", &[0, 255]);
    variables.set_table("level", &table);
    compile(text).expect("an expression").eval(&variables)
}

#[test]
fn a_literal_is_itself() {
    for literal in [
        json!("raised"),
        json!(5),
        json!({ "a": "=not read" }),
        json!(null),
    ] {
        let expr = Expr::compile(&Source(literal.clone()), SCOPE).expect("a literal");
        assert_eq!(expr.eval(&Variables::default()), Ok(literal));
    }
}

#[test]
fn values_come_out_as_json() {
    let body = json!({ "code": 17, "on": true, "t": -3.5, "list": [1, 2], "n": null });
    let cases = [
        ("=string(body.code)", json!("17")),
        ("=body.on ? 'raised' : 'cleared'", json!("raised")),
        ("=topic.site + '/' + topic.device", json!("s/d")),
        (
            "={'b': body.t, 'a': body.list}",
            json!({ "a": [1, 2], "b": -3.5 }),
        ),
        ("=body.list.map(x, x * 2)", json!([2, 4])),
        ("=body.list.exists(x, x == 2)", json!(true)),
        ("=has(body.missing) ? body.missing : null", json!(null)),
        ("=body.?missing.orValue('none')", json!("none")),
        ("=body.?missing", json!(null)),
        ("=level[body.code]", json!("warning")),
        (
            "=level['1'] + level[1] + level[true]",
            json!("criticalcriticalyes"),
        ),
        ("='9' in level", json!(false)),
        ("=hex(bytes)", json!("00ff")),
        ("=json(body.list)", json!("[1,2]")),
        (
            "=plain({'a': {'value': 1, 'time': 2}, 'b': 3})",
            json!({ "a": 1, "b": 3 }),
        ),
        ("=text.matches('^some')", json!(true)),
        ("=text.lowerAscii().split(' ')[1]", json!("text")),
        ("=type(body) == map && type(text) == string", json!(true)),
    ];
    for (text, expected) in cases {
        assert_eq!(eval(text, &body), Ok(expected), "{text}");
    }
}

/// RFC 8259, section 6: beyond 2^53 readers disagree about a number.
#[test]
fn no_digit_of_an_id_is_lost() {
    let payload = br#"{"a":9007199254740993,"b":18446744073709551615,"c":123456789012345678901234567890,"d":-9223372036854775809,"e":"1\"23456789012345678901234567890","f":1.5e300,"g":9007199254740992}"#;
    let body = lossless_json(payload).expect("JSON");
    let expected = json!({
        "a": "9007199254740993", "b": "18446744073709551615",
        "c": "123456789012345678901234567890", "d": "-9223372036854775809",
        "e": "1\"23456789012345678901234567890", "f": 1.5e300, "g": 9_007_199_254_740_992_u64,
    });
    assert_eq!(eval("=body", &body), Ok(expected));
    assert_eq!(
        eval("=string(body.a)", &body),
        Ok(json!("9007199254740993"))
    );
    assert_eq!(eval("=body.a + 1", &body), Ok(json!("9007199254740994")));
    assert_eq!(lossless_json(b"{\"a\":01234567890123456789012}"), None);
}

#[test]
fn what_cannot_be_known_is_a_mistake_when_it_is_read() {
    let nested = "=body.a.all(x, body.b.all(y, x == y))";
    let long = format!("={}1", "1+".repeat(3000));
    let cases = [
        ("=bdoy.code", "`bdoy`"),
        ("=topic.devcie", "`devcie`"),
        ("=explode(body)", "`explode`"),
        ("=text.replace('a', 'b')", "`replace`"),
        ("=text.matches(body.pattern)", "literal"),
        ("=text.matches('(')", "regular expression"),
        (nested, "inside another loop"),
        (&long, "4096 bytes"),
        ("=1 +", "line 1"),
        ("=", "line 1"),
        ("=Message{a: 1}", "map"),
    ];
    for (text, expected) in cases {
        let sentence = compile(text).expect_err(text);
        assert!(sentence.contains(expected), "{text}: {sentence}");
    }
    assert!(
        compile("=body.a.map(x, x.b).filter(y, y > 1)").is_ok(),
        "one after another"
    );
}

#[test]
fn an_error_never_repeats_a_value() {
    let body = json!({ "secret": "hunter2", "list": [1], "key": { "hunter2": 1 } });
    for text in [
        "=body[body.secret]",
        "=body.secret + 1",
        "=body.list[5]",
        "=int(body.secret)",
        "=1 / 0",
        "=body.key.x",
        "=body.secret < 5",
        "=body.list.map(x, body.secret + x)",
        "=level",
    ] {
        let error = eval(text, &body).expect_err(text).to_string();
        assert!(
            !error.contains("hunter2") && !error.is_empty(),
            "{text}: {error}"
        );
    }
}

#[test]
fn the_longest_list_and_the_longest_loop_end_soon() {
    let list: Vec<Value> = (0..ENTRIES_MAX).map(Value::from).collect();
    let body = json!({ "a": list });
    let started = Instant::now();
    let found = eval(
        "=body.a.filter(x, x in body.a).map(y, string(y)).size()",
        &body,
    );
    assert_eq!(found, Ok(json!(ENTRIES_MAX)));
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
    let list: Vec<Value> = (0..=ENTRIES_MAX).map(Value::from).collect();
    assert!(eval("=1", &json!({ "a": list })).is_err(), "one more");
    assert!(
        eval("=1", &json!("x".repeat(70_000))).is_err(),
        "a long text"
    );
}

#[test]
fn a_tree_is_json_whatever_the_values_are() {
    let source = Source(json!({ "id": "=body.id", "list": ["=1 + 1", { "fixed": true }] }));
    let tree = Expr::compile_tree(&source, SCOPE).expect("a tree");
    let mut variables = Variables::default();
    let body = json!({ "id": "\",\"admin\":true,\"x\":\"" });
    variables.set("body", body.clone()).expect("small");
    let expected = json!({ "id": body["id"], "list": [2, { "fixed": true }] });
    assert_eq!(tree.eval(&variables), Ok(expected));
    let wrong = Source(json!({ "list": ["ok", "=nothing"] }));
    let sentence = Expr::compile_tree(&wrong, SCOPE).expect_err("an unknown name");
    assert!(sentence.starts_with("`list`: `1`: "), "{sentence}");
}

#[test]
fn an_address_made_of_levels_can_be_read_back() {
    let joined = |text: &str| compile(text).expect("an expression").joined("topic");
    let field = |name: &str| Joined::Field(name.to_owned());
    assert_eq!(joined("=topic.device"), Some(vec![field("device")]));
    let expected = vec![field("site"), Joined::Text("/".to_owned()), field("device")];
    assert_eq!(joined("=topic.site + '/' + topic.device"), Some(expected));
    for other in [
        "=body.device",
        "=topic.site + string(1)",
        "=has(topic.site)",
        "plain",
    ] {
        assert_eq!(joined(other), None, "{other}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_text_is_an_expression_or_a_sentence(text in "[a-z0-9.()\\[\\]{}'\"+*?:<>=!&| ]{0,40}") {
        let _ = compile(&format!("={text}"));
    }

    #[test]
    fn any_bytes_are_json_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        prop_assert_eq!(lossless_json(&bytes).is_some(), serde_json::from_slice::<Value>(&bytes).is_ok());
    }

    #[test]
    fn what_goes_in_comes_out(n in any::<i64>(), text in "\\PC{0,40}", truth in any::<bool>()) {
        let exact = n.clamp(-(1 << 53), 1 << 53);
        let body = json!({ "n": exact, "list": [text, truth, null] });
        let found = eval("=body", &body);
        prop_assert_eq!(found, Ok(json!({ "list": body["list"], "n": exact })));
    }
}
