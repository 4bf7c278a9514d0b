//! One unconfirmed batch per partition key: a later message never overtakes an earlier one that was
//! not taken, and what has come while one was on its way goes together as the next.
//!
//! Keys share a fixed number of gates by hash, so memory is bounded; two keys behind one gate only
//! wait a little for each other.

use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash, Hasher},
    mem,
    sync::Arc,
};

use parking_lot::Mutex;
use patchbay_bus::{Bus, Message, PublishError, Queue};
use tokio::sync::oneshot;

/// How many batches can be unconfirmed at once.
const GATES: usize = 4096;
/// Messages that go together at most.
const TOGETHER_MAX: usize = 64;
/// Bytes of bodies that go together at most, unless a single batch has more.
const TOGETHER_BYTES_MAX: usize = 1024 * 1024;

/// What is to be published, in order.
type Batch = Vec<(Queue, Message)>;

/// The gates of one gateway.
pub struct Gates(Arc<[Mutex<Gate>]>);

#[derive(Default)]
struct Gate {
    /// Somebody is on the way.
    busy: bool,
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    key: u64,
    batch: Batch,
    turn: oneshot::Sender<Turn>,
}

/// What one who waited is told. Nothing if something of the same key that came earlier was not taken.
enum Turn {
    /// Others have taken it along.
    Done(Result<(), PublishError>),
    /// The gate is open.
    Lead(Lead, Batch),
}

/// The right to publish, with those who go along; hands on the gate when dropped.
struct Lead {
    gates: Arc<[Mutex<Gate>]>,
    at: usize,
    key: u64,
    along: Vec<Waiting>,
    end: End,
}

/// How a passage ended.
enum End {
    /// Given up before the bus answered: nobody knows what it has of this key.
    GivenUp,
    /// The bus has it, or never will.
    Settled,
    /// The bus did not take what came of these keys: it will come again.
    Failed(Vec<u64>),
}

impl Default for Gates {
    fn default() -> Self {
        Self((0..GATES).map(|_| Mutex::default()).collect())
    }
}

impl Gates {
    /// Publishes a batch once nothing of its key is unconfirmed, together with what else has waited.
    ///
    /// # Errors
    /// What the bus says; and [`PublishError::Unavailable`] if what this waited for was not taken: the
    /// sender has to begin there.
    pub async fn publish(
        &self,
        bus: &dyn Bus,
        key: &str,
        batch: Batch,
    ) -> Result<(), PublishError> {
        let (at, key) = self.place(key);
        let (lead, batch) = match self.enter(at, key, batch) {
            Ok(lead) => lead,
            Err(turn) => match turn.await {
                Ok(Turn::Lead(lead, batch)) => (lead, batch),
                Ok(Turn::Done(result)) => return result,
                Err(_) => return Err(overtaken()),
            },
        };
        lead.publish(bus, batch).await
    }

    /// Which gate, and which key behind it.
    fn place(&self, key: &str) -> (usize, u64) {
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let key = hasher.finish();
        let at = usize::try_from(key % self.0.len() as u64).expect("less than its length");
        (at, key)
    }

    /// Enters the gate, or waits before it.
    fn enter(
        &self,
        at: usize,
        key: u64,
        batch: Batch,
    ) -> Result<(Lead, Batch), oneshot::Receiver<Turn>> {
        let mut gate = self.0[at].lock();
        if gate.busy {
            let (turn, waits) = oneshot::channel();
            gate.waiting.push_back(Waiting { key, batch, turn });
            return Err(waits);
        }
        gate.busy = true;
        drop(gate);
        let lead = Lead {
            gates: Arc::clone(&self.0),
            at,
            key,
            along: Vec::new(),
            end: End::GivenUp,
        };
        Ok((lead, batch))
    }
}

fn overtaken() -> PublishError {
    PublishError::Unavailable("an earlier message of the same sender was not taken".to_owned())
}

