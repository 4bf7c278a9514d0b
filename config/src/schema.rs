//! One walk over a value along its JSON Schema: fetches the secrets, and finds every key that must be there.
//!
//! Not a validator: shapes are judged by serde, whose sentences people get to see.

use serde_json::Value;

use crate::document::Document;
use crate::path::Path;
use crate::secret::{PLACEHOLDER, Reference, Secrets};

/// `$ref` to `$ref` to ...: schemas made by schemars need one or two.
const REFS_MAX: usize = 16;

/// What the walk found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Keys that must be there and are not.
    pub(crate) missing: Vec<Path>,
    /// Values that are wrong, with the sentence.
    pub(crate) wrong: Vec<(Path, String)>,
    /// Literal secrets in the file; not to be shown.
    pub(crate) literals: Vec<Path>,
    /// Secrets that are not there, in an offline check; what is said about their text means nothing.
    pub(crate) placeholders: Vec<Path>,
    seen: Vec<Path>,
}

/// The walk: `prefix` is where the value stands in the document.
pub(crate) struct Walk<'a> {
    pub(crate) schema: &'a Value,
    pub(crate) document: &'a Document,
    pub(crate) prefix: &'a Path,
    pub(crate) secrets: &'a Secrets,
    pub(crate) findings: Findings,
}

impl Walk<'_> {
    /// Walks the whole value.
    pub(crate) fn run(mut self, value: &mut Value) -> Findings {
        let schema = self.schema;
        self.visit(schema, value, &Path::default(), true);
        self.findings
    }

    /// `certain` is false inside alternatives, where a missing key may only mean that the other one is meant.
    fn visit(&mut self, schema: &Value, value: &mut Value, path: &Path, certain: bool) {
        let schema = resolve(self.schema, schema);
        match &schema["x-secret"] {
            Value::Bool(true) => return self.secret(value, path),
            Value::String(_) => return self.secret_url(value, path),
            _ => {}
        }
        for key in ["anyOf", "oneOf", "allOf"] {
            let branches = schema[key].as_array().map_or(&[][..], Vec::as_slice);
            let is_optional = |branch: &&Value| branch["type"] == "null";
            let n_real = branches
                .iter()
                .filter(|branch| !is_optional(branch))
                .count();
            for branch in branches {
                self.visit(
                    branch,
                    value,
                    path,
                    certain && (key == "allOf" || n_real == 1),
                );
            }
        }
        match value {
            Value::Object(table) => {
                for (key, value) in table.iter_mut() {
                    let known = schema["properties"].get(key);
                    let schema = known.unwrap_or(&schema["additionalProperties"]);
                    self.visit(schema, value, &path.child(key), certain);
                }
                let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
                for key in required.iter().filter_map(Value::as_str) {
                    if certain && !table.contains_key(key) {
                        self.findings.missing.push(path.child(key));
                    }
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    let own = schema["prefixItems"].get(index);
                    let schema = own.unwrap_or(&schema["items"]);
                    self.visit(schema, item, &path.child(index.to_string()), certain);
                }
            }
            _ => {}
        }
    }

    fn secret(&mut self, value: &mut Value, path: &Path) {
        let Value::String(text) = value else {
            return;
        };
        if self.is_done(path) {
            return;
        }
        match Reference::parse(text) {
            Some(reference) => {
                *text = self
                    .fetch(reference, path)
                    .unwrap_or_else(|| PLACEHOLDER.to_owned());
            }
            None if self.is_from_env(path) => {}
            None => self.literal(path, "a secret"),
        }
    }

    /// An address may stand in the file unless it carries a password. One that cannot be fetched becomes null.
    fn secret_url(&mut self, value: &mut Value, path: &Path) {
        let Value::String(text) = value else {
            return;
        };
        if self.is_done(path) {
            return;
        }
        match Reference::parse(text) {
            Some(reference) => {
                *value = self
                    .fetch(reference, path)
                    .map_or(Value::Null, Value::String)
            }
            None if self.is_from_env(path) => {}
            None if url::Url::parse(text).is_ok_and(|url| url.password().is_some()) => {
                self.literal(path, "an address with a password");
            }
            None => {}
        }
    }

    /// Alternatives lead to one value several times, and a secret may look like a reference.
    fn is_done(&mut self, path: &Path) -> bool {
        let is_done = self.findings.seen.contains(path);
        self.findings.seen.push(path.clone());
        is_done
    }

    fn is_from_env(&self, path: &Path) -> bool {
        self.document.is_from_env(&self.prefix.join(path))
    }

    fn fetch(&mut self, reference: Reference<'_>, path: &Path) -> Option<String> {
        match self.secrets.fetch(reference) {
            Ok(secret) => Some(secret),
            Err(sentence) => {
                if !self.secrets.offline {
                    self.findings.wrong.push((path.clone(), sentence));
                }
                self.findings.placeholders.push(path.clone());
                None
            }
        }
    }

    fn literal(&mut self, path: &Path, what: &str) {
        let sentence = format!("`{path}`: {what} must not stand in a file");
        self.findings.wrong.push((path.clone(), sentence));
        self.findings.literals.push(path.clone());
    }
}

fn resolve<'s>(root: &'s Value, mut schema: &'s Value) -> &'s Value {
    for _ in 0..REFS_MAX {
        let Some(pointer) = schema["$ref"].as_str().and_then(|r| r.strip_prefix('#')) else {
            break;
        };
        let Some(target) = root.pointer(pointer) else {
            break;
        };
        schema = target;
    }
    schema
}

/// True if the schema takes a string at `path`; text from the environment is then taken as it is.
pub(crate) fn takes_text(schema: &Value, path: &Path) -> bool {
    let mut node = resolve(schema, schema);
    for key in &path.0 {
        node = resolve(schema, &alternatives(schema, node, key)["properties"][key]);
    }
    let is_string = |node: &Value| match &node["type"] {
        Value::Array(types) => types.iter().any(|r#type| r#type == "string"),
        r#type => r#type == "string",
    };
    let branches = node["anyOf"].as_array().map_or(&[][..], Vec::as_slice);
    is_string(node)
        || branches
            .iter()
            .any(|branch| is_string(resolve(schema, branch)))
}

/// The node itself, or the branch of an optional one that has the key.
fn alternatives<'s>(root: &'s Value, node: &'s Value, key: &str) -> &'s Value {
    let branches = node["anyOf"].as_array().map_or(&[][..], Vec::as_slice);
    let mut branches = branches.iter().map(|branch| resolve(root, branch));
    branches
        .find(|branch| branch["properties"].get(key).is_some())
        .unwrap_or(node)
}

/// Every key path a schema names, tables excluded: `["bus", "url"]`.
pub(crate) fn leaves(schema: &Value) -> Vec<Path> {
    let mut found = Vec::new();
    let mut open = vec![(resolve(schema, schema), Path::default())];
    while let Some((node, path)) = open.pop() {
        let Some(properties) = node["properties"].as_object() else {
            found.push(path);
            continue;
        };
        for key in properties.keys() {
            let child = &resolve(schema, &properties[key]);
            let real = child["anyOf"]
                .as_array()
                .and_then(|branches| branches.first());
            let child = real.map_or(*child, |branch| resolve(schema, branch));
            open.push((child, path.child(key)));
        }
    }
    found
}
