//! Tickets, their history and their devices, as the API shows them.

use patchbay_message::{
    Attributes, ConversationId, FaultState, Location, MessageId, Severity, TicketId, Time,
};
use patchbay_store::{
    Device, FaultNow, MessageRow, TicketEntry, TicketEvent, TicketState, TicketView,
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{ChannelName, MessageShown, Named};
use crate::directory::Names;

/// A ticket.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TicketShown {
    #[schema(value_type = String, format = "uuid")]
    id: TicketId,
    /// For people: `T-2026-000123`.
    number: String,
    version: i64,
    #[schema(value_type = String)]
    state: TicketState,
    #[schema(value_type = String)]
    severity: Severity,
    category: Option<String>,
    title: String,
    channel: ChannelName,
    /// The device's address on the channel.
    device: String,
    /// The device's name, if it has one.
    device_name: Option<String>,
    /// The device's own code of the fault.
    code: String,
    /// The device's conversation.
    #[schema(value_type = String, format = "uuid")]
    conversation_id: ConversationId,
    group: Option<Named>,
    agent: Option<Named>,
    #[schema(value_type = Option<String>, format = DateTime)]
    waiting_since: Option<Time>,
    /// How often the fault was raised.
    n_raised: u32,
    /// How often raised and cleared took turns.
    n_flaps: u32,
    /// They do so too fast: a clear counts only once it has been quiet until then.
    #[schema(value_type = Option<String>, format = DateTime)]
    settles_at: Option<Time>,
    #[schema(value_type = String, format = DateTime)]
    first_raised_at: Time,
    #[schema(value_type = String, format = DateTime)]
    raised_at: Time,
    /// Unless it was raised again since.
    #[schema(value_type = Option<String>, format = DateTime)]
    cleared_at: Option<Time>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Time,
    #[schema(value_type = Option<String>, format = DateTime)]
    closed_at: Option<Time>,
    /// Newest `pos` of its history.
    last_pos: u64,
}

impl TicketShown {
    /// `kind` is the channel's.
    pub(crate) fn new(view: &TicketView, names: &Names, kind: String) -> Self {
        let ticket = view.ticket.clone();
        Self {
            number: ticket.name(),
            id: ticket.id,
            version: ticket.version,
            state: ticket.state,
            severity: ticket.severity,
            category: ticket.category,
            title: ticket.title,
            channel: ChannelName {
                id: ticket.channel,
                kind,
            },
            device: ticket.device,
            device_name: view.contact.name.clone(),
            code: ticket.code,
            conversation_id: ticket.conversation_id,
            group: ticket.group_id.map(|id| names.group(id)),
            agent: ticket.agent_id.map(|id| names.agent(id)),
            waiting_since: ticket.waiting_since,
            n_raised: ticket.n_raised,
            n_flaps: ticket.n_flaps,
            settles_at: ticket.settles_at,
            first_raised_at: ticket.first_raised_at,
            raised_at: ticket.raised_at,
            cleared_at: ticket.cleared_at,
            created_at: ticket.created_at,
            updated_at: ticket.updated_at,
            closed_at: ticket.closed_at,
            last_pos: ticket.last_pos,
        }
    }
}

/// A ticket with its device as it stands now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TicketDetail {
    #[serde(flatten)]
    ticket: TicketShown,
    /// None if the device's state is not known.
    last_state: Option<DeviceShown>,
}

impl TicketDetail {
    /// `kind` is the channel's.
    pub(crate) fn new(view: TicketView, names: &Names, kind: String) -> Self {
        Self {
            ticket: TicketShown::new(&view, names, kind),
            last_state: view.device.map(DeviceShown::from),
        }
    }
}

/// How a device stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeviceShown {
    /// Last heard of.
    #[schema(value_type = String, format = DateTime)]
    seen_at: Time,
    /// Silence until then is a fault.
    #[schema(value_type = Option<String>, format = DateTime)]
    silent_at: Option<Time>,
    /// The newest readings by name.
    #[schema(value_type = Object)]
    readings: Attributes,
    #[schema(value_type = Option<String>, format = DateTime)]
    readings_at: Option<Time>,
    #[schema(value_type = Option<Object>)]
    location: Option<Location>,
    /// Every fault it has reported, as it stands; the raised ones first.
    faults: Vec<FaultShown>,
}

/// How one fault of a device stands.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FaultShown {
    code: String,
    #[schema(value_type = String)]
    state: FaultState,
    #[schema(value_type = String)]
    severity: Severity,
    /// By the device's clock.
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    /// The newest ticket about it.
    #[schema(value_type = Option<String>, format = "uuid")]
    ticket_id: Option<TicketId>,
}

impl From<Device> for DeviceShown {
    fn from(device: Device) -> Self {
        let shown = |(code, now): (String, FaultNow)| FaultShown {
            code,
            state: now.state,
            severity: now.severity,
            at: now.at,
            ticket_id: now.ticket,
        };
        let mut faults: Vec<_> = device.faults.into_iter().map(shown).collect();
        faults.sort_by_key(|fault| {
            let cleared = fault.state != FaultState::Raised;
            (
                cleared,
                std::cmp::Reverse((fault.severity.rank(), fault.at)),
            )
        });
        Self {
            seen_at: device.seen_at,
            silent_at: device.silent_at,
            readings: device.readings,
            readings_at: device.readings_at,
            location: device.location,
            faults,
        }
    }
}

/// One line of a ticket's history.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EntryShown {
    pos: u64,
    #[schema(value_type = String)]
    kind: TicketEvent,
    /// None for device and system.
    agent: Option<Named>,
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    /// By the device's clock, if the device said it.
    #[schema(value_type = Option<String>, format = DateTime)]
    occurred_at: Option<Time>,
    text: Option<String>,
    /// Small values: `from` and `to` of states, `severity` ...
    #[schema(value_type = Object)]
    data: Value,
    #[schema(value_type = Option<String>, format = "uuid")]
    message_id: Option<MessageId>,
    /// What the device reported, or what was sent to it and how far that got.
    message: Option<MessageShown>,
}

impl EntryShown {
    pub(crate) fn new(entry: TicketEntry, message: Option<MessageRow>, names: &Names) -> Self {
        Self {
            pos: entry.pos,
            kind: entry.kind,
            agent: entry.agent_id.map(|id| names.agent(id)),
            at: entry.at,
            occurred_at: entry.occurred_at,
            text: entry.text,
            data: entry.data,
            message_id: entry.message_id,
            message: message.map(MessageShown::from),
        }
    }
}
