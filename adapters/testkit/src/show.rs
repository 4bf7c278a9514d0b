//! What an adapter answers, as JSON for people to read and for tests to compare.

use http::HeaderMap;
use patchbay_sdk::{
    Ask, Await, Decoded, Fetched, Inbound, InboundMessage, MqttOut, Pulled, Reject, Reply, Request,
    SendError, Sent, Signal, Token,
};
use serde_json::{Map, Value, json};

pub(crate) fn outcome(outcome: &Result<Decoded, Reject>) -> Value {
    match outcome {
        Ok(found) => decoded(found),
        Err(reject) => json!({ "reject": self::reject(reject) }),
    }
}

fn decoded(decoded: &Decoded) -> Value {
    let mut shown = Map::new();
    shown.insert(
        "proof".to_owned(),
        json!(decoded.proof.authenticity().as_str()),
    );
    if !decoded.items.is_empty() {
        shown.insert("items".to_owned(), decoded.items.iter().map(item).collect());
    }
    if !decoded.asks.is_empty() {
        shown.insert("asks".to_owned(), decoded.asks.iter().map(ask).collect());
    }
    shown.insert("confirmed".to_owned(), reply(&decoded.confirmed));
    // Only what a bus can fail to take is ever refused.
    if !decoded.items.is_empty() {
        shown.insert("refused".to_owned(), refused(&decoded.refused));
    }
    if let Some(slot) = &decoded.slot {
        let slot = json!({
            "address": slot.address,
            "deadline_ms": millis(slot.deadline),
            "key": slot.key,
            "held_max": slot.held_max,
            "memory": slot.memory,
        });
        shown.insert("slot".to_owned(), slot);
    }
    Value::Object(shown)
}

/// The usual answer by its name.
fn refused(answer: &Reply) -> Value {
    if *answer == Reply::unavailable() {
        return json!("unavailable");
    }
    reply(answer)
}

fn reject(reject: &Reject) -> Value {
    match reject {
        Reject::Refused {
            external_id,
            code,
            detail,
        } => {
            json!({ "external_id": external_id, "code": code, "detail": detail })
        }
        other => json!(other.to_string()),
    }
}

pub(crate) fn item(item: &Inbound) -> Value {
    match item {
        Inbound::Message(said) => json!({ "message": message(said) }),
        Inbound::Receipt(receipt) => json!({ "receipt": receipt }),
        Inbound::Signal(Signal::Typing { address, on }) => {
            json!({ "typing": { "address": address, "on": on } })
        }
        Inbound::Signal(Signal::Seen {
            address,
            delivered,
            read,
        }) => {
            json!({ "seen": { "address": address, "delivered": delivered, "read": read } })
        }
    }
}

fn message(message: &InboundMessage) -> Value {
    let shown = json!({
        "id": message.id,
        "handles": format!("{:?}", message.handles).to_lowercase(),
        "sender": message.sender,
        "recipient": message.recipient,
        "group": message.group,
        "external_id": message.external_id,
        "dedupe_key": message.dedupe_key,
        "in_reply_to": message.in_reply_to,
        "sent_at": message.sent_at,
        "content": message.content,
        "reply": message.reply,
        "thread_hints": message.thread_hints,
        "attributes": message.attributes,
    });
    without_empty(shown)
}

fn ask(ask: &Ask) -> Value {
    match ask {
        Ask::History {
            address,
            after,
            wait,
        } => {
            json!({ "history": { "address": address, "after": after, "wait_ms": millis(*wait) } })
        }
        Ask::Upload {
            name,
            bytes_max,
            types,
        } => {
            json!({ "upload": { "name": name, "bytes_max": bytes_max, "types": types } })
        }
        Ask::Register { address, after } => {
            json!({ "register": { "address": address, "after": after } })
        }
        Ask::Emit(frame) => json!({ "emit": text(frame.as_bytes()) }),
        Ask::Pull { line, hint } => {
            json!({ "pull": { "line": line, "hint": hint.as_ref().map(patchbay_sdk::Secret::expose) } })
        }
        Ask::Pong { at } => json!({ "pong": { "at": at } }),
        Ask::Topics { publish, subscribe } => {
            json!({ "topics": { "publish": publish, "subscribe": subscribe } })
        }
    }
}

