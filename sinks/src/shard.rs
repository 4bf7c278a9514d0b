//! One shard: takes its deliveries, keeps its lanes, sends, and records what became of it.
//!
//! One task owns everything here. It waits for the store only where nothing could go on without it;
//! sending and committing run beside it.

use std::{collections::HashMap, sync::Arc};

use patchbay_bus::{Consumer, Queue};
use patchbay_message::{ChannelId, InstanceId, MessageId, ThreadId};
use patchbay_store::{Attempt, CommitError, Fence, StoreError};
use serde_json::json;
use tokio::{
    sync::{Semaphore, mpsc},
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until, timeout_at},
};
use tokio_util::sync::CancellationToken;

use self::dues::Dues;
use crate::{
    backoff::OWN_HOUSE,
    item::Item,
    lane::Lane,
    meter,
    perform::{JournalAsk, Outcome},
    record::{COMMIT_UNITS_MAX, Recorded, Recorder, Unit, commit},
    worker::Worker,
};

mod dues;
mod intake;
mod settle;

/// Deliveries taken at once.
const RECEIVE_MAX: usize = 256;
/// Calls waiting for their journal page.
const ASKS_MAX: usize = 256;

/// Why a shard's work has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// It was told to.
    Stopped,
    /// Somebody else has the shard.
    Fenced,
    /// The bus is gone or something changed under us: begin anew.
    Broken(String),
}

/// One shard at work.
pub(crate) struct Shard {
    worker: Arc<Worker>,
    shard: u16,
    fence: Fence,
    lanes: HashMap<ThreadId, Lane<Item>>,
    /// Calls that earlier sessions or tries began, of messages not yet begun here.
    journals: HashMap<MessageId, Vec<Attempt>>,
    /// To be begun now: at most one of each lane.
    ready: Vec<Item>,
    /// Who holds the connections of which thread; asked anew for every round.
    gateways: HashMap<ThreadId, Vec<InstanceId>>,
    jobs: JoinSet<Outcome>,
    /// Jobs whose message is not acked yet.
    n_from_bus: usize,
    ask: mpsc::Sender<JournalAsk>,
    asks: mpsc::Receiver<JournalAsk>,
    /// For the next commit.
    units: Vec<Unit>,
    /// The commit under way: one at most.
    commits: JoinSet<Recorded>,
    dues: Dues,
    /// Looks still to be taken at what was parked as `paused` before a resume was noticed.
    resume_looks: u8,
    /// Room for deliveries held behind the one under way of their lane.
    room: Arc<Semaphore>,
    /// Channels whose account is wrong, to be paused in the store.
    pauses: Vec<(ChannelId, String)>,
    stop: CancellationToken,
}

impl Shard {
    /// Works until `stop`, the loss of the lease, or the loss of the bus.
    pub(crate) async fn run(
        worker: Arc<Worker>,
        shard: u16,
        fence: Fence,
        stop: CancellationToken,
    ) -> End {
        let prefetch = worker.options.prefetch;
        let consumer = worker.bus.consume(Queue::Outbound(shard), prefetch);
        let mut consumer = tokio::select! {
            () = stop.cancelled() => return End::Stopped,
            consumer = consumer => match consumer {
                Ok(consumer) => consumer,
                Err(error) => return End::Broken(error.to_string()),
            },
        };
        let (ask, asks) = mpsc::channel(ASKS_MAX);
        let mut this = Self {
            worker: worker.clone(),
            // A quarter may wait behind others; the rest is for what goes on.
            room: Arc::new(Semaphore::new(usize::from(prefetch / 4))),
            shard,
            fence,
            lanes: HashMap::new(),
            journals: HashMap::new(),
            ready: Vec::new(),
            gateways: HashMap::new(),
            jobs: JoinSet::new(),
            ask,
            asks,
            units: Vec::new(),
            commits: JoinSet::new(),
            dues: Dues::new(worker.options.parked_tick),
            n_from_bus: 0,
            resume_looks: 0,
            pauses: Vec::new(),
            stop,
        };
        match this.work(&mut *consumer).await {
            Ok(()) => End::Stopped,
            Err(end) => end,
        }
    }

    async fn work(&mut self, consumer: &mut dyn Consumer) -> Result<(), End> {
        let mut resumed = self.worker.resumed.subscribe();
        let stop = self.stop.clone();
        self.poll().await?;
        while !stop.is_cancelled() {
            self.run_ready().await?;
            self.flush();
            let room = self.units.len() < COMMIT_UNITS_MAX;
            tokio::select! {
                () = stop.cancelled() => break,
                received = consumer.recv(RECEIVE_MAX), if room => match received {
                    Ok(deliveries) => self.take(deliveries).await?,
                    Err(error) => return Err(End::Broken(error.to_string())),
                },
                Some(outcome) = self.jobs.join_next() => self.finished(sound(outcome)?),
                Some(ask) = self.asks.recv() => self.journal(ask),
                Some(recorded) = self.commits.join_next() => self.recorded(sound(recorded)?).await?,
                () = sleep_until(self.dues.next_poll(self.worker.now())) => self.poll().await?,
                Ok(()) = resumed.changed() => self.channel_resumed().await?,
            }
        }
        self.drain().await
    }

