//! Why something that came in is not taken.

/// The transport answers 401, 401, 400, 403, 404, 413 or 415 and counts it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reject {
    /// No proof, or a wrong one.
    #[error("unauthorized")]
    Unauthorized,
    /// The proof is right but too old, or was seen before.
    #[error("stale")]
    Stale,
    /// Authentic, but not of the form; the sentence says what and where.
    #[error("malformed: {0}")]
    Malformed(String),
    /// Authentic, but not allowed: origin, other account.
    #[error("forbidden: {0}")]
    Forbidden(String),
    /// The channel has nothing at this path or method.
    #[error("not found")]
    NotFound,
    /// Past a bound of the channel.
    #[error("too large: {0}")]
    TooLarge(String),
}
