//! What can go wrong inside, and which of the crate's errors it becomes.

use deadpool_postgres::{PoolError, TimeoutType};
use tokio_postgres::{Error, error::SqlState};

use crate::{CommitError, StoreError};

/// Why a piece of work on the database did not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fail {
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error("{}", sentence(.0))]
    Sql(#[from] Error),
    #[error("a row cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// The server answered with a row that we do not understand.
    #[error("{0}")]
    Row(Box<Self>),
    /// May go better next time.
    #[error("{0}")]
    Store(String),
    /// Will not, unless somebody changes something.
    #[error("{0}")]
    Final(String),
}

impl Fail {
    pub(super) fn conflict(what: impl Into<String>) -> Self {
        Self::Commit(CommitError::Conflict(what.into()))
    }

    pub(super) fn refused(what: impl Into<String>) -> Self {
        Self::Commit(CommitError::Refused(what.into()))
    }

    /// The server has not answered within its time.
    pub(super) fn silent() -> Self {
        Self::Store("PostgreSQL does not answer".to_owned())
    }

    /// At start: waiting does not mend it.
    pub(super) fn is_final(&self) -> bool {
        match self {
            Self::Final(_) => true,
            Self::Sql(error) => error
                .code()
                .is_some_and(|code| !is_outage(code) && *code != SqlState::LOCK_NOT_AVAILABLE),
            _ => false,
        }
    }

    /// Two transactions stood in each other's way, or a prepared statement has gone stale: the
    /// same again may well succeed, and nothing of it was written.
    pub(super) fn worth_a_retry(&self) -> bool {
        self.has_code(&[
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
        ]) || self.is_stale()
    }

    /// What was prepared on this connection is not what the server would prepare now: the schema
    /// has changed. A new connection prepares anew.
    pub(super) fn is_stale(&self) -> bool {
        self.has_code(&[
            SqlState::FEATURE_NOT_SUPPORTED,
            SqlState::INVALID_SQL_STATEMENT_NAME,
        ])
    }

    fn has_code(&self, codes: &[SqlState]) -> bool {
        match self {
            Self::Sql(error) => error.code().is_some_and(|code| codes.contains(code)),
            _ => false,
        }
    }

    /// One of those asked about is to blame: without it the same is answered.
    pub(super) fn blames_one(&self) -> bool {
        match self {
            Self::Row(_) => true,
            // Data exception: a value cannot even be looked for.
            Self::Sql(error) => error
                .code()
                .is_some_and(|code| code.code().starts_with("22")),
            _ => false,
        }
    }

    /// The server answered: what failed is the work, not the way to the server.
    pub(super) fn answered(&self) -> bool {
        match self {
            Self::Sql(error) => error.code().is_some_and(|code| !is_outage(code)),
            Self::Commit(CommitError::Store(_)) | Self::Store(_) | Self::Final(_) => false,
            Self::Commit(_) | Self::Json(_) | Self::Row(_) => true,
        }
    }
}

impl From<PoolError> for Fail {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => Self::Sql(error),
            PoolError::Timeout(TimeoutType::Wait) => {
                metrics::counter!("patchbay_store_bound_hit_total", "bound" => "connections")
                    .increment(1);
                Self::Store("every connection to PostgreSQL is in use".to_owned())
            }
            PoolError::Timeout(_) => Self::silent(),
            other => Self::Store(other.to_string()),
        }
    }
}

impl From<Fail> for CommitError {
    fn from(fail: Fail) -> Self {
        match fail {
            Fail::Commit(error) => error,
            Fail::Sql(error) => from_sql(&error),
            Fail::Json(error) => Self::Store(StoreError(error.to_string())),
            Fail::Row(fail) => Self::Store(StoreError(fail.to_string())),
            Fail::Store(text) | Fail::Final(text) => Self::Store(StoreError(text)),
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
/// never fit; anything else (connection, timeout, disk full, read-only standby) may go better next
/// time. Classes: <https://www.postgresql.org/docs/current/errcodes-appendix.html>
fn from_sql(error: &Error) -> CommitError {
    let Some(code) = error.code() else {
        return CommitError::Store(StoreError(sentence(error)));
    };
    let text = sentence(error);
    match (code.code().get(..2), code) {
        (_, &SqlState::UNIQUE_VIOLATION) | (Some("40"), _) => CommitError::Conflict(text),
        (Some("22" | "23" | "54"), _) => CommitError::Refused(text),
        _ => CommitError::Store(StoreError(text)),
    }
}

/// The server is stopping, starting, out of something, or no longer the one that writes. A
/// statement that took too long is none of that.
fn is_outage(code: &SqlState) -> bool {
    let class = code.code().get(..2);
    *code == SqlState::READ_ONLY_SQL_TRANSACTION
        || *code != SqlState::QUERY_CANCELED
            && matches!(class, Some("08" | "53" | "57" | "58" | "XX"))
}

/// The server's message, never its detail: that repeats values. Whatever else it is, with causes.
pub(super) fn sentence(error: &Error) -> String {
    use std::error::Error as _;
    if let Some(error) = error.as_db_error() {
        let place = error.constraint().or_else(|| error.table());
        return match place {
            Some(place) => format!("{} [{}, {place}]", error.message(), error.code().code()),
            None => format!("{} [{}]", error.message(), error.code().code()),
        };
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}
