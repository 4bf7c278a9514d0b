//! Everything a decision says, as JSON.

use bytes::Bytes;
use patchbay_message::Party;
use patchbay_router::decide::Decision;
use patchbay_store::{Conversation, Device, MessageRow, Ticket};
use serde_json::{Value, json};

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

fn ticket(row: &Ticket) -> Value {
    json!({
        "id": row.id, "version": row.version, "channel": row.channel, "device": row.device,
        "code": row.code, "conversation": row.conversation_id, "state": row.state,
        "category": row.category, "severity": row.severity, "title": row.title,
        "group": row.group_id, "agent": row.agent_id, "last_agent": row.last_agent_id,
        "waiting_since": row.waiting_since, "n_raised": row.n_raised, "n_flaps": row.n_flaps,
        "settles_at": row.settles_at, "first_raised_at": row.first_raised_at,
        "raised_at": row.raised_at, "cleared_at": row.cleared_at, "closed_at": row.closed_at,
        "last_pos": row.last_pos,
    })
}

fn device(row: &Device) -> Value {
    json!({
        "address": row.address, "seen_at": row.seen_at, "silent_at": row.silent_at,
        "silence": row.silence, "readings": row.readings, "readings_at": row.readings_at,
        "location": row.location, "faults": row.faults,
    })
}

fn list<T>(rows: &[T], view: impl Fn(&T) -> Value) -> Value {
    Value::Array(rows.iter().map(view).collect())
}

/// Everything a decision says, as JSON; empty lists are left out.
pub(super) fn view(decision: &Decision) -> Value {
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
        "tickets": list(&c.tickets, ticket),
        "ticket_updates": list(&c.ticket_updates, |update| json!({
            "from": update.from, "row": ticket(&update.row),
        })),
        "ticket_entries": list(&c.ticket_entries, |row| json!({
            "ticket": row.ticket_id, "pos": row.pos, "kind": row.kind, "agent": row.agent_id,
            "message": row.message_id, "occurred_at": row.occurred_at, "text": row.text,
            "data": row.data,
        })),
        "devices": list(&c.devices, device),
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
