//! The event log: numbered by the one writer, so the order of numbers is the order of commits.

use patchbay_message::{AgentId, ConversationId, Time};
use rusqlite::{Connection, params};
use serde_json::Value;

use super::{
    error::Fail,
    sql::{blob, json, ms, opt, run},
};
use crate::NewEvent;

/// Writes an event; answers its number.
pub(super) fn append(db: &Connection, event: &NewEvent, now: Time) -> Result<u64, Fail> {
    run(
        db,
        "INSERT INTO event_log (kind, conversation, agent, data, at) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            event.kind,
            opt(event.conversation_id.as_ref()),
            opt(event.agent_id.as_ref()),
            json(&event.data)?,
            ms(now),
        ],
    )?;
    u64::try_from(db.last_insert_rowid())
        .map_err(|_| Fail::Store("event numbers are positive".to_owned()))
}

/// Something about an agent changed.
pub(super) fn agent_changed(db: &Connection, agent: AgentId, now: Time) -> Result<(), Fail> {
    let event = NewEvent {
        kind: "agent",
        conversation_id: None,
        agent_id: Some(agent),
        data: serde_json::json!({ "agent_id": agent }),
    };
    append(db, &event, now)?;
    Ok(())
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

/// The newest number and the oldest one that is kept (newest + 1 if none is).
pub(super) fn bounds(db: &Connection) -> Result<(u64, u64), Fail> {
    let newest: u64 = super::sql::one(
        db,
        "SELECT seq FROM sqlite_sequence WHERE name = 'event_log'",
        [],
        |c| c.get(),
    )?
    .unwrap_or(0);
    let oldest: Option<u64> =
        super::sql::one(db, "SELECT min(seq) FROM event_log", [], |c| c.get())?.flatten();
    Ok((newest, oldest.unwrap_or(newest + 1)))
}

/// The conversation of a thread: the newest that is not closed, else the newest.
pub(super) fn conversation_of(
    db: &Connection,
    thread: patchbay_message::ThreadId,
) -> Result<Option<ConversationId>, Fail> {
    super::sql::one(
        db,
        "SELECT id FROM conversation WHERE thread = ?1
         ORDER BY state = 'closed', created_at DESC, id DESC LIMIT 1",
        [blob(&thread)],
        |c| c.id(),
    )
}
