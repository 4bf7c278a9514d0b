//! Writes contacts, threads, conversations, messages and agents' load.

use patchbay_message::{ConversationId, ReceiptState};
use rusqlite::{Connection, params};

use super::{
    error::Fail,
    sql::{blob, json, ms, opt, opt_ms, run},
};
use crate::{
    AgentLoad, Contact, Conversation, ConversationUpdate, MessageRow, Thread, ThreadUpdate,
};

/// For searching without regard to case, in Unicode's sense.
pub(super) fn folded(text: &str) -> String {
    text.to_lowercase()
}

pub(super) fn save_contact(db: &Connection, row: &Contact) -> Result<(), Fail> {
    run(
        db,
        "INSERT INTO contact (id, name, folded, locale, attributes, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, folded = excluded.folded,
             locale = excluded.locale, attributes = excluded.attributes",
        params![
            blob(&row.id),
            row.name,
            folded(row.name.as_deref().unwrap_or_default()),
            row.locale,
            json(&row.attributes)?,
            ms(row.created_at),
        ],
    )?;
    Ok(())
}

pub(super) fn insert_thread(db: &Connection, row: &Thread) -> Result<(), Fail> {
    run(
        db,
        "INSERT INTO thread (id, channel, channel_kind, address, folded, contact, partition,
             verified, last_seq, last_out_seq, delivered_seq, read_seq, version)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        params![
            blob(&row.id),
            row.channel.as_str(),
            row.channel_kind,
            row.address,
            folded(&row.address),
            blob(&row.contact_id),
            row.partition,
            row.verified,
            row.last_seq,
            row.last_out_seq,
            row.delivered_seq,
            row.read_seq,
            row.version,
        ],
    )?;
    Ok(())
}

pub(super) fn update_thread(db: &Connection, update: &ThreadUpdate) -> Result<(), Fail> {
    let changed = run(
        db,
        "UPDATE thread SET last_seq = ?3, last_out_seq = ?4, verified = max(verified, ?5),
             version = version + 1
         WHERE id = ?1 AND version = ?2",
        params![
            blob(&update.id),
            update.version,
            update.last_seq,
            update.last_out_seq,
            update.verified,
        ],
    )?;
    guarded(changed, || format!("thread {}", update.id))
}

pub(super) fn insert_conversation(db: &Connection, row: &Conversation) -> Result<(), Fail> {
    run(
        db,
        "INSERT INTO conversation (id, contact, thread, channel, partition, state, grp, agent,
             last_agent, waiting_since, snoozed_until, created_at, updated_at, last_pos, unread,
             last_preview, last_from, last_message_at, version)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18,
             ?19)",
        params![
            blob(&row.id),
            blob(&row.contact_id),
            blob(&row.thread_id),
            row.channel.as_str(),
            row.partition,
            row.state.as_str(),
            opt(row.group_id.as_ref()),
            opt(row.agent_id.as_ref()),
            opt(row.last_agent_id.as_ref()),
            opt_ms(row.waiting_since),
            opt_ms(row.snoozed_until),
            ms(row.created_at),
            ms(row.updated_at),
            row.last_pos,
            row.unread,
            row.last_preview,
            row.last_from,
            opt_ms(row.last_message_at),
            row.version,
        ],
    )?;
    Ok(())
}

pub(super) fn update_conversation(
    db: &Connection,
    update: &ConversationUpdate,
) -> Result<(), Fail> {
    let row = &update.row;
    let changed = run(
        db,
        "UPDATE conversation SET contact = ?4, thread = ?5, channel = ?6, partition = ?7,
             state = ?8, grp = ?9, agent = ?10, last_agent = ?11, waiting_since = ?12,
             snoozed_until = ?13, updated_at = ?14, last_pos = ?15, unread = ?16,
             last_preview = ?17, last_from = ?18, last_message_at = ?19, version = version + 1
         WHERE id = ?1 AND version = ?2 AND state = ?3",
        params![
            blob(&row.id),
            row.version,
            update.from.as_str(),
            blob(&row.contact_id),
            blob(&row.thread_id),
            row.channel.as_str(),
            row.partition,
            row.state.as_str(),
            opt(row.group_id.as_ref()),
            opt(row.agent_id.as_ref()),
            opt(row.last_agent_id.as_ref()),
            opt_ms(row.waiting_since),
            opt_ms(row.snoozed_until),
            ms(row.updated_at),
            row.last_pos,
            row.unread,
            row.last_preview,
            row.last_from,
            opt_ms(row.last_message_at),
        ],
    )?;
    guarded(changed, || format!("conversation {}", row.id))
}

pub(super) fn read_conversation(db: &Connection, id: ConversationId) -> Result<(), Fail> {
    run(
        db,
        "UPDATE conversation SET unread = 0 WHERE id = ?1",
        [blob(&id)],
    )?;
    Ok(())
}

pub(super) fn insert_message(db: &Connection, row: &MessageRow) -> Result<(), Fail> {
    run(
        db,
        "INSERT INTO message (id, conversation, thread, pos, thread_seq, out_seq, kind, direction,
             sender, agent, content, external_id, at, state, reason, attempts, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
        params![
            blob(&row.id),
            blob(&row.conversation_id),
            blob(&row.thread_id),
            row.pos,
            row.thread_seq,
            row.out_seq,
            row.kind.as_str(),
            row.direction.as_str(),
            json(&row.sender)?,
            opt(row.agent_id.as_ref()),
            json(&row.content)?,
            row.external_id,
            ms(row.at),
            row.state.as_ref().map(ReceiptState::as_str),
            row.reason,
            row.attempts,
            opt_ms(row.expires_at),
        ],
    )?;
    Ok(())
}

pub(super) fn change_load(db: &Connection, load: &AgentLoad) -> Result<(), Fail> {
    let changed = run(
        db,
        "UPDATE agent SET load = max(0, load + ?2), assigned_at = coalesce(?4, assigned_at)
         WHERE id = ?1 AND (?2 <= 0 OR ?3
             OR (presence = 'online' AND active = 1 AND load + ?2 <= capacity))",
        params![
            blob(&load.agent),
            load.delta,
            load.force,
            opt_ms(load.assigned_at)
        ],
    )?;
    guarded(changed, || format!("agent {} takes no more", load.agent))
}

/// A guarded update that found no row means that somebody else was first.
pub(super) fn guarded(changed: usize, what: impl FnOnce() -> String) -> Result<(), Fail> {
    if changed == 0 {
        return Err(Fail::conflict(what()));
    }
    Ok(())
}
