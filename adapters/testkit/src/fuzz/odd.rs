//! JSON of the right shape but for one value.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::{Value, json};

use super::{body, decode, with_body};
use crate::{Report, act::Incoming, play::Moment};

/// Values of one body that are replaced.
const POINTERS_MAX: usize = 64;

/// Every value of a JSON body is replaced by odd ones, one at a time.
pub(super) fn values(moment: &Moment<'_>, incoming: &Incoming, report: &mut Report) {
    let Ok(json) = serde_json::from_slice::<Value>(body(incoming)) else {
        return;
    };
    let mut pointers = Vec::new();
    collect_pointers(&json, "", &mut pointers);
    for pointer in pointers.iter().take(POINTERS_MAX) {
        for odd in odd() {
            let mut json = json.clone();
            if let Some(place) = json.pointer_mut(pointer) {
                *place = odd;
            }
            let text = json.to_string();
            let incoming = with_body(incoming.clone(), text.clone().into_bytes());
            let outcome = catch_unwind(AssertUnwindSafe(|| decode(moment, &incoming)));
            let start: String = text.chars().take(200).collect();
            report.check(outcome.is_ok(), moment.place, || {
                format!("panics with {start}")
            });
        }
    }
}

fn odd() -> Vec<Value> {
    vec![
        Value::Null,
        json!(true),
        json!(-1),
        json!(0.5),
        json!(u64::MAX),
        json!(1e300),
        json!(""),
        json!(" "),
        json!("\u{0}"),
        json!("é"),
        json!("👩\u{200d}🔧\u{202e}"),
        json!("1"),
        json!("../../x"),
        json!("x".repeat(20_000)),
        json!([]),
        json!([[]]),
        json!({}),
        json!({ "type": "text" }),
    ]
}

fn collect_pointers(value: &Value, at: &str, pointers: &mut Vec<String>) {
    pointers.push(at.to_owned());
    match value {
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                collect_pointers(item, &format!("{at}/{i}"), pointers);
            }
        }
        Value::Object(map) => {
            for (key, value) in map {
                let key = key.replace('~', "~0").replace('/', "~1");
                collect_pointers(value, &format!("{at}/{key}"), pointers);
            }
        }
        _ => {}
    }
}