impl Lead {
    async fn publish(mut self, bus: &dyn Bus, own: Batch) -> Result<(), PublishError> {
        if self.along.is_empty() {
            let result = bus.publish(own).await;
            self.end = if is_failure(&result) {
                End::Failed(vec![self.key])
            } else {
                End::Settled
            };
            return result;
        }
        let mut all = own.clone();
        for waiting in &self.along {
            all.extend(waiting.batch.iter().cloned());
        }
        let result = bus.publish(all).await;
        if let Err(PublishError::Refused(_) | PublishError::Full(_)) = result {
            return self.singly(bus, own).await;
        }
        let along = mem::take(&mut self.along);
        self.end = if is_failure(&result) {
            let keys = along.iter().map(|waiting| waiting.key);
            End::Failed(keys.chain([self.key]).collect())
        } else {
            End::Settled
        };
        for waiting in along {
            // Whoever has gone away does not mind.
            let _ = waiting.turn.send(Turn::Done(result.clone()));
        }
        result
    }

    /// One of them cannot be published: each goes for itself, so that others do not suffer.
    async fn singly(mut self, bus: &dyn Bus, own: Batch) -> Result<(), PublishError> {
        let mut failed = Vec::new();
        let result = bus.publish(own).await;
        failed.extend(is_failure(&result).then_some(self.key));
        for waiting in mem::take(&mut self.along) {
            // Turned away: what is dropped here is told so.
            if failed.contains(&waiting.key) {
                continue;
            }
            self.key = waiting.key;
            let result = bus.publish(waiting.batch).await;
            failed.extend(is_failure(&result).then_some(waiting.key));
            let _ = waiting.turn.send(Turn::Done(result));
        }
        self.end = End::Failed(failed);
        result
    }
}

/// The same will come again. What is refused never does.
fn is_failure(result: &Result<(), PublishError>) -> bool {
    matches!(
        result,
        Err(PublishError::Full(_) | PublishError::Unavailable(_))
    )
}

impl Drop for Lead {
    fn drop(&mut self) {
        let along = mem::take(&mut self.along);
        let turned_away = match mem::replace(&mut self.end, End::Settled) {
            End::GivenUp => vec![self.key],
            End::Settled => Vec::new(),
            End::Failed(keys) => keys,
        };
        let next = self.gates[self.at].lock().next(turned_away, along);
        let Some((first, along)) = next else {
            return;
        };
        let lead = Self {
            gates: Arc::clone(&self.gates),
            at: self.at,
            key: first.key,
            along,
            end: End::GivenUp,
        };
        // If that one has just gone away, its lead is dropped here and comes to the one after it.
        let _ = first.turn.send(Turn::Lead(lead, first.batch));
    }
}

impl Gate {
    /// Whose turn it is, and who goes along; nobody's if nobody waits. Of the keys that are turned away,
    /// and of those of whom one has gone away while it waited, nothing later goes: it would overtake.
    fn next(
        &mut self,
        mut turned_away: Vec<u64>,
        along: Vec<Waiting>,
    ) -> Option<(Waiting, Vec<Waiting>)> {
        for waiting in along.into_iter().rev() {
            self.waiting.push_front(waiting);
        }
        self.waiting.retain(|waiting| {
            if waiting.turn.is_closed() {
                turned_away.push(waiting.key);
            }
            !turned_away.contains(&waiting.key)
        });
        let Some(first) = self.waiting.pop_front() else {
            self.busy = false;
            return None;
        };
        let (mut n, mut n_bytes) = first.size();
        let mut along = Vec::new();
        while let Some(waiting) = self.waiting.front() {
            let (more, more_bytes) = waiting.size();
            (n, n_bytes) = (n + more, n_bytes + more_bytes);
            if n > TOGETHER_MAX || n_bytes > TOGETHER_BYTES_MAX {
                break;
            }
            along.extend(self.waiting.pop_front());
        }
        Some((first, along))
    }
}

impl Waiting {
    /// Messages and bytes.
    fn size(&self) -> (usize, usize) {
        let bytes = self.batch.iter().map(|(_, message)| message.body.len());
        (self.batch.len(), bytes.sum())
    }
}

#[cfg(test)]
mod tests;
