//! What was published and is not yet confirmed: one list per queue, in the order of the tags.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use parking_lot::Mutex;
use patchbay_message::MessageId;
use tokio::sync::{Notify, Semaphore, SemaphorePermit, oneshot};

use super::{
    options::RabbitOptions,
    wire::{Port, Wire},
};
use crate::{Message, PublishError, Queue, meter};

/// One publish: done when all its messages are settled.
pub(super) struct Job {
    missing: AtomicUsize,
    failure: Mutex<Option<PublishError>>,
    done: Mutex<Option<oneshot::Sender<Result<(), PublishError>>>>,
}

impl Job {
    /// A publish of `n` messages, and its outcome.
    pub(super) fn new(n: usize) -> (Arc<Self>, oneshot::Receiver<Result<(), PublishError>>) {
        let (done, outcome) = oneshot::channel();
        let job = Arc::new(Self {
            missing: AtomicUsize::new(n),
            failure: Mutex::new(None),
            done: Mutex::new(Some(done)),
        });
        (job, outcome)
    }

    /// `n` of its messages are settled. The first failure counts.
    fn settle(&self, n: usize, result: Result<(), PublishError>) {
        if let Err(error) = result {
            self.failure.lock().get_or_insert(error);
        }
        if self.missing.fetch_sub(n, Ordering::AcqRel) == n
            && let Some(done) = self.done.lock().take()
        {
            let outcome = self.failure.lock().take().map_or(Ok(()), Err);
            // The publisher may have given up.
            let _ = done.send(outcome);
        }
    }
}

/// A message on its way.
struct Published {
    id: MessageId,
    room: Room,
    returned: bool,
    job: Arc<Job>,
}

/// What a message, or several, take of the window.
#[derive(Debug, Clone, Copy, Default)]
struct Room {
    n: usize,
    n_bytes: usize,
}

/// Room in the window, until it is used.
pub(super) struct Reserved<'a> {
    n: SemaphorePermit<'a>,
    n_bytes: SemaphorePermit<'a>,
}

/// The confirms of one queue; the port of its channel.
pub(super) struct Confirms {
    queue: Queue,
    state: Mutex<State>,
    window: Room,
    /// How many more messages may be on their way.
    n_free: Semaphore,
    /// How many more bytes may be on their way.
    bytes_free: Semaphore,
    /// Told when the queue turns out to be missing.
    missing: Arc<Notify>,
    wire: Weak<Wire>,
}

struct State {
    /// The tag of the first of `published`. The broker counts from 1.
    first: u64,
    /// Those settled before their predecessors leave a hole.
    published: VecDeque<Option<Published>>,
    ended: Option<String>,
}

impl Confirms {
    pub(super) fn new(
        queue: Queue,
        options: &RabbitOptions,
        missing: Arc<Notify>,
        wire: &Arc<Wire>,
    ) -> Self {
        let window = Room {
            n: options.window.max(1) as usize,
            n_bytes: options.window_bytes.max(1) as usize,
        };
        Self {
            queue,
            window,
            state: Mutex::new(State {
                first: 1,
                published: VecDeque::new(),
                ended: None,
            }),
            n_free: Semaphore::new(window.n),
            bytes_free: Semaphore::new(window.n_bytes),
            missing,
            wire: Arc::downgrade(wire),
        }
    }

    /// Waits for room in the window. What is larger than the window gets all of it.
    pub(super) async fn reserve(&self, n: usize, n_bytes: usize) -> Reserved<'_> {
        Reserved {
            n: acquire(&self.n_free, n.min(self.window.n)).await,
            n_bytes: acquire(&self.bytes_free, n_bytes.min(self.window.n_bytes)).await,
        }
    }

    /// Waits until nothing is on its way.
    pub(super) async fn settled(&self) {
        self.reserve(self.window.n, 0).await;
    }

    /// Notes messages and calls `send`, so that tags and frames are in the same order.
    pub(super) fn publish(
        &self,
        messages: &[&Message],
        reserved: Reserved<'_>,
        job: &Arc<Job>,
        send: impl FnOnce(),
    ) {
        let mut state = self.state.lock();
        if let Some(why) = &state.ended {
            let error = PublishError::Unavailable(why.clone());
            drop(state);
            job.settle(messages.len(), Err(error));
            return;
        }
        let mut room = Room {
            n: reserved.n.num_permits(),
            n_bytes: reserved.n_bytes.num_permits(),
        };
        // Given back message by message as they are settled.
        reserved.n.forget();
        reserved.n_bytes.forget();
        let published = messages.iter().map(|message| {
            Some(Published {
                id: message.id,
                room: room.split_off(message.body.len()),
                returned: false,
                job: job.clone(),
            })
        });
        state.published.extend(published);
        send();
    }

    fn settle(&self, settled: Vec<Published>, taken: bool) {
        let mut room = Room::default();
        for published in settled {
            room.n += published.room.n;
            room.n_bytes += published.room.n_bytes;
            let result = if published.returned {
                self.missing.notify_one();
                let why = format!("the queue {} is missing", self.queue);
                Err(PublishError::Unavailable(why))
            } else if taken {
                Ok(())
            } else {
                meter::bound_hit("queue_length_max");
                Err(PublishError::Full(self.queue))
            };
            published.job.settle(1, result);
        }
        self.n_free.add_permits(room.n);
        self.bytes_free.add_permits(room.n_bytes);
    }
}

