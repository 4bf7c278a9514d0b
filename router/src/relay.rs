//! The outbox relay of one partition: publishes what was committed, in order, until it is confirmed.
//!
//! Rows just committed come from memory; what is left from before, or did not fit into memory, is
//! read back from the store. A row counts as relayed only when the bus has confirmed it.

use std::collections::VecDeque;

use parking_lot::Mutex;
use patchbay_bus::{Message, PublishError, Queue};
use patchbay_store::{OutboxRow, StoreError};
use tokio::sync::Notify;

use crate::{shared::Shared, status::Cleared};

/// Shared by the partition's worker, which adds rows, and the task that publishes them.
pub(crate) struct Relay {
    partition: String,
    /// What the status calls it.
    part: String,
    memory_max: usize,
    state: Mutex<State>,
    /// There is something to publish.
    work: Notify,
    /// Something was confirmed.
    progress: Notify,
}

struct State {
    /// Committed and not yet confirmed, without a hole, all after `in_store`.
    queue: VecDeque<OutboxRow>,
    /// Rows up to this number are to be read from the store.
    in_store: Option<u64>,
    /// Rises whenever rows are left to the store, so that a look that began before is not taken for
    /// the last one.
    left: u64,
    /// Confirmed by the bus up to here.
    confirmed: u64,
    /// Deleted from the store up to here.
    deleted: u64,
}

impl Relay {
    /// `newest`: rows up to this number may have been left by whoever had the partition before.
    pub(crate) fn new(partition: &str, newest: u64, memory_max: usize) -> Self {
        Self {
            partition: partition.to_owned(),
            part: format!("relay {partition}"),
            memory_max,
            state: Mutex::new(State {
                queue: VecDeque::new(),
                in_store: (newest > 0).then_some(newest),
                left: 0,
                confirmed: 0,
                deleted: 0,
            }),
            work: Notify::new(),
            progress: Notify::new(),
        }
    }

    /// These rows are committed.
    pub(crate) fn push(&self, rows: Vec<OutboxRow>) {
        let Some(last) = rows.last().map(|row| row.seq) else {
            return;
        };
        let mut state = self.state.lock();
        if state.queue.len() + rows.len() > self.memory_max {
            state.leave_to_store(last);
        } else {
            let in_store = state.in_store.unwrap_or(0);
            if rows.iter().any(|row| row.seq <= in_store) {
                state.left += 1;
            }
            let news = rows.into_iter().filter(|row| row.seq > in_store);
            state.queue.extend(news);
        }
        drop(state);
        self.work.notify_one();
    }

    /// A commit with rows up to this number may or may not have happened.
    pub(crate) fn perhaps(&self, last: u64) {
        self.state.lock().leave_to_store(last);
        self.work.notify_one();
    }

    /// Up to which number rows can be deleted, if there are any.
    pub(crate) fn deletable(&self) -> Option<u64> {
        let state = self.state.lock();
        (state.confirmed > state.deleted).then_some(state.confirmed)
    }

    /// They are.
    pub(crate) fn deleted(&self, through: u64) {
        let mut state = self.state.lock();
        state.deleted = state.deleted.max(through);
    }

    /// Waits until everything committed so far is confirmed.
    pub(crate) async fn drained(&self) {
        loop {
            let progress = self.progress.notified();
            if self.state.lock().is_empty() {
                return;
            }
            progress.await;
        }
    }

    /// Publishes for ever; dropped to stop it.
    pub(crate) async fn run(&self, shared: &Shared) {
        let _cleared = Cleared::at_the_end(&shared.options.status, &self.part);
        let mut backoff = shared.backoff();
        loop {
            match self.next_batch(shared).await {
                Ok(batch) => {
                    backoff.reset();
                    self.publish(shared, batch).await;
                }
                Err(error) => {
                    tracing::warn!(partition = self.partition, %error, "outbox cannot be read");
                    backoff.wait().await;
                }
            }
        }
    }

