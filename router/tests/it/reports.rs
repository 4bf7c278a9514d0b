//! However a device's reports are shuffled, repeated and cut into batches: every raised fault is one
//! line of one ticket, a fault never has two open tickets, and the device stands as if they had come
//! in order.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use patchbay_message::{
    ChannelId, CommandName, ContactId, Content, ConversationId, FaultState, MessageId, ThreadId,
    TicketId, Time,
};
use patchbay_router::{
    decide::{self, Context, Rules},
    item::Item,
};
use patchbay_store::{
    Changes, Contact, Conversation, ConversationState, Device, Facts, FaultNow, Fence, Thread,
    Ticket, TicketEntry, TicketEvent, TicketState, Want,
};
use proptest::prelude::*;
use serde_json::json;
use uuid::Uuid;

use crate::house::command;

/// What a store holds, and no more than that.
#[derive(Default)]
struct Shelf {
    processed: HashSet<(String, String)>,
    dedupe: HashMap<String, MessageId>,
    contacts: HashMap<ContactId, Contact>,
    threads: HashMap<(ChannelId, String), Thread>,
    conversations: HashMap<ConversationId, Conversation>,
    devices: HashMap<ThreadId, Device>,
    tickets: BTreeMap<TicketId, Ticket>,
    entries: Vec<TicketEntry>,
    messages: HashSet<MessageId>,
}

impl Shelf {
    /// What is wanted and nothing else.
    fn facts(&self, want: &Want) -> Facts {
        let mut facts = Facts::default();
        let marks = want.processed.iter();
        facts.processed = marks
            .filter(|mark| self.processed.contains(mark))
            .cloned()
            .collect();
        for key in &want.dedupe {
            let holder = self.dedupe.get(key);
            facts.dedupe.extend(holder.map(|id| (key.clone(), *id)));
        }
        for address in &want.addresses {
            if let Some(thread) = self.threads.get(address) {
                self.add_thread(thread, &mut facts);
            }
        }
        for id in &want.conversations {
            let row = &self.conversations[id];
            facts.conversations.insert(*id, row.clone());
        }
        for thread in &want.devices {
            let device = self.devices.get(thread).cloned();
            facts.devices.extend(device.map(|row| (*thread, row)));
        }
        for id in &want.tickets {
            facts.tickets.insert(*id, self.tickets[id].clone());
        }
        for (channel, device, code) in &want.faults {
            let of =
                |row: &&Ticket| (&row.channel, &row.device, &row.code) == (channel, device, code);
            let newest = (self.tickets.values().filter(of))
                .max_by_key(|row| (row.state.is_open(), row.created_at, row.id));
            if let Some(row) = newest {
                let fault = (channel.clone(), device.clone(), code.clone());
                facts.ticket_of.insert(fault, row.id);
                facts.tickets.insert(row.id, row.clone());
            }
        }
        facts
    }

    fn add_thread(&self, thread: &Thread, facts: &mut Facts) {
        let contact = self.contacts[&thread.contact_id].clone();
        facts.contacts.insert(contact.id, contact);
        let open = |row: &&Conversation| {
            row.thread_id == thread.id && row.state != ConversationState::Closed
        };
        if let Some(row) = self.conversations.values().find(open) {
            facts.current.insert(thread.id, row.id);
            facts.conversations.insert(row.id, row.clone());
        }
        let address = (thread.channel.clone(), thread.address.clone());
        facts.threads.insert(address, thread.clone());
    }

