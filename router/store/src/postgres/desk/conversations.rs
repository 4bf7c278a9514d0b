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

/// The place among the new and waiting of the same group (or of none).
macro_rules! position {
    () => {
        "CASE WHEN v.state IN ('new', 'waiting') THEN (
             SELECT count(*) FROM conversation w WHERE w.state IN ('new', 'waiting')
                 AND w.grp IS NOT DISTINCT FROM v.grp
                 AND (coalesce(w.waiting_since, w.created_at), w.id)
                     <= (coalesce(v.waiting_since, v.created_at), v.id)
         ) END"
    };
}

macro_rules! select_view {
    ($from:literal) => {
        concat!(
            "SELECT ",
            conversation_columns!("v"),
            ", ",
            contact_columns!("c"),
            ", ",
            thread_columns!("t"),
            ", ",
            position!(),
            " FROM ",
            $from,
            " LEFT JOIN contact c ON c.id = v.contact LEFT JOIN thread t ON t.id = v.thread"
        )
    };
}

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
    let sql = select_view!("(SELECT * FROM conversation WHERE id = $1) v");
    store.read(Step::new(sql, params![id.0])).await?.one(view)
}

/// A filter that is not there is null.
const PAGE: &str = concat!(
    select_view!(
        "(SELECT v.* FROM conversation v
      WHERE ($1::text[] IS NULL OR v.state = ANY($1))
          AND ($2::uuid IS NULL OR v.agent = $2)
          AND ($3::uuid[] IS NULL OR v.grp = ANY($3))
          AND ($4::text IS NULL OR v.channel = $4)
          AND ($5::text IS NULL
              OR EXISTS (SELECT 1 FROM contact f WHERE f.id = v.contact
                  AND strpos(f.folded, $5) > 0)
              OR EXISTS (SELECT 1 FROM thread f WHERE f.id = v.thread
                  AND strpos(f.folded, $5) > 0))
          AND ($6::int8 IS NULL OR (v.updated_at, v.id) < ($6, $7::uuid))
      ORDER BY v.updated_at DESC, v.id DESC LIMIT $8) v"
    ),
    " ORDER BY v.updated_at DESC, v.id DESC"
);

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
    let step = Step::new(PAGE, filters(filter, limit));
    let mut items = store.read(step).await?.all(view)?;
    let kept = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = items.len() > kept;
    items.truncate(kept);
    let next = items.last().filter(|_| more).map(|view| Cursor {
        at: view.conversation.updated_at,
        id: view.conversation.id.0,
    });
    Ok(Page { items, next })
}

fn filters(filter: &ConversationFilter, limit: u32) -> Vec<Param<'_>> {
    let cursor = filter.cursor.as_ref();
    params![
        some(&filter.states).map(|states| column(states, |state| state.as_str())),
        filter.agent.map(|id| id.0),
        some(&filter.groups).map(|groups| column(groups, |id| id.0)),
        filter.channel.as_ref().map(ChannelId::as_str),
        filter.text.as_deref().map(folded),
        cursor.map(|cursor| cursor.at.as_ms()),
        cursor.map(|cursor| cursor.id),
        i64::from(limit) + 1,
    ]
}

/// A list that is empty asks for all.
fn some<T>(list: &[T]) -> Option<&[T]> {
    (!list.is_empty()).then_some(list)
}

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
