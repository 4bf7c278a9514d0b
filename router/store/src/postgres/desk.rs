//! What the API, the console and live connections ask for: one short delegation each.

mod agents;
mod channels;
mod conversations;
mod dead;
mod groups;
mod tickets;
mod tokens;

use async_trait::async_trait;
use deadpool_postgres::{Object, Transaction};
use patchbay_message::{
    AgentId, ChannelId, ConversationId, GroupId, MessageId, ThreadId, TicketId, Time, TokenId,
};
use tokio_postgres::types::ToSql;

use super::{
    PostgresStore,
    error::Fail,
    events, facts,
    rows::{self, select_message},
    sql::{Answer, Step, column, int, params},
};
use crate::{
    Agent, AgentUpdate, ChannelState, CommitError, Conversation, ConversationFilter,
    ConversationView, DeadFilter, DeadLetter, Desk, Device, Event, Gauge, Group, MessagePage,
    MessageRow, NewEvent, Page, Presence, StoreError, Thread, TicketEntry, TicketFilter,
    TicketView, Token, limits::ROWS_MAX,
};

impl PostgresStore {
    /// A connection for a piece of work of several statements.
    async fn desk(&self) -> Result<Object, Fail> {
        self.inner.connection(&self.inner.pools.desk).await
    }
}

/// Runs a statement inside a transaction.
async fn run(
    transaction: &Transaction<'_>,
    sql: &str,
    params: &[&(dyn ToSql + Sync)],
) -> Result<Answer, Fail> {
    let statement = transaction.prepare_cached(sql).await?;
    let rows = transaction.query(&statement, params).await?;
    let affected = rows.len() as u64;
    Ok(Answer { rows, affected })
}

/// Writes events and commits; last, since the event log is held from here on.
async fn commit(transaction: Transaction<'_>, written: &[NewEvent]) -> Result<(), Fail> {
    if !written.is_empty() {
        let written: Vec<&NewEvent> = written.iter().collect();
        let step = events::append(&written)?;
        let params: Vec<&(dyn ToSql + Sync)> =
            step.params.iter().map(|param| &**param as _).collect();
        run(&transaction, &step.sql, &params).await?;
    }
    Ok(transaction.commit().await?)
}

#[async_trait]
impl Desk for PostgresStore {
    async fn thread(
        &self,
        channel: &ChannelId,
        address: &str,
    ) -> Result<Option<Thread>, StoreError> {
        Ok(conversations::thread(self, channel, address).await?)
    }

