//! Answers that are waited for.

use patchbay_message::{MessageId, ReceiptState};
use rusqlite::{Connection, params};

use crate::{
    Expect, ReceiptWord,
    changes::is_last,
    sqlite::{
        error::Fail,
        sql::{blob, ms, one, run},
    },
};

/// Waits, unless the answer was faster.
pub(super) fn wait(db: &Connection, row: &Expect) -> Result<(), Fail> {
    let states: Option<(Option<String>, Option<String>)> = one(
        db,
        "SELECT r.state, m.state FROM receipt r LEFT JOIN message m ON m.id = r.message
         WHERE r.channel = ?1 AND r.external_id = ?2",
        params![row.channel.as_str(), row.external_id],
        |c| Ok((c.get()?, c.get()?)),
    )?;
    let (part, message) = states.unwrap_or_default();
    let mut said = [part, message].into_iter().flatten();
    if said.any(|word| is_last(&ReceiptState::from(word.as_str()))) {
        return Ok(());
    }
    run(
        db,
        "INSERT INTO expect (channel, external_id, due, or_else) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (channel, external_id) DO UPDATE SET due = excluded.due,
             or_else = excluded.or_else",
        params![
            row.channel.as_str(),
            row.external_id,
            ms(row.due),
            row.or_else.as_str()
        ],
    )?;
    Ok(())
}

/// Whether the word says that an answer did not come which by now has until later.
pub(super) fn is_early(db: &Connection, word: &ReceiptWord) -> Result<bool, Fail> {
    if !word.overdue {
        return Ok(false);
    }
    let later = one(
        db,
        "SELECT 1 FROM expect WHERE channel = ?1 AND external_id = ?2 AND due > ?3",
        params![word.channel.as_str(), word.external_id, ms(word.at)],
        |_| Ok(()),
    )?;
    Ok(later.is_some())
}

/// Waits no more for what the word is on: a part, or every part of a message.
pub(super) fn end(db: &Connection, word: &ReceiptWord) -> Result<(), Fail> {
    if let Some(external_id) = &word.external_id {
        run(
            db,
            "DELETE FROM expect WHERE channel = ?1 AND external_id = ?2",
            params![word.channel.as_str(), external_id],
        )?;
    }
    if let Some(message) = word.message {
        end_all(db, message)?;
    }
    Ok(())
}

fn end_all(db: &Connection, message: MessageId) -> Result<(), Fail> {
    run(
        db,
        "DELETE FROM expect WHERE (channel, external_id) IN
             (SELECT channel, external_id FROM receipt WHERE message = ?1)",
        [blob(&message)],
    )?;
    Ok(())
}