pub(crate) fn reply(reply: &Reply) -> Value {
    match reply {
        Reply::Frames(frames) => {
            json!({ "frames": frames.iter().map(|frame| text(frame.as_bytes())).collect::<Value>() })
        }
        Reply::Http {
            status,
            headers,
            body,
        } => without_empty(json!({
            "status": status.as_u16(),
            "headers": self::headers(headers),
            "body": text(body),
        })),
    }
}

pub(crate) fn request(request: &Request) -> Value {
    match request {
        Request::Http(http) => without_empty(json!({ "http": without_empty(json!({
            "method": http.method.as_str(),
            "url": http.url,
            "headers": headers(&http.headers),
            "body": text(&http.body),
            "effect": format!("{:?}", http.effect),
            "timeout_ms": millis(http.timeout),
        })) })),
        Request::Mqtt(out) => json!({ "mqtt": publish(out) }),
        Request::Live(live) => json!({ "live": {
            "id": live.id,
            "address": live.address,
            "seq": live.seq,
            "frame": text(live.frame.as_bytes()),
        } }),
    }
}

pub(crate) fn publish(out: &MqttOut) -> Value {
    without_empty(json!({
        "topic": out.topic,
        "payload": text(&out.payload),
        "qos": out.qos,
        "retain": out.retain,
        "response_topic": out.response_topic,
        "correlation": out.correlation.as_ref().map(|bytes| text(bytes)),
        "content_type": out.content_type,
        "expires_after_ms": out.expires_after.map(millis),
        "effect": format!("{:?}", out.effect),
        "timeout_ms": millis(out.timeout),
    }))
}

pub(crate) fn awaits(awaits: &Await) -> Value {
    without_empty(json!({
        "within_ms": millis(awaits.within),
        "or_else": awaits.or_else,
        "fallback": awaits.fallback.then_some(true),
    }))
}

pub(crate) fn sent(sent: &Sent) -> Value {
    without_empty(json!({
        "part": sent.part,
        "external_id": sent.external_id,
        "state": sent.state,
        "awaits": sent.awaits.as_ref().map(awaits),
    }))
}

pub(crate) fn token(account: Option<&str>, token: &Token) -> Value {
    without_empty(json!({
        "account": account,
        "value": token.value.expose(),
        "expires_in_ms": millis(token.expires_in),
    }))
}

pub(crate) fn fetched(fetched: &Fetched) -> Value {
    without_empty(json!({
        "bytes": text(&fetched.bytes),
        "mime": fetched.mime,
        "name": fetched.name,
    }))
}

pub(crate) fn pulled(pulled: &Pulled) -> Value {
    json!({
        "proof": pulled.proof.authenticity().as_str(),
        "items": pulled.items.iter().map(item).collect::<Value>(),
        "cursor": pulled.cursor,
        "more": pulled.more,
    })
}

pub(crate) fn send_error(error: &SendError) -> Value {
    json!(format!("{error:?}"))
}

/// JSON as JSON, other text as text, anything else by its length.
fn text(bytes: &[u8]) -> Value {
    if bytes.is_empty() {
        return Value::Null;
    }
    let as_text = || match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => json!(format!("{} bytes", bytes.len())),
    };
    let json = serde_json::from_slice::<Value>(bytes).ok();
    json.filter(|json| json.is_object() || json.is_array())
        .unwrap_or_else(as_text)
}

fn headers(headers: &HeaderMap) -> Value {
    let pairs = headers.iter().map(|(name, value)| {
        (
            name.as_str().to_owned(),
            json!(String::from_utf8_lossy(value.as_bytes())),
        )
    });
    Value::Object(pairs.collect())
}

fn without_empty(value: Value) -> Value {
    let Value::Object(map) = value else {
        return value;
    };
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    Value::Object(
        map.into_iter()
            .filter(|(_, value)| !is_empty(value))
            .collect(),
    )
}

fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