async fn acquire(free: &Semaphore, wanted: usize) -> SemaphorePermit<'_> {
    let wanted = u32::try_from(wanted).expect("bounds are u32");
    free.acquire_many(wanted).await.expect("it is never closed")
}

impl Room {
    /// The part of one message, if there is still some.
    fn split_off(&mut self, n_bytes: usize) -> Self {
        let part = Self {
            n: self.n.min(1),
            n_bytes: self.n_bytes.min(n_bytes),
        };
        self.n -= part.n;
        self.n_bytes -= part.n_bytes;
        part
    }
}

impl State {
    /// Takes out what is settled by a confirm.
    fn confirmed(&mut self, tag: u64, multiple: bool) -> Vec<Published> {
        let mut settled = Vec::new();
        let Some(at) = tag.checked_sub(self.first) else {
            return settled;
        };
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        if multiple {
            let n = self.published.len().min(at.saturating_add(1));
            settled.extend(self.published.drain(..n).flatten());
            self.first += n as u64;
        } else {
            settled.extend(self.published.get_mut(at).and_then(Option::take));
        }
        while let Some(None) = self.published.front() {
            self.published.pop_front();
            self.first += 1;
        }
        settled
    }
}

impl Port for Confirms {
    fn confirmed(&self, tag: u64, multiple: bool, taken: bool) {
        let settled = self.state.lock().confirmed(tag, multiple);
        self.settle(settled, taken);
    }

    fn returned(&self, id: Option<MessageId>) {
        let mut state = self.state.lock();
        let mut published = state.published.iter_mut().flatten();
        // A repeat of a batch may be on its way twice; the broker returns in order.
        if let Some(published) =
            published.find(|published| !published.returned && Some(published.id) == id)
        {
            published.returned = true;
        }
    }

    fn ended(&self, why: &str) {
        let mut state = self.state.lock();
        state.ended = Some(why.to_owned());
        let published = std::mem::take(&mut state.published);
        drop(state);
        for published in published.into_iter().flatten() {
            let error = PublishError::Unavailable(why.to_owned());
            published.job.settle(1, Err(error));
        }
        // One channel less means that one queue cannot be published to: begin anew.
        if let Some(wire) = self.wire.upgrade() {
            wire.end(why);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn state(n: usize) -> (State, Arc<Job>) {
        let (job, _outcome) = Job::new(n);
        let published = (0..n).map(|n| {
            Some(Published {
                id: MessageId(uuid::Uuid::from_u128(n as u128 + 1)),
                room: Room::default(),
                returned: false,
                job: job.clone(),
            })
        });
        let state = State {
            first: 1,
            published: published.collect(),
            ended: None,
        };
        (state, job)
    }

    proptest! {
        /// Whatever the broker confirms, in whatever order, is settled once.
        #[test]
        fn each_confirm_settles_what_it_names(
            confirms in prop::collection::vec((0_u64..40, any::<bool>()), 0..60),
        ) {
            let (mut state, _job) = state(30);
            let mut open: std::collections::BTreeSet<u64> = (1..=30).collect();
            for (tag, multiple) in confirms {
                let mut expected: Vec<u64> = open
                    .iter()
                    .copied()
                    .filter(|open| *open == tag || multiple && *open < tag)
                    .collect();
                if multiple && tag == 0 {
                    expected.clear();
                }
                open.retain(|tag| !expected.contains(tag));
                let settled: Vec<u64> = state
                    .confirmed(tag, multiple)
                    .iter()
                    .map(|published| u64::try_from(published.id.0.as_u128()).unwrap())
                    .collect();
                prop_assert_eq!(settled, expected);
            }
        }
    }
}
