//! The assigner while we hold its lease: looks at the queue when nudged and at least every second,
//! gives conversations to agents, wakes those whose rest is over, and tells contacts their place.
//!
//! What it decides is guarded row by row, so that partitions may work on the same conversations at
//! the same time; who comes too late looks again.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use patchbay_bus::Mailbox;
use patchbay_message::{AgentId, ConversationId, LiveSignal, SignalBody, ThreadId, Time};
use patchbay_store::{
    Agent, Changes, CommitError, Conversation, ConversationFilter, ConversationState, Cursor,
    Fence, Presence, StoreError, Want, limits,
};
use tokio::sync::mpsc::Receiver;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    assign::{self, Plan, Planner, Step},
    shared::{AGENT, CONVERSATION, End, Shared},
    status::Cleared,
};

/// How many waiting conversations are read at once.
const PAGE: u32 = 512;
/// Conversations of one absent agent put back by one look.
const REQUEUE_MAX: u32 = 200;
/// The part of the status the assigner is shown under.
const PART: &str = "assigner";

struct Assigner {
    shared: Arc<Shared>,
    fence: Fence,
    /// The place each waiting contact was told last.
    told: HashMap<ConversationId, u32>,
    /// Since when agents are seen offline.
    offline: HashMap<AgentId, Time>,
    lapsed_at: Option<Instant>,
}

/// Why a look ended early.
enum Stopped {
    Fenced,
    Store(StoreError),
}

impl From<StoreError> for Stopped {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

pub(crate) async fn run(shared: Arc<Shared>, fence: Fence, stop: CancellationToken) -> End {
    let _cleared = Cleared::at_the_end(&shared.options.status, PART);
    let mut assigner = Assigner {
        fence,
        told: HashMap::new(),
        offline: HashMap::new(),
        lapsed_at: None,
        shared,
    };
    tokio::select! {
        () = stop.cancelled() => End::Stopped,
        () = assigner.work() => End::Fenced,
    }
}

impl Assigner {
    /// Until fenced.
    async fn work(&mut self) {
        let shared = self.shared.clone();
        let mut nudges = Nudges::default();
        let mut backoff = shared.backoff();
        loop {
            nudges.open(&shared).await;
            match self.look().await {
                Ok(again) => {
                    backoff.reset();
                    shared.options.status.good(PART);
                    tokio::time::sleep(shared.options.rescan_pause).await;
                    if !again {
                        nudges.wait(shared.options.rescan_every).await;
                    }
                }
                Err(Stopped::Fenced) => {
                    metrics::counter!("patchbay_router_fenced_total").increment(1);
                    return;
                }
                Err(Stopped::Store(error)) => {
                    tracing::warn!(%error, "assigner waits for the store");
                    shared.options.status.bad(PART, &error);
                    backoff.wait().await;
                }
            }
        }
    }

    /// One look; answers whether there is more to be done at once.
    async fn look(&mut self) -> Result<bool, Stopped> {
        let now = self.shared.clock.now();
        self.lapse(now).await?;
        let want = Want {
            desk: true,
            waiting: PAGE,
            snoozed_until: Some(now),
            ..Want::default()
        };
        let mut facts = self.shared.journal.facts(&want).await?;
        let woken = facts.woken.len();
        let oldest = facts.waiting.first().map(waits_since);
        let absent = self.absent(&facts.agents, now);
        let strategy = self.shared.options.rules.strategy;
        let mut planner = Planner::new(facts.agents, facts.groups, now, strategy);
        let mut ids = Uuid::now_v7;
        for row in facts.woken {
            planner.wake(row, &mut ids);
        }
        loop {
            let page = std::mem::take(&mut facts.waiting);
            let last = page.last().map(|row| Cursor {
                at: waits_since(row),
                id: row.id.0,
            });
            let full = page.len() >= PAGE as usize;
            for row in page {
                planner.give(row, &mut ids);
            }
            // Those in front may all want agents who are busy while others, behind them, could be
            // served.
            let seen = planner.plan.queue.len() + planner.plan.steps.len();
            if !full || !planner.room_left() || seen >= self.shared.options.waiting_max {
                break;
            }
            facts.waiting = self.page(last).await?;
        }
        let Plan { steps, queue } = planner.plan;
        show(queue.len(), oldest.map(|since| now.since(since)));
        let mut more = self.carry_out(steps).await? || woken >= limits::WOKEN_MAX as usize;
        for agent in absent {
            more |= self.requeue(&agent, now).await?;
        }
        self.tell_places(&queue);
        Ok(more)
    }

