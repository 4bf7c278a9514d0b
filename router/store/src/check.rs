//! What no backend can write, checked before it is tried: so that both refuse the same rows, with
//! the same sentence, and a refused row is found by what it is and not by which database runs.

use patchbay_message::limits::{ENVELOPE_BYTES_MAX, KEY_BYTES_MAX, NAME_BYTES_MAX, TEXT_BYTES_MAX};

use crate::{AgentUpdate, Changes, CommitError, Group, limits::CAPACITY_MAX};

/// An event's `data` as JSON: bytes.
pub const EVENT_BYTES_MAX: usize = 8 * 1024;

/// An envelope as it is kept: bytes. Above the bus's own bound, since a dead letter may hold raw
/// bytes that were no envelope.
pub const KEPT_BYTES_MAX: usize = 4 * ENVELOPE_BYTES_MAX;

/// A message's content as JSON: bytes.
pub const CONTENT_BYTES_MAX: usize = KEPT_BYTES_MAX;

/// A device's readings, and its faults, as JSON: bytes each. Room for a few hundred codes of the
/// longest kind.
pub const DEVICE_BYTES_MAX: usize = 512 * 1024;

/// The largest number a row can hold: what fits the databases' signed 64 bits.
pub const NUMBER_MAX: u64 = i64::MAX as u64;

/// Refuses changes with a row that can never be written.
pub(crate) fn check(changes: &Changes) -> Result<(), CommitError> {
    texts(changes)?;
    numbers(changes)?;
    let kept = changes
        .outbox
        .iter()
        .map(|row| &row.envelope)
        .chain(changes.park.iter().map(|row| &row.envelope))
        .chain(changes.dead.iter().map(|row| &row.envelope));
    for envelope in kept {
        fits("envelope", envelope.len(), KEPT_BYTES_MAX)?;
    }
    for message in &changes.messages {
        fits("content", json_len(&message.content), CONTENT_BYTES_MAX)?;
    }
    for event in &changes.events {
        fits("event data", json_len(&event.data), EVENT_BYTES_MAX)?;
    }
    work(changes)
}

/// What is kept of tickets and devices. Device and code are keys: they have to fit an index.
fn work(changes: &Changes) -> Result<(), CommitError> {
    for row in changes.tickets_written() {
        for (what, text, max) in [
            ("ticket device", row.device.as_str(), KEY_BYTES_MAX),
            ("ticket code", &row.code, KEY_BYTES_MAX),
            ("ticket title", &row.title, TEXT_BYTES_MAX),
            (
                "ticket category",
                row.category.as_deref().unwrap_or_default(),
                TEXT_BYTES_MAX,
            ),
        ] {
            clean(what, text)?;
            fits(what, text.len(), max)?;
        }
    }
    for row in &changes.ticket_entries {
        clean_option("ticket entry", row.text.as_deref())?;
        let text = row.text.as_ref().map_or(0, String::len);
        fits("ticket entry", text, TEXT_BYTES_MAX)?;
        fits("ticket entry data", json_len(&row.data), EVENT_BYTES_MAX)?;
    }
    for row in &changes.devices {
        clean("device address", &row.address)?;
        fits("device readings", json_len(&row.readings), DEVICE_BYTES_MAX)?;
        fits("device faults", json_len(&row.faults), DEVICE_BYTES_MAX)?;
    }
    for row in &changes.expects {
        clean("external id", &row.external_id)?;
    }
    Ok(())
}

/// U+0000 is refused in every key and name: PostgreSQL's text cannot hold it. In JSON it is
/// written as an escape and does no harm.
fn texts(changes: &Changes) -> Result<(), CommitError> {
    for (source, id) in &changes.processed {
        clean("processed", source)?;
        clean("processed", id)?;
    }
    for (key, _) in &changes.dedupe {
        clean("dedupe key", key)?;
    }
    for contact in &changes.contacts {
        clean_option("contact name", contact.name.as_deref())?;
        clean_option("locale", contact.locale.as_deref())?;
    }
    for thread in &changes.threads {
        clean("address", &thread.address)?;
    }
    let rows = changes
        .conversation_updates
        .iter()
        .map(|update| &update.row);
    for row in rows.chain(&changes.conversations) {
        clean_option("preview", row.last_preview.as_deref())?;
    }
    for message in &changes.messages {
        clean_option("external id", message.external_id.as_deref())?;
        clean_option("reason", message.reason.as_deref())?;
    }
    for park in &changes.park {
        clean_option("detail", park.detail.as_deref())?;
    }
    for (_, external_id, _, _) in &changes.sent {
        clean("external id", external_id)?;
    }
    for word in &changes.receipts {
        clean_option("external id", word.external_id.as_deref())?;
        clean_option("reason", word.reason.as_deref())?;
    }
    for dead in &changes.dead {
        clean("detail", &dead.detail)?;
    }
    for (_, error, _) in &changes.channel_errors {
        clean("channel error", error)?;
    }
    for audit in &changes.audit {
        clean("audit target", &audit.target)?;
    }
    Ok(())
}

