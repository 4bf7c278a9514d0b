//! Devices and their tickets, as the router leaves them in the store; and a router played by the
//! test, so that what is asked of it can be looked at.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use patchbay_bus::{Bus, Queue};
use patchbay_message::{
    Attributes, Clock, Command, ContactId, Content, ConversationId, Direction, Envelope,
    FaultState, MessageId, Outcome, OutcomeStatus, Party, ReceiptState, Severity, SystemClock,
    ThreadId, TicketId, Time,
};
use patchbay_store::{
    Changes, Contact, Conversation, ConversationState, Device, FaultNow, MessageKind, MessageRow,
    NewEvent, Thread, Ticket, TicketEntry, TicketEvent, TicketState, TicketUpdate,
};
use serde_json::{Value, json};

use crate::house::{House, channel, options, thread};

/// A device with its thread and conversation.
#[derive(Clone)]
pub(crate) struct Machine {
    pub(crate) address: String,
    pub(crate) thread: ThreadId,
    pub(crate) conversation: ConversationId,
    contact: ContactId,
}

/// When the device said something, by its own clock.
pub(crate) fn then() -> Time {
    "2026-11-24T10:00:00.000Z".parse().unwrap()
}

/// A device that has written before.
pub(crate) async fn machine(house: &House, address: &str) -> Machine {
    let (now, contact_id) = (house.clock.now(), ContactId::new());
    let (thread_id, conversation) = (thread(address), ConversationId::new());
    let contact = Contact {
        id: contact_id,
        name: Some(format!("Freezer {address}")),
        locale: None,
        attributes: Attributes::new(),
        created_at: now,
    };
    let thread = Thread {
        id: thread_id,
        channel: channel(),
        channel_kind: "webchat".into(),
        address: address.into(),
        contact_id,
        partition: 1,
        verified: true,
        last_seq: 0,
        last_out_seq: 0,
        delivered_seq: 0,
        read_seq: 0,
        version: 0,
    };
    let row = Conversation {
        id: conversation,
        contact_id,
        thread_id,
        channel: channel(),
        partition: 1,
        state: ConversationState::Resolved,
        group_id: None,
        agent_id: None,
        last_agent_id: None,
        waiting_since: None,
        snoozed_until: None,
        created_at: now,
        updated_at: now,
        last_pos: 0,
        unread: 0,
        last_preview: None,
        last_from: None,
        last_message_at: None,
        version: 0,
    };
    let changes = Changes {
        contacts: vec![contact],
        threads: vec![thread],
        conversations: vec![row],
        ..Changes::default()
    };
    house.store.commit(changes).await.unwrap();
    Machine {
        address: address.into(),
        thread: thread_id,
        conversation,
        contact: contact_id,
    }
}

/// Numbers of messages; they only have to be different ones.
static POS: AtomicU64 = AtomicU64::new(1);

/// A message of the device's conversation.
pub(crate) fn row(machine: &Machine, direction: Direction, part: Value) -> MessageRow {
    let pos = POS.fetch_add(1, Ordering::Relaxed);
    let outbound = direction == Direction::Outbound;
    MessageRow {
        id: MessageId::new(),
        conversation_id: machine.conversation,
        thread_id: machine.thread,
        pos,
        thread_seq: None,
        out_seq: outbound.then_some(pos),
        kind: MessageKind::Message,
        direction,
        sender: Party {
            address: machine.address.clone(),
            ..Party::default()
        },
        agent_id: None,
        content: vec![serde_json::from_value::<Content>(part).unwrap()],
        external_id: None,
        at: SystemClock.now(),
        state: outbound.then_some(ReceiptState::Queued),
        reason: None,
        attempts: 0,
        expires_at: None,
    }
}

pub(crate) fn entry(ticket: TicketId, pos: u64, kind: TicketEvent) -> TicketEntry {
    TicketEntry {
        ticket_id: ticket,
        pos,
        kind,
        agent_id: None,
        message_id: None,
        occurred_at: None,
        text: None,
        data: json!({}),
        at: SystemClock.now(),
    }
}

/// The event of a ticket's change.
pub(crate) fn told(machine: &Machine, ticket: TicketId) -> NewEvent {
    NewEvent {
        kind: "ticket",
        conversation_id: Some(machine.conversation),
        agent_id: None,
        data: json!({ "ticket_id": ticket, "conversation_id": machine.conversation }),
    }
}