    /// The next page of the queue.
    async fn page(&self, after: Option<Cursor>) -> Result<Vec<Conversation>, Stopped> {
        let want = Want {
            waiting: PAGE,
            waiting_after: after,
            ..Want::default()
        };
        Ok(self.shared.journal.facts(&want).await?.waiting)
    }

    /// Sets agents offline whose console has gone.
    async fn lapse(&mut self, now: Time) -> Result<(), Stopped> {
        let every = self.shared.options.rescan_every;
        if self.lapsed_at.is_some_and(|at| at.elapsed() < every) {
            return Ok(());
        }
        let gone = self.shared.desk.lapse(now).await?;
        self.lapsed_at = Some(Instant::now());
        if !gone.is_empty() {
            for agent in &gone {
                tracing::info!(agent_id = %agent.id, "console has gone; agent is offline");
            }
            let (newest, _) = self.shared.desk.event_bounds().await?;
            self.shared.nudge_log(newest);
        }
        Ok(())
    }

    /// Commits the steps together; if one of them came too late, one by one without it. Answers
    /// whether any did.
    async fn carry_out(&mut self, mut steps: Vec<Step>) -> Result<bool, Stopped> {
        let mut late = false;
        while !steps.is_empty() {
            let rest = steps.split_off(steps.len().min(self.shared.options.assign_batch_max));
            let batch = std::mem::replace(&mut steps, rest);
            if batch.len() > 1 && self.commit(batch.clone()).await? {
                continue;
            }
            for step in batch {
                late |= !self.commit(vec![step]).await?;
            }
        }
        Ok(late)
    }

    /// All of these steps or none; false: none, for somebody else came first.
    async fn commit(&mut self, steps: Vec<Step>) -> Result<bool, Stopped> {
        let mut changes = Changes {
            fences: vec![self.fence.clone()],
            ..Changes::default()
        };
        let assigned = steps.iter().filter(|step| step.assigns()).count();
        let mut signals = Vec::new();
        for step in steps {
            let conversation_id = step.update.row.id;
            tracing::debug!(%conversation_id, state = %step.update.row.state, "queue moved");
            signals.extend(step.signal.clone());
            step.write(&mut changes);
        }
        match self.shared.journal.commit(changes).await {
            Ok(committed) => {
                metrics::counter!("patchbay_assigner_assigned_total").increment(assigned as u64);
                self.shared.nudge_log(committed.last_event);
                self.shared.nudge_signals(&signals);
                Ok(true)
            }
            Err(CommitError::Fenced(_)) => Err(Stopped::Fenced),
            Err(CommitError::Store(error)) => Err(Stopped::Store(error)),
            Err(CommitError::Conflict(what)) => {
                metrics::counter!("patchbay_router_conflicts_total").increment(1);
                tracing::debug!(what, "assigned too late");
                Ok(false)
            }
            Err(CommitError::Refused(why)) => {
                tracing::error!(why, "assignment cannot be written");
                Ok(false)
            }
        }
    }

