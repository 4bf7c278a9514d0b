//! One inbound partition while we hold its lease: take a batch, load facts, decide, commit, ack; the
//! relay publishes beside it.
//!
//! One batch at a time: while it is being committed, the next one gathers in the prefetch. Nothing is
//! acked before it is committed, and nothing is dropped: what the store cannot write dies alone as a
//! dead letter, everything else is tried until it works or the lease is gone.

use std::{ops::Range, sync::Arc, time::Instant};

use patchbay_bus::{Consumer, Delivery, Queue};
use patchbay_message::LogNudge;
use patchbay_store::{Changes, CommitError, Committed, Facts, Fence, StoreError, Want};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    decide::{self, Context, Decision},
    desk::DeskCache,
    item::Item,
    meter,
    relay::Relay,
    shared::{CONVERSATION, End, Shared},
    status::Cleared,
};

/// Conflicts answered by loading and deciding again at once; after that with pauses.
const CONFLICTS_AT_ONCE_MAX: u32 = 8;

/// Why a part of a batch is not done.
enum Undone {
    /// The store can never write it.
    Refused(String),
    /// The duty is over.
    Over(End),
}

struct Worker {
    shared: Arc<Shared>,
    partition: u16,
    fence: Fence,
    stop: CancellationToken,
    relay: Arc<Relay>,
    /// Number of the last outbox row, once known. Never falls while we hold the lease, though rows
    /// are deleted: a number is never given twice.
    outbox_seq: u64,
    /// A commit may have happened or not: the store has to be asked for `outbox_seq`.
    outbox_unsure: bool,
    desk: DeskCache,
    /// What the status calls us.
    part: String,
}

/// Works until told to stop or fenced. Dropping the future stops at once: nothing is lost by that,
/// deliveries not acked come again.
pub(crate) async fn run(
    shared: Arc<Shared>,
    partition: u16,
    fence: Fence,
    stop: CancellationToken,
) -> End {
    let part = format!("partition {partition}");
    let _cleared = Cleared::at_the_end(&shared.options.status, &part);
    let Some(outbox_seq) = newest_outbox(&shared, &fence, &stop).await else {
        return End::Stopped;
    };
    let memory_max = shared.options.relay_memory_max;
    let relay = Arc::new(Relay::new(&fence.name, outbox_seq, memory_max));
    // Owns the relay's task: it ends when this function does, however that happens.
    let mut tasks = JoinSet::new();
    tasks.spawn({
        let (relay, shared) = (relay.clone(), shared.clone());
        async move { relay.run(&shared).await }
    });
    let mut worker = Worker {
        shared,
        partition,
        fence,
        stop,
        relay,
        outbox_seq,
        outbox_unsure: false,
        desk: DeskCache::default(),
        part,
    };
    let end = worker.consume().await;
    if end == End::Stopped {
        worker.leave_in_order().await;
    }
    end
}

async fn newest_outbox(shared: &Shared, fence: &Fence, stop: &CancellationToken) -> Option<u64> {
    let want = Want {
        outbox: Some(fence.name.clone()),
        ..Want::default()
    };
    let mut backoff = shared.backoff();
    loop {
        match shared.journal.facts(&want).await {
            Ok(facts) => return Some(facts.outbox_seq),
            Err(error) => {
                tracing::warn!(lease = fence.name, %error, "partition cannot begin");
                tokio::select! {
                    () = stop.cancelled() => return None,
                    () = backoff.wait() => {}
                }
            }
        }
    }
}

impl Worker {
    /// Subscribes, and again whenever the subscription is gone.
    async fn consume(&mut self) -> End {
        let queue = Queue::Inbound(self.partition);
        let mut backoff = self.shared.backoff();
        loop {
            let stop = self.stop.clone();
            let error = tokio::select! {
                () = stop.cancelled() => return End::Stopped,
                consumer = self.shared.bus.consume(queue, self.shared.options.prefetch) => {
                    match consumer {
                        Ok(mut consumer) => {
                            backoff.reset();
                            self.shared.options.status.good(&self.part);
                            match self.batches(consumer.as_mut()).await {
                                Ok(end) => return end,
                                Err(error) => error,
                            }
                        }
                        Err(error) => error,
                    }
                }
            };
            tracing::warn!(partition = self.partition, %error, "subscribing anew");
            self.shared.options.status.bad(&self.part, &error);
            tokio::select! {
                () = stop.cancelled() => return End::Stopped,
                () = backoff.wait() => {}
            }
        }
    }

