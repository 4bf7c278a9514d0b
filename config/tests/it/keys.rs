//! Every key does something, and the operators' page tells its default.

use std::collections::BTreeMap;
use std::path::Path;

use patchbay_config::{ChannelCommon, Config, Duration, channel_schema, config_schema};
use serde_json::Value;

/// Where the program reads its configuration.
const READERS: [&str; 4] = ["open.rs", "roles.rs", "cli.rs", "observe.rs"];

/// What only states how a channel is proven; the adapter's options do the proving.
const STATEMENTS: [&str; 1] = ["auth"];

#[test]
fn every_key_is_read() {
    let mut code: String = READERS
        .iter()
        .map(|file| text(&format!("../gateway/src/{file}")))
        .collect();
    code.retain(|c| !c.is_whitespace());
    // `let bounds = &config.edge`, so that lines stay short.
    let code = code.replace("bounds.", "edge.");
    let mut unread = keys(&config_schema());
    unread.extend(keys(&channel_schema()));
    unread.retain(|key| !STATEMENTS.contains(&key.as_str()) && !is_read(&code, key));
    assert_eq!(unread, Vec::<String>::new(), "nothing reads these keys");
}

/// The last two names of a path as a field: `retention.events`; a name alone as `.data_dir`.
fn is_read(code: &str, key: &str) -> bool {
    let mut names = key.rsplitn(3, '.');
    let last = names.next().unwrap_or_default();
    let field = format!("{}.{last}", names.next().unwrap_or_default());
    code.match_indices(&field).any(|(at, _)| {
        let after = code[at + field.len()..].chars().next();
        after.is_none_or(|c| !c.is_ascii_alphanumeric() && c != '_')
    })
}

#[test]
fn the_operators_page_has_every_key_with_its_default() {
    let page = text("../docs/operations.md");
    let listed: BTreeMap<&str, &str> = page.lines().filter_map(row).collect();
    let defaults = serde_json::to_value(Config::default()).expect("JSON");
    let mut expected = BTreeMap::new();
    for key in keys(&config_schema()) {
        let default = defaults.pointer(&format!("/{}", key.replace('.', "/")));
        expected.insert(key, shown(default));
    }
    let kind = "kind = \"k\"\nauth = \"token\"\n";
    let loaded = crate::load(&[("channels/a.toml", kind)], &[]).expect("a channel");
    let common: &ChannelCommon = &loaded.channels[0].common;
    let defaults = serde_json::to_value(common).expect("JSON");
    for key in keys(&channel_schema()) {
        let default = match key.as_str() {
            // Given above: they have no default.
            "kind" | "auth" => None,
            _ => defaults.pointer(&format!("/{}", key.replace('.', "/"))),
        };
        expected.insert(key, shown(default));
    }
    let expected: BTreeMap<&str, &str> = expected
        .iter()
        .map(|(key, default)| (key.as_str(), default.as_str()))
        .collect();
    let table: Vec<String> = expected
        .iter()
        .map(|(key, default)| format!("| `{key}` | {default} |"))
        .collect();
    assert_eq!(listed, expected, "it should say:\n{}", table.join("\n"));
}

/// Key and default of a table row.
fn row(line: &str) -> Option<(&str, &str)> {
    let mut cells = line.strip_prefix("| `")?.split(" | ");
    let key = cells.next()?.strip_suffix('`')?;
    let is_key = key
        .chars()
        .all(|c| c.is_ascii_lowercase() || "._".contains(c));
    Some((key, cells.next()?)).filter(|_| is_key)
}

fn shown(default: Option<&Value>) -> String {
    match default {
        None | Some(Value::Null) => "none".to_owned(),
        Some(Value::String(text)) => format!("`{}`", in_days(text)),
        Some(Value::Object(_)) => "empty".to_owned(),
        Some(other) => format!("`{other}`"),
    }
}

/// A long duration is written in months, which nobody configures.
fn in_days(text: &str) -> String {
    match text.parse::<Duration>().map(|time| time.as_secs()) {
        Ok(seconds) if seconds > 0 && seconds % 86_400 == 0 => format!("{}d", seconds / 86_400),
        _ => text.to_owned(),
    }
}

/// Paths of all keys that take a value.
fn keys(schema: &schemars::Schema) -> Vec<String> {
    let mut found = Vec::new();
    walk(schema.as_value(), schema.as_value(), "", &mut found);
    found.sort();
    found
}

fn walk(root: &Value, at: &Value, path: &str, found: &mut Vec<String>) {
    let reference = at["$ref"].as_str().or_else(|| {
        let choices = at["anyOf"].as_array()?;
        choices.iter().find_map(|choice| choice["$ref"].as_str())
    });
    let at = match reference.and_then(|to| root.pointer(to.trim_start_matches('#'))) {
        Some(named) => named,
        None => at,
    };
    // A choice between values, like `auth`, is one key.
    let Some(fields) = at["properties"].as_object() else {
        return found.push(path.to_owned());
    };
    for (name, field) in fields {
        let dot = if path.is_empty() { "" } else { "." };
        walk(root, field, &format!("{path}{dot}{name}"), found);
    }
}

fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