    /// Agents who have been offline for too long and still have conversations.
    fn absent(&mut self, agents: &HashMap<AgentId, Agent>, now: Time) -> Vec<Agent> {
        let Some(after) = self.shared.options.requeue_offline_after else {
            return Vec::new();
        };
        let is_off = |agent: &Agent| !agent.active || agent.presence == Presence::Offline;
        self.offline
            .retain(|id, _| agents.get(id).is_some_and(is_off));
        let mut absent = Vec::new();
        for agent in agents.values().filter(|agent| is_off(agent)) {
            let since = *self.offline.entry(agent.id).or_insert(now);
            if agent.load > 0 && now.since(since) >= after {
                absent.push(agent.clone());
            }
        }
        absent
    }

    async fn requeue(&mut self, agent: &Agent, now: Time) -> Result<bool, Stopped> {
        let filter = ConversationFilter {
            states: vec![ConversationState::Open, ConversationState::Pending],
            agent: Some(agent.id),
            limit: REQUEUE_MAX,
            ..ConversationFilter::default()
        };
        let page = self.shared.desk.conversations(&filter).await?;
        let rows = page.items.into_iter().map(|view| view.conversation);
        let steps = assign::requeue(rows.collect(), agent, now, &mut Uuid::now_v7);
        let moved = !steps.is_empty();
        self.carry_out(steps).await?;
        // What has been put back can be given out at once.
        Ok(moved)
    }

    /// Tells contacts whose place has changed, up to a bound; the rest after the next look.
    fn tell_places(&mut self, queue: &[(ConversationId, ThreadId, u32)]) {
        let mut told = HashMap::with_capacity(queue.len());
        let mut left = self.shared.options.positions_max;
        let mut signals = Vec::new();
        for &(id, thread_id, position) in queue {
            let before = self.told.get(&id).copied();
            if before == Some(position) {
                told.insert(id, position);
            } else if left > 0 {
                left -= 1;
                told.insert(id, position);
                let body = SignalBody::Waiting { position };
                signals.push(LiveSignal { thread_id, body });
            } else if let Some(before) = before {
                told.insert(id, before);
            }
        }
        self.told = told;
        self.shared.nudge_signals(&signals);
    }
}

fn waits_since(row: &Conversation) -> Time {
    row.waiting_since.unwrap_or(row.created_at)
}

fn show(waiting: usize, oldest: Option<Duration>) {
    let waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
    metrics::gauge!("patchbay_assigner_waiting").set(waiting);
    metrics::gauge!("patchbay_assigner_oldest_waiting_seconds")
        .set(oldest.unwrap_or_default().as_secs_f64());
}

/// The mailboxes that wake the assigner. Lossy: the regular look makes up for what is missed.
#[derive(Default)]
struct Nudges {
    conversation: Option<Receiver<Bytes>>,
    agent: Option<Receiver<Bytes>>,
}

impl Nudges {
    /// Opens what is not open (any more).
    async fn open(&mut self, shared: &Shared) {
        let boxes = [
            (&mut self.conversation, CONVERSATION),
            (&mut self.agent, AGENT),
        ];
        for (receiver, kind) in boxes {
            if receiver.is_none() {
                let mailbox = Mailbox::Event(kind.to_owned());
                match shared.bus.mailbox(mailbox).await {
                    Ok(opened) => *receiver = Some(opened),
                    Err(error) => tracing::warn!(%error, "assigner looks only every so often"),
                }
            }
        }
    }

    /// Waits for a nudge or so long, and takes all nudges there are.
    async fn wait(&mut self, at_most: Duration) {
        tokio::select! {
            () = next(&mut self.conversation) => {}
            () = next(&mut self.agent) => {}
            () = tokio::time::sleep(at_most) => {}
        }
        for receiver in [&mut self.conversation, &mut self.agent]
            .into_iter()
            .flatten()
        {
            while receiver.try_recv().is_ok() {}
        }
    }
}

/// Waits for a nudge; a mailbox that is closed is forgotten, so that it is opened anew.
async fn next(receiver: &mut Option<Receiver<Bytes>>) {
    match receiver {
        Some(open) => {
            if open.recv().await.is_none() {
                *receiver = None;
            }
        }
        None => std::future::pending().await,
    }
}
