//! Who gets which waiting conversation or ticket. Pure: one look at the queue and the agents, a plan of steps.
//!
//! Each step stands alone, guarded by its row's version and the agent's limit, so that a step that
//! comes too late harms no other.

mod tickets;

use std::collections::HashMap;

use patchbay_message::{
    AgentId, ChannelId, ConversationId, GroupId, LiveSignal, SignalBody, ThreadId, Time,
};
use patchbay_store::{
    Agent, AgentLoad, Changes, Conversation, ConversationState, ConversationUpdate, Facts, Group,
    MessageRow, Strategy,
};
use uuid::Uuid;

pub use self::tickets::{TicketStep, requeue as requeue_tickets, settle};
pub(crate) use self::tickets::{ticket_waits_since, waits_since};
use crate::{
    decide::{Voice, agent_event, conversation_event, may_take, message_event, notice_row, shift},
    states::{self, Next, Trigger},
};

/// What is to be done, and how the queue stands then.
#[derive(Debug, Default)]
pub struct Plan {
    /// Independent of each other.
    pub steps: Vec<Step>,
    /// Who still waits, and at which place of their group's queue, from 1.
    pub queue: Vec<(ConversationId, ThreadId, u32)>,
    /// The same, for tickets.
    pub tickets: Vec<TicketStep>,
    /// Tickets that still wait.
    pub waiting_tickets: usize,
}

/// One conversation moved.
#[derive(Debug, Clone)]
pub struct Step {
    /// The row, guarded.
    pub update: ConversationUpdate,
    /// Whose load falls or rises.
    pub load: Option<AgentLoad>,
    /// What the console shows of it.
    pub notice: Option<MessageRow>,
    /// What the contact is told.
    pub signal: Option<LiveSignal>,
}

impl Step {
    /// Adds what the step writes.
    pub fn write(self, changes: &mut Changes) {
        changes.events.push(conversation_event(&self.update.row));
        changes.conversation_updates.push(self.update);
        if let Some(load) = self.load {
            changes.events.push(agent_event(load.agent));
            changes.loads.push(load);
        }
        if let Some(notice) = self.notice {
            changes.events.push(message_event(&notice));
            changes.messages.push(notice);
        }
    }

    /// Whether an agent gets a conversation by it.
    #[must_use]
    pub fn assigns(&self) -> bool {
        self.load.as_ref().is_some_and(|load| load.delta > 0)
    }
}

/// The group in charge of a channel's conversations; of several the first by name.
pub(crate) fn group_of(groups: &HashMap<GroupId, Group>, channel: &ChannelId) -> Option<GroupId> {
    groups
        .values()
        .filter(|group| group.channels.contains(channel))
        .min_by(|a, b| a.name.cmp(&b.name))
        .map(|group| group.id)
}

/// Plans from one look: conversations whose rest is over are woken, then the queue is given out.
#[must_use]
pub fn plan(facts: Facts, now: Time, strategy: Strategy, ids: &mut dyn FnMut() -> Uuid) -> Plan {
    let mut planner = Planner::new(facts.agents, facts.groups, now, strategy);
    for row in facts.woken {
        planner.wake(row, ids);
    }
    planner.give_all(facts.waiting, facts.waiting_tickets, ids);
    planner.plan
}

/// Puts conversations of an agent who has gone back into the queue.
#[must_use]
pub fn requeue(
    conversations: Vec<Conversation>,
    agent: &Agent,
    now: Time,
    ids: &mut dyn FnMut() -> Uuid,
) -> Vec<Step> {
    let steps = conversations.into_iter().filter_map(|mut row| {
        let from = row.state;
        let Next::To(to) = states::next(from, Trigger::Enqueue) else {
            return None;
        };
        if row.agent_id != Some(agent.id) || !states::counts(from) {
            return None;
        }
        let (less, _) = shift(&mut row, to, None, now);
        let text = format!("Put into the queue: {} is away", agent.name);
        let notice = notice_row(&mut row, ids(), now, Voice::System, "queued", &text);
        Some(Step {
            update: ConversationUpdate { row, from },
            load: less.map(|agent| AgentLoad {
                agent,
                delta: -1,
                force: false,
                assigned_at: None,
            }),
            notice: Some(notice),
            signal: None,
        })
    });
    steps.collect()
}

/// Makes a plan, conversation by conversation: those whose rest is over first, then the queue from
/// its front. The agents fill up as it goes.
#[derive(Debug)]
pub struct Planner {
    /// The plan so far.
    pub plan: Plan,
    agents: HashMap<AgentId, Agent>,
    groups: HashMap<GroupId, Group>,
    strategy: Strategy,
    now: Time,
    /// How many were given out: sets their times apart, so that turns are kept within one look.
    given: i64,
    /// How many wait in each group's queue so far.
    places: HashMap<Option<GroupId>, u32>,
}

impl Planner {
    /// `strategy`: how what has no group is given out.
    #[must_use]
    pub fn new(
        agents: HashMap<AgentId, Agent>,
        groups: HashMap<GroupId, Group>,
        now: Time,
        strategy: Strategy,
    ) -> Self {
        Self {
            plan: Plan::default(),
            agents,
            groups,
            strategy,
            now,
            given: 0,
            places: HashMap::new(),
        }
    }

