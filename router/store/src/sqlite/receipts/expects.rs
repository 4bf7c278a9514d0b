//! Answers that are waited for.

use patchbay_message::{MessageId, ReceiptState};
use rusqlite::{Connection, params};

use crate::{
    Expect, ReceiptWord,
    changes::Ends,
    sqlite::{
        error::Fail,
        sql::{blob, ms, one, run},
    },
};

/// Waits, unless the answer was faster, or somebody who knows better waits.
pub(super) fn wait(db: &Connection, row: &Expect) -> Result<(), Fail> {
    let states: Option<(Option<String>, Option<String>)> = one(
        db,
        "SELECT r.state, m.state FROM receipt r LEFT JOIN message m ON m.id = r.message
         WHERE r.channel = ?1 AND r.external_id = ?2",
        params![row.channel.as_str(), row.external_id],
        |c| Ok((c.get()?, c.get()?)),
    )?;
    let (part, message) = states.unwrap_or_default();
    let said = [part, message].into_iter().flatten();
    let ends = said.filter_map(|word| Ends::by(&ReceiptState::from(word.as_str())));
    if ends.max().is_some_and(|which| which.is_for(row.fallback)) {
        return Ok(());
    }
    run(
        db,
        "INSERT INTO expect (channel, external_id, due, or_else, fallback)
         VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (channel, external_id) DO UPDATE SET due = excluded.due,
             or_else = excluded.or_else, fallback = excluded.fallback
         WHERE fallback OR NOT excluded.fallback",
        params![
            row.channel.as_str(),
            row.external_id,
            ms(row.due),
            row.or_else.as_str(),
            row.fallback
        ],
    )?;
    Ok(())
}

/// Whether the word says that an answer did not come which by now is not waited for, or has until
/// later.
pub(super) fn is_void(db: &Connection, word: &ReceiptWord) -> Result<bool, Fail> {
    if !word.overdue {
        return Ok(false);
    }
    let due = one(
        db,
        "SELECT 1 FROM expect WHERE channel = ?1 AND external_id = ?2 AND due <= ?3",
        params![word.channel.as_str(), word.external_id, ms(word.at)],
        |_| Ok(()),
    )?;
    Ok(due.is_none())
}

/// Waits no more for what the word is on: a part, or every part of a message.
pub(super) fn end(db: &Connection, word: &ReceiptWord, which: Ends) -> Result<(), Fail> {
    if let Some(external_id) = &word.external_id {
        run(
            db,
            "DELETE FROM expect WHERE channel = ?1 AND external_id = ?2 AND (?3 OR fallback)",
            params![word.channel.as_str(), external_id, which == Ends::All],
        )?;
    }
    if let Some(message) = word.message {
        end_parts(db, message, which)?;
    }
    Ok(())
}

fn end_parts(db: &Connection, message: MessageId, which: Ends) -> Result<(), Fail> {
    run(
        db,
        "DELETE FROM expect WHERE (channel, external_id) IN
             (SELECT channel, external_id FROM receipt WHERE message = ?1) AND (?2 OR fallback)",
        params![blob(&message), which == Ends::All],
    )?;
    Ok(())
}