    async fn history(
        &self,
        thread: ThreadId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<MessageRow>, StoreError> {
        let step = Step::new(
            select_message!("WHERE thread = $1 AND thread_seq > $2 ORDER BY thread_seq LIMIT $3"),
            params![thread.0, int(after), i64::from(limit.min(ROWS_MAX))],
        );
        Ok(self.read(step).await?.all(rows::message)?)
    }

    async fn standing(
        &self,
        thread: ThreadId,
    ) -> Result<Option<(Conversation, Option<u32>)>, StoreError> {
        Ok(conversations::standing(self, thread).await?)
    }

    async fn conversation(
        &self,
        id: ConversationId,
    ) -> Result<Option<ConversationView>, StoreError> {
        Ok(conversations::one(self, id).await?)
    }

    async fn conversations(
        &self,
        filter: &ConversationFilter,
    ) -> Result<Page<ConversationView>, StoreError> {
        Ok(conversations::page(self, filter).await?)
    }

    async fn messages(
        &self,
        id: ConversationId,
        page: MessagePage,
    ) -> Result<Vec<MessageRow>, StoreError> {
        Ok(conversations::messages(self, id, page).await?)
    }

    async fn message(&self, id: MessageId) -> Result<Option<MessageRow>, StoreError> {
        let step = Step::new(select_message!("WHERE id = $1"), params![id.0]);
        Ok(self.read(step).await?.one(rows::message)?)
    }

    async fn ticket(&self, id: TicketId) -> Result<Option<TicketView>, StoreError> {
        Ok(tickets::find(self, id).await?)
    }

    async fn ticket_views(&self, ids: &[TicketId]) -> Result<Vec<TicketView>, StoreError> {
        Ok(tickets::views(self, ids).await?)
    }

    async fn ticket_numbered(
        &self,
        year: i16,
        number: u32,
    ) -> Result<Option<TicketView>, StoreError> {
        Ok(tickets::numbered(self, year, number).await?)
    }

    async fn tickets(&self, filter: &TicketFilter) -> Result<Page<TicketView>, StoreError> {
        Ok(tickets::page(self, filter).await?)
    }

    async fn ticket_entries(
        &self,
        id: TicketId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<TicketEntry>, StoreError> {
        Ok(tickets::entries(self, id, after, limit).await?)
    }

    async fn device(&self, thread: ThreadId) -> Result<Option<(Device, u64)>, StoreError> {
        Ok(tickets::device(self, thread).await?)
    }

    async fn conversation_views(
        &self,
        ids: &[ConversationId],
    ) -> Result<Vec<ConversationView>, StoreError> {
        Ok(conversations::views(self, ids).await?)
    }

    async fn message_rows(&self, ids: &[MessageId]) -> Result<Vec<MessageRow>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let ids = column(ids, |id| id.0);
        let step = Step::new(select_message!("WHERE id = ANY($1)"), params![ids]);
        Ok(self.read(step).await?.all(rows::message)?)
    }

    async fn agents(&self) -> Result<Vec<Agent>, StoreError> {
        let answer = self.read(Step::bare(facts::AGENTS)).await?;
        Ok(answer.all(rows::agent)?)
    }

    async fn save_agent(&self, update: &AgentUpdate) -> Result<Agent, CommitError> {
        Ok(self.inner.within(agents::save(self, update)).await?)
    }

    async fn presence(&self, agent: AgentId, presence: Presence) -> Result<Agent, StoreError> {
        Ok(self
            .inner
            .within(agents::presence(self, agent, presence))
            .await?)
    }

    async fn console_seen(&self, agents: &[AgentId], until: Time) -> Result<(), StoreError> {
        Ok(agents::console_seen(self, agents, until).await?)
    }

    async fn lapse(&self, now: Time) -> Result<Vec<Agent>, StoreError> {
        Ok(self.inner.within(agents::lapse(self, now)).await?)
    }

    async fn groups(&self) -> Result<Vec<Group>, StoreError> {
        let answer = self.read(Step::bare(facts::GROUPS)).await?;
        Ok(facts::groups(&answer)?)
    }

    async fn save_group(&self, group: &Group) -> Result<(), CommitError> {
        Ok(self.inner.within(groups::save(self, group)).await?)
    }

    async fn delete_group(&self, id: GroupId) -> Result<(), CommitError> {
        Ok(self.inner.within(groups::delete(self, id)).await?)
    }

    async fn token(&self, sha256: &[u8; 32]) -> Result<Option<Token>, StoreError> {
        Ok(tokens::valid(self, sha256).await?)
    }

    async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        Ok(tokens::load(self).await?)
    }

    async fn save_token(&self, token: &Token, sha256: &[u8; 32]) -> Result<(), StoreError> {
        Ok(tokens::save(self, token, sha256).await?)
    }

    async fn revoke_token(&self, id: TokenId) -> Result<bool, StoreError> {
        Ok(tokens::revoke(self, id).await?)
    }

    async fn events(&self, after: u64, limit: u32) -> Result<Vec<Event>, StoreError> {
        let step = Step::new(
            "SELECT seq, kind, conversation, agent, data, at FROM event_log
             WHERE seq > $1 ORDER BY seq LIMIT $2",
            params![int(after), i64::from(limit.min(ROWS_MAX))],
        );
        Ok(self.read(step).await?.all(rows::event)?)
    }

    async fn event_bounds(&self) -> Result<(u64, u64), StoreError> {
        let step = Step::bare(
            "SELECT seq, coalesce((SELECT min(seq) FROM event_log), seq + 1) FROM event_head",
        );
        let bounds = self
            .read(step)
            .await?
            .one(|c| Ok((c.number()?, c.number()?)))?;
        Ok(bounds.unwrap_or((0, 1)))
    }

    async fn dead(&self, filter: &DeadFilter) -> Result<Page<DeadLetter>, StoreError> {
        Ok(dead::page(self, filter).await?)
    }

    async fn dead_letter(&self, id: MessageId) -> Result<Option<DeadLetter>, StoreError> {
        Ok(dead::find(self, id).await?)
    }

    async fn channel_states(&self) -> Result<Vec<ChannelState>, StoreError> {
        Ok(channels::states(self).await?)
    }

    async fn pause_channel(
        &self,
        channel: &ChannelId,
        reason: Option<&str>,
    ) -> Result<(), StoreError> {
        Ok(self
            .inner
            .within(channels::pause(self, channel, reason))
            .await?)
    }

    async fn setting(&self, key: &str, value: &str) -> Result<String, StoreError> {
        let step = Step::new(
            "INSERT INTO setting AS s (key, value) VALUES ($1, $2)
             ON CONFLICT (key) DO UPDATE SET value = s.value RETURNING value",
            params![key, value],
        );
        let kept = self.read(step).await?.one(|c| c.get())?;
        kept.ok_or_else(|| StoreError("a setting was not kept".to_owned()))
    }

    async fn gauges(&self) -> Result<Vec<Gauge>, StoreError> {
        Ok(channels::gauges(self).await?)
    }
}