fn numbers(changes: &Changes) -> Result<(), CommitError> {
    let threads = changes.threads.iter().flat_map(|row| {
        [
            row.last_seq,
            row.last_out_seq,
            row.delivered_seq,
            row.read_seq,
        ]
    });
    let moved = changes
        .thread_updates
        .iter()
        .flat_map(|row| [row.last_seq, row.last_out_seq]);
    let messages = changes.messages.iter().flat_map(|row| {
        [
            row.pos,
            row.thread_seq.unwrap_or(0),
            row.out_seq.unwrap_or(0),
        ]
    });
    let conversations = changes.conversations.iter().map(|row| row.last_pos);
    let updates = changes
        .conversation_updates
        .iter()
        .map(|update| update.row.last_pos);
    let outbox = changes.outbox.iter().map(|row| row.seq);
    let done = changes.outbox_done.iter().map(|(_, seq)| *seq);
    let lanes = changes.lanes_done.iter().map(|lane| lane.out_seq);
    let parked = changes.park.iter().map(|park| park.out_seq);
    let attempts = changes.attempts.iter().map(|attempt| attempt.out_seq);
    let tickets = changes.tickets_written().map(|row| row.last_pos);
    let entries = changes.ticket_entries.iter().map(|row| row.pos);
    let acks = changes.device_acks.iter().map(|(_, number)| *number);
    let mut all = threads
        .chain(moved)
        .chain(messages)
        .chain(conversations)
        .chain(updates)
        .chain(outbox)
        .chain(done)
        .chain(lanes)
        .chain(parked)
        .chain(attempts)
        .chain(tickets)
        .chain(entries)
        .chain(acks);
    match all.find(|number| *number > NUMBER_MAX) {
        Some(number) => Err(CommitError::Refused(format!(
            "number {number} is too large"
        ))),
        None => Ok(()),
    }
}

fn clean(what: &str, text: &str) -> Result<(), CommitError> {
    if text.contains('\0') {
        return Err(CommitError::Refused(format!("{what} contains U+0000")));
    }
    Ok(())
}

fn clean_option(what: &str, text: Option<&str>) -> Result<(), CommitError> {
    text.map_or(Ok(()), |text| clean(what, text))
}

fn fits(what: &str, found: usize, max: usize) -> Result<(), CommitError> {
    if found > max {
        return Err(CommitError::Refused(format!(
            "{what} has {found} bytes, {max} at most are kept"
        )));
    }
    Ok(())
}

/// How long a value is as JSON, without keeping the text.
fn json_len<T: serde::Serialize>(value: &T) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // A value that cannot be written as JSON fails where it is written.
    let _ = serde_json::to_writer(&mut count, value);
    count.0
}

/// Refuses an agent that could never be.
pub(crate) fn agent_update(update: &AgentUpdate) -> Result<(), CommitError> {
    if let Some(name) = &update.name {
        named("agent", name)?;
    }
    match update.capacity {
        Some(capacity) if capacity > CAPACITY_MAX => Err(CommitError::Refused(format!(
            "a capacity of {capacity}, {CAPACITY_MAX} at most is possible"
        ))),
        _ => Ok(()),
    }
}

/// Refuses a group that could never be.
pub(crate) fn group_row(group: &Group) -> Result<(), CommitError> {
    named("group", &group.name)
}

fn named(what: &str, name: &str) -> Result<(), CommitError> {
    clean(what, name)?;
    fits(what, name.len(), NAME_BYTES_MAX)?;
    if name.trim().is_empty() {
        return Err(CommitError::Refused(format!("the {what} has no name")));
    }
    Ok(())
}