/// The device raises a fault, which opens a ticket.
pub(crate) async fn raise(
    house: &House,
    machine: &Machine,
    (code, severity): (&str, Severity),
) -> TicketId {
    let (id, now) = (TicketId::new(), house.clock.now());
    let fault = json!({
        "type": "fault", "device": machine.address, "code": code, "severity": severity,
        "state": "raised", "occurred_at": then(), "readings": { "temperature": 9.4 },
    });
    let message = row(machine, Direction::Inbound, fault);
    let opened = TicketEntry {
        message_id: Some(message.id),
        occurred_at: Some(then()),
        ..entry(id, 1, TicketEvent::Opened)
    };
    let known = house.store.device(machine.thread).await.unwrap();
    let mut faults = known.map_or_else(BTreeMap::new, |(device, _)| device.faults);
    faults.insert(
        code.into(),
        FaultNow {
            state: FaultState::Raised,
            severity: severity.clone(),
            at: then(),
            sequence: None,
            ticket: Some(id),
            ticket_at: None,
        },
    );
    let changes = Changes {
        messages: vec![message],
        tickets: vec![ticket(id, machine, (code, severity), now)],
        ticket_entries: vec![opened],
        devices: vec![device(machine, faults, now)],
        events: vec![told(machine, id)],
        ..Changes::default()
    };
    house.store.commit(changes).await.unwrap();
    id
}

fn ticket(id: TicketId, of: &Machine, (code, severity): (&str, Severity), now: Time) -> Ticket {
    Ticket {
        id,
        number: 0,
        channel: channel(),
        device: of.address.clone(),
        code: code.into(),
        contact_id: of.contact,
        conversation_id: of.conversation,
        partition: 1,
        state: TicketState::New,
        category: None,
        severity,
        title: format!("{code} on {}", of.address),
        group_id: None,
        agent_id: None,
        last_agent_id: None,
        waiting_since: Some(now),
        n_raised: 1,
        n_flaps: 0,
        settles_at: None,
        first_raised_at: then(),
        raised_at: then(),
        cleared_at: None,
        created_at: now,
        updated_at: now,
        closed_at: None,
        last_pos: 1,
        version: 1,
    }
}

fn device(of: &Machine, faults: BTreeMap<String, FaultNow>, now: Time) -> Device {
    let readings = json!({ "temperature": 9.4, "door": "open" });
    Device {
        thread_id: of.thread,
        channel: channel(),
        address: of.address.clone(),
        partition: 1,
        seen_at: now,
        silent_at: None,
        silence: None,
        readings: serde_json::from_value(readings).unwrap(),
        readings_at: Some(now),
        location: serde_json::from_value(json!({ "lat": 52.5, "lon": 13.4 })).unwrap(),
        faults,
    }
}

/// A ticket becomes what `change` makes of it, with these entries.
pub(crate) async fn change(
    house: &House,
    machine: &Machine,
    id: TicketId,
    entries: Vec<TicketEntry>,
    change: impl FnOnce(&mut Ticket),
) {
    let mut row = house.store.ticket(id).await.unwrap().unwrap().ticket;
    let from = row.state;
    row.last_pos += entries.len() as u64;
    row.updated_at = house.clock.now();
    change(&mut row);
    let changes = Changes {
        ticket_updates: vec![TicketUpdate { row, from }],
        ticket_entries: entries,
        events: vec![told(machine, id)],
        ..Changes::default()
    };
    house.store.commit(changes).await.unwrap();
}

/// Plays the router for one command: hands it to `decide` and says what that answers.
pub(crate) async fn play(house: &House, decide: impl FnOnce(&Command) -> Outcome) -> Command {
    let queue = Queue::Inbound(1);
    let mut consumer = house.bus.consume(queue, 8).await.unwrap();
    let delivery = consumer.recv(1).await.unwrap().remove(0);
    let envelope = Envelope::from_slice(&delivery.message.body).unwrap();
    let command = envelope.command.expect("a command");
    let outcome = decide(&command);
    let told = NewEvent {
        kind: "command",
        conversation_id: Some(command.conversation_id),
        agent_id: command.agent_id,
        data: json!({
            "command_id": outcome.command_id, "status": outcome.status, "code": outcome.code,
            "version": outcome.version, "message_id": outcome.message_id,
        }),
    };
    let changes = Changes {
        outcomes: vec![outcome],
        events: vec![told],
        ..Changes::default()
    };
    house.store.commit(changes).await.unwrap();
    delivery.ack();
    command
}

/// It is done.
pub(crate) fn done(command: &Command) -> Outcome {
    Outcome {
        command_id: command.id,
        status: OutcomeStatus::Done,
        code: None,
        detail: None,
        message_id: None,
        version: Some(7),
    }
}

/// A freezer with a ticket, Ann, and nobody who routes.
pub(crate) struct Fleet {
    pub(crate) house: House,
    /// Ann's id and token.
    pub(crate) ann: (String, String),
    pub(crate) machine: Machine,
    pub(crate) ticket: TicketId,
}

pub(crate) async fn fleet() -> Fleet {
    fleet_in(House::without_router(options()).await).await
}

pub(crate) async fn fleet_in(house: House) -> Fleet {
    let ann = house.agent("Ann", "agent").await;
    let machine = machine(&house, "store-1/frz-3").await;
    let ticket = raise(&house, &machine, ("E17", Severity::Critical)).await;
    Fleet {
        house,
        ann,
        machine,
        ticket,
    }
}

impl Fleet {
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/tickets/{}{rest}", self.ticket)
    }

    pub(crate) async fn get(&self, rest: &str) -> Value {
        self.house.get(&self.path(rest), &self.ann.1).await.ok()
    }
}
