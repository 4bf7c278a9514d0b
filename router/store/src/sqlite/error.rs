//! What can go wrong inside, and which of the crate's errors it becomes.

use rusqlite::{ErrorCode, ffi};

use crate::{CommitError, StoreError};

/// Why a piece of work on the database did not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fail {
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    #[error("a row cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    #[error("{0}")]
    Store(String),
}

impl Fail {
    pub(super) fn conflict(what: impl Into<String>) -> Self {
        Self::Commit(CommitError::Conflict(what.into()))
    }

    pub(super) fn refused(what: impl Into<String>) -> Self {
        Self::Commit(CommitError::Refused(what.into()))
    }
}

impl From<Fail> for CommitError {
    fn from(fail: Fail) -> Self {
        match fail {
            Fail::Commit(error) => error,
            Fail::Sql(error) => from_sql(&error),
            Fail::Json(error) => Self::Store(StoreError(error.to_string())),
            Fail::Store(text) => Self::Store(StoreError(text)),
        }
    }
}

impl From<Fail> for StoreError {
    fn from(fail: Fail) -> Self {
        match fail {
            Fail::Commit(CommitError::Store(error)) => error,
            other => Self(other.to_string()),
        }
    }
}

/// A unique key that is taken is somebody else's change; a value that does not fit its column will
/// never fit; anything else (disk full, I/O) may go better next time.
fn from_sql(error: &rusqlite::Error) -> CommitError {
    match error {
        rusqlite::Error::SqliteFailure(code, text) => {
            let text = text.clone().unwrap_or_else(|| code.to_string());
            match (code.code, code.extended_code) {
                (
                    ErrorCode::ConstraintViolation,
                    ffi::SQLITE_CONSTRAINT_UNIQUE
                    | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
                    | ffi::SQLITE_CONSTRAINT_ROWID,
                ) => CommitError::Conflict(text),
                (ErrorCode::ConstraintViolation | ErrorCode::TooBig, _) => {
                    CommitError::Refused(text)
                }
                _ => CommitError::Store(StoreError(text)),
            }
        }
        rusqlite::Error::ToSqlConversionFailure(error) => CommitError::Refused(error.to_string()),
        other => CommitError::Store(StoreError(other.to_string())),
    }
}
