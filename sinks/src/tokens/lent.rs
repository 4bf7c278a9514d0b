//! A token in hand: how long it is good, and what one try was given.

use std::time::Duration;

use patchbay_sdk::{Secret, SendError, TokenName};
use tokio::time::Instant;

/// The last share of a token's life in which it is refreshed although it is still good.
const EARLY_SHARE: f64 = 0.1;

/// A token of this moment.
#[derive(Debug, Clone)]
pub(crate) struct Present {
    pub(super) value: Secret,
    /// Rises with every new token.
    pub(super) generation: u64,
    /// It is good, and somebody should fetch the next one.
    pub(super) early_at: Instant,
    ends_at: Instant,
}

impl Present {
    /// A token of this age that is good for so long still.
    pub(super) fn new(value: Secret, generation: u64, age: Duration, left: Duration) -> Self {
        let ends_at = Instant::now() + left;
        // Of the life that the last answer gave it: one that the provider gives out again with what
        // is left of its life is refreshed so much later.
        let early = (age + left).mul_f64(EARLY_SHARE).min(left);
        Self {
            value,
            generation,
            early_at: ends_at - early,
            ends_at,
        }
    }

    pub(super) fn is_good(&self) -> bool {
        Instant::now() < self.ends_at
    }

    pub(super) fn is_early(&self) -> bool {
        Instant::now() >= self.early_at
    }
}

/// What one try was given: it sees the same tokens from its beginning to its end, unless one is
/// refused.
#[derive(Debug, Default)]
pub(crate) struct Lent(Vec<(TokenName, Present)>);

impl Lent {
    pub(crate) fn value(&self, name: TokenName) -> Option<Secret> {
        self.find(name).map(|present| present.value.clone())
    }

    pub(crate) fn has(&self, name: TokenName) -> bool {
        self.find(name).is_some()
    }

    /// Which one it was given.
    pub(crate) fn generation(&self, name: TokenName) -> Option<u64> {
        self.find(name).map(|present| present.generation)
    }

    pub(crate) fn put(&mut self, name: TokenName, present: Present) {
        self.0.retain(|(known, _)| *known != name);
        self.0.push((name, present));
    }

    fn find(&self, name: TokenName) -> Option<&Present> {
        let mut known = self.0.iter();
        known.find_map(|(known, present)| (*known == name).then_some(present))
    }
}

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoToken {
    /// Not now: the message waits.
    NotNow {
        /// A sentence.
        why: String,
        /// For how long.
        retry_in: Duration,
    },
    /// As any other send error.
    Failed(SendError),
}

impl NoToken {
    pub(super) fn not_now(why: &str, retry_in: Duration) -> Self {
        Self::NotNow {
            why: why.to_owned(),
            retry_in,
        }
    }
}

impl From<SendError> for NoToken {
    fn from(error: SendError) -> Self {
        Self::Failed(error)
    }
}
