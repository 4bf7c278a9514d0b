//! Conversations and their messages, by page.

use patchbay_message::{ChannelId, ConversationId, ThreadId};

use crate::{
    Conversation, ConversationFilter, ConversationView, Cursor, MessagePage, MessageRow, Page,
    Thread,
    limits::ROWS_MAX,
    postgres::{
        PostgresStore,
        apply::folded,
        error::Fail,
        rows::{self, contact_columns, conversation_columns, select_message, thread_columns},
        sql::{Columns, Param, Step, can_be, column, int, params},
    },
};

/// How many of a group wait before this one, itself included.
macro_rules! before {
    ($of:literal) => {
        concat!(
            "(SELECT count(*) FROM conversation w WHERE w.state IN ('new', 'waiting') AND ",
            $of,
            " AND (coalesce(w.waiting_since, w.created_at), w.id)
                 <= (coalesce(v.waiting_since, v.created_at), v.id))"
        )
    };
}

/// The place among the new and waiting of the same group (or of none).
macro_rules! position {
    () => {
        concat!(
            "CASE WHEN v.state NOT IN ('new', 'waiting') THEN NULL WHEN v.grp IS NULL THEN ",
            before!("w.grp IS NULL"),
            " ELSE ",
            before!("w.grp = v.grp"),
            " END"
        )
    };
}

/// What [`view`] reads, of a conversation `v`.
const VIEW: &str = concat!(
    conversation_columns!("v"),
    ", ",
    contact_columns!("c"),
    ", ",
    thread_columns!("t"),
    ", ",
    position!()
);
const JOINED: &str =
    "LEFT JOIN contact c ON c.id = v.contact LEFT JOIN thread t ON t.id = v.thread";

fn view(c: &mut Columns<'_>) -> Result<ConversationView, Fail> {
    let conversation = rows::conversation(c)?;
    let missing =
        |what: &str| Fail::Store(format!("conversation {} has no {what}", conversation.id));
    if !c.is_there()? {
        return Err(missing("contact"));
    }
    let contact = rows::contact(c)?;
    if !c.is_there()? {
        return Err(missing("thread"));
    }
    Ok(ConversationView {
        contact,
        thread: rows::thread(c)?,
        position: c.opt_number()?,
        conversation,
    })
}

pub(super) async fn thread(
    store: &PostgresStore,
    channel: &ChannelId,
    address: &str,
) -> Result<Option<Thread>, Fail> {
    if !can_be(address) {
        return Ok(None);
    }
    let sql = concat!(
        "SELECT ",
        thread_columns!("t"),
        " FROM thread t WHERE t.channel = $1 AND t.address = $2"
    );
    let step = Step::new(sql, params![channel.as_str(), address]);
    store.read(step).await?.one(rows::thread)
}

pub(super) async fn standing(
    store: &PostgresStore,
    thread: ThreadId,
) -> Result<Option<(Conversation, Option<u32>)>, Fail> {
    let sql = concat!(
        "SELECT ",
        conversation_columns!("v"),
        ", ",
        position!(),
        " FROM conversation v WHERE v.thread = $1 AND v.state <> 'closed'
         ORDER BY v.created_at DESC, v.id DESC LIMIT 1"
    );
    let answer = store.read(Step::new(sql, params![thread.0])).await?;
    answer.one(|c| Ok((rows::conversation(c)?, c.opt_number()?)))
}

pub(super) async fn one(
    store: &PostgresStore,
    id: ConversationId,
) -> Result<Option<ConversationView>, Fail> {
    let sql = format!("SELECT {VIEW} FROM conversation v {JOINED} WHERE v.id = $1");
    store.read(Step::new(sql, params![id.0])).await?.one(view)
}

pub(super) async fn views(
    store: &PostgresStore,
    ids: &[ConversationId],
) -> Result<Vec<ConversationView>, Fail> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!("SELECT {VIEW} FROM conversation v {JOINED} WHERE v.id = ANY($1)");
    let step = Step::new(sql, params![column(ids, |id| id.0)]);
    store.read(step).await?.all(view)
}

