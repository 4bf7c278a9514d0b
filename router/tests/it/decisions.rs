//! Decisions by fixtures: `fixtures/decide/<name>.json` says what is known and what was delivered,
//! `<name>.expect.json` what is to be written. `UPDATE_EXPECT=1` writes the latter anew.

use std::{collections::HashMap, fs, path::Path};

use bytes::Bytes;
use patchbay_message::{
    AgentId, ChannelId, ContactId, ConversationId, GroupId, MessageId, Outcome, Party, ThreadId,
    Time,
};
use patchbay_router::{
    decide::{self, Context, Decision, Rules},
    item::Item,
};
use patchbay_store::{
    Agent, Contact, Conversation, ConversationState, Facts, Fence, Group, MessageRow, Presence,
    Role, Strategy, Thread,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// What a fixture says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    #[expect(dead_code, reason = "for the reader of the fixture")]
    about: String,
    now: Time,
    #[serde(default)]
    outbox_seq: u64,
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

fn channel() -> ChannelId {
    ChannelId::new("web-main").unwrap()
}

fn facts(given: &Given) -> Facts {
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
        add_conversation(&mut facts, c);
    }
    facts
}

fn add_conversation(facts: &mut Facts, c: &ConversationGiven) {
    let before: Time = "2026-05-01T08:00:00Z".parse().unwrap();
    let thread_id = ThreadId::of(&channel(), &c.address);
    let contact = Contact {
        id: c.contact,
        name: c.name.clone(),
        locale: None,
        attributes: Map::new(),
        created_at: before,
    };
    let thread = Thread {
        id: thread_id,
        channel: channel(),
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
        channel: channel(),
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
    facts.threads.insert((channel(), c.address.clone()), thread);
    facts.conversations.insert(c.id, conversation);
}

/// A delivery: an envelope of which the fixture says only what matters, or bytes that are none.
fn item(n: usize, given: &Value) -> Item {
    let id = MessageId(Uuid::from_u128(0xb000 + n as u128));
    let body = match given {
        Value::Object(given) => {
            let mut envelope = json!({
                "schema": 1, "type": "message", "id": id, "direction": "inbound",
                "channel": {"id": "web-main", "kind": "webchat"}, "partition_key": "web-main/v1",
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

fn party(party: &Party) -> Value {
    serde_json::to_value(party).unwrap()
}

fn message(row: &MessageRow) -> Value {
    json!({
        "id": row.id, "conversation": row.conversation_id, "pos": row.pos, "seq": row.thread_seq,
        "out_seq": row.out_seq, "kind": row.kind, "direction": row.direction,
        "sender": party(&row.sender), "agent": row.agent_id, "content": row.content,
        "external_id": row.external_id, "at": row.at, "state": row.state,
    })
}

fn conversation(row: &Conversation) -> Value {
    json!({
        "id": row.id, "version": row.version, "state": row.state, "group": row.group_id,
        "agent": row.agent_id, "last_agent": row.last_agent_id,
        "waiting_since": row.waiting_since, "snoozed_until": row.snoozed_until,
        "last_pos": row.last_pos, "unread": row.unread, "preview": row.last_preview,
        "from": row.last_from,
    })
}

fn list<T>(rows: &[T], view: impl Fn(&T) -> Value) -> Value {
    Value::Array(rows.iter().map(view).collect())
}

/// Everything a decision says, as JSON; empty lists are left out.
fn view(decision: &Decision) -> Value {
    let c = &decision.changes;
    let raw = |bytes: &Bytes| {
        serde_json::from_slice(bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(bytes).into_owned()))
    };
    let view = json!({
        "endings": list(&decision.endings, |(kind, ending)| json!([kind, ending.as_str()])),
        "wakes_assigner": decision.wakes_assigner,
        "signals": list(&decision.signals, |signal| json!(signal)),
        "fences": list(&c.fences, |fence| json!([fence.name, fence.epoch])),
        "processed": list(&c.processed, |(source, id)| json!([source, id])),
        "dedupe": list(&c.dedupe, |(key, id)| json!([key, id])),
        "contacts": list(&c.contacts, |row| json!({
            "id": row.id, "name": row.name, "locale": row.locale, "attributes": row.attributes,
        })),
        "threads": list(&c.threads, |row| json!({
            "id": row.id, "channel": row.channel, "kind": row.channel_kind, "address": row.address,
            "contact": row.contact_id, "partition": row.partition, "verified": row.verified,
            "last_seq": row.last_seq, "last_out_seq": row.last_out_seq,
        })),
        "thread_updates": list(&c.thread_updates, |row| json!({
            "id": row.id, "version": row.version, "last_seq": row.last_seq,
            "last_out_seq": row.last_out_seq, "verified": row.verified,
        })),
        "conversations": list(&c.conversations, conversation),
        "conversation_updates": list(&c.conversation_updates, |update| json!({
            "from": update.from, "row": conversation(&update.row),
        })),
        "messages": list(&c.messages, message),
        "loads": list(&c.loads, |load| json!({
            "agent": load.agent, "delta": load.delta, "force": load.force,
        })),
        "outcomes": list(&c.outcomes, |outcome| json!(outcome)),
        "outbox": list(&c.outbox, |row| json!({
            "partition": row.partition, "seq": row.seq, "shard": row.shard, "id": row.id,
            "envelope": raw(&row.envelope),
        })),
        "receipts": list(&c.receipts, |word| json!({
            "channel": word.channel, "external_id": word.external_id, "state": word.state,
            "reason": word.reason, "at": word.at,
        })),
        "dead": list(&c.dead, |row| json!({
            "id": row.id, "channel": row.channel, "reason": row.reason, "detail": row.detail,
            "envelope": raw(&row.envelope),
        })),
        "audit": list(&c.audit, |row| json!({
            "agent": row.agent_id, "action": row.action, "target": row.target,
            "detail": row.detail,
        })),
        "events": list(&c.events, |event| json!({
            "kind": event.kind, "conversation": event.conversation_id, "agent": event.agent_id,
            "data": event.data,
        })),
    });
    let Value::Object(fields) = view else {
        unreachable!("built as an object");
    };
    let told = |(_, value): &(String, Value)| value.as_array().is_none_or(|rows| !rows.is_empty());
    Value::Object(fields.into_iter().filter(told).collect())
}

fn run(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap();
    let given: Given =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let batch: Vec<Item> = (given.batch.iter().enumerate())
        .map(|(n, given)| item(n, given))
        .collect();
    let fence = Fence {
        name: "inbound.3".into(),
        epoch: 5,
    };
    let context = Context {
        fence: &fence,
        partition: 3,
        outbox_seq: given.outbox_seq,
        rules: &Rules::default(),
        now: given.now,
    };
    let mut n = 0xc000_u128;
    let mut ids = || {
        n += 1;
        Uuid::from_u128(n)
    };
    view(&decide::decide(&batch, facts(&given), &context, &mut ids))
}

#[test]
fn batches_are_decided_as_the_fixtures_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/decide");
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".expect.json") {
            continue;
        }
        seen += 1;
        let found = format!("{:#}\n", run(&path));
        let expected = path.with_extension("expect.json");
        if update {
            fs::write(&expected, &found).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != found {
            wrong.push(format!("{name} gives\n{found}"));
        }
    }
    assert!(seen > 0, "no fixtures in {}", folder.display());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
