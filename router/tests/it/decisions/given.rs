//! What a fixture says is known and was delivered.

use std::collections::HashMap;

use bytes::Bytes;
use patchbay_message::{
    AgentId, Attributes, ChannelId, ContactId, ConversationId, GroupId, MessageId, Outcome,
    Severity, ThreadId, TicketId, Time,
};
use patchbay_router::item::Item;
use patchbay_store::{
    Agent, Contact, Conversation, ConversationState, Device, Facts, FaultNow, Group, Presence,
    Role, Silence, Strategy, Thread, Ticket, TicketState,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// What a fixture says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Given {
    #[expect(dead_code, reason = "for the reader of the fixture")]
    about: String,
    pub(super) now: Time,
    /// Of everything in it; `web-main` if it is not named.
    #[serde(default = "web")]
    channel: ChannelId,
    #[serde(default)]
    pub(super) outbox_seq: u64,
    #[serde(default)]
    agents: Vec<AgentGiven>,
    #[serde(default)]
    groups: Vec<GroupGiven>,
    #[serde(default)]
    conversations: Vec<ConversationGiven>,
    #[serde(default)]
    processed: Vec<String>,
    #[serde(default)]
    dedupe: HashMap<String, MessageId>,
    #[serde(default)]
    outcomes: Vec<Outcome>,
    #[serde(default)]
    devices: Vec<DeviceGiven>,
    #[serde(default)]
    tickets: Vec<TicketGiven>,
    batch: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AgentGiven {
    id: AgentId,
    name: String,
    #[serde(default = "agent")]
    role: Role,
    capacity: u32,
    load: u32,
    #[serde(default = "online")]
    presence: Presence,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupGiven {
    id: GroupId,
    name: String,
    channels: Vec<ChannelId>,
}

/// A conversation with its thread and contact.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConversationGiven {
    id: ConversationId,
    contact: ContactId,
    address: String,
    name: Option<String>,
    state: ConversationState,
    agent: Option<AgentId>,
    last_agent: Option<AgentId>,
    #[serde(default)]
    last_pos: u64,
    #[serde(default)]
    last_seq: u64,
    #[serde(default)]
    last_out_seq: u64,
    #[serde(default)]
    unread: u32,
    version: i64,
}

fn agent() -> Role {
    Role::Agent
}

fn online() -> Presence {
    Presence::Online
}

fn web() -> ChannelId {
    ChannelId::new("web-main").unwrap()
}

/// When everything was begun that the fixture does not date.
fn before() -> Time {
    "2026-05-01T08:00:00Z".parse().unwrap()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceGiven {
    address: String,
    seen_at: Option<Time>,
    silent_at: Option<Time>,
    silence: Option<Silence>,
    #[serde(default)]
    readings: Attributes,
    readings_at: Option<Time>,
    #[serde(default)]
    faults: std::collections::BTreeMap<String, FaultNow>,
}

/// A ticket in the first conversation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TicketGiven {
    id: TicketId,
    device: String,
    code: String,
    state: TicketState,
    #[serde(default = "minor")]
    severity: Severity,
    agent: Option<AgentId>,
    last_agent: Option<AgentId>,
    raised_at: Option<Time>,
    cleared_at: Option<Time>,
    settles_at: Option<Time>,
    #[serde(default)]
    n_flaps: u32,
    version: i64,
}

fn minor() -> Severity {
    Severity::Minor
}

impl Given {
    /// As loaded for the batch.
    pub(super) fn facts(&self) -> Facts {
        let given = self;
        let mut facts = Facts {
            processed: (given.processed.iter())
                .map(|id| ("inbound".to_owned(), id.clone()))
                .collect(),
            dedupe: given.dedupe.clone(),
            ..Facts::default()
        };
        for outcome in &given.outcomes {
            facts.outcomes.insert(outcome.command_id, outcome.clone());
        }
        for a in &given.agents {
            let agent = Agent {
                id: a.id,
                name: a.name.clone(),
                role: a.role,
                capacity: a.capacity,
                load: a.load,
                presence: a.presence,
                assigned_at: None,
                groups: vec![],
                active: true,
            };
            facts.agents.insert(a.id, agent);
        }
        for g in &given.groups {
            let group = Group {
                id: g.id,
                name: g.name.clone(),
                strategy: Strategy::RoundRobin,
                members: vec![],
                channels: g.channels.clone(),
            };
            facts.groups.insert(g.id, group);
        }
        for c in &given.conversations {
            add_conversation(&mut facts, &given.channel, c);
        }
        for d in &given.devices {
            add_device(&mut facts, &given.channel, d);
        }
        for t in &given.tickets {
            add_ticket(&mut facts, given, t);
        }
        facts
    }

    /// What was delivered.
    pub(super) fn batch(&self) -> Vec<Item> {
        (self.batch.iter().enumerate())
            .map(|(n, given)| item(n, &self.channel, given))
            .collect()
    }
}

fn add_device(facts: &mut Facts, channel: &ChannelId, d: &DeviceGiven) {
    let thread_id = ThreadId::of(channel, &d.address);
    let device = Device {
        thread_id,
        channel: channel.clone(),
        address: d.address.clone(),
        partition: 3,
        seen_at: d.seen_at.unwrap_or_else(before),
        silent_at: d.silent_at,
        silence: d.silence.clone(),
        readings: d.readings.clone(),
        readings_at: d.readings_at,
        location: None,
        faults: d.faults.clone(),
    };
    facts.devices.insert(thread_id, device);
}

fn add_ticket(facts: &mut Facts, given: &Given, t: &TicketGiven) {
    let conversation = &given.conversations[0];
    let ticket = Ticket {
        id: t.id,
        number: 7,
        channel: given.channel.clone(),
        device: t.device.clone(),
        code: t.code.clone(),
        contact_id: conversation.contact,
        conversation_id: conversation.id,
        partition: 3,
        state: t.state,
        category: None,
        severity: t.severity.clone(),
        title: format!("{} on {}", t.code, t.device),
        group_id: None,
        agent_id: t.agent,
        last_agent_id: t.last_agent,
        waiting_since: t.state.is_queued().then(before),
        n_raised: 1,
        n_flaps: t.n_flaps,
        settles_at: t.settles_at,
        first_raised_at: t.raised_at.unwrap_or_else(before),
        raised_at: t.raised_at.unwrap_or_else(before),
        cleared_at: t.cleared_at,
        created_at: before(),
        updated_at: before(),
        closed_at: (!t.state.is_open()).then(before),
        last_pos: 4,
        version: t.version,
    };
    let fault = (given.channel.clone(), t.device.clone(), t.code.clone());
    let open = facts.ticket_of.get(&fault).map(|id| &facts.tickets[id]);
    if open.is_none_or(|open| !open.state.is_open()) {
        facts.ticket_of.insert(fault, t.id);
    }
    facts.tickets.insert(t.id, ticket);
}

fn add_conversation(facts: &mut Facts, channel: &ChannelId, c: &ConversationGiven) {
    let before = before();
    let thread_id = ThreadId::of(channel, &c.address);
    let contact = Contact {
        id: c.contact,
        name: c.name.clone(),
        locale: None,
        attributes: Map::new(),
        created_at: before,
    };
    let thread = Thread {
        id: thread_id,
        channel: channel.clone(),
        channel_kind: "webchat".into(),
        address: c.address.clone(),
        contact_id: c.contact,
        partition: 3,
        verified: false,
        last_seq: c.last_seq,
        last_out_seq: c.last_out_seq,
        delivered_seq: 0,
        read_seq: 0,
        version: 4,
    };
    let waits = matches!(c.state, ConversationState::New | ConversationState::Waiting);
    let conversation = Conversation {
        id: c.id,
        contact_id: c.contact,
        thread_id,
        channel: channel.clone(),
        partition: 3,
        state: c.state,
        group_id: None,
        agent_id: c.agent,
        last_agent_id: c.last_agent,
        waiting_since: waits.then_some(before),
        snoozed_until: None,
        created_at: before,
        updated_at: before,
        last_pos: c.last_pos,
        unread: c.unread,
        last_preview: None,
        last_from: None,
        last_message_at: None,
        version: c.version,
    };
    if c.state != ConversationState::Closed {
        facts.current.insert(thread_id, c.id);
    }
    facts.contacts.insert(c.contact, contact);
    facts
        .threads
        .insert((channel.clone(), c.address.clone()), thread);
    facts.conversations.insert(c.id, conversation);
}

/// A delivery: an envelope of which the fixture says only what matters, or bytes that are none.
fn item(n: usize, channel: &ChannelId, given: &Value) -> Item {
    let id = MessageId(Uuid::from_u128(0xb000 + n as u128));
    let body = match given {
        Value::Object(given) => {
            let mut envelope = json!({
                "schema": 1, "type": "message", "id": id, "direction": "inbound",
                "channel": {"id": channel, "kind": "webchat"}, "partition_key": "web-main/v1",
                "received_at": "2026-05-01T09:00:00.000Z", "authenticity": "token",
            });
            let fields = envelope.as_object_mut().unwrap();
            fields.extend(given.clone());
            let id = fields["id"].as_str().unwrap().parse().unwrap();
            return Item::read(id, Bytes::from(serde_json::to_vec(&envelope).unwrap()));
        }
        Value::String(raw) => raw.clone(),
        other => panic!("a delivery is an object or a string, not {other}"),
    };
    Item::read(id, Bytes::from(body))
}
