//! The table of options in a kind's page, made from the schema of its options.

use std::path::Path;

use patchbay_sdk::Kind;
use serde_json::Value;

use crate::{Report, golden};

const START: &str = "<!-- options: made from the code by the tests, not to be edited -->\n";
const END: &str = "<!-- end of options -->\n";
/// Tables inside tables.
const DEPTH_MAX: usize = 8;

/// One option.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// `uploads.types`.
    pub(crate) path: String,
    pub(crate) about: String,
    pub(crate) is_required: bool,
    pub(crate) is_secret: bool,
    what: String,
    default: Option<Value>,
}

impl Row {
    /// The table it stands in; none for the top.
    pub(crate) fn table(&self) -> Option<&str> {
        self.path.rsplit_once('.').map(|(table, _)| table)
    }

    pub(crate) fn key(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or(&self.path)
    }
}

/// Every option of a kind, tables before what they hold.
pub(crate) fn rows(kind: &Kind) -> Vec<Row> {
    let schema = (kind.schema)().to_value();
    let mut rows = Vec::new();
    collect(&schema, &schema, "", 0, &mut rows);
    rows
}

fn collect(root: &Value, table: &Value, prefix: &str, depth: usize, rows: &mut Vec<Row>) {
    let Some(properties) = table["properties"]
        .as_object()
        .filter(|_| depth < DEPTH_MAX)
    else {
        return;
    };
    let required = table["required"].as_array().map_or(&[][..], Vec::as_slice);
    for (key, own) in properties {
        let (schema, name) = resolve(root, own);
        let path = format!("{prefix}{key}");
        let about = own["description"]
            .as_str()
            .or(schema["description"].as_str());
        rows.push(Row {
            about: about.unwrap_or_default().replace('\n', " "),
            is_required: required.iter().any(|name| name == key),
            is_secret: is_secret(schema),
            what: what(root, schema, name),
            default: own.get("default").or(schema.get("default")).cloned(),
            path: path.clone(),
        });
        collect(root, schema, &format!("{path}."), depth + 1, rows);
        // A list of tables is written `devices[].address`, a table of tables `down.*.topic`.
        let (items, _) = resolve(root, &schema["items"]);
        collect(root, items, &format!("{path}[]."), depth + 1, rows);
        let (entries, _) = resolve(root, &schema["additionalProperties"]);
        collect(root, entries, &format!("{path}.*."), depth + 1, rows);
    }
}

/// Every place of a value that a path like `devices[].password` leads to.
pub(crate) fn all<'v>(value: &'v Value, path: &str) -> Vec<&'v Value> {
    let mut found = vec![value];
    for step in steps(path) {
        found = match step {
            "[]" => found
                .into_iter()
                .filter_map(Value::as_array)
                .flatten()
                .collect(),
            "*" => found
                .into_iter()
                .filter_map(Value::as_object)
                .flat_map(|map| map.values())
                .collect(),
            key => found
                .into_iter()
                .filter_map(|value| value.get(key))
                .collect(),
        };
    }
    found
}

/// The first place a path leads to; made if it is not there.
pub(crate) fn place<'v>(value: &'v mut Value, path: &str) -> &'v mut Value {
    let mut place = value;
    for step in steps(path) {
        match step {
            "[]" => {
                if place.as_array().is_none_or(Vec::is_empty) {
                    *place = serde_json::json!([{}]);
                }
                place = &mut place[0];
            }
            key => {
                if !place.is_object() {
                    *place = serde_json::json!({});
                }
                let first = place.as_object().and_then(|map| map.keys().next().cloned());
                let key = match key {
                    "*" => first.unwrap_or_else(|| "any".to_owned()),
                    key => key.to_owned(),
                };
                place = &mut place[key];
            }
        }
    }
    place
}

/// `up[].fault.code` is `up`, `[]`, `fault`, `code`.
fn steps(path: &str) -> impl Iterator<Item = &str> {
    path.split('.')
        .flat_map(|step| match step.strip_suffix("[]") {
            Some(key) => [key, "[]"],
            None => [step, ""],
        })
        .filter(|step| !step.is_empty())
}

