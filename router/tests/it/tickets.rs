//! From a device's fault to a ticket, its agent, and the answer to the device; and what time alone
//! brings about.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use patchbay_bus::{Message, Queue, partition_of};
use patchbay_message::{
    AgentId, ChannelId, Clock as _, Command, CommandName, MessageId, OutcomeStatus, ReceiptState,
    SystemClock, ThreadId, Time,
};
use patchbay_router::RouterOptions;
use patchbay_store::{
    Changes, Conversation, ConversationState, Expect, Presence, Ticket, TicketEntry, TicketEvent,
    TicketFilter, TicketState,
};
use serde_json::{Value, json};

use crate::house::{House, N, command, house, options, reply, until};

fn fleet() -> ChannelId {
    ChannelId::new("freezers").unwrap()
}

/// What a device sends, as it comes from the normalizer; `fields` are added or replaced.
pub(crate) fn sent_by(device: &str, content: &Value, fields: &Value) -> (Queue, Message) {
    let id = MessageId::new();
    let key = format!("freezers:{device}");
    let mut envelope = json!({
        "schema": 1, "type": "message", "id": id, "direction": "inbound",
        "channel": {"id": "freezers", "kind": "mqtt"}, "partition_key": key,
        "sender": {"address": device}, "content": [content],
        "received_at": SystemClock.now(), "authenticity": "tls",
    });
    let fields = fields.as_object().cloned().unwrap_or_default();
    envelope.as_object_mut().unwrap().extend(fields);
    let message = Message {
        id,
        kind: "message".into(),
        body: Bytes::from(envelope.to_string()),
    };
    (Queue::Inbound(partition_of(&key, N)), message)
}

pub(crate) fn fault(device: &str, state: &str, at: Time) -> Value {
    json!({
        "type": "fault", "device": device, "code": "E1", "severity": "major", "state": state,
        "occurred_at": at,
    })
}

fn raised(device: &str) -> (Queue, Message) {
    let fault = fault(device, "raised", SystemClock.now());
    sent_by(device, &fault, &Value::Null)
}

impl House {
    pub(crate) async fn tickets(&self) -> Vec<Ticket> {
        let filter = TicketFilter {
            limit: 1000,
            ..TicketFilter::default()
        };
        let page = self.store.tickets(&filter).await.unwrap();
        page.items.into_iter().map(|view| view.ticket).collect()
    }

    /// The device's only ticket, once there is one and it looks right.
    async fn ticket(&self, device: &str, right: impl Fn(&Ticket) -> bool) -> Ticket {
        until(&format!("the ticket of {device}"), || async {
            let mut tickets = self.tickets().await;
            tickets.retain(|row| row.device == device);
            assert!(tickets.len() <= 1, "{tickets:?}");
            tickets.pop().filter(|row| right(row))
        })
        .await
    }

    pub(crate) async fn entries(&self, of: &Ticket) -> Vec<TicketEntry> {
        self.store.ticket_entries(of.id, 0, 1000).await.unwrap()
    }

    async fn talk(&self, of: &Ticket) -> Conversation {
        let view = self.store.conversation(of.conversation_id).await.unwrap();
        view.unwrap().conversation
    }

    async fn load(&self, agent: AgentId) -> u32 {
        let agents = self.store.agents().await.unwrap();
        let agent = agents.iter().find(|row| row.id == agent);
        agent.map_or(0, |row| row.load)
    }
}

