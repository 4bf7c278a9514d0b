//! Why something that came in is not taken.

/// The transport answers 401, 401, 400, 403, 404, 413 or as [`Reject::Refused`] says, and counts it.
/// On a socket `Unauthorized` and `Stale` end the connection (`bye`, reason `expired`).
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
    /// Authentic, but this one message is not taken; its sender is told which one it was.
    #[error("{code}: {detail}")]
    Refused {
        /// The sender's own id of it.
        external_id: String,
        /// `bad_frame` (400), `too_large` (413) or `unsupported` (415).
        code: &'static str,
        /// A sentence that names the field.
        detail: String,
    },
}
