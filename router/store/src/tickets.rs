//! Tickets and devices: the rows, what a commit does to them, what is asked about them.
//!
//! A ticket is a piece of work about one fault of one device. What is said to and by the device
//! stands in the device's conversation; a ticket keeps what happened to the work. Both are written by
//! the device's partition, and by the assigner guarded by version.

use std::{collections::BTreeMap, time::Duration};

use patchbay_message::{
    AgentId, Attributes, ChannelId, ContactId, ConversationId, FaultState, GroupId, Location,
    MessageId, ReceiptState, Severity, ThreadId, TicketId, Time,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Contact, Cursor, Gauge, rows::words};

words! {
    /// Where a ticket stands.
    TicketState {
        /// Just opened; waits for an agent.
        New = "new",
        /// An agent has it.
        Processing = "processing",
        /// The device says the fault is gone; a human is to confirm it.
        PendingConfirmation = "pending_confirmation",
        /// Confirmed.
        Done = "done",
        /// Not to be worked on.
        Cancelled = "cancelled",
        /// Taken up again; waits for an agent.
        Reopened = "reopened",
    }
}

words! {
    /// What happened to a ticket.
    TicketEvent {
        /// It was opened by a fault.
        Opened = "opened",
        /// The fault was raised again.
        Raised = "raised",
        /// The device says the fault is gone.
        Cleared = "cleared",
        /// Raised and cleared take turns too fast: clears are held down.
        Flapping = "flapping",
        /// It has been quiet long enough.
        Settled = "settled",
        /// An agent has it now.
        Assigned = "assigned",
        /// It was put into the queue.
        Queued = "queued",
        /// Somebody noted something.
        Note = "note",
        /// Something was sent to the device.
        Sent = "sent",
        /// Category, severity or title were changed.
        Edited = "edited",
        /// Confirmed.
        Done = "done",
        /// Not to be worked on.
        Cancelled = "cancelled",
        /// Taken up again.
        Reopened = "reopened",
    }
}

impl TicketState {
    /// Whether it is still to be worked on: of one device and code, one such ticket at most.
    #[must_use]
    pub fn is_open(self) -> bool {
        !matches!(self, Self::Done | Self::Cancelled)
    }

    /// Whether it waits for an agent.
    #[must_use]
    pub fn is_queued(self) -> bool {
        matches!(self, Self::New | Self::Reopened)
    }
}

/// A piece of work about one fault of one device.
#[derive(Debug, Clone, PartialEq)]
pub struct Ticket {
    /// Id.
    pub id: TicketId,
    /// For people, with the year of `created_at`: `T-2026-000123`. Drawn by the store when the row is
    /// inserted; 0 before.
    pub number: u32,
    /// Which channel the device is on.
    pub channel: ChannelId,
    /// Which device.
    pub device: String,
    /// The device's own code of the fault.
    pub code: String,
    /// The device as a contact.
    pub contact_id: ContactId,
    /// The device's conversation when the ticket was opened; its commands go through that one's
    /// partition.
    pub conversation_id: ConversationId,
    /// The inbound partition its commands go through.
    pub partition: u16,
    /// Where it stands.
    pub state: TicketState,
    /// What kind of work, for people; free text.
    pub category: Option<String>,
    /// How bad; reports may only raise it, agents may set it.
    pub severity: Severity,
    /// One line for people.
    pub title: String,
    /// Which group is in charge.
    pub group_id: Option<GroupId>,
    /// Which agent has it.
    pub agent_id: Option<AgentId>,
    /// Who had it before; preferred at the next assignment.
    pub last_agent_id: Option<AgentId>,
    /// Since when it waits for an agent.
    pub waiting_since: Option<Time>,
    /// How often the fault was raised.
    pub n_raised: u32,
    /// How often raised and cleared took turns.
    pub n_flaps: u32,
    /// It flaps: a clear counts only once it has been quiet until then.
    pub settles_at: Option<Time>,
    /// By the device's clock: the first time it was raised.
    pub first_raised_at: Time,
    /// By the device's clock: the last time it was raised.
    pub raised_at: Time,
    /// By the device's clock: when it was cleared, unless it was raised again since.
    pub cleared_at: Option<Time>,
    /// Opened.
    pub created_at: Time,
    /// Last change.
    pub updated_at: Time,
    /// Done or cancelled.
    pub closed_at: Option<Time>,
    /// Newest `pos` of its history.
    pub last_pos: u64,
    /// Rises with every change.
    pub version: i64,
}

impl Ticket {
    /// The number as people say it: `T-2026-000123`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("T-{}-{:06}", self.year(), self.number)
    }

    /// The year its number counts in (UTC).
    #[must_use]
    pub fn year(&self) -> i16 {
        self.created_at.year()
    }

    /// The newest time, by the device's clock, that it knows of its fault: when it was cleared, else
    /// when it was raised last.
    #[must_use]
    pub fn newest_at(&self) -> Time {
        self.cleared_at.unwrap_or(self.raised_at)
    }

    /// What searching looks in, without regard to case in Unicode's sense: no search goes over the
    /// seams.
    pub(crate) fn folded(&self) -> String {
        format!("{}\u{1f}{}\u{1f}{}", self.device, self.code, self.title).to_lowercase()
    }
}

