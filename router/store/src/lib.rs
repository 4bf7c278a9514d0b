//! The store: what is remembered. One trait, two implementations (`sqlite`, `postgres`), one
//! conformance suite; and blobs (files, S3).
//!
//! Writing goes one way only: whoever owns a duty loads facts, decides without IO, and commits a
//! [`Changes`] under its fences. All of it happens or nothing does.

pub mod blobs;
mod bucket;
mod changes;
pub mod check;
mod error;
mod facts;
mod keeper;
pub mod limits;
mod media;
mod meter;
mod postgres;
mod provider_tokens;
mod pulls;
mod query;
mod rows;
mod sqlite;
mod tickets;
mod windows;

use std::time::Duration;

use async_trait::async_trait;
pub use changes::{
    AgentLoad, AttemptOpen, Changes, Committed, ConversationUpdate, Fence, LaneDone, LiveChange,
    Park, ReceiptWord, Seen, ThreadUpdate,
};
pub use error::{CommitError, StoreError};
pub use facts::{Attempt, Facts, LaneFacts, Parked, Want};
pub use keeper::{Keeping, Share, Told, Unrenewed, keep};
pub use media::{MediaFetch, MediaFetched};
use patchbay_message::{
    AgentId, ChannelId, CommandId, ConversationId, GroupId, InstanceId, MessageId, Outcome,
    ThreadId, TicketId, Time, TokenId,
};
pub use postgres::{PostgresOptions, PostgresStore};
pub use provider_tokens::{ProviderToken, ProviderTokens, TokenFetch};
pub use pulls::{PullNow, PullSaved, Pulls};
pub use query::{ConversationFilter, ConversationView, Cursor, DeadFilter, MessagePage, Page};
pub use rows::{
    Agent, AgentUpdate, Audit, ChannelState, Contact, Conversation, ConversationState, DeadLetter,
    Event, Group, MessageKind, MessageRow, NewEvent, OutboxRow, Presence, Role, Strategy, Thread,
    Token,
};
pub use sqlite::{SqliteOptions, SqliteStore};
pub use tickets::{
    Device, Expect, FaultNow, Silence, Ticket, TicketEntry, TicketEvent, TicketFilter, TicketState,
    TicketUpdate, TicketView,
};
pub use windows::{ReplyStanding, ReplyWindow, WindowNow};

/// Exclusive duties and who is alive. Judged by the store's clock alone.
#[async_trait]
pub trait Leases: Send + Sync {
    /// Takes the lease if it is free or expired (the epoch rises), renews it if `owner` holds it:
    /// also when it has expired but nobody else has taken it, the epoch is the same then. `None`:
    /// somebody else holds it.
    async fn lease(
        &self,
        name: &str,
        owner: &InstanceId,
        ttl: Duration,
    ) -> Result<Option<Fence>, StoreError>;

    /// Renews several leases at once; answers which of them are still held with the same epoch.
    async fn renew(&self, fences: &[Fence], ttl: Duration) -> Result<Vec<Fence>, StoreError>;

    /// Gives leases up, if still held with the same epoch. From then on their fences are refused:
    /// commit first, then release.
    async fn release(&self, fences: &[Fence]) -> Result<(), StoreError>;

    /// Says that this instance is alive in a role for `ttl` from now; answers how many are in that
    /// role, itself included.
    async fn beat(
        &self,
        instance: &InstanceId,
        role: &str,
        ttl: Duration,
    ) -> Result<u32, StoreError>;

    /// The instance leaves: forgets its heartbeat and its live registrations, releases its leases.
    async fn leave(&self, instance: &InstanceId) -> Result<(), StoreError>;
}

/// Loading facts and committing changes.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Everything wanted, from one consistent point in time.
    async fn facts(&self, want: &Want) -> Result<Facts, StoreError>;

    /// All of it or nothing, durable when it returns. Concurrent commits may be grouped into one
    /// transaction; a failing one does not harm the others. If the future is dropped, or the error
    /// is [`CommitError::Store`], the commit may have happened or not: `processed` tells.
    async fn commit(&self, changes: Changes) -> Result<Committed, CommitError>;

    /// Outbox rows of a partition after `seq`, in order: what a take-over has to relay first.
    async fn outbox(
        &self,
        partition: &str,
        after: u64,
        limit: u32,
    ) -> Result<Vec<OutboxRow>, StoreError>;

    /// How a command ended, if it has.
    async fn outcome(&self, command: CommandId) -> Result<Option<Outcome>, StoreError>;

    /// Deletes what is past its retention bound, at most `limit` rows of each kind, oldest first;
    /// answers how many rows went. Call again while it answers more than zero.
    async fn sweep(&self, retention: &Retention, limit: u32) -> Result<u64, StoreError>;
}

