//! How far outbound messages got: what we said ourselves, what the provider said of each part, and
//! how far the contact has seen.

mod expects;

use patchbay_message::{ConversationId, MessageId, ReceiptState, ThreadId, Time};
use rusqlite::{Connection, params};
use serde_json::json;

use super::{
    error::Fail,
    events,
    sql::{all, blob, ms, one, run},
};
use crate::{Changes, NewEvent, ReceiptWord, Seen};

/// What rose, and the events to be written of it.
#[derive(Default)]
pub(super) struct Rose {
    pub(super) delivered: Vec<(MessageId, ReceiptState)>,
    pub(super) deliveries: Vec<NewEvent>,
    pub(super) seen: Vec<NewEvent>,
}

pub(super) fn write(db: &Connection, changes: &Changes, now: Time) -> Result<Rose, Fail> {
    let mut rose = Rose::default();
    for (channel, external_id, message, part) in &changes.sent {
        run(
            db,
            "INSERT INTO receipt (channel, external_id, message, part, at)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (channel, external_id) DO UPDATE SET
                 state = iif(message IS NULL OR message = excluded.message, state, NULL),
                 reason = iif(message IS NULL OR message = excluded.message, reason, NULL),
                 part = iif(message = excluded.message, part, excluded.part),
                 message = excluded.message, at = excluded.at",
            params![channel.as_str(), external_id, blob(message), part, ms(now)],
        )?;
    }
    // All parts are there before any is added up.
    for (_, _, message, _) in &changes.sent {
        add_up(db, *message, None, &mut rose)?;
    }
    for row in &changes.expects {
        expects::wait(db, row)?;
    }
    for word in &changes.receipts {
        if expects::is_void(db, word)? {
            continue;
        }
        if let Some(message) = word.message {
            own_word(db, message, word, &mut rose)?;
        }
        if let Some(external_id) = &word.external_id {
            provider_word(db, external_id, word, now, &mut rose)?;
        }
        if let Some(which) = word.ends() {
            expects::end(db, word, which)?;
        }
    }
    for seen in &changes.seen {
        watermarks(db, seen, &mut rose)?;
    }
    Ok(rose)
}

/// Our own word is on the whole message.
fn own_word(
    db: &Connection,
    message: MessageId,
    word: &ReceiptWord,
    rose: &mut Rose,
) -> Result<(), Fail> {
    if let Some(attempts) = word.attempts {
        run(
            db,
            "UPDATE message SET attempts = max(attempts, ?2) WHERE id = ?1",
            params![blob(&message), attempts],
        )?;
    }
    raise(
        db,
        message,
        &word.state,
        word.reason.as_deref(),
        word.rank(),
        rose,
    )
}

/// The provider's word is on one part, of a message that we may not know yet.
fn provider_word(
    db: &Connection,
    external_id: &str,
    word: &ReceiptWord,
    now: Time,
    rose: &mut Rose,
) -> Result<(), Fail> {
    let key = params![word.channel.as_str(), external_id];
    let found: Option<(Option<MessageId>, Option<String>)> = one(
        db,
        "SELECT message, state FROM receipt WHERE channel = ?1 AND external_id = ?2",
        key,
        |c| Ok((c.opt_id()?, c.get()?)),
    )?;
    let (message, state) = found.unwrap_or_default();
    if word.rank() <= rank(state.as_deref()) {
        return Ok(());
    }
    run(
        db,
        "INSERT INTO receipt (channel, external_id, state, reason, at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (channel, external_id) DO UPDATE SET
             state = excluded.state, reason = excluded.reason, at = excluded.at",
        params![
            word.channel.as_str(),
            external_id,
            word.state.as_str(),
            word.reason,
            ms(now)
        ],
    )?;
    match message {
        Some(message) => add_up(db, message, Some(word), rose),
        None => Ok(()),
    }
}