    async fn next_batch(&self, shared: &Shared) -> Result<Vec<OutboxRow>, StoreError> {
        let batch_max = shared.options.relay_batch_max;
        loop {
            let read_back = {
                let state = self.state.lock();
                match state.in_store {
                    Some(through) => Some((state.confirmed, through, state.left)),
                    None if state.queue.is_empty() => None,
                    None => return Ok(state.queue.iter().take(batch_max).cloned().collect()),
                }
            };
            match read_back {
                None => self.work.notified().await,
                Some((after, through, left)) => {
                    let rows = self.read_back(shared, after, through, left).await?;
                    if !rows.is_empty() {
                        return Ok(rows);
                    }
                }
            }
        }
    }

    /// Rows that are only in the store; none if all of them have been seen.
    async fn read_back(
        &self,
        shared: &Shared,
        after: u64,
        through: u64,
        left: u64,
    ) -> Result<Vec<OutboxRow>, StoreError> {
        let limit = u32::try_from(shared.options.relay_batch_max).unwrap_or(u32::MAX);
        let mut rows = (shared.journal)
            .outbox(&self.partition, after, limit)
            .await?;
        rows.retain(|row| row.seq <= through);
        if rows.is_empty() {
            let mut state = self.state.lock();
            if state.left == left {
                state.in_store = None;
            }
            drop(state);
            self.progress.notify_waiters();
        }
        Ok(rows)
    }

    /// Publishes a batch until the bus has confirmed it.
    async fn publish(&self, shared: &Shared, batch: Vec<OutboxRow>) {
        let Some(last) = batch.last().map(|row| row.seq) else {
            return;
        };
        let mut backoff = shared.backoff();
        commit_publish();
        loop {
            let messages = batch.iter().map(message).collect();
            match shared.bus.publish(messages).await {
                Ok(()) => break,
                // Nothing that the router writes is too large for the bus; a human has to look.
                Err(error @ PublishError::Refused(_)) => {
                    let first = batch.first().map(|row| row.id);
                    tracing::error!(partition = self.partition, ?first, %error, "outbound refused");
                    shared.options.status.bad(&self.part, &error);
                }
                Err(error) => {
                    tracing::warn!(partition = self.partition, %error, "outbound not published");
                    shared.options.status.bad(&self.part, &error);
                }
            }
            backoff.wait().await;
        }
        shared.options.status.good(&self.part);
        publish_ack();
        let mut state = self.state.lock();
        state.confirmed = state.confirmed.max(last);
        while state.queue.front().is_some_and(|row| row.seq <= last) {
            state.queue.pop_front();
        }
        if state.in_store.is_some_and(|through| through <= last) {
            state.in_store = None;
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "a gauge; the bound is far below 2^52"
        )]
        let backlog = state.queue.len() as f64;
        drop(state);
        metrics::gauge!("patchbay_router_relay_backlog", "partition" => self.partition.clone())
            .set(backlog);
        self.progress.notify_waiters();
    }
}

impl State {
    fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.in_store.is_none()
    }

    /// Everything up to `last` is read back from the store, where it is already.
    fn leave_to_store(&mut self, last: u64) {
        self.in_store = Some(self.in_store.unwrap_or(0).max(last));
        self.left += 1;
        self.queue.clear();
    }
}

fn message(row: &OutboxRow) -> (Queue, Message) {
    let message = Message {
        id: row.id,
        kind: "message".into(),
        body: row.envelope.clone(),
    };
    (Queue::Outbound(row.shard), message)
}

/// The process dies between commit and publish.
fn commit_publish() {
    fail::fail_point!("router::commit_publish", |_| std::process::abort());
}

/// The process dies between publish and whatever ends it: the rows are still in the store.
fn publish_ack() {
    fail::fail_point!("router::publish_ack", |_| std::process::abort());
}