/// How long things are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Dedupe keys.
    pub dedupe: Duration,
    /// `processed` marks, command outcomes.
    pub processed: Duration,
    /// Event log.
    pub events: Duration,
    /// Receipts, and attempts of numbers that their lane has done.
    pub receipts: Duration,
    /// Dead letters that were dropped or replayed.
    pub dead: Duration,
    /// Audit rows.
    pub audit: Duration,
    /// Tickets that are done or cancelled, with their histories.
    pub tickets: Duration,
    /// Conversations that are closed, with their messages; one that a ticket speaks of goes after
    /// the ticket. Contacts, threads and devices stay.
    pub conversations: Duration,
}

/// What sinks need: lanes, what is parked, who is live.
#[async_trait]
pub trait Lanes: Send + Sync {
    /// The state of these lanes; one that was never used is at zero.
    async fn lanes(&self, keys: &[ThreadId]) -> Result<Vec<LaneFacts>, StoreError>;

    /// Parked outbounds of a shard that are due, in order of lane and `out_seq`, at most `limit`
    /// (those due longest come first into the `limit`). Only a lane's next number, `done + 1`, is
    /// ever due; what is parked behind it waits, and so does everything while an earlier number is
    /// neither parked nor done.
    async fn due(&self, shard: u16, now: Time, limit: u32) -> Result<Vec<Parked>, StoreError>;

    /// What is parked in one lane, first to last, at most `limit`.
    async fn parked(&self, lane: ThreadId, limit: u32) -> Result<Vec<Parked>, StoreError>;

    /// A thread's reply windows, those that have ended too, by their end.
    async fn windows(&self, thread: ThreadId) -> Result<Vec<WindowNow>, StoreError>;

    /// Takes up to `limit` messages whose files are to be fetched and due by the store's clock, those
    /// due longest first; nobody else takes them for `ttl`. Each is a turn that
    /// [`Changes::fetched`] ends.
    async fn claim_media(&self, ttl: Duration, limit: u32) -> Result<Vec<MediaFetch>, StoreError>;

    /// Takes `n` from a channel's shared bucket of `rate` per second and `burst`; answers how many
    /// were granted (from the front) and how long until there is another one, an hour at most. A
    /// bucket nobody has used is full.
    async fn take(
        &self,
        channel: &ChannelId,
        rate: f64,
        burst: u32,
        n: u32,
    ) -> Result<(u32, Duration), StoreError>;

    /// Which gateways hold connections of these threads.
    async fn live(&self, threads: &[ThreadId]) -> Result<Vec<(ThreadId, InstanceId)>, StoreError>;
}

