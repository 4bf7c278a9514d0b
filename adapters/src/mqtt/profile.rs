//! Ready-made rules for what several platforms' devices say anyway.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::options::{Down, Offline, Profile, Up};

/// Rules of a profile.
#[derive(Deserialize)]
pub(super) struct Rules {
    pub(super) up: Vec<Up>,
    pub(super) down: BTreeMap<String, Down>,
}

pub(super) fn rules(profile: Profile, offline: &Offline) -> Rules {
    let rules = match profile {
        Profile::Thingsboard => thingsboard(),
        Profile::Alink => alink(),
        Profile::HomeAssistant => home_assistant(offline),
    };
    Rules::deserialize(rules).expect("a profile has the form of options")
}

/// The device API of ThingsBoard: `{"t":1}`, `{"ts":1700000000000,"values":{"t":1}}` or a list of
/// either. A fault has no form of its own there; name yours by a rule on the same topic.
fn thingsboard() -> Value {
    let readings = |topic: &str| {
        json!({
            "topic": topic,
            "each": "=body",
            "sent_at": {
                "value": "=has(item.ts) && has(item.values) ? item.ts : null",
                "unit": "ms",
            },
            "telemetry": { "readings": "=has(item.values) ? item.values : item" },
        })
    };
    json!({
        "up": [
            readings("v1/devices/me/telemetry"),
            readings("v2/t"),
            readings("v1/devices/me/attributes"),
            readings("v2/a"),
            {
                "topic": "v1/devices/me/rpc/response/{n}",
                "receipt": { "external_id": "=address + ':' + topic.n" },
            },
            {
                "topic": "v1/devices/me/rpc/request/{n}",
                "event": { "name": "=body.method", "value": "=body" },
            },
        ],
        "down": {
            "command": {
                "topic": "v1/devices/me/rpc/request/{seq}",
                "json": { "method": "=command.name", "params": "=command.arguments" },
                "external_id": "=address + ':' + string(seq)",
                "answer": { "within": "60s", "or_else": "unknown" },
            },
        },
    })
}

/// The thing model of Aliyun IoT (Alink JSON): `{"id":"1","version":"1.0","params":{..},"method":".."}`.
fn alink() -> Value {
    let sent_at = json!({
        "value": "=has(body.params.time) ? body.params.time : null",
        "unit": "ms",
    });
    json!({
        "up": [
            {
                "topic": "/sys/{product}/{device}/thing/event/property/post",
                "telemetry": { "readings": "=plain(body.params)" },
            },
            {
                "topic": "/sys/{product}/{device}/thing/event/{event}/post",
                "sent_at": sent_at,
                "event": {
                    "name": "=topic.event",
                    "value": "=has(body.params.value) ? body.params.value : body.params",
                },
            },
            {
                "topic": "/sys/{product}/{device}/thing/service/{service}",
                "when": "=topic.service.endsWith('_reply')",
                "receipt": {
                    "external_id": "=address + ':' + string(body.id)",
                    "state": "=body.code == 200 ? 'delivered' : 'failed'",
                    "code": "=body.code",
                },
            },
            {
                "topic": "/sys/{product}/{device}/thing/service/property/{reply}",
                "when": "=topic.reply == 'set_reply'",
                "receipt": {
                    "external_id": "=address + ':' + string(body.id)",
                    "state": "=body.code == 200 ? 'delivered' : 'failed'",
                    "code": "=body.code",
                },
            },
        ],
        "down": {
            "command": {
                "topic": "/sys/{product}/{device}/thing/service/{command}",
                "json": {
                    "id": "=string(seq)",
                    "version": "1.0",
                    "params": "=command.arguments == null ? {} : command.arguments",
                    "method": "='thing.service.' + command.name",
                },
                "external_id": "=address + ':' + string(seq)",
                "answer": { "within": "60s", "or_else": "unknown" },
            },
        },
    })
}

/// Availability as devices of Home Assistant tell it, by their will and when they are back:
/// `online` or `offline`, bare or as `{"state":"online"}`.
fn home_assistant(offline: &Offline) -> Value {
    let words = "['online', 'offline']";
    let word = "(type(body) == map && has(body.state) ? string(body.state) : text)";
    let rule = |topic: &str| {
        json!({
            "topic": topic,
            "when": format!("={word}.lowerAscii() in {words} && topic.device != 'homeassistant'"),
            "fault": {
                "code": literal(&offline.code),
                "severity": literal(&offline.severity),
                "state": format!("={word}.lowerAscii() == 'offline' ? 'raised' : 'cleared'"),
            },
        })
    };
    json!({
        "up": [
            rule("{device}/status"),
            rule("zigbee2mqtt/{device}/availability"),
            rule("tele/{device}/LWT"),
            rule("homeassistant/{device}/availability"),
        ],
        "down": {},
    })
}

/// A text that stands for itself, whatever it begins with.
fn literal(text: &str) -> Value {
    match text.strip_prefix('=') {
        Some(_) => json!(format!("={}", json!(text))),
        None => json!(text),
    }
}