pub(super) async fn page(
    store: &PostgresStore,
    filter: &ConversationFilter,
) -> Result<Page<ConversationView>, Fail> {
    if !filter.text.as_deref().is_none_or(can_be) {
        return Ok(Page {
            items: Vec::new(),
            next: None,
        });
    }
    let limit = filter.limit.min(ROWS_MAX);
    let mut items = store.read(found(filter, limit)).await?.all(view)?;
    let kept = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = items.len() > kept;
    items.truncate(kept);
    let next = items.last().filter(|_| more).map(|view| Cursor {
        at: view.conversation.updated_at,
        id: view.conversation.id.0,
    });
    Ok(Page { items, next })
}

/// One statement for each combination of filters, so that each finds its index.
fn found(filter: &ConversationFilter, limit: u32) -> Step<'_> {
    let mut only: Vec<(&str, Param<'_>)> = Vec::new();
    if !filter.states.is_empty() {
        let states = column(&filter.states, |state| state.as_str());
        only.push(("v.state = ANY(#::text[])", Box::new(states)));
    }
    if let Some(agent) = filter.agent {
        only.push(("v.agent = #", Box::new(agent.0)));
    }
    if !filter.groups.is_empty() {
        let groups = column(&filter.groups, |id| id.0);
        only.push(("v.grp = ANY(#)", Box::new(groups)));
    }
    if let Some(channel) = &filter.channel {
        only.push(("v.channel = #", Box::new(channel.as_str())));
    }
    if let Some(text) = &filter.text {
        only.push((TEXT, Box::new(folded(text))));
    }
    if let Some(cursor) = &filter.cursor {
        // The first is implied by the second, which closes the pair.
        only.push(("v.updated_at <= #", Box::new(cursor.at.as_ms())));
        only.push(("(v.updated_at, v.id) < (@, #)", Box::new(cursor.id)));
    }
    let (clauses, params) = numbered_clauses(only, limit);
    let sql = format!(
        "SELECT {VIEW} FROM (
             SELECT v.* FROM conversation v WHERE {clauses}
             ORDER BY v.updated_at DESC, v.id DESC LIMIT $1
         ) v {JOINED} ORDER BY v.updated_at DESC, v.id DESC"
    );
    Step::new(sql, params)
}

/// Clauses with their values, joined; `$1` is one row more than the limit. In each clause `#` is the
/// value's number, `@` the one before it.
pub(super) fn numbered_clauses<'a>(
    only: Vec<(&str, Param<'a>)>,
    limit: u32,
) -> (String, Vec<Param<'a>>) {
    let mut clauses = String::from("true");
    let mut params: Vec<Param<'_>> = params![i64::from(limit) + 1];
    for (clause, value) in only {
        let before = format!("${}", params.len());
        params.push(value);
        let this = format!("${}", params.len());
        clauses.push_str(" AND ");
        clauses.push_str(&clause.replace('@', &before).replace('#', &this));
    }
    (clauses, params)
}

/// See [`numbered_clauses`].
const TEXT: &str = "(EXISTS (SELECT 1 FROM contact f WHERE f.id = v.contact
         AND strpos(f.folded, #) > 0)
     OR EXISTS (SELECT 1 FROM thread f WHERE f.id = v.thread AND strpos(f.folded, #) > 0))";

pub(super) async fn messages(
    store: &PostgresStore,
    id: ConversationId,
    page: MessagePage,
) -> Result<Vec<MessageRow>, Fail> {
    let (sql, pos, limit) = match page {
        MessagePage::After(pos, limit) => (
            select_message!("WHERE conversation = $1 AND pos > $2 ORDER BY pos LIMIT $3"),
            pos,
            limit,
        ),
        MessagePage::Before(pos, limit) => (
            select_message!("WHERE conversation = $1 AND pos < $2 ORDER BY pos DESC LIMIT $3"),
            pos,
            limit,
        ),
    };
    let params = params![id.0, int(pos), i64::from(limit.min(ROWS_MAX))];
    let mut found = store
        .read(Step::new(sql, params))
        .await?
        .all(rows::message)?;
    found.sort_by_key(|row| row.pos);
    Ok(found)
}