fn add_up(
    db: &Connection,
    message: MessageId,
    word: Option<&ReceiptWord>,
    rose: &mut Rose,
) -> Result<(), Fail> {
    let parts: Vec<(Option<String>, Option<String>)> = all(
        db,
        "SELECT state, reason FROM receipt WHERE message = ?1 ORDER BY part",
        [blob(&message)],
        |c| Ok((c.get()?, c.get()?)),
    )?;
    let failed = parts
        .iter()
        .find(|(state, _)| matches!(state.as_deref(), Some("failed" | "expired")));
    let least = || parts.iter().min_by_key(|(state, _)| rank(state.as_deref()));
    match failed.or_else(least) {
        Some((Some(state), reason)) => {
            let state = ReceiptState::from(state.as_str());
            let rank = match word {
                Some(word) if word.state == state => word.rank(),
                _ => state.rank(),
            };
            raise(db, message, &state, reason.as_deref(), rank, rose)
        }
        _ => Ok(()),
    }
}

/// Writes the state if one of that rank takes the place of what is there.
fn raise(
    db: &Connection,
    message: MessageId,
    state: &ReceiptState,
    reason: Option<&str>,
    by_rank: u8,
    rose: &mut Rose,
) -> Result<(), Fail> {
    let found: Option<(Option<String>, ConversationId, u32)> = one(
        db,
        "SELECT state, conversation, attempts FROM message
         WHERE id = ?1 AND direction = 'outbound'",
        [blob(&message)],
        |c| Ok((c.get()?, c.id()?, c.get()?)),
    )?;
    let Some((before, conversation, attempts)) = found else {
        return Ok(());
    };
    if by_rank <= rank(before.as_deref()) {
        return Ok(());
    }
    run(
        db,
        "UPDATE message SET state = ?2, reason = ?3 WHERE id = ?1",
        params![blob(&message), state.as_str(), reason],
    )?;
    rose.delivered.push((message, state.clone()));
    rose.deliveries.push(events::about(
        "delivery",
        Some(conversation),
        json!({
            "conversation_id": conversation,
            "message_id": message,
            "delivery": { "state": state, "reason": reason, "attempts": attempts },
        }),
    ));
    Ok(())
}

/// Watermarks rise, never past what there is; outbound messages that they pass rise with them.
fn watermarks(db: &Connection, seen: &Seen, rose: &mut Rose) -> Result<(), Fail> {
    let found: Option<(u64, u64, u64)> = one(
        db,
        "SELECT last_seq, delivered_seq, read_seq FROM thread WHERE id = ?1",
        [blob(&seen.thread)],
        |c| Ok((c.get()?, c.get()?, c.get()?)),
    )?;
    let Some((last, delivered_before, read_before)) = found else {
        return Ok(());
    };
    let read = seen.read.unwrap_or(0).min(last).max(read_before);
    let delivered = seen
        .delivered
        .unwrap_or(0)
        .min(last)
        .max(delivered_before)
        .max(read);
    if (delivered, read) == (delivered_before, read_before) {
        return Ok(());
    }
    run(
        db,
        "UPDATE thread SET delivered_seq = ?2, read_seq = ?3 WHERE id = ?1",
        params![blob(&seen.thread), delivered, read],
    )?;
    for message in passed(db, seen.thread, read_before, read)? {
        let state = ReceiptState::Read;
        raise(db, message, &state, None, state.rank(), rose)?;
    }
    for message in passed(db, seen.thread, delivered_before.max(read), delivered)? {
        let state = ReceiptState::Delivered;
        raise(db, message, &state, None, state.rank(), rose)?;
    }
    let conversation = events::conversation_of(db, seen.thread)?;
    rose.seen.push(events::about(
        "seen",
        conversation,
        json!({ "conversation_id": conversation, "delivered": delivered, "read": read }),
    ));
    Ok(())
}

/// Outbound messages of a thread with numbers after `from`, up to `to`.
fn passed(db: &Connection, thread: ThreadId, from: u64, to: u64) -> Result<Vec<MessageId>, Fail> {
    all(
        db,
        "SELECT id FROM message
         WHERE thread = ?1 AND thread_seq > ?2 AND thread_seq <= ?3 AND direction = 'outbound'
         ORDER BY thread_seq",
        params![blob(&thread), from, to],
        |c| c.id(),
    )
}

fn rank(state: Option<&str>) -> u8 {
    state.map_or(0, |word| ReceiptState::from(word).rank())
}
