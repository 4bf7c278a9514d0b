//! What the API, the console and live connections ask for: one short delegation each.

pub(super) mod agents;
mod channels;
mod conversations;
mod dead;
pub(super) mod groups;
mod tickets;
mod tokens;

use async_trait::async_trait;
use patchbay_message::{
    AgentId, ChannelId, ConversationId, GroupId, MessageId, ThreadId, TicketId, Time, TokenId,
};
use rusqlite::params;

use super::{
    SqliteStore, events, facts,
    rows::{self, select_event},
    sql::{all, one},
};
use crate::{
    Agent, AgentUpdate, ChannelState, CommitError, Conversation, ConversationFilter,
    ConversationView, DeadFilter, DeadLetter, Desk, Device, Event, Gauge, Group, MessagePage,
    MessageRow, Page, Presence, StoreError, Thread, TicketEntry, TicketFilter, TicketView, Token,
    check::NUMBER_MAX, limits::ROWS_MAX,
};

#[async_trait]
impl Desk for SqliteStore {
    async fn thread(
        &self,
        channel: &ChannelId,
        address: &str,
    ) -> Result<Option<Thread>, StoreError> {
        let (channel, address) = (channel.clone(), address.to_owned());
        self.read(move |db| facts::thread_of(db, channel.as_str(), &address))
            .await
    }

