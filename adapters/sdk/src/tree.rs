//! Named texts within named texts: what XML and JSON pushes have in common, so that one piece of
//! code reads both. Numbers stay texts: ids above 2^53 lose no digit.
//!
//! Bounded in bytes, depth and number. XML is read without document types, processing instructions
//! and entities other than the five every document has.

mod json;
mod xml;

use std::borrow::Cow;

use serde_json::{Map, Value};

pub use json::parse as parse_json;
pub use xml::parse as parse_xml;

/// Bytes of one document.
pub const BYTES_MAX: usize = 64 * 1024;
/// Trees within trees, the outermost counted.
pub const DEPTH_MAX: usize = 16;
/// Trees of one document, all together.
pub const TREES_MAX: usize = 1024;

/// A text with a name, or more of them under one name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree<'a> {
    /// Its name; the outermost of a JSON document has none.
    pub name: Cow<'a, str>,
    /// What it says; empty if there is something inside.
    pub text: Cow<'a, str>,
    /// What is inside, in order. Lists of JSON are several of one name.
    pub inner: Vec<Tree<'a>>,
}

impl<'a> Tree<'a> {
    /// The first of this name inside.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Tree<'a>> {
        self.inner.iter().find(|tree| tree.name == name)
    }

    /// The text of the first of this name inside, unless it is empty.
    #[must_use]
    pub fn text_of(&self, name: &str) -> Option<&str> {
        let text = self.get(name)?.text.as_ref();
        (!text.is_empty()).then_some(text)
    }

    /// Every one of this name inside.
    pub fn all<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'b Tree<'a>> {
        self.inner.iter().filter(move |tree| tree.name == name)
    }

    /// As JSON: a text, or an object in which several of one name are a list.
    #[must_use]
    pub fn to_json(&self) -> Value {
        if self.inner.is_empty() {
            return Value::String(self.text.clone().into_owned());
        }
        let mut object = Map::new();
        for tree in &self.inner {
            let value = tree.to_json();
            match object.get_mut(tree.name.as_ref()) {
                None => {
                    object.insert(tree.name.clone().into_owned(), value);
                }
                Some(Value::Array(list)) => list.push(value),
                Some(first) => *first = Value::Array(vec![first.take(), value]),
            }
        }
        Value::Object(object)
    }
}
