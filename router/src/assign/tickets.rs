//! Who gets which waiting ticket: agents' room is shared with conversations.

use patchbay_message::Time;
use patchbay_store::{
    Agent, AgentLoad, Changes, Conversation, Ticket, TicketEntry, TicketEvent, TicketUpdate,
};
use serde_json::json;
use uuid::Uuid;

use super::{Planner, agent_event, group_of};
use crate::{
    ticket_moves::{entry, event, moved, note, shift},
    ticket_states::{self, Next, Trigger},
};

/// One ticket moved.
#[derive(Debug, Clone)]
pub struct TicketStep {
    /// The row, guarded.
    pub update: TicketUpdate,
    /// Whose load falls or rises.
    pub load: Option<AgentLoad>,
    /// What its history says of it.
    pub entry: Option<TicketEntry>,
}

impl TicketStep {
    /// Adds what the step writes.
    pub fn write(self, changes: &mut Changes) {
        changes.events.push(event(&self.update.row));
        changes.ticket_updates.push(self.update);
        changes.ticket_entries.extend(self.entry);
        if let Some(load) = self.load {
            changes.events.push(agent_event(load.agent));
            changes.loads.push(load);
        }
    }

    /// Whether an agent gets a ticket by it.
    #[must_use]
    pub fn assigns(&self) -> bool {
        self.load.as_ref().is_some_and(|load| load.delta > 0)
    }
}

/// What a conversation waits since.
pub(crate) fn waits_since(row: &Conversation) -> Time {
    row.waiting_since.unwrap_or(row.created_at)
}

/// What a ticket waits since.
pub(crate) fn ticket_waits_since(row: &Ticket) -> Time {
    row.waiting_since.unwrap_or(row.created_at)
}

impl Planner {
    /// Gives out conversations, oldest first, and tickets, worst first: whichever of the two at the
    /// front has waited longer comes first, so that neither queue starves the other.
    pub fn give_all(
        &mut self,
        conversations: Vec<Conversation>,
        tickets: Vec<Ticket>,
        ids: &mut dyn FnMut() -> Uuid,
    ) {
        let mut tickets = tickets.into_iter().peekable();
        for conversation in conversations {
            let since = waits_since(&conversation);
            while let Some(ticket) = tickets.next_if(|row| ticket_waits_since(row) < since) {
                self.give_ticket(ticket);
            }
            self.give(conversation, ids);
        }
        tickets.for_each(|ticket| self.give_ticket(ticket));
    }

    /// The next ticket of the queue: to an agent, or it keeps waiting.
    pub fn give_ticket(&mut self, mut row: Ticket) {
        let from = row.state;
        let Next::To(to) = ticket_states::next(from, Trigger::Assign) else {
            return;
        };
        let group = row
            .group_id
            .filter(|id| self.groups.contains_key(id))
            .or_else(|| group_of(&self.groups, &row.channel));
        let news = std::mem::replace(&mut row.group_id, group) != group;
        let Some(agent) = self.pick(group, row.last_agent_id) else {
            self.plan.waiting_tickets += 1;
            if news {
                row.updated_at = self.now;
                self.plan.tickets.push(TicketStep {
                    update: TicketUpdate { row, from },
                    load: None,
                    entry: None,
                });
            }
            return;
        };
        let at = self.one_more(agent.id);
        shift(&mut row, to, Some(agent.id), self.now);
        let mut line = entry(&mut row, TicketEvent::Assigned, self.now);
        line.text = Some(format!("Assigned to {}", agent.name));
        note(&mut line, "assignee", json!(agent.id));
        moved(&mut line, from, to);
        self.plan.tickets.push(TicketStep {
            update: TicketUpdate { row, from },
            load: Some(AgentLoad {
                agent: agent.id,
                delta: 1,
                force: false,
                assigned_at: Some(at),
            }),
            entry: Some(line),
        });
    }
}

/// A flapping ticket that nothing was heard of for long enough: it is to be confirmed if its fault is
/// cleared, and does not flap any more.
#[must_use]
pub fn settle(mut row: Ticket, now: Time) -> Option<TicketStep> {
    let from = row.state;
    if row.settles_at.is_none_or(|at| at > now) {
        return None;
    }
    row.settles_at = None;
    row.updated_at = now;
    let mut line = None;
    if row.cleared_at.is_some()
        && let Next::To(to) = ticket_states::next(from, Trigger::Cleared)
    {
        // Whoever has it keeps it, and both states count alike.
        let agent = row.agent_id;
        shift(&mut row, to, agent, now);
        let mut settled = entry(&mut row, TicketEvent::Settled, now);
        moved(&mut settled, from, to);
        line = Some(settled);
    } else {
        // It has stayed raised: its next clear is to count at once.
        row.n_flaps = 0;
    }
    Some(TicketStep {
        update: TicketUpdate { row, from },
        load: None,
        entry: line,
    })
}

/// Takes tickets from an agent who has gone: those worked on go back into the queue, those to be
/// confirmed are anybody's.
#[must_use]
pub fn requeue(tickets: Vec<Ticket>, agent: &Agent, now: Time) -> Vec<TicketStep> {
    let steps = tickets.into_iter().filter_map(|mut row| {
        let from = row.state;
        let Next::To(to) = ticket_states::next(from, Trigger::Abandon) else {
            return None;
        };
        if row.agent_id != Some(agent.id) {
            return None;
        }
        let (less, _) = shift(&mut row, to, None, now);
        let mut line = entry(&mut row, TicketEvent::Queued, now);
        line.text = Some(format!("Put into the queue: {} is away", agent.name));
        moved(&mut line, from, to);
        Some(TicketStep {
            update: TicketUpdate { row, from },
            load: less.map(|agent| AgentLoad {
                agent,
                delta: -1,
                force: false,
                assigned_at: None,
            }),
            entry: Some(line),
        })
    });
    steps.collect()
}
