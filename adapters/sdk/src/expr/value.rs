//! Values on their way into an expression and out of it.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use cel::{ExecutionError, objects::OptionalValue};
use serde_json::Value;

use super::{ENTRIES_MAX, EvalError, TEXT_BYTES_MAX};

/// The largest whole number that every reader of JSON keeps (RFC 8259, section 6).
const EXACT_MAX: u64 = 1 << 53;

/// Whether an expression may see it.
pub(super) fn check(value: &Value) -> Result<(), EvalError> {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
        Value::String(text) => bounded_text(text).map(|_| ()),
        Value::Array(items) => {
            bounded(items.len())?;
            items.iter().try_for_each(check)
        }
        Value::Object(map) => {
            bounded(map.len())?;
            map.iter().try_for_each(|(key, value)| {
                bounded_text(key)?;
                check(value)
            })
        }
    }
}

/// JSON as an expression would answer it: see [`to_json`].
pub(super) fn exact(value: &Value) -> Value {
    match value {
        Value::Number(number) => {
            let is_exact = match (number.as_i64(), number.as_u64()) {
                (Some(n), _) => n.unsigned_abs() <= EXACT_MAX,
                (None, n) => n.is_none(),
            };
            if is_exact {
                value.clone()
            } else {
                Value::String(number.to_string())
            }
        }
        Value::Array(items) => items.iter().map(exact).collect(),
        Value::Object(map) => {
            let entries = map.iter().map(|(key, value)| (key.clone(), exact(value)));
            Value::Object(entries.collect())
        }
        Value::Null | Value::Bool(_) | Value::String(_) => value.clone(),
    }
}

/// JSON as an expression sees it.
pub(super) fn from_json(value: &Value) -> Result<cel::Value, EvalError> {
    Ok(match value {
        Value::Null => cel::Value::Null,
        Value::Bool(truth) => cel::Value::Bool(*truth),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(n), _) => cel::Value::Int(n),
            (None, Some(n)) => cel::Value::UInt(n),
            (None, None) => cel::Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => cel::Value::String(Arc::new(bounded_text(text)?.to_owned())),
        Value::Array(items) => {
            bounded(items.len())?;
            let items = items.iter().map(from_json).collect::<Result<Vec<_>, _>>()?;
            cel::Value::List(Arc::new(items))
        }
        Value::Object(map) => {
            bounded(map.len())?;
            let mut entries = HashMap::with_capacity(map.len());
            for (key, value) in map {
                entries.insert(bounded_text(key)?.to_owned(), from_json(value)?);
            }
            cel::Value::Map(entries.into())
        }
    })
}

fn bounded(n: usize) -> Result<(), EvalError> {
    if n > ENTRIES_MAX {
        return Err(EvalError("a list or map has too many entries"));
    }
    Ok(())
}

fn bounded_text(text: &str) -> Result<&str, EvalError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(EvalError("a text is too long"));
    }
    Ok(text)
}

/// What came of an expression, as JSON. Keys are sorted: CEL's maps have no order.
pub(super) fn to_json(value: &cel::Value) -> Result<Value, EvalError> {
    Ok(match value {
        cel::Value::Null => Value::Null,
        cel::Value::Bool(truth) => Value::Bool(*truth),
        cel::Value::Int(n) if n.unsigned_abs() > EXACT_MAX => Value::String(n.to_string()),
        cel::Value::Int(n) => Value::from(*n),
        cel::Value::UInt(n) if *n > EXACT_MAX => Value::String(n.to_string()),
        cel::Value::UInt(n) => Value::from(*n),
        cel::Value::Float(n) => serde_json::Number::from_f64(*n)
            .map(Value::Number)
            .ok_or(EvalError("a number is not finite"))?,
        cel::Value::String(text) => Value::String(text.to_string()),
        cel::Value::Bytes(bytes) => Value::String(hex::encode(bytes.as_slice())),
        cel::Value::List(items) => items.iter().map(to_json).collect::<Result<_, _>>()?,
        cel::Value::Map(map) => {
            let mut entries: Vec<(String, &cel::Value)> = map
                .map
                .iter()
                .map(|(key, value)| (key.to_string(), value))
                .collect();
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            let entries = entries.into_iter();
            entries
                .map(|(key, value)| Ok((key, to_json(value)?)))
                .collect::<Result<_, EvalError>>()?
        }
        cel::Value::Opaque(opaque) => match opaque.downcast_ref::<OptionalValue>() {
            Some(optional) => optional.value().map_or(Ok(Value::Null), to_json)?,
            None => return Err(EvalError("has no value that can be written")),
        },
        _ => return Err(EvalError("has no value that can be written")),
    })
}

