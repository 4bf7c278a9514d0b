//! What one commit writes. Everything in it happens together, or nothing does.

use patchbay_message::{
    AgentId, ChannelId, ConversationId, InstanceId, MessageId, Outcome, ReceiptState, ThreadId,
    Time,
};
use serde_json::Value;

use crate::{
    Audit, Contact, Conversation, ConversationState, DeadLetter, Device, Expect, MediaFetch,
    MediaFetched, MessageRow, NewEvent, OutboxRow, PullSaved, ReplyWindow, Thread, Ticket,
    TicketEntry, TicketUpdate,
};

/// The right to a duty: compared with the lease row, which stays locked until the commit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fence {
    /// The lease's name.
    pub name: String,
    /// Its epoch when it was taken.
    pub epoch: i64,
}

/// One commit. Order of writing: fences, inserts, guarded updates, and the event log last: first
/// `events` in their order, then `delivery` for states that rose, then `seen` for watermarks that
/// rose.
///
/// Rows that no backend can hold (see [`crate::check`]) are Refused before anything is written.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Changes {
    /// Every duty this commit acts for. A mismatch is [`crate::CommitError::Fenced`].
    pub fences: Vec<Fence>,
    /// `(source, id)` of deliveries done with: unique. A repeat is a Conflict.
    pub processed: Vec<(String, String)>,
    /// Dedupe keys with the message that has them: unique. A repeat is a Conflict.
    pub dedupe: Vec<(String, MessageId)>,
    /// New contacts, and changed ones (upsert by id).
    pub contacts: Vec<Contact>,
    /// New threads; unique by (channel, address).
    pub threads: Vec<Thread>,
    /// Threads moved on.
    pub thread_updates: Vec<ThreadUpdate>,
    /// New conversations, with the version they begin with.
    pub conversations: Vec<Conversation>,
    /// Conversations changed.
    pub conversation_updates: Vec<ConversationUpdate>,
    /// New messages, notes, notices. A `pos`, `thread_seq` or `out_seq` that is taken is a Conflict.
    pub messages: Vec<MessageRow>,
    /// Agents' load.
    pub loads: Vec<AgentLoad>,
    /// How commands ended. The same command id again is ignored.
    pub outcomes: Vec<Outcome>,
    /// Envelopes to be relayed. Numbers of a partition only rise, also after their rows are gone;
    /// else a Conflict.
    pub outbox: Vec<OutboxRow>,
    /// Outbox rows `(partition, through seq)` that are confirmed: deleted.
    pub outbox_done: Vec<(String, u64)>,
    /// Lanes moved on to this number; several of one lane stand in order.
    pub lanes_done: Vec<LaneDone>,
    /// Outbounds to be parked (upsert by message id), written after `unpark` and `lanes_done`. A
    /// number that the lane has done already is a Conflict.
    pub park: Vec<Park>,
    /// Messages that are parked no more. [`LaneDone`] does the same for its number.
    pub unpark: Vec<MessageId>,
    /// Attempts begun. The same part of the same message again is begun anew: its exchange is
    /// cleared.
    pub attempts: Vec<AttemptOpen>,
    /// Attempts ended: `(message, part, exchange as JSON)`; written after `attempts`, so that one
    /// commit can hold both of the same part.
    pub attempts_done: Vec<(MessageId, u16, Value)>,
    /// Windows that contacts' messages open; see [`ReplyWindow`].
    pub windows: Vec<ReplyWindow>,
    /// Attempts `(message, part)` that spend no window after all; written after `attempts`.
    pub unspend: Vec<(MessageId, u16)>,
    /// Messages whose files are to be fetched; one that is there already stays as it is.
    pub fetches: Vec<MediaFetch>,
    /// What became of fetches that were taken up by `claim_media`.
    pub fetched: Vec<MediaFetched>,
    /// How far lines of providers have been pulled, after everything of a page is durable on the bus.
    /// The fence of whoever pulls belongs to it.
    pub pulled: Vec<PullSaved>,
    /// External ids of what we sent: `(channel, external id) -> message, part`. A receipt that
    /// came first is joined now. Name all parts of a message in one commit: a message is as far as
    /// the least of the parts known (one of which the provider has said nothing yet holds it back),
    /// and a part that failed or expired fails it. One id for several parts of a message counts
    /// once. An id that the provider uses again means the newer message.
    pub sent: Vec<(ChannelId, String, MessageId, u16)>,
    /// Words on outbounds: by external id (on a part), or by message id (on the whole message). States
    /// only rise, see [`ReceiptState::rank`]; what rose comes back in [`Committed`] and is written to
    /// the event log as `delivery`, with `{"conversation_id", "message_id", "delivery": {"state",
    /// "reason", "attempts"}}`. Words on messages that are not there, or not outbound, are ignored.
    pub receipts: Vec<ReceiptWord>,
    /// Watermarks; they only rise. Writes `seen` events for those that rose, with
    /// `{"conversation_id", "delivered", "read"}`.
    pub seen: Vec<Seen>,
    /// Agent has read the conversation: unread = 0. The version stays.
    pub read: Vec<ConversationId>,
    /// New tickets; their numbers are drawn here, so that in each year they rise in the order of
    /// commits and none is left out. An open one of the same channel, device and code is a Conflict.
    pub tickets: Vec<Ticket>,
    /// Tickets changed, none of them in `tickets` too. Those that close are written before `tickets`,
    /// the others after them. One that opens while another of the same channel, device and code is
    /// open is a Conflict.
    pub ticket_updates: Vec<TicketUpdate>,
    /// New lines of tickets' histories. A `pos` that is taken is a Conflict.
    pub ticket_entries: Vec<TicketEntry>,
    /// How devices stand (upsert by thread).
    pub devices: Vec<Device>,
    /// The device has everything up to this outbound number of its thread; only rises. A device of
    /// which nothing else is known gets its row by this; one that has no thread is ignored.
    pub device_acks: Vec<(ThreadId, u64)>,
    /// Answers that are waited for, written after `sent` and before `receipts`. What has its answer
    /// already is not waited for.
    pub expects: Vec<Expect>,
    /// Dead letters (upsert by id, status included).
    pub dead: Vec<DeadLetter>,
    /// Dead letters whose status changes: `replayed`, `dropped`. Only from `dead`, else Conflict.
    pub dead_status: Vec<(MessageId, &'static str)>,
    /// Live connections that came or went.
    pub live: Vec<LiveChange>,
    /// Last errors, and until when the channel rests; no time leaves that as it is.
    pub channel_errors: Vec<(ChannelId, String, Option<Time>)>,
    /// Who did what.
    pub audit: Vec<Audit>,
    /// Numbered last.
    pub events: Vec<NewEvent>,
}

