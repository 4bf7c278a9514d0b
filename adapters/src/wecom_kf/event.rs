//! What happened on an account, and what its servicers say in WeCom itself.
//!
//! <https://developer.work.weixin.qq.com/document/path/94670>

use std::time::Duration;

use patchbay_message::{Attributes, Part, Receipt, ReceiptState, Time};
use serde_json::{Map, Value, json};

use super::page::Row;

/// Bytes of JSON that are kept of what comes.
const KEPT_BYTES_MAX: usize = 8 * 1024;
/// How long after an entry it may be welcomed.
///
/// <https://developer.work.weixin.qq.com/document/path/94910>
pub(super) const WELCOME_WINDOW: Duration = Duration::from_secs(20);
/// What stands elsewhere already.
const COMMON: [&str; 3] = ["event_type", "open_kfid", "external_userid"];

/// The account and the customer that an event names.
pub(super) fn parties(event: &Value) -> (Option<&str>, Option<&str>) {
    (text(event, "open_kfid"), text(event, "external_userid"))
}

fn text<'a>(event: &'a Value, name: &str) -> Option<&'a str> {
    event.get(name).and_then(Value::as_str)
}

pub(super) fn can_be_welcomed(event: &Value) -> bool {
    text(event, "event_type") == Some("enter_session") && text(event, "welcome_code").is_some()
}

/// `{"event_type":"msg_send_fail","open_kfid":"..","external_userid":"..","fail_msgid":"..",
/// "fail_type":4}`
pub(super) fn receipt(row: &Row, at: Option<Time>) -> Option<Receipt> {
    let event = row.said().filter(|_| row.is_event())?;
    if text(event, "event_type") != Some("msg_send_fail") {
        return None;
    }
    let code = event.get("fail_type").and_then(Value::as_i64);
    let words = match code {
        Some(1) => "the account is deleted",
        Some(2) => "the application is disabled",
        Some(4) => "the talk is over: 48 hours have passed",
        Some(5) => "the talk is over",
        Some(6) => "five messages within 48 hours are used up",
        Some(8) => "the customer does not take messages",
        _ => "WeCom gives no reason",
    };
    Some(Receipt {
        external_id: text(event, "fail_msgid")?.to_owned(),
        state: ReceiptState::Failed,
        at,
        code: code.map(|code| code.to_string()),
        text: Some(words.to_owned()),
    })
}

/// `{"event_type":"enter_session","scene":"..","scene_param":"..","welcome_code":".."}`,
/// `{"event_type":"servicer_status_change","servicer_userid":"..","status":1}`,
/// `{"event_type":"session_status_change","change_type":1,"new_servicer_userid":"..","msg_code":".."}`
pub(super) fn read(event: Option<&Value>) -> Part {
    let name = event.and_then(|event| text(event, "event_type"));
    let kept = match event.map(kept) {
        Some(Value::Object(mut fields)) => {
            fields.retain(|name, _| !COMMON.contains(&name.as_str()));
            fields
        }
        _ => Map::new(),
    };
    Part::Event {
        name: name.unwrap_or("event").to_owned(),
        value: (!kept.is_empty()).then_some(Value::Object(kept)),
        extra: Attributes::new(),
    }
}

/// What a servicer said in WeCom itself: the customer has seen it, so agents should.
pub(super) fn of_servicer(servicer: Option<&str>, kind: &str, said: Option<&Value>) -> Part {
    let mut value = json!({ "servicer_userid": servicer, "msgtype": kind });
    value[if kind.is_empty() { "said" } else { kind }] = said.map_or(Value::Null, kept);
    Part::Event {
        name: "servicer_message".to_owned(),
        value: Some(value),
        extra: Attributes::new(),
    }
}

/// As it came, unless it is past every bound.
pub(super) fn kept(value: &Value) -> Value {
    match value.to_string().len() {
        0..=KEPT_BYTES_MAX => value.clone(),
        n_bytes => json!({ "cut": n_bytes }),
    }
}
