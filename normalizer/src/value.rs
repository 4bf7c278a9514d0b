//! Free JSON that travels along: keys and values without control characters.

use patchbay_message::Attributes;
use serde_json::Value;

use crate::text;

pub(crate) fn clean_map(map: Attributes) -> Attributes {
    if map.is_empty() {
        return map;
    }
    map.into_iter()
        .map(|(key, value)| (text::clean(key, usize::MAX).0, clean(value)))
        .collect()
}

pub(crate) fn clean(value: Value) -> Value {
    match value {
        Value::String(words) => Value::String(text::clean(words, usize::MAX).0),
        Value::Array(items) => items.into_iter().map(clean).collect(),
        Value::Object(map) => Value::Object(clean_map(map)),
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_)) => plain,
    }
}
