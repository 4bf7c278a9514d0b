//! Loads what a decision needs to know, inside one snapshot. Keys are looked up one by one: inside
//! the process that costs a few microseconds each.

pub(super) mod tickets;

use patchbay_message::{ContactId, ThreadId};
use rusqlite::{Connection, params};

use super::{
    desk,
    error::Fail,
    journal::find_outcome,
    rows::{self, select_contact, select_conversation, select_thread},
    sql::{all, blob, ms, one},
};
use crate::{
    Conversation, Facts, Thread, Want,
    limits::{ROWS_MAX, WOKEN_MAX},
};

pub(super) fn load(db: &Connection, want: &Want) -> Result<Facts, Fail> {
    let mut facts = Facts::default();
    marks(db, want, &mut facts)?;
    for (channel, address) in &want.addresses {
        let thread = thread_of(db, channel.as_str(), address)?;
        if let Some(thread) = thread {
            add_thread(db, thread, &mut facts)?;
        }
    }
    for id in &want.conversations {
        if let Some(row) = conversation(db, *id)? {
            if let Some(thread) = thread(db, row.thread_id)? {
                add_thread(db, thread, &mut facts)?;
            }
            add_contact(db, row.contact_id, &mut facts)?;
            facts.conversations.insert(row.id, row);
        }
    }
    if want.desk {
        let agents = desk::agents::load(db)?;
        facts.agents = agents.into_iter().map(|agent| (agent.id, agent)).collect();
        let groups = desk::groups::load(db)?;
        facts.groups = groups.into_iter().map(|group| (group.id, group)).collect();
    }
    queues(db, want, &mut facts)?;
    tickets::load(db, want, &mut facts)?;
    Ok(facts)
}

fn marks(db: &Connection, want: &Want, facts: &mut Facts) -> Result<(), Fail> {
    for (source, id) in &want.processed {
        let found = one(
            db,
            "SELECT 1 FROM processed WHERE source = ?1 AND id = ?2",
            params![source, id],
            |_| Ok(()),
        )?;
        if found.is_some() {
            facts.processed.push((source.clone(), id.clone()));
        }
    }
    for key in &want.dedupe {
        let found = one(
            db,
            "SELECT message FROM dedupe WHERE key = ?1",
            [key],
            |c| c.id(),
        )?;
        if let Some(message) = found {
            facts.dedupe.insert(key.clone(), message);
        }
    }
    for command in &want.commands {
        if let Some(outcome) = find_outcome(db, *command)? {
            facts.outcomes.insert(*command, outcome);
        }
    }
    if let Some(partition) = &want.outbox {
        facts.outbox_seq = one(
            db,
            "SELECT seq FROM outbox_head WHERE partition = ?1",
            [partition],
            |c| c.get(),
        )?
        .unwrap_or(0);
    }
    Ok(())
}

fn queues(db: &Connection, want: &Want, facts: &mut Facts) -> Result<(), Fail> {
    if want.waiting > 0 {
        let after = want.waiting_after.as_ref();
        let after = after.map_or((i64::MIN, [0; 16]), |last| {
            (ms(last.at), last.id.into_bytes())
        });
        facts.waiting = all(
            db,
            select_conversation!(
                "WHERE state IN ('new', 'waiting')
                     AND coalesce(waiting_since, created_at) >= ?2
                     AND (coalesce(waiting_since, created_at), id) > (?2, ?3)
                 ORDER BY coalesce(waiting_since, created_at), id LIMIT ?1"
            ),
            params![want.waiting.min(ROWS_MAX), after.0, after.1],
            rows::conversation,
        )?;
    }
    if let Some(until) = want.snoozed_until {
        facts.woken = all(
            db,
            select_conversation!(
                "WHERE state = 'snoozed' AND snoozed_until <= ?1 ORDER BY snoozed_until LIMIT ?2"
            ),
            params![ms(until), WOKEN_MAX],
            rows::conversation,
        )?;
    }
    Ok(())
}

fn add_thread(db: &Connection, thread: Thread, facts: &mut Facts) -> Result<(), Fail> {
    add_contact(db, thread.contact_id, facts)?;
    if let Some(row) = current(db, thread.id)? {
        facts.current.insert(thread.id, row.id);
        facts.conversations.insert(row.id, row);
    }
    facts
        .threads
        .insert((thread.channel.clone(), thread.address.clone()), thread);
    Ok(())
}

fn add_contact(db: &Connection, id: ContactId, facts: &mut Facts) -> Result<(), Fail> {
    if !facts.contacts.contains_key(&id)
        && let Some(contact) = contact(db, id)?
    {
        facts.contacts.insert(id, contact);
    }
    Ok(())
}

/// The newest conversation of a thread that is not closed.
pub(super) fn current(db: &Connection, thread: ThreadId) -> Result<Option<Conversation>, Fail> {
    one(
        db,
        select_conversation!(
            "WHERE thread = ?1 AND state <> 'closed' ORDER BY created_at DESC, id DESC LIMIT 1"
        ),
        [blob(&thread)],
        rows::conversation,
    )
}

pub(super) fn thread_of(
    db: &Connection,
    channel: &str,
    address: &str,
) -> Result<Option<Thread>, Fail> {
    one(
        db,
        select_thread!("WHERE channel = ?1 AND address = ?2"),
        params![channel, address],
        rows::thread,
    )
}

pub(super) fn thread(db: &Connection, id: ThreadId) -> Result<Option<Thread>, Fail> {
    one(
        db,
        select_thread!("WHERE id = ?1"),
        [blob(&id)],
        rows::thread,
    )
}

pub(super) fn contact(db: &Connection, id: ContactId) -> Result<Option<crate::Contact>, Fail> {
    one(
        db,
        select_contact!("WHERE id = ?1"),
        [blob(&id)],
        rows::contact,
    )
}

pub(super) fn conversation(
    db: &Connection,
    id: patchbay_message::ConversationId,
) -> Result<Option<Conversation>, Fail> {
    one(
        db,
        select_conversation!("WHERE id = ?1"),
        [blob(&id)],
        rows::conversation,
    )
}