fn about(ticket: &Ticket, command: Command) -> Command {
    Command {
        ticket_id: Some(ticket.id),
        ..command
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_becomes_work_for_an_agent_and_the_answer_goes_to_the_device() {
    let house = house();
    let ann = house.agent("Ann", 1).await;
    let router = house.router();
    house.publish(vec![raised("f7")]).await;
    let ticket = house.ticket("f7", |row| row.agent_id == Some(ann)).await;
    assert_eq!(ticket.state, TicketState::Processing);
    assert_eq!(ticket.number, 1, "{}", ticket.name());
    assert_eq!(house.load(ann).await, 1);
    let talk = house.talk(&ticket).await;
    assert_eq!(talk.state, ConversationState::Resolved);
    assert_eq!((talk.unread, talk.agent_id), (0, None));

    let restart = about(&ticket, reply(ann, "Restart"));
    let outcome = house.done(&talk, restart).await;
    let sent = house.sent(1).await;
    assert_eq!(Some(sent[0].id), outcome.message_id);
    assert_eq!(sent[0].recipient.as_ref().unwrap().address, "f7");
    assert_eq!(sent[0].thread_seq, Some(1), "the fault has no number");
    let talk = house.talk(&ticket).await;
    assert_eq!(talk.state, ConversationState::Resolved);
    assert_eq!(talk.agent_id, None);

    let gone = fault("f7", "cleared", SystemClock.now());
    house
        .publish(vec![sent_by("f7", &gone, &Value::Null)])
        .await;
    let waits = house
        .ticket("f7", |row| row.state == TicketState::PendingConfirmation)
        .await;
    assert_eq!((waits.agent_id, house.load(ann).await), (Some(ann), 1));
    let confirm = Command {
        expected_version: Some(waits.version),
        ..about(&ticket, command(CommandName::Confirm, Some(ann)))
    };
    house.done(&talk, confirm).await;
    assert_eq!(house.load(ann).await, 0);
    let kinds: Vec<TicketEvent> = (house.entries(&ticket).await.iter())
        .map(|entry| entry.kind)
        .collect();
    let wanted = [
        TicketEvent::Opened,
        TicketEvent::Assigned,
        TicketEvent::Sent,
        TicketEvent::Cleared,
        TicketEvent::Done,
    ];
    assert_eq!(kinds, wanted);
    let events = house.store.events(0, 1000).await.unwrap();
    let told = events.iter().filter(|event| event.kind == "ticket");
    let states: Vec<&str> = told
        .filter_map(|event| event.data["state"].as_str())
        .collect();
    assert_eq!(states.first(), Some(&"new"));
    assert_eq!(states.last(), Some(&"done"));
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_two_routers_tickets_and_conversations_share_the_agents_room() {
    let house = house();
    for name in ["Ann", "Bob"] {
        house.agent(name, 2).await;
    }
    let routers = [house.router(), house.router()];
    for n in 0..8 {
        house.say(&format!("v{n}"), "Hello?").await;
        house.publish(vec![raised(&format!("f{n}"))]).await;
    }
    let mut ended = 0;
    let began = std::time::Instant::now();
    while ended < 16 {
        assert!(began.elapsed() < Duration::from_secs(60), "{ended} of 16");
        let mut loads: HashMap<AgentId, u32> = HashMap::new();
        let (talks, tickets) = (house.all().await, house.tickets().await);
        let open = talks
            .iter()
            .find(|row| row.state == ConversationState::Open);
        let ticket = tickets
            .iter()
            .find(|row| row.state == TicketState::Processing);
        for agent in house.store.agents().await.unwrap() {
            assert!(agent.load <= 2, "{}: {}", agent.name, agent.load);
            loads.insert(agent.id, agent.load);
        }
        if let Some(row) = open {
            let resolve = command(CommandName::Resolve, row.agent_id);
            house.done(row, resolve).await;
            ended += 1;
        }
        if let Some(row) = ticket {
            let talk = house.talk(row).await;
            let confirm = about(row, command(CommandName::Confirm, row.agent_id));
            house.done(&talk, confirm).await;
            ended += 1;
        }
        if open.is_none() && ticket.is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let mut numbers: Vec<u32> = house.tickets().await.iter().map(|row| row.number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=8).collect::<Vec<u32>>(), "none left out");
    let loads: u32 = (house.store.agents().await.unwrap().iter())
        .map(|agent| agent.load)
        .sum();
    assert_eq!(loads, 0);
    for router in routers {
        router.stop().await;
    }
}

/// Short times, and silence is judged at once.
fn watchful() -> RouterOptions {
    RouterOptions {
        rescan_every: Duration::from_millis(50),
        silence_grace: Duration::ZERO,
        ..options()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_falls_silent_has_a_fault_until_it_is_heard_of_again() {
    let house = house();
    let routers = [
        house.router_on(house.bus.clone(), watchful()),
        house.router_on(house.bus.clone(), watchful()),
    ];
    let silence = json!({"after_ms": 400, "code": "offline", "severity": "critical"});
    let hints = json!({ "thread_hints": { "silence": silence } });
    let readings = json!({"type": "telemetry", "readings": {"temp": 4}});
    house.publish(vec![sent_by("f7", &readings, &hints)]).await;
    let ticket = house.ticket("f7", |_| true).await;
    assert_eq!((ticket.code.as_str(), ticket.n_raised), ("offline", 1));
    let thread = ThreadId::of(&fleet(), "f7");
    let (device, _) = house.store.device(thread).await.unwrap().unwrap();
    assert_eq!(device.silent_at, None, "known to be silent");
    assert!(device.seen_at < ticket.raised_at, "that is no sign of life");
    assert!(house.tickets().await.len() == 1 && house.dead().await.is_empty());
    // Long enough not to fall silent again before the test is over.
    let patient = json!({"after_ms": 600_000, "code": "offline", "severity": "critical"});
    let hints = json!({ "thread_hints": { "silence": patient } });
    house.publish(vec![sent_by("f7", &readings, &hints)]).await;
    let back = house
        .ticket("f7", |row| row.state == TicketState::PendingConfirmation)
        .await;
    assert_eq!(back.n_raised, 1, "told once, by whichever router");
    for router in routers {
        router.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flapping_fault_settles_by_itself() {
    let house = house();
    let mut quick = watchful();
    quick.rules.hold_down = Duration::from_millis(600);
    let router = house.router_on(house.bus.clone(), quick);
    let began = SystemClock.now();
    let batch = (0..8).map(|n| {
        let state = if n % 2 == 0 { "raised" } else { "cleared" };
        let at = began.plus(Duration::from_secs(n));
        sent_by("f7", &fault("f7", state, at), &Value::Null)
    });
    house.publish(batch.collect()).await;
    let held = house
        .ticket("f7", |row| row.n_raised == 4 && row.cleared_at.is_some())
        .await;
    assert_eq!((held.n_flaps, held.state), (3, TicketState::Reopened));
    let settles_at = held.settles_at.unwrap();
    let settled = house
        .ticket("f7", |row| row.state == TicketState::PendingConfirmation)
        .await;
    assert!(settled.updated_at >= settles_at, "not before its time");
    assert_eq!(settled.settles_at, None);
    let entries = house.entries(&settled).await;
    assert_eq!(entries.last().unwrap().kind, TicketEvent::Settled);
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_come_in_time_is_said_to_be_missing() {
    let house = house();
    let ann = house.agent("Ann", 1).await;
    let router = house.router_on(house.bus.clone(), watchful());
    house.publish(vec![raised("f7")]).await;
    let ticket = house.ticket("f7", |row| row.agent_id == Some(ann)).await;
    let talk = house.talk(&ticket).await;
    let outcome = house
        .done(&talk, about(&ticket, reply(ann, "Restart")))
        .await;
    let id = outcome.message_id.unwrap();
    let word = |state| patchbay_store::ReceiptWord {
        channel: fleet(),
        external_id: Some("c-1".into()),
        message: None,
        state,
        reason: None,
        at: SystemClock.now(),
        attempts: None,
        overdue: false,
    };
    let due = SystemClock.now().plus(Duration::from_millis(200));
    let sent = Changes {
        sent: vec![(fleet(), "c-1".into(), id, 0)],
        receipts: vec![word(ReceiptState::Sent)],
        expects: vec![Expect {
            channel: fleet(),
            external_id: "c-1".into(),
            due,
            or_else: ReceiptState::Unknown,
            fallback: false,
        }],
        ..Changes::default()
    };
    house.store.commit(sent).await.unwrap();
    let row = until("the end of the wait", || async {
        let row = house.store.message(id).await.unwrap().unwrap();
        (row.state == Some(ReceiptState::Unknown)).then_some(row)
    })
    .await;
    assert!(SystemClock.now() >= due);
    assert_eq!(row.reason.as_deref(), Some("no answer in time"));
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_who_stays_away_gives_tickets_back_if_so_wished() {
    let house = house();
    let ann = house.agent("Ann", 1).await;
    let wish = RouterOptions {
        requeue_offline_after: Some(Duration::from_millis(300)),
        ..watchful()
    };
    let router = house.router_on(house.bus.clone(), wish);
    house.publish(vec![raised("f7")]).await;
    house.ticket("f7", |row| row.agent_id == Some(ann)).await;
    let bob = house.agent("Bob", 1).await;
    house.store.presence(ann, Presence::Offline).await.unwrap();
    let row = house.ticket("f7", |row| row.agent_id == Some(bob)).await;
    assert_eq!(row.state, TicketState::Processing);
    assert_eq!(row.last_agent_id, Some(ann));
    assert_eq!((house.load(ann).await, house.load(bob).await), (0, 1));
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_killed_every_fault_is_in_exactly_one_ticket() {
    let house = house();
    let mut few = options();
    few.batch_max = 7;
    let first = house.router_on(house.bus.clone(), few.clone());
    let began = SystemClock.now();
    let mut told = Vec::new();
    let mut second = None;
    for n in 0..20_u64 {
        let at = began.plus(Duration::from_secs(n));
        let state = if n % 3 == 2 { "cleared" } else { "raised" };
        let batch: Vec<_> = (0..12)
            .map(|device| {
                let device = format!("f{device}");
                let key = json!({ "dedupe_key": format!("{device}-{n}") });
                sent_by(&device, &fault(&device, state, at), &key)
            })
            .collect();
        if state == "raised" {
            told.extend(batch.iter().map(|(_, message)| message.id));
        }
        // Everything comes twice.
        house.publish(batch.clone()).await;
        house.publish(batch).await;
        if n == 6 {
            second = Some(house.router_on(house.bus.clone(), few.clone()));
        }
        if n == 12 {
            house.ticket("f0", |row| row.n_raised > 2).await;
        }
    }
    first.kill().await;
    let wanted = told.len();
    let tickets = until("every fault", || async {
        let tickets = house.tickets().await;
        let n: u32 = tickets.iter().map(|row| row.n_raised).sum();
        (n as usize >= wanted).then_some(tickets)
    })
    .await;
    assert_eq!(tickets.len(), 12);
    let mut found = Vec::new();
    for ticket in &tickets {
        let entries = house.entries(ticket).await;
        let raises = entries
            .iter()
            .filter(|entry| matches!(entry.kind, TicketEvent::Opened | TicketEvent::Raised));
        found.extend(raises.filter_map(|entry| entry.message_id));
        let times: Vec<Time> = entries
            .iter()
            .filter_map(|entry| entry.occurred_at)
            .collect();
        assert!(times.is_sorted(), "in the device's order");
    }
    found.sort();
    told.sort();
    assert_eq!(found, told);
    if let Some(second) = second {
        second.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_on_an_old_version_of_the_ticket_is_refused() {
    let house = house();
    let ann = house.agent("Ann", 1).await;
    let router = house.router();
    house.publish(vec![raised("f7")]).await;
    let ticket = house.ticket("f7", |row| row.agent_id == Some(ann)).await;
    house.publish(vec![raised("f7")]).await;
    house.ticket("f7", |row| row.n_raised == 2).await;
    let talk = house.talk(&ticket).await;
    let late = Command {
        expected_version: Some(ticket.version),
        ..about(&ticket, command(CommandName::Confirm, Some(ann)))
    };
    let refused = house.ask(&talk, late).await;
    assert_eq!(refused.status, OutcomeStatus::Refused);
    assert_eq!(refused.code.as_deref(), Some("version"));
    assert_eq!(refused.version, Some(ticket.version + 1));
    router.stop().await;
}
