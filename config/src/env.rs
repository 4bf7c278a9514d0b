//! `PATCHBAY_PUBLIC__LISTEN=..` over `[public] listen = ..`: any key of `patchbay.toml` from the environment.

use std::collections::HashMap;

use serde_json::Value;

use crate::document::Document;
use crate::mistake::{At, Mistake};
use crate::path::Path;
use crate::schema::{leaves, takes_text};
use crate::suggest::closest;

const PREFIX: &str = "PATCHBAY_";

/// Puts the environment over the file. A variable that can only be meant for us and fits no key is a mistake; other
/// `PATCHBAY_` names are left alone, since container platforms invent such.
pub(crate) fn apply(
    document: &mut Document,
    schema: &Value,
    env: &HashMap<String, String>,
) -> Vec<Mistake> {
    let known: HashMap<String, Path> = leaves(schema)
        .into_iter()
        .map(|path| (variable(&path), path))
        .collect();
    let mut mistakes = Vec::new();
    let mut ours: Vec<_> = env
        .iter()
        .filter(|(name, _)| name.starts_with(PREFIX))
        .collect();
    ours.sort();
    for (name, value) in ours {
        if let Some(path) = known.get(name.as_str()) {
            document.override_by_env(path, typed(schema, path, value), name);
        } else if let Some(meant) = meant(name, known.keys().map(String::as_str)) {
            mistakes.push(unknown(name).with_help(format!("did you mean `{meant}`?")));
        } else if name.contains("__") {
            mistakes.push(unknown(name));
        }
    }
    mistakes
}

fn variable(path: &Path) -> String {
    format!("{PREFIX}{}", path.0.join("__").to_uppercase())
}

/// The key that was meant: the same words with other underscores, or a slip in a name that has our double underscore.
fn meant<'k>(name: &str, known: impl Iterator<Item = &'k str> + Clone) -> Option<&'k str> {
    let words = |name: &str| name.replace("__", "_");
    let same = known.clone().find(|known| words(known) == words(name));
    same.or_else(|| {
        name.contains("__")
            .then(|| closest_variable(name, known))
            .flatten()
    })
}

fn closest_variable<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let bare = |name: &str| name.trim_start_matches(PREFIX).to_lowercase();
    let known: Vec<_> = known.map(|known| (bare(known), known)).collect();
    let name = bare(name);
    let found = closest(&name, known.iter().map(|(bare, _)| bare.as_str()))?;
    known
        .iter()
        .find(|(bare, _)| bare == found)
        .map(|(_, known)| *known)
}

fn unknown(name: &str) -> Mistake {
    Mistake {
        title: format!("`{name}` sets nothing: there is no such key"),
        help: None,
        at: At::Env(name.to_owned()),
    }
}

/// Text where the key takes text; else what TOML makes of it, so that numbers, booleans and lists can be given.
fn typed(schema: &Value, path: &Path, text: &str) -> Value {
    if takes_text(schema, path) {
        return Value::String(text.to_owned());
    }
    let parsed = Document::parse("", &format!("value = {text}"));
    match parsed.value.get("value") {
        Some(value) if parsed.syntax_mistakes().is_empty() => value.clone(),
        _ => Value::String(text.to_owned()),
    }
}
