//! What the kinds of channel that are described by rules have in common: expressions and tables are
//! compiled and checked when the file is read, values are read from them when a message comes.

mod compile;
mod receipt;
mod time;

use patchbay_message::limits::KEY_BYTES_MAX;
use serde_json::Value;

use crate::expr::{EvalError, Expr, Variables};

pub use compile::{Compiler, TABLE_ENTRIES_MAX, TABLES_MAX, Tables};
pub use receipt::{ReceiptMap, ReceiptRule};
pub use time::{SentAt, SentAtRule, Unit};

/// Why a rule made nothing: which of its keys, and a sentence.
pub type Failed = (&'static str, String);

/// Whether a text can be an id: neither empty nor long, no control characters.
#[must_use]
pub fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= KEY_BYTES_MAX && !text.chars().any(char::is_control)
}

/// The value.
///
/// # Errors
/// [`Failed`] with this key.
pub fn eval(expr: &Expr, key: &'static str, variables: &Variables<'_>) -> Result<Value, Failed> {
    expr.eval(variables).map_err(|error| failed(key, error))
}

/// The value as text; none for null, or without an expression.
///
/// # Errors
/// [`Failed`] with this key, also for lists and maps.
pub fn maybe_text(
    expr: Option<&Expr>,
    key: &'static str,
    variables: &Variables<'_>,
) -> Result<Option<String>, Failed> {
    let Some(expr) = expr else {
        return Ok(None);
    };
    expr.text(variables).map_err(|error| failed(key, error))
}

/// The value as a text that says something.
///
/// # Errors
/// [`Failed`] with this key, also for nothing at all.
pub fn some_text(
    expr: &Expr,
    key: &'static str,
    variables: &Variables<'_>,
) -> Result<String, Failed> {
    let text = maybe_text(Some(expr), key, variables)?;
    text.filter(|text| !text.is_empty())
        .ok_or_else(|| (key, "is empty".to_owned()))
}

/// The value as an id; none for null, or without an expression.
///
/// # Errors
/// [`Failed`] with this key, also for what cannot be an id.
pub fn maybe_id(
    expr: Option<&Expr>,
    key: &'static str,
    variables: &Variables<'_>,
) -> Result<Option<String>, Failed> {
    match maybe_text(expr, key, variables)? {
        Some(id) if !is_id(&id) => Err((key, "is no id".to_owned())),
        id => Ok(id),
    }
}

fn failed(key: &'static str, error: EvalError) -> Failed {
    (key, error.to_string())
}
