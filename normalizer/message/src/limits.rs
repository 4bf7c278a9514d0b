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

/// Which field is past its bound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` is {found} long, {max} at most are allowed")]
pub struct Violation {
    /// Path of the field, as on the wire.
    pub field: String,
    /// What was found.
    pub found: usize,
    /// What is allowed.
    pub max: usize,
}