/// What the API, the console and live connections read, and what they write besides commands.
#[async_trait]
pub trait Desk: Send + Sync {
    /// The thread of an address, if it has written before.
    async fn thread(
        &self,
        channel: &ChannelId,
        address: &str,
    ) -> Result<Option<Thread>, StoreError>;
    /// What a contact may see of its thread after `seq`, in order: rows with a `thread_seq`. As
    /// everywhere, at most [`limits::ROWS_MAX`] rows.
    async fn history(
        &self,
        thread: ThreadId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<MessageRow>, StoreError>;
    /// The newest conversation of a thread that is not closed, and its place among the waiting of
    /// its group, from 1, see [`ConversationView::position`].
    async fn standing(
        &self,
        thread: ThreadId,
    ) -> Result<Option<(Conversation, Option<u32>)>, StoreError>;
    /// One conversation, with what the console shows beside it.
    async fn conversation(
        &self,
        id: ConversationId,
    ) -> Result<Option<ConversationView>, StoreError>;
    /// A page of conversations, newest activity first.
    async fn conversations(
        &self,
        filter: &ConversationFilter,
    ) -> Result<Page<ConversationView>, StoreError>;
    /// A page of a conversation's messages and notes by `pos`.
    async fn messages(
        &self,
        id: ConversationId,
        page: MessagePage,
    ) -> Result<Vec<MessageRow>, StoreError>;
    /// One message.
    async fn message(&self, id: MessageId) -> Result<Option<MessageRow>, StoreError>;

    /// These conversations, in no order; those that are not there are left out.
    async fn conversation_views(
        &self,
        ids: &[ConversationId],
    ) -> Result<Vec<ConversationView>, StoreError>;
    /// These messages, each once, in no order; those that are not there are left out.
    async fn message_rows(&self, ids: &[MessageId]) -> Result<Vec<MessageRow>, StoreError>;

    /// One ticket.
    async fn ticket(&self, id: TicketId) -> Result<Option<TicketView>, StoreError>;
    /// These tickets, in no order; those that are not there are left out.
    async fn ticket_views(&self, ids: &[TicketId]) -> Result<Vec<TicketView>, StoreError> {
        let mut views = Vec::with_capacity(ids.len());
        for id in ids {
            views.extend(self.ticket(*id).await?);
        }
        Ok(views)
    }
    /// The ticket with this year and number.
    async fn ticket_numbered(
        &self,
        year: i16,
        number: u32,
    ) -> Result<Option<TicketView>, StoreError>;
    /// A page of tickets, newest activity first.
    async fn tickets(&self, filter: &TicketFilter) -> Result<Page<TicketView>, StoreError>;
    /// A ticket's history after `pos`, in order, at most `limit`.
    async fn ticket_entries(
        &self,
        id: TicketId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<TicketEntry>, StoreError>;
    /// How a device stands, and up to which outbound number of its thread it has everything.
    async fn device(&self, thread: ThreadId) -> Result<Option<(Device, u64)>, StoreError>;

    /// Every agent, by name.
    async fn agents(&self) -> Result<Vec<Agent>, StoreError>;
    /// Creates or changes an agent; writes an `agent` event. A name that is taken is a Conflict; a
    /// new agent without name or role, a capacity past [`limits::CAPACITY_MAX`] or an unknown group
    /// is Refused. Who is made inactive is offline.
    async fn save_agent(&self, update: &AgentUpdate) -> Result<Agent, CommitError>;
    /// Presence: online agents are assigned to. Writes an `agent` event if it changed. An inactive
    /// agent stays offline; an unknown one is an error.
    async fn presence(&self, agent: AgentId, presence: Presence) -> Result<Agent, StoreError>;
    /// The console of an agent is there until `until`; presence falls to offline after that (see
    /// `lapse`).
    async fn console_seen(&self, agents: &[AgentId], until: Time) -> Result<(), StoreError>;
    /// Sets agents offline whose console has gone past its grace, with an `agent` event each;
    /// answers who. Agents whose console was never seen since they were last set offline so are
    /// left alone: they work through the API.
    async fn lapse(&self, now: Time) -> Result<Vec<Agent>, StoreError>;
    /// Every group, by name.
    async fn groups(&self) -> Result<Vec<Group>, StoreError>;
    /// Creates or changes a group; creation by an id not there yet. A name that is taken is a
    /// Conflict, an unknown member is Refused.
    async fn save_group(&self, group: &Group) -> Result<(), CommitError>;
    /// Deletes a group; a Conflict if a conversation or ticket waits in it.
    async fn delete_group(&self, id: GroupId) -> Result<(), CommitError>;

    /// The token with this SHA-256, if it is valid: not ended, not expired, its agent active.
    async fn token(&self, sha256: &[u8; 32]) -> Result<Option<Token>, StoreError>;
    /// Every token's row.
    async fn tokens(&self) -> Result<Vec<Token>, StoreError>;
    /// Keeps a new token's SHA-256; the same id or SHA-256 again is an error.
    async fn save_token(&self, token: &Token, sha256: &[u8; 32]) -> Result<(), StoreError>;
    /// Ends a token; false if there is none.
    async fn revoke_token(&self, id: TokenId) -> Result<bool, StoreError>;

    /// Events after `seq`, in order. A reader that goes on from the last one misses nothing.
    async fn events(&self, after: u64, limit: u32) -> Result<Vec<Event>, StoreError>;
    /// The newest event's number (0 if there never was one) and the oldest one's that is still kept
    /// (newest + 1 if none is). Who wants to go on after less than oldest - 1 has missed some.
    async fn event_bounds(&self) -> Result<(u64, u64), StoreError>;

    /// Dead letters, newest first by `(at, id)`.
    async fn dead(&self, filter: &DeadFilter) -> Result<Page<DeadLetter>, StoreError>;
    /// One dead letter.
    async fn dead_letter(&self, id: MessageId) -> Result<Option<DeadLetter>, StoreError>;

    /// Pause, backlog and last error of every channel that has any.
    async fn channel_states(&self) -> Result<Vec<ChannelState>, StoreError>;
    /// Pauses or resumes (`None`) a channel; sinks notice by the event and by asking: `channel`, with
    /// `{"channel", "paused"}`, written if it changed. Resuming makes what is parked as `paused` on it due at once.
    async fn pause_channel(
        &self,
        channel: &ChannelId,
        reason: Option<&str>,
    ) -> Result<(), StoreError>;

    /// A value kept at install: number of partitions, hash, schema. Writes `value` if there is
    /// none, answers what is there.
    async fn setting(&self, key: &str, value: &str) -> Result<String, StoreError>;
    /// Numbers for metrics: waiting conversations, oldest waiting, parked by channel, outbox rows,
    /// dead letters, open tickets by where they stand.
    async fn gauges(&self) -> Result<Vec<Gauge>, StoreError>;
}

/// One number for the metrics.
#[derive(Debug, Clone, PartialEq)]
pub struct Gauge {
    /// `waiting`, `oldest_waiting_seconds`, `parked`, `oldest_parked_seconds`, `outbox`, `dead`,
    /// `tickets_waiting`, `tickets_processing`, `tickets_pending_confirmation`.
    pub name: &'static str,
    /// Channel, if it is counted by channel.
    pub channel: Option<String>,
    /// The number.
    pub value: f64,
}

/// All of it.
pub trait Store: Leases + Journal + Lanes + Desk + ProviderTokens + Pulls + 'static {}
impl<T: Leases + Journal + Lanes + Desk + ProviderTokens + Pulls + 'static> Store for T {}
