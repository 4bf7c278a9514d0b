//! One TOML file: parsed once into a plain value, with a map from every key and value to its bytes in the file.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::mistake::{At, Mistake, Source};
use crate::path::Path;

/// Syntax errors shown per file; what follows the first few is mostly an echo of them.
const SYNTAX_ERRORS_MAX: usize = 10;

/// Where a value and its key stand in the file, or which environment variable set it.
#[derive(Debug, Clone)]
enum Place {
    File {
        key: Range<usize>,
        value: Range<usize>,
    },
    Env(String),
}

/// A parsed file.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    source: Arc<Source>,
    pub(crate) value: Value,
    places: BTreeMap<Path, Place>,
    /// What the parser stumbled over: sentence and bytes.
    syntax: Vec<(String, Range<usize>)>,
}

impl Document {
    /// Parses a file; mistakes are kept for [`Document::syntax_mistakes`] and the rest stays usable.
    pub(crate) fn parse(name: &str, text: &str) -> Self {
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut document = Self {
            source: Arc::new(Source {
                name: name.to_owned(),
                text: text.to_owned(),
            }),
            value: Value::Null,
            places: BTreeMap::new(),
            syntax: Vec::new(),
        };
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            document.syntax.push((error.message().to_owned(), span));
        }
        document.value = document.take_table(table.get_ref(), &Path::default());
        document
    }

    fn take_table(&mut self, table: &DeTable<'_>, path: &Path) -> Value {
        let mut object = Map::new();
        for (key, value) in table {
            let path = path.child(key.get_ref().as_ref());
            let place = Place::File {
                key: key.span(),
                value: value.span(),
            };
            self.places.insert(path.clone(), place);
            let value = self.take_value(value, &path);
            object.insert(key.get_ref().to_string(), value);
        }
        Value::Object(object)
    }

    fn take_value(&mut self, value: &Spanned<DeValue<'_>>, path: &Path) -> Value {
        match value.get_ref() {
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Integer(number) => self.integer(number.as_str(), number.radix(), value.span()),
            DeValue::Float(number) => self.float(number.as_str(), value.span()),
            DeValue::Boolean(bool) => Value::Bool(*bool),
            DeValue::Datetime(time) => Value::String(time.to_string()),
            DeValue::Table(table) => self.take_table(table, path),
            DeValue::Array(items) => {
                let mut array = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    let path = path.child(index.to_string());
                    let place = Place::File {
                        key: item.span(),
                        value: item.span(),
                    };
                    self.places.insert(path.clone(), place);
                    array.push(self.take_value(item, &path));
                }
                Value::Array(array)
            }
        }
    }

    fn integer(&mut self, digits: &str, radix: u32, span: Range<usize>) -> Value {
        let digits: String = digits.chars().filter(|c| *c != '_').collect();
        if let Ok(number) = i64::from_str_radix(&digits, radix) {
            return Value::from(number);
        }
        if let Ok(number) = u64::from_str_radix(&digits, radix) {
            return Value::from(number);
        }
        self.syntax
            .push(("this number is too large".to_owned(), span));
        Value::Null
    }

    fn float(&mut self, text: &str, span: Range<usize>) -> Value {
        let digits: String = text.chars().filter(|c| *c != '_').collect();
        let number = digits.parse().ok().and_then(serde_json::Number::from_f64);
        if let Some(number) = number {
            return Value::Number(number);
        }
        self.syntax
            .push(("a finite number is needed here".to_owned(), span));
        Value::Null
    }

    /// Puts a value from the environment over the file's.
    pub(crate) fn override_by_env(&mut self, path: &Path, value: Value, variable: &str) {
        let mut table = &mut self.value;
        let Some((last, parents)) = path.0.split_last() else {
            return;
        };
        for key in parents {
            if !table.is_object() {
                *table = Value::Object(Map::new());
            }
            table = table
                .as_object_mut()
                .expect("made an object above")
                .entry(key.as_str())
                .or_insert_with(|| Value::Object(Map::new()));
        }
        if !table.is_object() {
            *table = Value::Object(Map::new());
        }
        table
            .as_object_mut()
            .expect("made an object above")
            .insert(last.clone(), value);
        self.places.retain(|place, _| !place.starts_with(path));
        self.places
            .insert(path.clone(), Place::Env(variable.to_owned()));
    }

    /// True if the value, or the table around it, comes from the environment.
    pub(crate) fn is_from_env(&self, path: &Path) -> bool {
        matches!(self.nearest(path), Some((_, Place::Env(_))))
    }

    /// Blanks a literal secret out of what mistakes show.
    pub(crate) fn blank(&mut self, path: &Path) {
        let Some(Place::File { value, .. }) = self.places.get(path) else {
            return;
        };
        let text = &self.source.text;
        let Some(literal) = text.get(value.clone()) else {
            return;
        };
        let blanks: String = literal
            .chars()
            .map(|c| {
                if c == '\n' {
                    "\n".to_owned()
                } else {
                    "*".repeat(c.len_utf8())
                }
            })
            .collect();
        let text = format!("{}{blanks}{}", &text[..value.start], &text[value.end..]);
        let name = self.source.name.clone();
        self.source = Arc::new(Source { name, text });
    }

    /// What the parser could not read.
    pub(crate) fn syntax_mistakes(&self) -> Vec<Mistake> {
        let shown = self.syntax.iter().take(SYNTAX_ERRORS_MAX);
        shown
            .map(|(title, span)| Mistake {
                title: title.clone(),
                help: None,
                at: At::Span(Arc::clone(&self.source), span.clone()),
            })
            .collect()
    }

    /// A mistake under the value at `path`, or under the nearest thing above it that is there.
    pub(crate) fn at_value(&self, path: &Path, title: impl Into<String>) -> Mistake {
        self.at(path, title, |key, value| {
            let is_short = self
                .source
                .text
                .get(value.clone())
                .is_some_and(|text| !text.contains('\n'));
            if is_short { value } else { key }
        })
    }

    /// A mistake under the key at `path`, or under the nearest thing above it that is there.
    pub(crate) fn at_key(&self, path: &Path, title: impl Into<String>) -> Mistake {
        self.at(path, title, |key, _| key)
    }

    fn at(
        &self,
        path: &Path,
        title: impl Into<String>,
        pick: impl Fn(Range<usize>, Range<usize>) -> Range<usize>,
    ) -> Mistake {
        let at = match self.nearest(path) {
            None => At::File(self.source.name.clone()),
            Some((_, Place::Env(variable))) => At::Env(variable.clone()),
            Some((found, Place::File { key, .. })) if found != *path => {
                At::Span(Arc::clone(&self.source), key.clone())
            }
            Some((_, Place::File { key, value })) => {
                At::Span(Arc::clone(&self.source), pick(key.clone(), value.clone()))
            }
        };
        Mistake {
            title: title.into(),
            help: None,
            at,
        }
    }

    fn nearest(&self, path: &Path) -> Option<(Path, &Place)> {
        let mut path = path.clone();
        loop {
            if let Some(place) = self.places.get(&path) {
                return Some((path, place));
            }
            path = path.parent()?;
        }
    }
}
