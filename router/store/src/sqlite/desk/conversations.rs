//! Conversations and their messages, by page.

use patchbay_message::{ConversationId, MessageId, ThreadId};
use rusqlite::{Connection, ToSql, params, params_from_iter};

use super::super::{
    error::Fail,
    facts,
    people::folded,
    rows::{self, select_conversation, select_message},
    sql::{all, blob, ms, one, opt},
};
use crate::{
    Conversation, ConversationFilter, ConversationState, ConversationView, Cursor, MessagePage,
    MessageRow, Page, check::NUMBER_MAX, limits::ROWS_MAX,
};

pub(super) fn history(
    db: &Connection,
    thread: ThreadId,
    after: u64,
    limit: u32,
) -> Result<Vec<MessageRow>, Fail> {
    all(
        db,
        select_message!("WHERE thread = ?1 AND thread_seq > ?2 ORDER BY thread_seq LIMIT ?3"),
        params![blob(&thread), after.min(NUMBER_MAX), limit.min(ROWS_MAX)],
        rows::message,
    )
}

pub(super) fn standing(
    db: &Connection,
    thread: ThreadId,
) -> Result<Option<(Conversation, Option<u32>)>, Fail> {
    facts::current(db, thread)?
        .map(|row| {
            let position = position(db, &row)?;
            Ok((row, position))
        })
        .transpose()
}

pub(super) fn view(db: &Connection, row: Conversation) -> Result<ConversationView, Fail> {
    let missing = |what: &str| Fail::Store(format!("conversation {} has no {what}", row.id));
    Ok(ConversationView {
        contact: facts::contact(db, row.contact_id)?.ok_or_else(|| missing("contact"))?,
        thread: facts::thread(db, row.thread_id)?.ok_or_else(|| missing("thread"))?,
        position: position(db, &row)?,
        conversation: row,
    })
}

/// Those that are there.
pub(super) fn views(
    db: &Connection,
    ids: &[ConversationId],
) -> Result<Vec<ConversationView>, Fail> {
    let mut views = Vec::with_capacity(ids.len());
    for id in ids {
        if let Some(row) = facts::conversation(db, *id)? {
            views.push(view(db, row)?);
        }
    }
    Ok(views)
}

/// The place among those of the same group (or of none) that wait, from 1.
fn position(db: &Connection, row: &Conversation) -> Result<Option<u32>, Fail> {
    if !matches!(
        row.state,
        ConversationState::New | ConversationState::Waiting
    ) {
        return Ok(None);
    }
    let since = row.waiting_since.unwrap_or(row.created_at);
    one(
        db,
        "SELECT count(*) FROM conversation WHERE state IN ('new', 'waiting') AND grp IS ?1
             AND (coalesce(waiting_since, created_at), id) <= (?2, ?3)",
        params![opt(row.group_id.as_ref()), ms(since), blob(&row.id)],
        |c| c.get(),
    )
}

pub(super) fn page(
    db: &Connection,
    filter: &ConversationFilter,
) -> Result<Page<ConversationView>, Fail> {
    let limit = filter.limit.min(ROWS_MAX);
    let (clauses, mut values) = clauses(filter);
    let more = i64::from(limit) + 1;
    values.push(Box::new(more));
    let sql = format!(
        "{} WHERE {} ORDER BY updated_at DESC, id DESC LIMIT ?",
        select_conversation!(""),
        clauses
    );
    let mut found = all(db, &sql, params_from_iter(values), rows::conversation)?;
    let kept = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = found.len() > kept;
    found.truncate(kept);
    let next = found.last().filter(|_| more).map(|row| Cursor {
        at: row.updated_at,
        id: row.id.0,
    });
    let items = found
        .into_iter()
        .map(|row| view(db, row))
        .collect::<Result<_, _>>()?;
    Ok(Page { items, next })
}

pub(super) type Values = Vec<Box<dyn ToSql>>;

fn clauses(filter: &ConversationFilter) -> (String, Values) {
    let mut clauses = vec!["1".to_owned()];
    let mut values: Values = Vec::new();
    if !filter.states.is_empty() {
        clauses.push(format!("state IN ({})", marks(filter.states.len())));
        for state in &filter.states {
            values.push(Box::new(state.as_str()));
        }
        // Said as the partial indexes say it: they are used for what names their condition only.
        if !filter.states.contains(&ConversationState::Closed) {
            clauses.push("state <> 'closed'".to_owned());
        }
    }
    if let Some(agent) = filter.agent {
        clauses.push("agent = ?".to_owned());
        values.push(Box::new(*blob(&agent)));
    }
    if !filter.groups.is_empty() {
        clauses.push(format!("grp IN ({})", marks(filter.groups.len())));
        for group in &filter.groups {
            values.push(Box::new(*blob(group)));
        }
    }
    if let Some(channel) = &filter.channel {
        clauses.push("channel = ?".to_owned());
        values.push(Box::new(channel.as_str().to_owned()));
    }
    if let Some(text) = &filter.text {
        clauses.push(
            "(EXISTS (SELECT 1 FROM contact c WHERE c.id = conversation.contact
                 AND instr(c.folded, ?) > 0)
             OR EXISTS (SELECT 1 FROM thread t WHERE t.id = conversation.thread
                 AND instr(t.folded, ?) > 0))"
                .to_owned(),
        );
        values.push(Box::new(folded(text)));
        values.push(Box::new(folded(text)));
    }
    if let Some(cursor) = &filter.cursor {
        clauses.push("(updated_at, id) < (?, ?)".to_owned());
        values.push(Box::new(ms(cursor.at)));
        values.push(Box::new(*cursor.id.as_bytes()));
    }
    (clauses.join(" AND "), values)
}

/// So many places for values.
pub(super) fn marks(n: usize) -> String {
    vec!["?"; n].join(", ")
}

pub(super) fn messages(
    db: &Connection,
    id: ConversationId,
    page: MessagePage,
) -> Result<Vec<MessageRow>, Fail> {
    match page {
        MessagePage::After(pos, limit) => all(
            db,
            select_message!("WHERE conversation = ?1 AND pos > ?2 ORDER BY pos LIMIT ?3"),
            params![blob(&id), pos.min(NUMBER_MAX), limit.min(ROWS_MAX)],
            rows::message,
        ),
        MessagePage::Before(pos, limit) => {
            let mut found = all(
                db,
                select_message!("WHERE conversation = ?1 AND pos < ?2 ORDER BY pos DESC LIMIT ?3"),
                params![blob(&id), pos.min(NUMBER_MAX), limit.min(ROWS_MAX)],
                rows::message,
            )?;
            found.reverse();
            Ok(found)
        }
    }
}

pub(super) fn message(db: &Connection, id: MessageId) -> Result<Option<MessageRow>, Fail> {
    one(
        db,
        select_message!("WHERE id = ?1"),
        [blob(&id)],
        rows::message,
    )
}
