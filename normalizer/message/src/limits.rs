//! Bounds on every field of an envelope: what one message may weigh.

/// A whole envelope as JSON, bytes.
pub const ENVELOPE_BYTES_MAX: usize = 256 * 1024;
/// Parts of one message.
pub const PARTS_MAX: usize = 64;
/// One text or HTML part, bytes of UTF-8.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Addresses, external ids, dedupe keys, partition keys: bytes.
pub const KEY_BYTES_MAX: usize = 512;
/// Names and labels: bytes.
pub const NAME_BYTES_MAX: usize = 256;
/// A URL: bytes.
pub const URL_BYTES_MAX: usize = 2048;
/// An attribute map as JSON: bytes.
pub const ATTRIBUTES_BYTES_MAX: usize = 16 * 1024;

/// A BCP 47 language tag: bytes (RFC 5646, section 4.4.1, names 35 as what readers must take).
pub const LOCALE_BYTES_MAX: usize = 35;
/// Answers of one choice, addresses of one card.
pub const CHOICES_MAX: usize = 64;
/// A W3C trace context: bytes.
pub const TRACE_BYTES_MAX: usize = 128;

/// Which field breaks which rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {rule}")]
pub struct Violation {
    /// Path of the field, as on the wire: `content[2].media.url`.
    pub field: String,
    /// What it breaks.
    pub rule: Rule,
}

impl Violation {
    /// `field` breaks `rule`.
    pub fn new(field: impl Into<String>, rule: Rule) -> Self {
        Self {
            field: field.into(),
            rule,
        }
    }

    /// The same, seen from the field around it.
    #[must_use]
    pub fn under(self, outer: &str) -> Self {
        let field = match self.field.as_str() {
            "." => outer.to_owned(),
            inner => format!("{outer}.{inner}"),
        };
        Self { field, ..self }
    }
}

/// A rule that a field of an envelope breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rule {
    /// Longer than its bound; bytes of text, entries of lists.
    #[error("is {found} long, {max} at most are allowed")]
    TooLong {
        /// What was found.
        found: usize,
        /// What is allowed.
        max: usize,
    },
    /// Has a character that an id or key must not have.
    #[error("has a control character")]
    Control,
    /// Must be there and is not.
    #[error("is missing")]
    Missing,
    /// Is there, and not of its form.
    #[error("{0}")]
    Form(&'static str),
}