    async fn history(
        &self,
        thread: ThreadId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<MessageRow>, StoreError> {
        self.read(move |db| conversations::history(db, thread, after, limit))
            .await
    }

    async fn standing(
        &self,
        thread: ThreadId,
    ) -> Result<Option<(Conversation, Option<u32>)>, StoreError> {
        self.read(move |db| conversations::standing(db, thread))
            .await
    }

    async fn conversation(
        &self,
        id: ConversationId,
    ) -> Result<Option<ConversationView>, StoreError> {
        self.read(move |db| {
            facts::conversation(db, id)?
                .map(|row| conversations::view(db, row))
                .transpose()
        })
        .await
    }

    async fn conversations(
        &self,
        filter: &ConversationFilter,
    ) -> Result<Page<ConversationView>, StoreError> {
        let filter = filter.clone();
        self.read(move |db| conversations::page(db, &filter)).await
    }

    async fn messages(
        &self,
        id: ConversationId,
        page: MessagePage,
    ) -> Result<Vec<MessageRow>, StoreError> {
        self.read(move |db| conversations::messages(db, id, page))
            .await
    }

    async fn message(&self, id: MessageId) -> Result<Option<MessageRow>, StoreError> {
        self.read(move |db| conversations::message(db, id)).await
    }

    async fn conversation_views(
        &self,
        ids: &[ConversationId],
    ) -> Result<Vec<ConversationView>, StoreError> {
        let ids = ids.to_vec();
        self.read(move |db| conversations::views(db, &ids)).await
    }

    async fn message_rows(&self, ids: &[MessageId]) -> Result<Vec<MessageRow>, StoreError> {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        self.read(move |db| {
            ids.iter()
                .filter_map(|id| conversations::message(db, *id).transpose())
                .collect()
        })
        .await
    }

    async fn ticket(&self, id: TicketId) -> Result<Option<TicketView>, StoreError> {
        self.read(move |db| tickets::find(db, id)).await
    }

    async fn ticket_views(&self, ids: &[TicketId]) -> Result<Vec<TicketView>, StoreError> {
        let ids = ids.to_vec();
        self.read(move |db| {
            ids.iter()
                .filter_map(|id| tickets::find(db, *id).transpose())
                .collect()
        })
        .await
    }

    async fn ticket_numbered(
        &self,
        year: i16,
        number: u32,
    ) -> Result<Option<TicketView>, StoreError> {
        self.read(move |db| tickets::numbered(db, year, number))
            .await
    }

    async fn tickets(&self, filter: &TicketFilter) -> Result<Page<TicketView>, StoreError> {
        let filter = filter.clone();
        self.read(move |db| tickets::page(db, &filter)).await
    }

    async fn ticket_entries(
        &self,
        id: TicketId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<TicketEntry>, StoreError> {
        self.read(move |db| tickets::entries(db, id, after, limit))
            .await
    }

    async fn device(&self, thread: ThreadId) -> Result<Option<(Device, u64)>, StoreError> {
        self.read(move |db| facts::tickets::device(db, thread))
            .await
    }

    async fn agents(&self) -> Result<Vec<Agent>, StoreError> {
        self.read(agents::load).await
    }

    async fn save_agent(&self, update: &AgentUpdate) -> Result<Agent, CommitError> {
        let (update, clock) = (update.clone(), self.clock());
        Ok(self
            .write(move |db| agents::save(db, &update, clock.now()))
            .await?)
    }

    async fn presence(&self, agent: AgentId, presence: Presence) -> Result<Agent, StoreError> {
        let clock = self.clock();
        Ok(self
            .write(move |db| agents::presence(db, agent, presence, clock.now()))
            .await?)
    }

    async fn console_seen(&self, agents: &[AgentId], until: Time) -> Result<(), StoreError> {
        let agents = agents.to_vec();
        Ok(self
            .write(move |db| agents::console_seen(db, &agents, until))
            .await?)
    }

    async fn lapse(&self, now: Time) -> Result<Vec<Agent>, StoreError> {
        let clock = self.clock();
        Ok(self
            .write(move |db| agents::lapse(db, now, clock.now()))
            .await?)
    }

    async fn groups(&self) -> Result<Vec<Group>, StoreError> {
        self.read(groups::load).await
    }

    async fn save_group(&self, group: &Group) -> Result<(), CommitError> {
        let group = group.clone();
        Ok(self.write(move |db| groups::save(db, &group)).await?)
    }

    async fn delete_group(&self, id: GroupId) -> Result<(), CommitError> {
        Ok(self.write(move |db| groups::delete(db, id)).await?)
    }

    async fn token(&self, sha256: &[u8; 32]) -> Result<Option<Token>, StoreError> {
        let (sha256, now) = (*sha256, self.now());
        self.read(move |db| tokens::valid(db, &sha256, now)).await
    }

    async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        self.read(tokens::load).await
    }

    async fn save_token(&self, token: &Token, sha256: &[u8; 32]) -> Result<(), StoreError> {
        let (token, sha256) = (token.clone(), *sha256);
        Ok(self
            .write(move |db| tokens::save(db, &token, &sha256))
            .await?)
    }

    async fn revoke_token(&self, id: TokenId) -> Result<bool, StoreError> {
        let clock = self.clock();
        Ok(self
            .write(move |db| tokens::revoke(db, id, clock.now()))
            .await?)
    }

    async fn events(&self, after: u64, limit: u32) -> Result<Vec<Event>, StoreError> {
        self.read(move |db| {
            all(
                db,
                select_event!("WHERE seq > ?1 ORDER BY seq LIMIT ?2"),
                params![after.min(NUMBER_MAX), limit.min(ROWS_MAX)],
                rows::event,
            )
        })
        .await
    }

    async fn event_bounds(&self) -> Result<(u64, u64), StoreError> {
        self.read(events::bounds).await
    }

    async fn dead(&self, filter: &DeadFilter) -> Result<Page<DeadLetter>, StoreError> {
        let filter = filter.clone();
        self.read(move |db| dead::page(db, &filter)).await
    }

    async fn dead_letter(&self, id: MessageId) -> Result<Option<DeadLetter>, StoreError> {
        self.read(move |db| dead::find(db, id)).await
    }

    async fn channel_states(&self) -> Result<Vec<ChannelState>, StoreError> {
        self.read(channels::states).await
    }

    async fn pause_channel(
        &self,
        channel: &ChannelId,
        reason: Option<&str>,
    ) -> Result<(), StoreError> {
        let (channel, reason) = (channel.clone(), reason.map(str::to_owned));
        let clock = self.clock();
        Ok(self
            .write(move |db| channels::pause(db, &channel, reason.as_deref(), clock.now()))
            .await?)
    }

    async fn setting(&self, key: &str, value: &str) -> Result<String, StoreError> {
        let (key, value) = (key.to_owned(), value.to_owned());
        Ok(self
            .write(move |db| {
                one(
                    db,
                    "INSERT INTO setting (key, value) VALUES (?1, ?2)
                     ON CONFLICT (key) DO UPDATE SET value = value RETURNING value",
                    params![key, value],
                    |c| c.get(),
                )?
                .ok_or_else(|| super::error::Fail::Store("a setting was not kept".to_owned()))
            })
            .await?)
    }

    async fn gauges(&self) -> Result<Vec<Gauge>, StoreError> {
        let now = self.now();
        self.read(move |db| channels::gauges(db, now)).await
    }
}