    /// Somebody could still take a conversation.
    #[must_use]
    pub fn room_left(&self) -> bool {
        self.agents.values().any(may_take)
    }

    /// How many were looked at so far.
    #[must_use]
    pub fn seen(&self) -> usize {
        let plan = &self.plan;
        plan.queue.len() + plan.steps.len() + plan.waiting_tickets + plan.tickets.len()
    }

    /// The next conversation of the queue: to an agent, or it keeps waiting.
    pub fn give(&mut self, mut row: Conversation, ids: &mut dyn FnMut() -> Uuid) {
        let from = row.state;
        let group = row
            .group_id
            .filter(|id| self.groups.contains_key(id))
            .or_else(|| group_of(&self.groups, &row.channel));
        let news = std::mem::replace(&mut row.group_id, group) != group;
        if let Some(agent) = self.pick(group, row.last_agent_id) {
            let step = self.assign(row, from, agent, ids);
            self.plan.steps.push(step);
            return;
        }
        let place = self.places.entry(group).or_default();
        *place += 1;
        self.plan.queue.push((row.id, row.thread_id, *place));
        match states::next(from, Trigger::NobodyFree) {
            Next::To(to) if to != from || news => {
                shift(&mut row, to, None, self.now);
                let step = quiet(ConversationUpdate { row, from });
                self.plan.steps.push(step);
            }
            _ => {}
        }
    }

    /// A conversation whose rest is over: back to its agent, or into the queue.
    pub fn wake(&mut self, mut row: Conversation, ids: &mut dyn FnMut() -> Uuid) {
        let from = row.state;
        if states::next(from, Trigger::Wake) != Next::OpenOrWaiting {
            return;
        }
        let had_it = row.agent_id.or(row.last_agent_id);
        let agent = had_it
            .and_then(|id| self.agents.get(&id))
            .filter(|agent| may_take(agent));
        if let Some(agent) = agent.cloned() {
            let step = self.assign(row, from, agent, ids);
            self.plan.steps.push(step);
            return;
        }
        shift(&mut row, ConversationState::Waiting, None, self.now);
        let text = "Its rest is over: put into the queue";
        let notice = notice_row(&mut row, ids(), self.now, Voice::System, "woken", text);
        let mut step = quiet(ConversationUpdate { row, from });
        step.notice = Some(notice);
        self.plan.steps.push(step);
    }

    fn assign(
        &mut self,
        mut row: Conversation,
        from: ConversationState,
        agent: Agent,
        ids: &mut dyn FnMut() -> Uuid,
    ) -> Step {
        let at = self.one_more(agent.id);
        shift(&mut row, ConversationState::Open, Some(agent.id), self.now);
        let (what, text) = match from {
            ConversationState::Snoozed => ("woken", format!("Back with {}", agent.name)),
            _ => ("assigned", format!("Assigned to {}", agent.name)),
        };
        let notice = notice_row(&mut row, ids(), self.now, Voice::System, what, &text);
        let thread_id = row.thread_id;
        Step {
            update: ConversationUpdate { row, from },
            load: Some(AgentLoad {
                agent: agent.id,
                delta: 1,
                force: false,
                assigned_at: Some(at),
            }),
            notice: Some(notice),
            signal: Some(LiveSignal {
                thread_id,
                body: SignalBody::Assigned {
                    agent: Some(agent.name),
                },
            }),
        }
    }

    /// This agent gets one more; answers the time that goes with it.
    fn one_more(&mut self, agent: AgentId) -> Time {
        let at = Time::from_ms(self.now.as_ms() + self.given);
        self.given += 1;
        if let Some(held) = self.agents.get_mut(&agent) {
            held.load += 1;
            held.assigned_at = Some(at);
        }
        at
    }

    /// Who of the group (of all, if there is none) gets the next one: whoever had it, if free.
    fn pick(&self, group: Option<GroupId>, had_it: Option<AgentId>) -> Option<Agent> {
        let group = group.and_then(|id| self.groups.get(&id));
        let strategy = group.map_or(self.strategy, |group| group.strategy);
        let free = |agent: &&Agent| {
            may_take(agent) && group.is_none_or(|group| group.members.contains(&agent.id))
        };
        let had_it = had_it.and_then(|id| self.agents.get(&id)).filter(free);
        let turn = |agent: &&Agent| (agent.assigned_at, agent.id);
        let next = || {
            let free = self.agents.values().filter(free);
            match strategy {
                Strategy::RoundRobin => free.min_by_key(turn),
                Strategy::LeastLoaded => {
                    free.min_by(|a, b| in_use(a, b).then_with(|| turn(a).cmp(&turn(b))))
                }
            }
        };
        had_it.or_else(next).cloned()
    }
}

/// Compares shares of capacity in use, without division.
fn in_use(a: &Agent, b: &Agent) -> std::cmp::Ordering {
    let left = u64::from(a.load) * u64::from(b.capacity);
    let right = u64::from(b.load) * u64::from(a.capacity);
    left.cmp(&right)
}

fn quiet(update: ConversationUpdate) -> Step {
    Step {
        update,
        load: None,
        notice: None,
        signal: None,
    }
}
