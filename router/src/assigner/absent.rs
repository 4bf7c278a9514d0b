//! Agents who are away for too long give back what they have, if the options say so.

use std::collections::HashMap;

use patchbay_message::{AgentId, Time};
use patchbay_store::{
    Agent, ConversationFilter, ConversationState, Presence, TicketFilter, TicketState,
};
use uuid::Uuid;

use super::{Assigner, Move, Stopped};
use crate::assign;

/// Conversations of one absent agent put back by one look, and tickets likewise.
const REQUEUE_MAX: u32 = 200;

impl Assigner {
    /// Agents who have been offline for too long and still have conversations.
    pub(super) fn absent(&mut self, agents: &HashMap<AgentId, Agent>, now: Time) -> Vec<Agent> {
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

    pub(super) async fn requeue(&mut self, agent: &Agent, now: Time) -> Result<bool, Stopped> {
        let filter = ConversationFilter {
            states: vec![ConversationState::Open, ConversationState::Pending],
            agent: Some(agent.id),
            limit: REQUEUE_MAX,
            ..ConversationFilter::default()
        };
        let page = self.shared.desk.conversations(&filter).await?;
        let rows = page.items.into_iter().map(|view| view.conversation);
        let steps = assign::requeue(rows.collect(), agent, now, &mut Uuid::now_v7);
        let filter = TicketFilter {
            states: vec![TicketState::Processing, TicketState::PendingConfirmation],
            agent: Some(agent.id),
            limit: REQUEUE_MAX,
            ..TicketFilter::default()
        };
        let page = self.shared.desk.tickets(&filter).await?;
        let rows = page.items.into_iter().map(|view| view.ticket);
        let tickets = assign::requeue_tickets(rows.collect(), agent, now);
        let moves = Move::all(steps, tickets);
        let moved = !moves.is_empty();
        self.carry_out(moves).await?;
        // What has been put back can be given out at once.
        Ok(moved)
    }
}
