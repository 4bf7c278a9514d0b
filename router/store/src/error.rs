//! What can go wrong, by what the caller does about it.

/// The store did not answer as it should; the caller waits and tries again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("store unavailable: {0}")]
pub struct StoreError(pub String);

/// Why a commit changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// The lease was taken over: drop every cache, stop the duty, subscribe anew.
    #[error("lease {0} was taken over")]
    Fenced(String),
    /// Somebody else changed a row first (version, unique key, capacity): load again, decide again.
    #[error("changed meanwhile: {0}")]
    Conflict(String),
    /// One of the rows can never be written: the batch is bisected to find it.
    #[error("cannot be written: {0}")]
    Refused(String),
    /// Wait and try again.
    #[error(transparent)]
    Store(#[from] StoreError),
}