    /// Holds what a store holds to: versions, unique keys, gapless histories.
    fn commit(&mut self, changes: Changes) {
        for mark in changes.processed {
            assert!(
                self.processed.insert(mark),
                "a delivery has its effect once"
            );
        }
        self.dedupe.extend(changes.dedupe);
        for row in changes.contacts {
            self.contacts.insert(row.id, row);
        }
        for row in changes.threads {
            self.threads
                .insert((row.channel.clone(), row.address.clone()), row);
        }
        for row in changes.conversations {
            self.conversations.insert(row.id, row);
        }
        for update in changes.conversation_updates {
            let held = self.conversations.get_mut(&update.row.id).unwrap();
            assert_eq!(
                (held.version, held.state),
                (update.row.version, update.from)
            );
            *held = update.row;
            held.version += 1;
        }
        for row in changes.messages {
            assert_eq!(
                row.thread_seq, None,
                "a report has no number for the device"
            );
            assert!(self.messages.insert(row.id));
        }
        for update in changes.ticket_updates {
            let held = self.tickets.get_mut(&update.row.id).unwrap();
            assert_eq!(
                (held.version, held.state),
                (update.row.version, update.from)
            );
            *held = update.row;
            held.version += 1;
        }
        for row in changes.tickets {
            assert!(self.tickets.insert(row.id, row).is_none());
        }
        for entry in changes.ticket_entries {
            let of = |before: &&TicketEntry| before.ticket_id == entry.ticket_id;
            let pos = self.entries.iter().filter(of).count() as u64 + 1;
            assert_eq!(entry.pos, pos);
            self.entries.push(entry);
        }
        for row in changes.devices {
            self.devices.insert(row.thread_id, row);
        }
        let open = self.tickets.values().filter(|row| row.state.is_open());
        let mut faults: Vec<_> = open.map(|row| (&row.device, &row.code)).collect();
        let n = faults.len();
        faults.sort();
        faults.dedup();
        assert_eq!(faults.len(), n, "one open ticket for each fault");
    }

    fn decide(&mut self, batch: &[Item], now: Time, ids: &mut dyn FnMut() -> Uuid) {
        let fence = Fence {
            name: "inbound.0".into(),
            epoch: 1,
        };
        let context = Context {
            fence: &fence,
            partition: 0,
            outbox_seq: 0,
            rules: &Rules::default(),
            now,
        };
        let mut facts = self.facts(&decide::want(batch));
        if let Some(want) = decide::want_more(batch, &facts) {
            let more = self.facts(&want);
            facts.tickets.extend(more.tickets);
            facts.ticket_of.extend(more.ticket_of);
        }
        let decision = decide::decide(batch, facts, &context, ids);
        self.commit(decision.changes);
    }

    /// How the device's faults stand.
    fn faults(&self) -> BTreeMap<String, FaultNow> {
        let device = self.devices.values().next().unwrap();
        let bare = |fault: &FaultNow| FaultNow {
            ticket: None,
            ticket_at: None,
            ..fault.clone()
        };
        let faults = device.faults.iter();
        faults
            .map(|(code, now)| (code.clone(), bare(now)))
            .collect()
    }
}

/// One report: which code, raised or cleared; they follow each other by these seconds.
#[derive(Debug, Clone)]
struct Report {
    code: u8,
    raised: bool,
    gap_s: u32,
}

/// How they come: which one next, how many at once, whether an agent then confirms what is open.
#[derive(Debug, Clone)]
struct Arrival {
    order: Vec<usize>,
    batches: Vec<(usize, bool)>,
    counted: bool,
}

fn reports() -> impl Strategy<Value = Vec<Report>> {
    let report = (0..3_u8, any::<bool>(), 1..900_u32).prop_map(|(code, raised, gap_s)| Report {
        code,
        raised,
        gap_s,
    });
    prop::collection::vec(report, 1..24)
}

fn arrival(n: usize) -> impl Strategy<Value = Arrival> {
    // Every report once, and some again.
    let again = prop::collection::vec(0..n, 0..n);
    let order = again
        .prop_map(move |again| (0..n).chain(again).collect::<Vec<_>>())
        .prop_shuffle();
    let batches = prop::collection::vec((1..8_usize, prop::bool::weighted(0.2)), 1..8);
    (order, batches, any::<bool>()).prop_map(|(order, batches, counted)| Arrival {
        order,
        batches,
        counted,
    })
}

fn start() -> Time {
    "2026-05-01T08:00:00Z".parse().unwrap()
}

