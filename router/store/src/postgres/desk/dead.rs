//! Dead letters, by page.

use patchbay_message::{ChannelId, MessageId};

use crate::{
    Cursor, DeadFilter, DeadLetter, Page,
    limits::ROWS_MAX,
    postgres::{
        PostgresStore,
        error::Fail,
        rows::{self, select_dead},
        sql::{Step, params},
    },
};

pub(super) async fn page(
    store: &PostgresStore,
    filter: &DeadFilter,
) -> Result<Page<DeadLetter>, Fail> {
    let limit = filter.limit.min(ROWS_MAX);
    let cursor = filter.cursor.as_ref();
    let step = Step::new(
        select_dead!(
            "WHERE status = $1 AND ($2::text IS NULL OR channel = $2)
                 AND ($3::uuid IS NULL OR conversation = $3)
                 AND ($4::int8 IS NULL OR (at, id) < ($4, $5::uuid))
             ORDER BY at DESC, id DESC LIMIT $6"
        ),
        params![
            filter.status.as_deref().unwrap_or("dead"),
            filter.channel.as_ref().map(ChannelId::as_str),
            filter.conversation.map(|id| id.0),
            cursor.map(|cursor| cursor.at.as_ms()),
            cursor.map(|cursor| cursor.id),
            i64::from(limit) + 1,
        ],
    );
    let mut items = store.read(step).await?.all(rows::dead)?;
    let kept = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = items.len() > kept;
    items.truncate(kept);
    let next = items.last().filter(|_| more).map(|row| Cursor {
        at: row.at,
        id: row.id.0,
    });
    Ok(Page { items, next })
}

pub(super) async fn find(store: &PostgresStore, id: MessageId) -> Result<Option<DeadLetter>, Fail> {
    let step = Step::new(select_dead!("WHERE id = $1"), params![id.0]);
    store.read(step).await?.one(rows::dead)
}
