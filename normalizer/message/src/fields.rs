//! How a part is read: its fields are collected once and each is taken by its name; what is left is
//! kept. serde's own way (`tag` with `flatten`) would buffer every part three times.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, MapAccess, Visitor},
};
use serde_json::Value;

use crate::{Attributes, Content, Fault, Location, Media, Part, Time};

/// The fields of a part that nobody has taken yet.
pub(crate) struct Fields(Vec<(String, Value)>);

impl Fields {
    fn remove(&mut self, name: &str) -> Option<Value> {
        let at = self.0.iter().position(|(key, _)| key == name)?;
        Some(self.0.remove(at).1)
    }

    /// The field's value; the second of the same name would be kept as an unknown one.
    fn take<T: DeserializeOwned, E: Error>(&mut self, name: &str) -> Result<Option<T>, E> {
        let Some(value) = self.remove(name) else {
            return Ok(None);
        };
        if self.remove(name).is_some() {
            return Err(E::custom(format_args!("duplicate field `{name}`")));
        }
        let value = T::deserialize(value);
        value
            .map(Some)
            .map_err(|error| E::custom(format_args!("`{name}`: {error}")))
    }

    fn must<T: DeserializeOwned, E: Error>(&mut self, name: &str) -> Result<T, E> {
        let value = self.take(name)?;
        value.ok_or_else(|| E::custom(format_args!("missing field `{name}`")))
    }

    pub(crate) fn rest(self) -> Attributes {
        self.0.into_iter().collect()
    }
}

/// What can be a field of a part, or several of its fields together.
pub(crate) trait Field: Sized {
    fn take<E: Error>(fields: &mut Fields, name: &'static str) -> Result<Self, E>;
}

impl Field for String {
    fn take<E: Error>(fields: &mut Fields, name: &'static str) -> Result<Self, E> {
        fields.must(name)
    }
}

impl<T: DeserializeOwned> Field for Option<T> {
    fn take<E: Error>(fields: &mut Fields, name: &'static str) -> Result<Self, E> {
        fields.take::<Option<T>, E>(name).map(Option::flatten)
    }
}

impl<T: DeserializeOwned> Field for Vec<T> {
    fn take<E: Error>(fields: &mut Fields, name: &'static str) -> Result<Self, E> {
        fields.take(name).map(Option::unwrap_or_default)
    }
}

impl Field for Attributes {
    fn take<E: Error>(fields: &mut Fields, name: &'static str) -> Result<Self, E> {
        fields.take(name).map(Option::unwrap_or_default)
    }
}

impl Field for Media {
    fn take<E: Error>(fields: &mut Fields, _: &'static str) -> Result<Self, E> {
        Ok(Self {
            url: fields.must("url")?,
            mime: fields.must("mime")?,
            size: fields.must("size")?,
            name: Field::take(fields, "name")?,
            caption: Field::take(fields, "caption")?,
            width: Field::take(fields, "width")?,
            height: Field::take(fields, "height")?,
        })
    }
}

impl Field for Location {
    fn take<E: Error>(fields: &mut Fields, _: &'static str) -> Result<Self, E> {
        Ok(Self {
            lat: fields.must("lat")?,
            lon: fields.must("lon")?,
        })
    }
}

impl Field for Fault {
    fn take<E: Error>(fields: &mut Fields, _: &'static str) -> Result<Self, E> {
        Ok(Self {
            device: fields.must("device")?,
            code: fields.must("code")?,
            severity: fields.must("severity")?,
            state: fields.must("state")?,
            occurred_at: fields.must::<Time, E>("occurred_at")?,
            sequence: Field::take(fields, "sequence")?,
            text: Field::take(fields, "text")?,
            location: Field::take(fields, "location")?,
            readings: Field::take(fields, "readings")?,
        })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OfContent)
    }
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Content::deserialize(deserializer)? {
            Content::Known(part) => Ok(part),
            Content::Other(raw) => Err(D::Error::unknown_variant(
                raw.get("type").and_then(Value::as_str).unwrap_or_default(),
                Self::TYPES,
            )),
        }
    }
}

struct OfContent;

impl<'de> Visitor<'de> for OfContent {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a content part: an object with a `type`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
        // The `type` and where it stood: a part of an unknown kind is kept as it came.
        let mut kind = None;
        let mut fields = Fields(Vec::with_capacity(4));
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            let value: Value = map.next_value()?;
            match value {
                Value::String(word) if key == "type" && kind.is_none() => {
                    kind = Some((word, fields.0.len()));
                }
                value => fields.0.push((key.into_owned(), value)),
            }
        }
        let Some((kind, at)) = kind else {
            return Ok(Content::Other(Value::Object(fields.rest())));
        };
        if fields.0.iter().any(|(key, _)| key == "type") {
            return Err(A::Error::duplicate_field("type"));
        }
        match Part::of_fields(&kind, fields)? {
            Ok(part) => Ok(Content::Known(part)),
            Err(mut fields) => {
                fields
                    .0
                    .insert(at, ("type".to_owned(), Value::String(kind)));
                Ok(Content::Other(Value::Object(fields.rest())))
            }
        }
    }
}