    /// Batch after batch, until the subscription or the duty is gone.
    async fn batches(
        &mut self,
        consumer: &mut dyn Consumer,
    ) -> Result<End, patchbay_bus::BusError> {
        loop {
            let stop = self.stop.clone();
            let batch = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(End::Stopped),
                batch = consumer.recv(self.shared.options.batch_max) => batch?,
                () = tokio::time::sleep(self.shared.options.relay_flush_after) => {
                    if let Some(end) = self.flush().await {
                        return Ok(end);
                    }
                    continue;
                }
            };
            if let Err(end) = self.work(batch).await {
                return Ok(end);
            }
        }
    }

    /// Settles a batch, halving what the store refuses until the one it cannot write stands alone.
    async fn work(&mut self, batch: Vec<Delivery>) -> Result<(), End> {
        let began = Instant::now();
        let items: Vec<Item> = batch
            .iter()
            .map(|delivery| Item::read(delivery.message.id, delivery.message.body.clone()))
            .collect();
        let mut deliveries = batch.into_iter();
        let mut parts: Vec<Range<usize>> = std::iter::once(0..items.len()).collect();
        while let Some(part) = parts.pop() {
            let one = part.len() <= 1;
            match self.settle(&items[part.clone()], None).await {
                Ok(()) => {}
                Err(Undone::Over(end)) => return Err(end),
                Err(Undone::Refused(why)) if one => self.bury(&items[part.start], &why).await?,
                Err(Undone::Refused(_)) => {
                    let middle = part.start + part.len() / 2;
                    parts.push(middle..part.end);
                    parts.push(part.start..middle);
                    continue;
                }
            }
            deliveries.by_ref().take(part.len()).for_each(Delivery::ack);
        }
        meter::batch(items.len(), began.elapsed());
        Ok(())
    }

    /// Makes a dead letter of what the store refuses.
    async fn bury(&mut self, item: &Item, why: &str) -> Result<(), End> {
        tracing::error!(message_id = %item.id, kind = item.kind(), why, "dead letter");
        let mut backoff = self.shared.backoff();
        loop {
            match self.settle(std::slice::from_ref(item), Some(why)).await {
                Ok(()) => return Ok(()),
                Err(Undone::Over(end)) => return Err(end),
                Err(Undone::Refused(error)) => {
                    tracing::error!(message_id = %item.id, error, "dead letter cannot be written");
                    self.shared.options.status.bad(&self.part, &error);
                    self.pause(&mut backoff).await.map_err(|_| End::Stopped)?;
                }
            }
        }
    }

    /// Loads, decides, commits, until it is done or never will be. `condemned`: it is to become a
    /// dead letter, for this reason.
    async fn settle(&mut self, items: &[Item], condemned: Option<&str>) -> Result<(), Undone> {
        let mut backoff = self.shared.backoff();
        let mut conflicts = 0;
        loop {
            let error = match self.facts(items).await {
                Ok(facts) => {
                    let decision = self.decide(items, facts, condemned);
                    match self.commit(items, decision).await {
                        Ok(()) => {
                            self.shared.options.status.good(&self.part);
                            return Ok(());
                        }
                        Err(error) => error,
                    }
                }
                Err(error) => CommitError::Store(error),
            };
            match error {
                CommitError::Fenced(_) => {
                    metrics::counter!("patchbay_router_fenced_total").increment(1);
                    return Err(Undone::Over(End::Fenced));
                }
                CommitError::Refused(why) => return Err(Undone::Refused(why)),
                CommitError::Conflict(what) => {
                    metrics::counter!("patchbay_router_conflicts_total").increment(1);
                    self.desk.forget();
                    conflicts += 1;
                    if conflicts <= CONFLICTS_AT_ONCE_MAX {
                        continue;
                    }
                    let first = items.first().map(|item| item.id);
                    tracing::warn!(partition = self.partition, ?first, what, "conflict again");
                }
                CommitError::Store(error) => {
                    tracing::warn!(partition = self.partition, %error, "store is away");
                    self.shared.options.status.bad(&self.part, &error);
                }
            }
            self.pause(&mut backoff).await?;
        }
    }

    async fn pause(&self, backoff: &mut crate::backoff::Backoff) -> Result<(), Undone> {
        tokio::select! {
            () = self.stop.cancelled() => Err(Undone::Over(End::Stopped)),
            () = backoff.wait() => Ok(()),
        }
    }

    async fn facts(&mut self, items: &[Item]) -> Result<Facts, StoreError> {
        let mut want = decide::want(items);
        if self.outbox_unsure {
            want.outbox = Some(self.fence.name.clone());
        }
        let cached = self.desk.serves(items);
        want.desk &= !cached;
        let mut facts = self.shared.journal.facts(&want).await?;
        if want.desk {
            self.desk.keep(&facts);
        } else if cached {
            self.desk.lend(&mut facts);
        }
        if self.outbox_unsure {
            self.outbox_seq = self.outbox_seq.max(facts.outbox_seq);
            self.outbox_unsure = false;
        }
        if let Some(want) = decide::want_more(items, &facts) {
            let more = self.shared.journal.facts(&want).await?;
            facts.outcomes.extend(more.outcomes);
            facts.tickets.extend(more.tickets);
            facts.ticket_of.extend(more.ticket_of);
        }
        Ok(facts)
    }

    fn decide(&self, items: &[Item], facts: Facts, condemned: Option<&str>) -> Decision {
        let began = Instant::now();
        let context = Context {
            fence: &self.fence,
            partition: self.partition,
            outbox_seq: self.outbox_seq,
            rules: &self.shared.options.rules,
            now: self.shared.clock.now(),
        };
        let decision = match (condemned, items) {
            (Some(why), [item]) => decide::bury(item, &facts, why, &context),
            _ => decide::decide(items, facts, &context, &mut Uuid::now_v7),
        };
        metrics::histogram!("patchbay_router_decide_seconds").record(began.elapsed().as_secs_f64());
        decision
    }

    async fn commit(&mut self, items: &[Item], decision: Decision) -> Result<(), CommitError> {
        let Decision {
            changes,
            endings,
            conversations,
            wakes_assigner,
            signals,
            tally,
        } = decision;
        if !changes.fences.is_empty() {
            before_commit();
            let committed = self.write(changes).await?;
            self.shared.nudge_log(committed.last_event);
            self.shared.nudge_signals(&signals);
            if wakes_assigner {
                let seq = committed.last_event;
                self.shared.nudge(CONVERSATION, &LogNudge { seq });
            }
        }
        meter::routed(items, endings, conversations);
        meter::tickets(&tally);
        Ok(())
    }

    /// Commits, and keeps the relay in step with what was committed or may have been.
    async fn write(&mut self, mut changes: Changes) -> Result<Committed, CommitError> {
        let deletable = self.relay.deletable();
        if let Some(through) = deletable {
            let done = (self.fence.name.clone(), through);
            changes.outbox_done.push(done);
        }
        let rows = changes.outbox.clone();
        let last = rows.last().map(|row| row.seq);
        let committed = match self.shared.journal.commit(changes).await {
            Ok(committed) => committed,
            Err(error) => {
                if let (CommitError::Store(_), Some(last)) = (&error, last) {
                    self.outbox_unsure = true;
                    self.relay.perhaps(last);
                }
                return Err(error);
            }
        };
        if let Some(through) = deletable {
            self.relay.deleted(through);
        }
        self.outbox_seq = last.unwrap_or(self.outbox_seq);
        self.relay.push(rows);
        Ok(committed)
    }

    /// Deletes published rows when no batch does it on the way.
    async fn flush(&mut self) -> Option<End> {
        self.relay.deletable()?;
        let changes = Changes {
            fences: vec![self.fence.clone()],
            ..Changes::default()
        };
        match self.write(changes).await {
            Ok(_) => None,
            Err(CommitError::Fenced(_)) => Some(End::Fenced),
            Err(error) => {
                tracing::debug!(partition = self.partition, %error, "outbox not tidied yet");
                None
            }
        }
    }

    /// What was committed goes out before the lease does, if the bus lets it.
    async fn leave_in_order(&mut self) {
        let drain_max = self.shared.options.drain_max;
        if tokio::time::timeout(drain_max, self.relay.drained())
            .await
            .is_err()
        {
            tracing::warn!(
                partition = self.partition,
                "outbounds left to the next router"
            );
        }
        self.flush().await;
    }
}

/// The process dies with a decided batch in its hands.
fn before_commit() {
    fail::fail_point!("router::before_commit", |_| std::process::abort());
}
