//! Where a value stands in a file: the keys and indexes that lead to it.

use std::fmt;

use serde_json::Value;

/// Keys and indexes from the top of a file down to a value.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Path(pub(crate) Vec<String>);

impl Path {
    pub(crate) fn child(&self, segment: impl Into<String>) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment.into());
        Self(segments)
    }

    pub(crate) fn parent(&self) -> Option<Self> {
        let (_, rest) = self.0.split_last()?;
        Some(Self(rest.to_vec()))
    }

    pub(crate) fn join(&self, below: &Self) -> Self {
        Self(self.0.iter().chain(&below.0).cloned().collect())
    }

    pub(crate) fn starts_with(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    /// Reads `a.b.0` (or `a.b[0]`) with `value` at hand, because keys may contain dots themselves.
    pub(crate) fn find(value: &Value, dotted: &str) -> Self {
        let dotted = dotted.replace('[', ".").replace(']', "");
        let words: Vec<&str> = dotted.split('.').filter(|word| !word.is_empty()).collect();
        let mut path = Self::default();
        let mut value = Some(value);
        let mut rest = words.as_slice();
        while !rest.is_empty() {
            let (key, taken) = match value {
                Some(Value::Object(table)) => (1..=rest.len())
                    .rev()
                    .map(|n| (rest[..n].join("."), n))
                    .find(|(key, _)| table.contains_key(key))
                    .unwrap_or_else(|| (rest[0].to_owned(), 1)),
                _ => (rest[0].to_owned(), 1),
            };
            value = value.and_then(|value| step(value, &key));
            path.0.push(key);
            rest = &rest[taken..];
        }
        path
    }

    pub(crate) fn get<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.0.iter().try_fold(value, |value, key| step(value, key))
    }

    pub(crate) fn get_mut<'v>(&self, value: &'v mut Value) -> Option<&'v mut Value> {
        self.0.iter().try_fold(value, |value, key| match value {
            Value::Object(table) => table.get_mut(key),
            Value::Array(items) => items.get_mut(key.parse::<usize>().ok()?),
            _ => None,
        })
    }

    /// Takes the value out; true if it was there.
    pub(crate) fn remove(&self, value: &mut Value) -> bool {
        let Some((last, rest)) = self.0.split_last() else {
            return false;
        };
        match Self(rest.to_vec()).get_mut(value) {
            Some(Value::Object(table)) => table.shift_remove(last).is_some(),
            Some(Value::Array(items)) => match last.parse::<usize>() {
                Ok(index) if index < items.len() => {
                    items.remove(index);
                    true
                }
                _ => false,
            },
            _ => false,
        }
    }
}

fn step<'v>(value: &'v Value, key: &str) -> Option<&'v Value> {
    match value {
        Value::Object(table) => table.get(key),
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        _ => None,
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

impl From<&serde_path_to_error::Path> for Path {
    fn from(path: &serde_path_to_error::Path) -> Self {
        use serde_path_to_error::Segment;
        Self(
            path.iter()
                .filter_map(|segment| match segment {
                    Segment::Seq { index } => Some(index.to_string()),
                    Segment::Map { key } => Some(key.clone()),
                    Segment::Enum { variant } => Some(variant.clone()),
                    Segment::Unknown => None,
                })
                .collect(),
        )
    }
}