/// What the device itself, or a gateway (`by`), says of the device.
fn item(n: usize, by: &str, at: Time, report: &Report, counted: bool) -> Item {
    let id = Uuid::from_u128(0xb000 + n as u128);
    let mut fault = json!({
        "type": "fault", "device": "f7", "code": format!("E{}", report.code), "severity": "major",
        "state": if report.raised { "raised" } else { "cleared" }, "occurred_at": at,
    });
    if counted {
        fault["sequence"] = json!(n);
    }
    let envelope = json!({
        "schema": 1, "type": "message", "id": id, "direction": "inbound",
        "channel": {"id": "freezers", "kind": "mqtt"}, "partition_key": "freezers:f7",
        "received_at": start(), "authenticity": "tls", "sender": {"address": by},
        "content": [fault], "dedupe_key": format!("f7-{n}"),
    });
    Item::read(MessageId(id), Bytes::from(envelope.to_string()))
}

fn confirm(ticket: &Ticket, n: u128) -> Item {
    let mut command = command(CommandName::Confirm, None);
    command.ticket_id = Some(ticket.id);
    command.conversation_id = ticket.conversation_id;
    command.idempotency_key = n.to_string();
    let envelope = json!({
        "schema": 1, "type": "command", "id": command.id, "direction": "inbound",
        "channel": {"id": "freezers", "kind": "mqtt"}, "partition_key": "freezers:f7",
        "received_at": start(), "authenticity": "token", "command": command,
    });
    Item::read(MessageId(command.id.0), Bytes::from(envelope.to_string()))
}

fn items(reports: &[Report], counted: bool) -> Vec<Item> {
    let mut at = start();
    let dated = reports.iter().enumerate().map(|(n, report)| {
        at = at.plus(std::time::Duration::from_secs(report.gap_s.into()));
        item(n, "f7", at, report, counted)
    });
    dated.collect()
}

/// Each report as each of these gateways tells it: all of the first one's, then the next one's.
fn told_by(gateways: &[&str], reports: &[Report]) -> Vec<Item> {
    let mut told = Vec::new();
    for by in gateways {
        let mut at = start();
        for report in reports {
            at = at.plus(std::time::Duration::from_secs(report.gap_s.into()));
            told.push(item(told.len(), by, at, report, false));
        }
    }
    told
}

fn run(items: &[Item], arrival: &Arrival) -> Shelf {
    let mut shelf = Shelf::default();
    let mut n = 0xc000_u128;
    let mut ids = || {
        n += 1;
        Uuid::from_u128(n)
    };
    let mut left = arrival.order.as_slice();
    // After everything that is told, so that no clock is ahead.
    let mut now = start().plus(std::time::Duration::from_secs(24 * 3600));
    let mut keys = 0;
    for (size, confirms) in arrival.batches.iter().cycle() {
        if left.is_empty() {
            break;
        }
        now = now.plus(std::time::Duration::from_secs(60));
        let (batch, rest) = left.split_at((*size).min(left.len()));
        left = rest;
        let batch: Vec<Item> = batch.iter().map(|&n| items[n].clone()).collect();
        shelf.decide(&batch, now, &mut ids);
        if *confirms {
            let open = shelf.tickets.values().filter(|row| row.state.is_open());
            let commands: Vec<Item> = open
                .map(|row| {
                    keys += 1;
                    confirm(row, keys)
                })
                .collect();
            shelf.decide(&commands, now, &mut ids);
        }
    }
    shelf
}

fn is_raise(entry: &TicketEntry) -> bool {
    matches!(entry.kind, TicketEvent::Opened | TicketEvent::Raised)
}

