//! The event log. Numbers are drawn from one row as the last thing before the commit, and its lock
//! is held until the commit is durable: so they rise in the order of commits, without gaps, and a
//! reader that goes on after the last number it saw misses nothing.

use patchbay_message::{AgentId, ConversationId};
use serde_json::Value;

use super::{
    error::Fail,
    sql::{Answer, Step, column, int, json, now_ms, params},
};
use crate::NewEvent;

const APPEND: &str = concat!(
    "WITH head AS (
         UPDATE event_head SET seq = seq + $1 RETURNING seq
     ), written AS (
         INSERT INTO event_log (seq, kind, conversation, agent, data, at)
         SELECT head.seq - $1 + e.n, e.kind, e.conversation, e.agent, e.data, ",
    now_ms!(),
    " FROM head, unnest($2::text[], $3::uuid[], $4::uuid[], $5::text[])
             WITH ORDINALITY e(kind, conversation, agent, data, n)
     )
     SELECT seq FROM head"
);

/// Writes events in this order; the answer's one row is the number of the last.
pub(super) fn append(events: &[&NewEvent]) -> Result<Step<'static>, Fail> {
    let data: Vec<String> = events
        .iter()
        .map(|event| json(&event.data))
        .collect::<Result<_, _>>()?;
    Ok(Step::new(
        APPEND,
        params![
            int(events.len() as u64),
            column(events, |event| event.kind),
            column(events, |event| event.conversation_id.map(|id| id.0)),
            column(events, |event| event.agent_id.map(|id| id.0)),
            data,
        ],
    ))
}

/// The number of the last event that [`append`] wrote.
pub(super) fn last(answer: &Answer) -> Result<u64, Fail> {
    answer
        .one(|c| c.number())?
        .ok_or_else(|| Fail::Store("the row of event numbers is missing".to_owned()))
}

/// Something about an agent changed.
pub(super) fn agent_changed(agent: AgentId) -> NewEvent {
    NewEvent {
        kind: "agent",
        conversation_id: None,
        agent_id: Some(agent),
        data: serde_json::json!({ "agent_id": agent }),
    }
}

/// An event about a conversation, if it is known which.
pub(super) fn about(
    kind: &'static str,
    conversation_id: Option<ConversationId>,
    data: Value,
) -> NewEvent {
    NewEvent {
        kind,
        conversation_id,
        agent_id: None,
        data,
    }
}
