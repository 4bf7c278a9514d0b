//! How far lines of providers have been pulled, and who has rung for more.

use std::{fmt, time::Duration};

use async_trait::async_trait;

use crate::StoreError;

/// Keeps cursors and doorbells. A cursor moves by [`crate::Changes::pulled`], under the fence of
/// whoever pulls.
#[async_trait]
pub trait Pulls: Send + Sync {
    /// Somebody says that there is something to be pulled; durable when it returns. `hint` is what
    /// they gave for it, a short-lived token of the provider's: the newest one counts.
    async fn ring(&self, pull: &str, hint: Option<&str>) -> Result<(), StoreError>;

    /// How far a line has been pulled; from its beginning if nobody ever did.
    async fn pull(&self, pull: &str) -> Result<PullNow, StoreError>;
}

/// How far a line has been pulled.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PullNow {
    /// Where the next page begins; none before the first.
    pub cursor: Option<String>,
    /// How often it was rung for.
    pub rung: u64,
    /// Up to which of these everything has been pulled.
    pub served: u64,
    /// What was given with the last ring that gave anything.
    pub hint: Option<String>,
    /// How long ago it was rung for.
    pub rung_ago: Option<Duration>,
}

/// A page is durable on the bus: the next one begins here.
#[derive(Clone, PartialEq, Eq)]
pub struct PullSaved {
    /// Which line.
    pub pull: String,
    /// Where the next page begins.
    pub cursor: String,
    /// Everything up to this ring has been pulled; none while there is more.
    pub served: Option<u64>,
}

/// Shows neither cursor nor hint: with them others could pull.
impl fmt::Debug for PullNow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PullNow")
            .field("has_cursor", &self.cursor.is_some())
            .field("rung", &self.rung)
            .field("served", &self.served)
            .field("rung_ago", &self.rung_ago)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PullSaved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PullSaved")
            .field("pull", &self.pull)
            .field("served", &self.served)
            .finish_non_exhaustive()
    }
}