impl Changes {
    /// Every ticket that is written, new or changed.
    pub(crate) fn tickets_written(&self) -> impl Iterator<Item = &Ticket> {
        let updates = self.ticket_updates.iter().map(|update| &update.row);
        self.tickets.iter().chain(updates)
    }
}

/// What a commit has to tell.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Committed {
    /// Newest event number written; 0 if none.
    pub last_event: u64,
    /// Messages whose delivery state rose.
    pub delivered: Vec<(MessageId, ReceiptState)>,
}

/// A thread moved on; guarded by version.
#[derive(Debug, Clone, PartialEq)]
pub struct ThreadUpdate {
    /// Which.
    pub id: ThreadId,
    /// The version it was decided on; another one is a Conflict.
    pub version: i64,
    /// New value.
    pub last_seq: u64,
    /// New value.
    pub last_out_seq: u64,
    /// New value: only ever becomes true.
    pub verified: bool,
}

/// A conversation changed; guarded by version, which rises by one.
#[derive(Debug, Clone, PartialEq)]
pub struct ConversationUpdate {
    /// The row as it is to be; `row.version` is the version it was decided on.
    pub row: Conversation,
    /// The state it must be in; another one is a Conflict.
    pub from: ConversationState,
}

/// An agent's load changes. `+1` only if online, active and `load < capacity` (else Conflict)
/// unless `force`; never below zero. An agent who is not there is a Conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentLoad {
    /// Whose.
    pub agent: AgentId,
    /// By how much.
    pub delta: i32,
    /// An agent or supervisor said so: beyond the limit and offline too.
    pub force: bool,
    /// Sets `assigned_at`.
    pub assigned_at: Option<Time>,
}