/// The schema behind a reference or an `Option`, and the name of the type if it has one.
fn resolve<'s>(root: &'s Value, schema: &'s Value) -> (&'s Value, Option<&'s str>) {
    if let Some(name) = schema["$ref"]
        .as_str()
        .and_then(|path| path.rsplit('/').next())
    {
        return (&root["$defs"][name], Some(name));
    }
    let branches = schema["anyOf"].as_array().map_or(&[][..], Vec::as_slice);
    match branches {
        [one, null] | [null, one] if null["type"] == "null" => resolve(root, one),
        _ => (schema, None),
    }
}

fn is_secret(schema: &Value) -> bool {
    let branches = schema["anyOf"].as_array().map_or(&[][..], Vec::as_slice);
    schema["x-secret"] == true || branches.iter().any(is_secret)
}

/// The words of an enum.
fn words(schema: &Value) -> Option<String> {
    let words: Vec<&str> = match (schema["enum"].as_array(), schema["oneOf"].as_array()) {
        (Some(words), _) => words.iter().filter_map(Value::as_str).collect(),
        (None, Some(branches)) => branches
            .iter()
            .map(|branch| branch["const"].as_str())
            .collect::<Option<_>>()?,
        (None, None) => return None,
    };
    (!words.is_empty()).then(|| format!("`{}`", words.join("`, `")))
}

/// The type in words for people.
fn what(root: &Value, schema: &Value, name: Option<&str>) -> String {
    if let Some(words) = words(schema) {
        return words;
    }
    match (name, schema["type"].as_str(), schema["type"][0].as_str()) {
        (Some("Duration"), ..) => "duration".to_owned(),
        (Some("ByteSize"), ..) => "size".to_owned(),
        _ if schema["x-expression"] == true => "value or `=` expression".to_owned(),
        _ if schema["x-secret"] == true => "secret".to_owned(),
        _ if is_secret(schema) => "secret, or a list of them".to_owned(),
        (_, Some("object"), _) => "table".to_owned(),
        (_, Some("array"), _) | (_, _, Some("array")) => {
            let (items, name) = resolve(root, &schema["items"]);
            format!("list of {}", what(root, items, name))
        }
        (_, Some("string"), _) | (_, _, Some("string")) => "text".to_owned(),
        (_, Some("boolean"), _) => "true or false".to_owned(),
        (_, Some("integer" | "number"), _) | (_, _, Some("integer" | "number")) => {
            match (&schema["minimum"], &schema["maximum"]) {
                (Value::Number(min), Value::Number(max)) => format!("{min} to {max}"),
                _ => "number".to_owned(),
            }
        }
        _ => "any".to_owned(),
    }
}

/// The page is there, and its table of options is the code's.
pub(crate) fn compare(kind: &Kind, folder: &Path, report: &mut Report) {
    let id = kind.manifest.id;
    let path = folder.join(format!("{id}.md"));
    let place = format!("docs of {id}");
    let Ok(page) = std::fs::read_to_string(&path) else {
        report.fail(&place, format!("{} is not there", path.display()));
        return;
    };
    let parts = page.split_once(START);
    let Some((before, (_, after))) =
        parts.and_then(|(before, rest)| Some((before, rest.split_once(END)?)))
    else {
        report.fail(&place, format!("the page needs the lines\n{START}{END}"));
        return;
    };
    let fresh = format!("{before}{START}{}{END}{after}", table(&rows(kind)));
    golden::compare_file(&path, &fresh, &place, report);
}

fn table(rows: &[Row]) -> String {
    // A table whose keys are listed says nothing of its own.
    let is_listed = |row: &Row| {
        let prefix = format!("{}.", row.path);
        row.what == "table" && rows.iter().any(|other| other.path.starts_with(&prefix))
    };
    let lines = rows.iter().filter(|row| !is_listed(row)).map(|row| {
        let default = match (&row.default, row.is_required) {
            (_, true) => "required".to_owned(),
            (None | Some(Value::Null), false) => String::new(),
            (Some(Value::String(text)), false) => format!("`\"{text}\"`"),
            (Some(value), false) => format!("`{value}`"),
        };
        format!(
            "| `{}` | {} | {default} | {} |\n",
            row.path, row.what, row.about
        )
    });
    let head = "| option | type | default | meaning |\n|---|---|---|---|\n".to_owned();
    std::iter::once(head).chain(lines).collect()
}
