//! One unconfirmed publish per partition key: a later message never overtakes an earlier one that
//! was not taken.
//!
//! Keys share a fixed number of gates by hash, so memory is bounded; two keys behind one gate only
//! wait a little for each other.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Mutex, MutexGuard};

/// How many publishes can be unconfirmed at once.
const GATES: usize = 4096;

/// The gates of one gateway.
pub struct Gates(Vec<Gate>);

#[derive(Default)]
struct Gate {
    // Tokio's mutex is fair: who waited first goes first.
    passage: Mutex<()>,
    failures: AtomicU64,
}

/// Something of the same key that came earlier was not taken: the sender has to begin there.
#[derive(Debug, PartialEq, Eq)]
pub struct Overtaken;

/// The right to publish for a key.
pub struct Passage<'a> {
    gate: &'a Gate,
    _guard: MutexGuard<'a, ()>,
}

impl Default for Gates {
    fn default() -> Self {
        Self((0..GATES).map(|_| Gate::default()).collect())
    }
}

impl Gates {
    /// Waits until nothing of this key is unconfirmed.
    ///
    /// # Errors
    /// [`Overtaken`] if what this waited for failed.
    pub async fn enter(&self, key: &str) -> Result<Passage<'_>, Overtaken> {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let index = usize::try_from(hasher.finish() % GATES as u64).expect("less than GATES");
        let gate = &self.0[index];
        let failures = gate.failures.load(Ordering::Acquire);
        let guard = gate.passage.lock().await;
        if gate.failures.load(Ordering::Acquire) != failures {
            return Err(Overtaken);
        }
        Ok(Passage {
            gate,
            _guard: guard,
        })
    }
}

impl Passage<'_> {
    /// Lets the next one in, or turns away everyone who waits by now.
    pub fn leave(self, confirmed: bool) {
        if !confirmed {
            self.gate.failures.fetch_add(1, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn a_failure_turns_away_who_waits_and_not_who_comes_later() {
        let gates = Arc::new(Gates::default());
        let first = gates.enter("a").await.ok().unwrap();
        let waits = tokio::spawn({
            let gates = Arc::clone(&gates);
            async move { gates.enter("a").await.map(|_| ()) }
        });
        // The one that waits has read the failure count once it is parked on the mutex.
        tokio::task::yield_now().await;
        first.leave(false);
        assert_eq!(waits.await.unwrap(), Err(Overtaken));
        assert!(gates.enter("a").await.is_ok());
    }
}
