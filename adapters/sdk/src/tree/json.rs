//! JSON as a tree.

use std::{borrow::Cow, cell::Cell, fmt};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{BYTES_MAX, DEPTH_MAX, TREES_MAX, Tree};
use crate::Reject;

/// Reads a JSON object.
///
/// # Errors
/// [`Reject::Malformed`] with the place, never with what stands there; [`Reject::TooLarge`].
pub fn parse(bytes: &[u8]) -> Result<Tree<'_>, Reject> {
    if bytes.len() > BYTES_MAX {
        return Err(Reject::TooLarge(format!(
            "JSON of {BYTES_MAX} bytes at most"
        )));
    }
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(Reject::Malformed("expected an object".to_owned()));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let room = Cell::new(TREES_MAX);
    let any = Any {
        depth: 1,
        room: &room,
    };
    let found = any.deserialize(&mut json);
    match found.and_then(|found| json.end().map(|()| found)) {
        Ok(Value::One(tree)) => Ok(tree),
        // What begins with a brace is none; said all the same rather than assumed.
        Ok(Value::Many(_)) => Err(Reject::Malformed("expected an object".to_owned())),
        Err(error) if error.is_data() => Err(Reject::Malformed(format!(
            "at most {DEPTH_MAX} deep, {TREES_MAX} values"
        ))),
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            let place = format!("not JSON at line {line}, column {column}");
            Err(Reject::Malformed(place))
        }
    }
}

/// One without a name yet, or a list of them.
enum Value<'a> {
    One(Tree<'a>),
    Many(Vec<Tree<'a>>),
}

/// Reads any value, so many levels down.
struct Any<'r> {
    depth: usize,
    /// How many trees may still come.
    room: &'r Cell<usize>,
}

impl<'r> Any<'r> {
    fn inside(&self) -> Any<'r> {
        Any {
            depth: self.depth + 1,
            room: self.room,
        }
    }

    fn count<E: serde::de::Error>(&self) -> Result<(), E> {
        match self.room.get().checked_sub(1) {
            Some(room) if self.depth <= DEPTH_MAX => {
                self.room.set(room);
                Ok(())
            }
            _ => Err(E::custom("too much")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Any<'_> {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Value<'de>, D::Error> {
        self.count()?;
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Any<'_> {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(leaf(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(leaf(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value<'de>, E> {
        Ok(leaf(Cow::Owned(number.to_string())))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value<'de>, E> {
        Ok(leaf(Cow::Owned(number.to_string())))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value<'de>, E> {
        Ok(leaf(Cow::Owned(number.to_string())))
    }

    fn visit_bool<E>(self, is: bool) -> Result<Value<'de>, E> {
        Ok(leaf(Cow::Borrowed(if is { "true" } else { "false" })))
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(leaf(Cow::Borrowed("")))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value<'de>, A::Error> {
        let mut many = Vec::new();
        while let Some(value) = list.next_element_seed(self.inside())? {
            match value {
                Value::One(tree) => many.push(tree),
                Value::Many(trees) => many.extend(trees),
            }
        }
        Ok(Value::Many(many))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        let mut inner = Vec::new();
        while let Some(Key(name)) = map.next_key()? {
            match map.next_value_seed(self.inside())? {
                Value::One(tree) => inner.push(Tree { name, ..tree }),
                Value::Many(trees) => inner.extend(trees.into_iter().map(|tree| Tree {
                    name: name.clone(),
                    ..tree
                })),
            }
        }
        Ok(Value::One(Tree {
            inner,
            ..Tree::default()
        }))
    }
}

/// A key, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

fn leaf(text: Cow<'_, str>) -> Value<'_> {
    Value::One(Tree {
        text,
        ..Tree::default()
    })
}

#[cfg(test)]
mod tests;
