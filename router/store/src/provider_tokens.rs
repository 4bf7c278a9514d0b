//! Tokens that providers gave us (access tokens): one per account, shared by every process and
//! channel of it. Everything here is judged by the store's clock alone.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use patchbay_message::{InstanceId, Time};

use crate::StoreError;

/// Keeps tokens, and lets one at a time fetch the next.
#[async_trait]
pub trait ProviderTokens: Send + Sync {
    /// How an account's token stands; `None` if nobody has asked for one yet.
    async fn provider_token(&self, account: &str) -> Result<Option<ProviderToken>, StoreError>;

    /// Takes the right to fetch the token after this `generation` (0: the first one) for `ttl`.
    /// False: there is another generation by now, somebody else is fetching, the last failure's
    /// pause is not over, or `renew` says how far apart renewals are and the last one began less
    /// than that ago. Who has the right already keeps it.
    async fn begin_token(
        &self,
        account: &str,
        generation: u64,
        who: &InstanceId,
        ttl: Duration,
        renew: Option<Duration>,
    ) -> Result<bool, StoreError>;

    /// Keeps what became of a fetch and gives the right to it up. False: the right was lost, and
    /// nothing is kept.
    async fn end_token(
        &self,
        account: &str,
        generation: u64,
        who: &InstanceId,
        fetched: &TokenFetch,
    ) -> Result<bool, StoreError>;
}

/// How an account's token stands.
#[derive(Clone, PartialEq, Eq)]
pub struct ProviderToken {
    /// The token; none was fetched yet.
    pub value: Option<String>,
    /// Rises with every new token; 0 before the first.
    pub generation: u64,
    /// How long ago it was fetched.
    pub age: Duration,
    /// How long it is still good.
    pub left: Duration,
    /// How long ago the last renewal began.
    pub renewed: Option<Duration>,
    /// Somebody is fetching.
    pub fetching: bool,
    /// Fetches that failed since the last good one.
    pub failures: u32,
    /// What the last one said, if it failed.
    pub failure: Option<String>,
    /// How long until another may be begun after it.
    pub retry_in: Duration,
}

/// What became of a fetch.
#[derive(Clone, PartialEq, Eq)]
pub enum TokenFetch {
    /// Here it is. The same one again is the same generation, unless it was renewed.
    Got {
        /// The token.
        value: String,
        /// How long it is good.
        expires_in: Duration,
        /// It was refused before its time, so that this one counts as new.
        renewed: bool,
    },
    /// It could not be fetched.
    Failed {
        /// Why: whatever the fetchers of all processes understand.
        failure: String,
        /// No other fetch before that.
        retry_in: Duration,
    },
}

impl fmt::Debug for ProviderToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderToken")
            .field("is_there", &self.value.is_some())
            .field("generation", &self.generation)
            .field("age", &self.age)
            .field("left", &self.left)
            .field("failures", &self.failures)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TokenFetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Got { expires_in, .. } => write!(f, "Got for {expires_in:?}"),
            Self::Failed { retry_in, .. } => write!(f, "Failed, again in {retry_in:?}"),
        }
    }
}

/// The row as both backends read it, with the time of reading.
pub(crate) struct Row {
    pub(crate) value: Option<String>,
    pub(crate) generation: u64,
    pub(crate) fetched_at: Option<Time>,
    pub(crate) expires_at: Option<Time>,
    pub(crate) renewed_at: Option<Time>,
    pub(crate) fetch_until: Option<Time>,
    pub(crate) failures: u32,
    pub(crate) failure: Option<String>,
    pub(crate) retry_at: Option<Time>,
    pub(crate) now: Time,
}

impl Row {
    pub(crate) fn standing(self) -> ProviderToken {
        let until = |time: Option<Time>| time.map_or(Duration::ZERO, |time| time.since(self.now));
        let ago = |time: Time| self.now.since(time);
        ProviderToken {
            value: self.value,
            generation: self.generation,
            age: self.fetched_at.map_or(Duration::ZERO, ago),
            left: until(self.expires_at),
            renewed: self.renewed_at.map(ago),
            fetching: self.fetch_until > Some(self.now),
            failures: self.failures,
            failure: self.failure,
            retry_in: until(self.retry_at),
        }
    }
}

/// Milliseconds, for arithmetic in the database; the longest a token can be good is some centuries.
pub(crate) fn span_ms(span: Duration) -> i64 {
    const MS_MAX: i64 = 10_000_000_000_000;
    i64::try_from(span.as_millis())
        .unwrap_or(MS_MAX)
        .min(MS_MAX)
}
