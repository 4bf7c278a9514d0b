//! Types that options are made of: secrets, durations, sizes.

use std::{
    borrow::Cow,
    fmt::{self, Display},
};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};

pub use patchbay_config::{ByteSize, Duration};

use crate::{Problem, Secret};

/// Secrets of one rotation at most.
pub const SECRETS_MAX: usize = 8;

/// One secret or several: the first makes, all are accepted, so that a secret can be replaced
/// without a moment in which what it made is refused.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    all: Vec<Secret>,
    /// Written as a list: tells where each stands in the file.
    is_list: bool,
}

impl Secrets {
    /// The one that makes; none if there is none.
    #[must_use]
    pub fn newest(&self) -> Option<&Secret> {
        self.all.first()
    }

    /// All that are accepted.
    #[must_use]
    pub fn all(&self) -> &[Secret] {
        &self.all
    }
}

impl<'de> Deserialize<'de> for Secrets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrMany)
    }
}

struct OneOrMany;

impl<'de> Visitor<'de> for OneOrMany {
    type Value = Secrets;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a secret or a list of 1 to {SECRETS_MAX} secrets")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Secrets, E> {
        Ok(Secrets {
            all: vec![Secret::new(text)],
            is_list: false,
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Secrets, A::Error> {
        let mut all = Vec::new();
        while let Some(secret) = list.next_element()? {
            all.push(secret);
            if all.len() > SECRETS_MAX {
                break;
            }
        }
        if all.is_empty() || all.len() > SECRETS_MAX {
            return Err(serde::de::Error::invalid_length(all.len(), &self));
        }
        Ok(Secrets { all, is_list: true })
    }
}

impl JsonSchema for Secrets {
    fn schema_name() -> Cow<'static, str> {
        "Secrets".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let secret = Secret::json_schema(generator);
        json_schema!({
            "anyOf": [
                secret,
                { "type": "array", "items": secret, "minItems": 1, "maxItems": SECRETS_MAX },
            ],
        })
    }
}

/// Collects every mistake in a channel's options.
#[derive(Debug, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// What was found.
    #[must_use]
    pub fn found(self) -> Vec<Problem> {
        self.0
    }

    /// A mistake.
    pub fn add(&mut self, path: impl Into<String>, sentence: impl Into<String>) {
        self.0.push(Problem::new(path, sentence));
    }

    /// A mistake unless `good`.
    pub fn require(&mut self, good: bool, path: &str, sentence: &str) {
        if !good {
            self.0.push(Problem::new(path, sentence));
        }
    }

    /// A mistake unless `found` lies between both, ends included.
    pub fn between<T: PartialOrd + Display + Copy>(
        &mut self,
        path: &str,
        found: T,
        min: T,
        max: T,
    ) {
        let is_between = found >= min && found <= max;
        self.require(
            is_between,
            path,
            &format!("must lie between {min} and {max}"),
        );
    }

    /// A mistake for each secret that has fewer bytes.
    pub fn secrets(&mut self, path: &str, secrets: &Secrets, bytes_min: usize) {
        for (i, secret) in secrets.all.iter().enumerate() {
            let path = if secrets.is_list {
                format!("{path}.{i}")
            } else {
                path.to_owned()
            };
            let sentence = format!("a secret must have {bytes_min} bytes at least");
            self.require(secret.expose().len() >= bytes_min, &path, &sentence);
        }
    }
}