/// How many open tickets stand where, from counts by the state's word.
pub(crate) fn open_tickets(counts: &[(String, f64)]) -> [Gauge; 3] {
    let of = |state: TicketState| -> f64 {
        let found = counts.iter().find(|(word, _)| word == state.as_str());
        found.map_or(0.0, |(_, count)| *count)
    };
    let gauge = |name, value| Gauge {
        name,
        channel: None,
        value,
    };
    [
        gauge(
            "tickets_waiting",
            of(TicketState::New) + of(TicketState::Reopened),
        ),
        gauge("tickets_processing", of(TicketState::Processing)),
        gauge(
            "tickets_pending_confirmation",
            of(TicketState::PendingConfirmation),
        ),
    ]
}

/// The order of tickets that wait, by their severity: 0 is the worst.
pub(crate) fn urgency(severity: &Severity) -> u8 {
    Severity::Critical.rank().saturating_sub(severity.rank())
}

/// A ticket changed; guarded by version, which rises by one.
#[derive(Debug, Clone, PartialEq)]
pub struct TicketUpdate {
    /// The row as it is to be; `row.version` is the version it was decided on.
    pub row: Ticket,
    /// The state it must be in; another one is a Conflict.
    pub from: TicketState,
}

impl TicketUpdate {
    /// Those that close, and the others: a fault's open ticket makes room before the next one is
    /// opened.
    pub(crate) fn apart<'a>(all: impl Iterator<Item = &'a Self>) -> (Vec<&'a Self>, Vec<&'a Self>) {
        all.partition(|update| !update.row.state.is_open())
    }
}

/// One line of a ticket's history.
#[derive(Debug, Clone, PartialEq)]
pub struct TicketEntry {
    /// Of which ticket.
    pub ticket_id: TicketId,
    /// Orders within the ticket, gapless from 1.
    pub pos: u64,
    /// What happened.
    pub kind: TicketEvent,
    /// Which agent; none for device and system.
    pub agent_id: Option<AgentId>,
    /// The message it is about: what the device reported, or what was sent to it.
    pub message_id: Option<MessageId>,
    /// By the device's clock, if the device said it.
    pub occurred_at: Option<Time>,
    /// A sentence or note for people.
    pub text: Option<String>,
    /// Small values: `{"from", "to"}` of states, `{"severity"}` ...
    pub data: Value,
    /// When it was written.
    pub at: Time,
}

/// How a device stands: one row per thread.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// Its thread.
    pub thread_id: ThreadId,
    /// Its channel.
    pub channel: ChannelId,
    /// Its address.
    pub address: String,
    /// The inbound partition it belongs to.
    pub partition: u16,
    /// Last heard of, by our clock.
    pub seen_at: Time,
    /// Silence until then is the fault [`Device::silence`] names; none: silence is no fault, or it is
    /// already known to be silent.
    pub silent_at: Option<Time>,
    /// What silence means.
    pub silence: Option<Silence>,
    /// The newest readings by name.
    pub readings: Attributes,
    /// When they were taken.
    pub readings_at: Option<Time>,
    /// Where it is.
    pub location: Option<Location>,
    /// Every fault code it has reported, as it stands now; bounded, the oldest cleared ones are
    /// forgotten first.
    pub faults: BTreeMap<String, FaultNow>,
}

/// How one fault of a device stands now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultNow {
    /// Raised or cleared.
    pub state: FaultState,
    /// How bad.
    pub severity: Severity,
    /// By the device's clock.
    pub at: Time,
    /// By the device's count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// The newest ticket about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<TicketId>,
    /// The newest time that ticket knew of the fault when this was kept: if it knows another one by
    /// now, somebody else has told it since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket_at: Option<Time>,
}

/// Silence as a fault: travels as `thread_hints.silence` of what a device sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Silence {
    /// How long a device may be silent, milliseconds.
    pub after_ms: u64,
    /// The fault's code.
    pub code: String,
    /// How bad it is.
    pub severity: Severity,
}

impl Silence {
    /// How long a device may be silent.
    #[must_use]
    pub fn after(&self) -> Duration {
        Duration::from_millis(self.after_ms)
    }
}

/// An answer is expected on what was sent: upsert by (channel, external id). Any word on it that is
/// `delivered`, `read`, `failed` or `expired` ends the wait. Only a fallback does not take the place
/// of what is waited for already, unless that is a fallback too.
#[derive(Debug, Clone, PartialEq)]
pub struct Expect {
    /// Channel.
    pub channel: ChannelId,
    /// The id the answer will name.
    pub external_id: String,
    /// Until when.
    pub due: Time,
    /// What it is if no answer comes: `unknown` or `expired`.
    pub or_else: ReceiptState,
    /// Waits only as long as nobody knows better: `sent` ends it too, and any other wait takes its
    /// place, whichever comes first.
    pub fallback: bool,
}

/// Which tickets.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TicketFilter {
    /// In any of these states; empty = all.
    pub states: Vec<TicketState>,
    /// Of this agent.
    pub agent: Option<AgentId>,
    /// Of any of these groups; empty = all.
    pub groups: Vec<GroupId>,
    /// Of this channel.
    pub channel: Option<ChannelId>,
    /// About this device, exactly.
    pub device: Option<String>,
    /// In any of these severities; empty = all.
    pub severities: Vec<Severity>,
    /// Device, code or title contains this, without regard to case.
    pub text: Option<String>,
    /// After this one.
    pub cursor: Option<Cursor>,
    /// At most this many.
    pub limit: u32,
}

/// A ticket with what is shown beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct TicketView {
    /// The row.
    pub ticket: Ticket,
    /// The device as a contact.
    pub contact: Contact,
    /// How the device stands now.
    pub device: Option<Device>,
}