/// A lane performed its next number. A Conflict unless it is the last one plus one. What is parked
/// in the lane up to that number is forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneDone {
    /// Which.
    pub lane: ThreadId,
    /// The number performed (or given up).
    pub out_seq: u64,
}

/// An outbound waits in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Park {
    /// The envelope's id.
    pub id: MessageId,
    /// Lane.
    pub lane: ThreadId,
    /// Its number in the lane.
    pub out_seq: u64,
    /// Shard of the lane.
    pub shard: u16,
    /// Channel.
    pub channel: ChannelId,
    /// When it is due.
    pub due: Time,
    /// `retry`, `throttled`, `behind`, `paused`, `window`, `hold`, `unknown`.
    pub reason: &'static str,
    /// A sentence.
    pub detail: Option<String>,
    /// How often it was tried.
    pub attempts: u32,
    /// The envelope as JSON.
    pub envelope: bytes::Bytes,
}

/// A side-effecting call is about to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptOpen {
    /// For which message.
    pub message: MessageId,
    /// In which lane.
    pub lane: ThreadId,
    /// Its number there.
    pub out_seq: u64,
    /// Which part.
    pub part: u16,
    /// The lane's epoch.
    pub epoch: i64,
    /// It counts against the reply window that this message opened.
    pub spends: Option<MessageId>,
}

/// A word on an outbound.
#[derive(Debug, Clone, PartialEq)]
pub struct ReceiptWord {
    /// Channel.
    pub channel: ChannelId,
    /// The provider's id, if the word came from the provider.
    pub external_id: Option<String>,
    /// Our id, if the word is our own.
    pub message: Option<MessageId>,
    /// What happened.
    pub state: ReceiptState,
    /// A sentence of why.
    pub reason: Option<String>,
    /// When.
    pub at: Time,
    /// How often it was tried so far, if our own word.
    pub attempts: Option<u32>,
    /// No answer came in time: such a word also takes the place of `accepted` and `sent`, though
    /// `unknown` by itself would not. It ranks as [`ReceiptState::Failed`]; what it wrote gives way to
    /// later words by its own rank. It ends the wait, and is ignored unless an answer is waited for
    /// that is due by `at`: since it was decided the answer may have come, or has until later.
    pub overdue: bool,
}

impl ReceiptWord {
    /// What it takes the place of: states of a lower rank.
    pub(crate) fn rank(&self) -> u8 {
        match self.overdue {
            true => self.state.rank().max(ReceiptState::Failed.rank()),
            false => self.state.rank(),
        }
    }

    /// Which waits are over after it.
    pub(crate) fn ends(&self) -> Option<Ends> {
        match self.overdue {
            true => Some(Ends::All),
            false => Ends::by(&self.state),
        }
    }
}

/// Which waits are over once something is known of what is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ends {
    /// Those that nobody needs who knows that much.
    Fallbacks,
    /// It is an answer: nothing more has to come.
    All,
}

impl Ends {
    pub(crate) fn by(state: &ReceiptState) -> Option<Self> {
        match state.rank() {
            rank if rank >= ReceiptState::Failed.rank() => Some(Self::All),
            rank if rank >= ReceiptState::Sent.rank() => Some(Self::Fallbacks),
            _ => None,
        }
    }

    /// Whether one is over.
    pub(crate) fn is_for(self, fallback: bool) -> bool {
        fallback || self == Self::All
    }
}

/// Everything up to these numbers was delivered or read by the contact. Outbound messages of the
/// thread up to them become `delivered` or `read`. What is read was delivered; numbers past the
/// thread's newest count as the newest. The thread's version stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Which thread.
    pub thread: ThreadId,
    /// Watermark.
    pub delivered: Option<u64>,
    /// Watermark.
    pub read: Option<u64>,
}

/// A live connection came or went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveChange {
    /// Whose.
    pub thread: ThreadId,
    /// Which gateway holds it.
    pub gateway: InstanceId,
    /// Came (true) or went (the gateway's last one of that thread).
    pub on: bool,
}