proptest! {
    #[test]
    fn every_raised_fault_is_one_line_of_one_ticket_however_it_comes(
        (reports, arrival) in reports().prop_flat_map(|reports| {
            let n = reports.len();
            (Just(reports), arrival(n))
        })
    ) {
        let items = items(&reports, arrival.counted);
        let shelf = run(&items, &arrival);
        let mut told: Vec<MessageId> = (shelf.entries.iter().filter(|entry| is_raise(entry)))
            .map(|entry| entry.message_id.unwrap())
            .collect();
        told.sort();
        let raised = items.iter().zip(&reports).filter(|(_, report)| report.raised);
        let raised: Vec<MessageId> = raised.map(|(item, _)| item.id).collect();
        prop_assert_eq!(told, raised, "each once, none twice");
        let counted: u32 = shelf.tickets.values().map(|row| row.n_raised).sum();
        prop_assert_eq!(counted as usize, reports.iter().filter(|report| report.raised).count());
        prop_assert_eq!(shelf.messages.len(), reports.len());

        let in_order = Arrival {
            order: (0..reports.len()).collect(),
            batches: vec![(1, false)],
            counted: arrival.counted,
        };
        prop_assert_eq!(shelf.faults(), run(&items, &in_order).faults());
        if arrival.batches.iter().any(|(_, confirms)| *confirms) {
            return Ok(());
        }
        // Nobody has ended anything: tickets stand as the device does.
        for row in shelf.tickets.values() {
            let now = &shelf.faults()[&row.code];
            let is_there = now.state == FaultState::Raised;
            prop_assert_eq!(row.cleared_at.is_none(), is_there);
            let waits = row.state == TicketState::PendingConfirmation;
            let is_held = row.settles_at.is_some();
            prop_assert!(is_there != waits || is_held && !waits, "{:?}", row.state);
        }
    }
}

proptest! {
    #[test]
    fn by_however_many_gateways_a_fault_is_told_it_has_one_ticket_that_ends_as_it_did(
        (reports, arrival) in reports().prop_flat_map(|reports| {
            let n = reports.len();
            (Just(reports), arrival(n * 3))
        })
    ) {
        let items = told_by(&["g1", "g2", "g3"], &reports);
        let without_end = Arrival {
            batches: arrival.batches.iter().map(|(size, _)| (*size, false)).collect(),
            ..arrival
        };
        let shelf = run(&items, &without_end);
        let n_raised: u32 = shelf.tickets.values().map(|row| row.n_raised).sum();
        let raised = reports.iter().filter(|report| report.raised).count();
        prop_assert_eq!(n_raised as usize, raised * 3, "each is told by each of them");
        for row in shelf.tickets.values() {
            let code = |report: &&Report| format!("E{}", report.code) == row.code;
            let is_there = reports.iter().rfind(code).unwrap().raised;
            prop_assert_eq!(row.cleared_at.is_none(), is_there);
            let of_code = shelf.tickets.values().filter(|other| other.code == row.code);
            prop_assert_eq!(of_code.count(), 1);
        }
    }
}

#[test]
fn a_row_says_until_when_a_reply_may_be_sent() {
    let items = items(
        &[Report {
            code: 1,
            raised: true,
            gap_s: 1,
        }],
        false,
    );
    let arrival = Arrival {
        order: vec![0],
        batches: vec![(1, false)],
        counted: false,
    };
    let shelf = run(&items, &arrival);
    let ticket = shelf.tickets.values().next().unwrap();
    let until = start().plus(std::time::Duration::from_secs(90));
    let mut reply = command(CommandName::Reply, None);
    reply.ticket_id = Some(ticket.id);
    reply.conversation_id = ticket.conversation_id;
    reply.content = vec![Content::text("Restart")];
    reply.expires_at = Some(until);
    let envelope = json!({
        "schema": 1, "type": "command", "id": reply.id, "direction": "inbound",
        "channel": {"id": "freezers", "kind": "mqtt"}, "partition_key": "freezers:f7",
        "received_at": start(), "authenticity": "token", "command": reply,
    });
    let item = Item::read(MessageId(reply.id.0), Bytes::from(envelope.to_string()));
    let mut facts = shelf.facts(&decide::want(std::slice::from_ref(&item)));
    let thread = shelf.threads.values().next().unwrap();
    shelf.add_thread(thread, &mut facts);
    let fence = Fence {
        name: "inbound.0".into(),
        epoch: 1,
    };
    let context = Context {
        fence: &fence,
        partition: 0,
        outbox_seq: 0,
        rules: &Rules::default(),
        now: start(),
    };
    let decision = decide::decide(&[item], facts, &context, &mut Uuid::now_v7);
    assert_eq!(decision.changes.messages[0].expires_at, Some(until));
}