/// An error in words that hold no value.
#[expect(
    clippy::needless_pass_by_value,
    reason = "it is used up: what it holds must go nowhere"
)]
pub(super) fn sentence(error: ExecutionError) -> EvalError {
    EvalError(match error {
        ExecutionError::NoSuchKey(_) => "a field it names is not there",
        ExecutionError::IndexOutOfBounds(_) => "a list is shorter than it expects",
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "divides by zero",
        ExecutionError::Overflow(..) => "a number is too large",
        ExecutionError::FunctionError { .. } => "a function does not take that value",
        ExecutionError::NoSuchOverload(_)
        | ExecutionError::UnexpectedType { .. }
        | ExecutionError::UnsupportedTargetType { .. }
        | ExecutionError::UnsupportedBinaryOperator(..)
        | ExecutionError::UnsupportedIndex(..)
        | ExecutionError::ValuesNotComparable(..) => "a value is of another type than it expects",
        _ => "cannot be evaluated",
    })
}

/// Text, a number or a truth value as text; none for null.
///
/// # Errors
/// [`EvalError`] for lists and maps.
pub fn text_of(value: &Value) -> Result<Option<String>, EvalError> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        Value::Bool(_) | Value::Number(_) => Ok(Some(value.to_string())),
        Value::Array(_) | Value::Object(_) => Err(EvalError("is no single value")),
    }
}

/// Reads JSON without losing a digit: whole numbers that fit no 64-bit integer become text.
#[must_use]
pub fn lossless_json(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(&with_long_numbers_quoted(bytes)).ok()
}

/// Puts quotes around whole numbers that a 64-bit integer cannot hold.
fn with_long_numbers_quoted(bytes: &[u8]) -> Cow<'_, [u8]> {
    let mut out: Option<Vec<u8>> = None;
    let (mut i, mut copied) = (0, 0);
    while i < bytes.len() {
        match bytes[i] {
            b'"' => i = after_string(bytes, i),
            b'-' | b'0'..=b'9' => {
                let end = i + bytes[i..]
                    .iter()
                    .take_while(|b| matches!(b, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9'))
                    .count();
                if is_long(&bytes[i..end]) {
                    let out = out.get_or_insert_default();
                    out.extend_from_slice(&bytes[copied..i]);
                    out.push(b'"');
                    out.extend_from_slice(&bytes[i..end]);
                    out.push(b'"');
                    copied = end;
                }
                i = end;
            }
            _ => i += 1,
        }
    }
    match out {
        None => Cow::Borrowed(bytes),
        Some(mut out) => {
            out.extend_from_slice(&bytes[copied..]);
            Cow::Owned(out)
        }
    }
}

/// Where a string that starts here has ended.
fn after_string(bytes: &[u8], start: usize) -> usize {
    let mut i = start + 1;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 2,
            b'"' => return i + 1,
            _ => i += 1,
        }
    }
    bytes.len()
}

/// A whole number, well written (RFC 8259, section 6), past both 64-bit integers.
fn is_long(token: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(token) else {
        return false;
    };
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.len() > 18
        && digits.bytes().all(|b| b.is_ascii_digit())
        && !digits.starts_with('0')
        && text.parse::<i64>().is_err()
        && text.parse::<u64>().is_err()
}