    /// Lets calls under way finish within the grace, and records them. What was not begun stays
    /// where it came from.
    async fn drain(&mut self) -> Result<(), End> {
        let deadline = Instant::now() + self.worker.options.stop_grace;
        loop {
            self.ready.clear();
            self.flush();
            if self.jobs.is_empty() && self.commits.is_empty() {
                return Ok(());
            }
            let next = async {
                tokio::select! {
                    Some(outcome) = self.jobs.join_next() => self.finished(sound(outcome)?),
                    Some(ask) = self.asks.recv() => self.journal(ask),
                    Some(recorded) = self.commits.join_next() => {
                        self.recorded(sound(recorded)?).await?;
                    }
                }
                Ok::<_, End>(())
            };
            match timeout_at(deadline, next).await {
                Ok(step) => step?,
                Err(_) => {
                    let n_calls = self.jobs.len();
                    tracing::warn!(shard = self.shard, n_calls, "calls cut off by the stop");
                    return Ok(());
                }
            }
        }
    }

    /// Begins the next commit if none is under way.
    fn flush(&mut self) {
        if self.units.is_empty() || !self.commits.is_empty() {
            return;
        }
        let rest = self.units.len().min(COMMIT_UNITS_MAX);
        let later = self.units.split_off(rest);
        let units = std::mem::replace(&mut self.units, later);
        let worker = self.worker.clone();
        let fence = self.fence.clone();
        self.commits
            .spawn(async move { commit(&worker, &fence, units).await });
    }

    /// A commit has ended: acks what it settled, lets go on what waited for it.
    async fn recorded(&mut self, (units, result): Recorded) -> Result<(), End> {
        let committed = match result {
            Ok(committed) => committed,
            Err(CommitError::Fenced(_)) => return Err(End::Fenced),
            Err(error) => return Err(End::Broken(error.to_string())),
        };
        if units.iter().any(|unit| unit.performed) {
            crash_before_ack();
        }
        let mut refills = Vec::new();
        let mut channel_news = false;
        for unit in units {
            if let Some(written) = unit.written {
                // Whoever waited may have been cut off meanwhile.
                let _ = written.send(());
            }
            if let Some(delivery) = unit.ack {
                delivery.ack();
            }
            if let Some(due) = unit.due {
                self.dues.add(due);
            }
            refills.extend(unit.refill);
            channel_news |= !unit.changes.channel_errors.is_empty();
        }
        self.nudge(committed.last_event, channel_news);
        self.forget_lanes();
        meter::backlog(self.shard, self.held());
        if self.stop.is_cancelled() {
            return Ok(());
        }
        self.refill(refills).await?;
        if self.resume_looks > 0 {
            self.resume_looks -= 1;
            self.look_at_paused().await?;
        }
        Ok(())
    }

    fn nudge(&self, last_event: u64, channel_news: bool) {
        if last_event > 0 {
            self.worker.nudge_log(last_event);
        }
        if channel_news {
            self.worker.nudge_channel(&json!({}));
        }
    }

    /// A call waits for its page in the journal.
    fn journal(&mut self, ask: JournalAsk) {
        let mut unit = Unit::default();
        unit.changes.attempts = ask.pages.begun;
        unit.changes.attempts_done = ask.pages.ended;
        unit.written = Some(ask.written);
        self.units.push(unit);
    }

    /// Forgets lanes at rest when there are too many. Called between two commits: a lane whose last
    /// number is not committed yet would come back with an older one.
    fn forget_lanes(&mut self) {
        if self.lanes.len() <= self.worker.options.lanes_max / self.n_shards() {
            return;
        }
        let waiting: std::collections::HashSet<ThreadId> = self
            .units
            .iter()
            .flat_map(|unit| &unit.changes.lanes_done)
            .map(|done| done.lane)
            .collect();
        self.lanes
            .retain(|id, lane| !lane.is_idle() || waiting.contains(id));
    }

    /// Deliveries held behind others.
    fn held(&self) -> usize {
        usize::from(self.worker.options.prefetch / 4) - self.room.available_permits()
    }

    /// Shards that share the bounds of this process.
    fn n_shards(&self) -> usize {
        self.worker.options.status.now().shards.len().max(1)
    }

    /// Messages from the bus that may be on their way at once: half of what may be unacked.
    fn bus_jobs_max(&self) -> usize {
        usize::from(self.worker.options.prefetch / 2).max(1)
    }

    fn recorder(&self) -> Recorder {
        Recorder {
            now: self.worker.now(),
            shard: self.shard,
        }
    }

    /// Asks the store until it answers; gives up only when the shard stops.
    async fn patiently<T, F>(&self, ask: impl Fn() -> F) -> Result<T, End>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut tries = 0;
        loop {
            let error = match ask().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            tries += 1;
            tracing::warn!(shard = self.shard, %error, "store unavailable, shard waits");
            let pause = OWN_HOUSE.delay(tries, fastrand::f64());
            tokio::select! {
                () = self.stop.cancelled() => return Err(End::Stopped),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}

/// A task that panicked leaves its lane in an unknown state: begin anew.
fn sound<T>(joined: Result<T, JoinError>) -> Result<T, End> {
    joined.map_err(|error| End::Broken(format!("a task ended badly: {error}")))
}

/// Crash tests stop the process here: recorded, not acked.
fn crash_before_ack() {
    fail::fail_point!("sinks::recorded_ack", |_| std::process::abort());
}
