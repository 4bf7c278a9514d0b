//! Dead letters, by page.

use patchbay_message::{MessageId, Time};
use rusqlite::{Connection, params};

use super::super::{
    error::Fail,
    rows::{self, select_dead},
    sql::{all, blob, ms, one, opt},
};
use crate::{Cursor, DeadFilter, DeadLetter, Page, limits::ROWS_MAX};

pub(super) fn page(db: &Connection, filter: &DeadFilter) -> Result<Page<DeadLetter>, Fail> {
    let limit = filter.limit.min(ROWS_MAX);
    let (at, id) = match &filter.cursor {
        Some(cursor) => (cursor.at, *cursor.id.as_bytes()),
        None => (Time::from_ms(i64::MAX), [0xff; 16]),
    };
    let mut items = all(
        db,
        select_dead!(
            "WHERE status = ?1 AND (?2 IS NULL OR channel = ?2)
                 AND (?3 IS NULL OR conversation = ?3) AND (at, id) < (?4, ?5)
             ORDER BY at DESC, id DESC LIMIT ?6"
        ),
        params![
            filter.status.as_deref().unwrap_or("dead"),
            filter
                .channel
                .as_ref()
                .map(patchbay_message::ChannelId::as_str),
            opt(filter.conversation.as_ref()),
            ms(at),
            id,
            i64::from(limit) + 1,
        ],
        rows::dead,
    )?;
    let kept = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = items.len() > kept;
    items.truncate(kept);
    let next = items.last().filter(|_| more).map(|row| Cursor {
        at: row.at,
        id: row.id.0,
    });
    Ok(Page { items, next })
}

pub(super) fn find(db: &Connection, id: MessageId) -> Result<Option<DeadLetter>, Fail> {
    one(db, select_dead!("WHERE id = ?1"), [blob(&id)], rows::dead)
}
