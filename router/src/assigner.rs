//! The assigner while we hold its lease: looks at the queue when nudged and at least every second,
//! gives conversations and tickets to agents, wakes conversations whose rest is over, and tells
//! contacts their place. What time alone brings about for tickets is in `clock`, for devices in
//! `silences`.
//!
//! What it decides is guarded row by row, so that partitions may work on the same conversations at
//! the same time; who comes too late looks again.

mod absent;
mod clock;
mod nudges;
mod silences;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use patchbay_message::{AgentId, ConversationId, LiveSignal, SignalBody, ThreadId, Time};
use patchbay_store::{Changes, CommitError, Cursor, Facts, Fence, StoreError, Want, limits};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::{nudges::Nudges, silences::Teller};
use crate::{
    assign::{Plan, Planner, Step, TicketStep, ticket_waits_since, waits_since},
    meter,
    shared::{End, Shared},
    status::Cleared,
};

/// How many waiting conversations are read at once, and tickets likewise.
const PAGE: u32 = 512;
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
    /// When settled tickets and overdue answers were looked for last.
    timed_at: Option<Instant>,
}

/// A conversation or a ticket moved.
#[derive(Clone)]
enum Move {
    Conversation(Step),
    Ticket(TicketStep),
}

impl Move {
    fn all(conversations: Vec<Step>, tickets: Vec<TicketStep>) -> Vec<Self> {
        let conversations = conversations.into_iter().map(Self::Conversation);
        let tickets = tickets.into_iter().map(Self::Ticket);
        conversations.chain(tickets).collect()
    }
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
    let teller = Teller::new(shared.clone());
    let mut assigner = Assigner {
        fence,
        told: HashMap::new(),
        offline: HashMap::new(),
        lapsed_at: None,
        timed_at: None,
        shared,
    };
    tokio::select! {
        () = stop.cancelled() => End::Stopped,
        () = assigner.work() => End::Fenced,
        never = teller.run() => match never {},
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
        let mut more = self.keep_time(now).await?;
        let want = Want {
            desk: true,
            waiting: PAGE,
            waiting_tickets: PAGE,
            snoozed_until: Some(now),
            ..Want::default()
        };
        let mut facts = self.shared.journal.facts(&want).await?;
        more |= facts.woken.len() >= limits::WOKEN_MAX as usize;
        let oldest = facts.waiting.first().map(waits_since);
        let absent = self.absent(&facts.agents, now);
        let strategy = self.shared.options.rules.strategy;
        let agents = std::mem::take(&mut facts.agents);
        let groups = std::mem::take(&mut facts.groups);
        let mut planner = Planner::new(agents, groups, now, strategy);
        let mut ids = Uuid::now_v7;
        for row in std::mem::take(&mut facts.woken) {
            planner.wake(row, &mut ids);
        }
        loop {
            let behind = behind(&facts);
            planner.give_all(facts.waiting, facts.waiting_tickets, &mut ids);
            // Those in front may all want agents who are busy while others, behind them, could be
            // served.
            let full = planner.seen() >= self.shared.options.waiting_max;
            match behind.filter(|_| planner.room_left() && !full) {
                Some(want) => facts = self.shared.journal.facts(&want).await?,
                None => break,
            }
        }
        let Plan {
            steps,
            queue,
            tickets,
            waiting_tickets,
        } = planner.plan;
        show(
            queue.len(),
            oldest.map(|since| now.since(since)),
            waiting_tickets,
        );
        more |= self.carry_out(Move::all(steps, tickets)).await?;
        for agent in absent {
            more |= self.requeue(&agent, now).await?;
        }
        self.tell_places(&queue);
        Ok(more)
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

    /// Commits the moves together; if one of them came too late, one by one without it. Answers
    /// whether any did.
    async fn carry_out(&mut self, mut moves: Vec<Move>) -> Result<bool, Stopped> {
        let mut late = false;
        while !moves.is_empty() {
            let rest = moves.split_off(moves.len().min(self.shared.options.assign_batch_max));
            let batch = std::mem::replace(&mut moves, rest);
            if batch.len() > 1 && self.commit_moves(batch.clone()).await? {
                continue;
            }
            for one in batch {
                late |= !self.commit_moves(vec![one]).await?;
            }
        }
        Ok(late)
    }

    /// All of these moves or none; false: none, for somebody else came first.
    async fn commit_moves(&mut self, moves: Vec<Move>) -> Result<bool, Stopped> {
        let mut changes = Changes::default();
        let (mut assigned, mut tickets) = (0, 0);
        let mut signals = Vec::new();
        for one in moves {
            match one {
                Move::Conversation(step) => {
                    let conversation_id = step.update.row.id;
                    tracing::debug!(%conversation_id, state = %step.update.row.state, "queue moved");
                    assigned += u64::from(step.assigns());
                    signals.extend(step.signal.clone());
                    step.write(&mut changes);
                }
                Move::Ticket(step) => {
                    let ticket_id = step.update.row.id;
                    tracing::debug!(%ticket_id, state = %step.update.row.state, "ticket moved");
                    tickets += u64::from(step.assigns());
                    step.write(&mut changes);
                }
            }
        }
        let done = self.commit(changes).await?;
        if done {
            metrics::counter!("patchbay_assigner_assigned_total").increment(assigned);
            meter::assigned(tickets);
            self.shared.nudge_signals(&signals);
        }
        Ok(done)
    }

    /// All of it under our fence, or nothing; false: nothing, for somebody else came first.
    async fn commit(&mut self, mut changes: Changes) -> Result<bool, Stopped> {
        changes.fences.push(self.fence.clone());
        match self.shared.journal.commit(changes).await {
            Ok(committed) => {
                self.shared.nudge_log(committed.last_event);
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

/// What waits behind these, if there is more.
fn behind(facts: &Facts) -> Option<Want> {
    let full = PAGE as usize;
    let conversation = facts.waiting.last().filter(|_| facts.waiting.len() >= full);
    let ticket = (facts.waiting_tickets.last()).filter(|_| facts.waiting_tickets.len() >= full);
    if conversation.is_none() && ticket.is_none() {
        return None;
    }
    let page = |is_full| if is_full { PAGE } else { 0 };
    Some(Want {
        waiting: page(conversation.is_some()),
        waiting_after: conversation.map(|row| Cursor {
            at: waits_since(row),
            id: row.id.0,
        }),
        waiting_tickets: page(ticket.is_some()),
        waiting_tickets_after: ticket.map(|row| {
            let at = ticket_waits_since(row);
            (row.severity.clone(), Cursor { at, id: row.id.0 })
        }),
        ..Want::default()
    })
}

fn show(waiting: usize, oldest: Option<Duration>, tickets: usize) {
    let number = |n| u32::try_from(n).unwrap_or(u32::MAX);
    metrics::gauge!("patchbay_assigner_waiting").set(number(waiting));
    metrics::gauge!("patchbay_assigner_oldest_waiting_seconds")
        .set(oldest.unwrap_or_default().as_secs_f64());
    metrics::gauge!("patchbay_assigner_tickets_waiting").set(number(tickets));
}
