//! What happened, by `Event`; and WeChat's word on templates, which are receipts.
//!
//! <https://developers.weixin.qq.com/doc/offiaccount/Message_Management/Receiving_event_pushes.html>

use patchbay_message::{Attributes, Content, Part, Receipt, ReceiptState, Time};
use patchbay_sdk::tree::Tree;
use serde_json::{Map, Value, json};

use super::{
    content::fields,
    push::{ENTERED, GESTURE, Window},
};

/// In front of a code's scene when who scanned it followed by that.
const SCENE: &str = "qrscene_";

/// The event as content, and the window it opens. Names come in any case.
pub(crate) fn read(push: &Tree<'_>) -> (Vec<Content>, Option<Window>) {
    let name = push
        .text_of("Event")
        .unwrap_or("event")
        .to_ascii_lowercase();
    let value = value(&name, push);
    let window = match name.as_str() {
        "subscribe" | "scan" | "click" | "scancode_push" | "scancode_waitmsg" => Some(GESTURE),
        "user_enter_tempsession" => Some(ENTERED),
        _ => None,
    };
    let part = Part::Event {
        name,
        value: (!value.is_empty()).then_some(Value::Object(value)),
        extra: Attributes::new(),
    };
    (vec![Content::Known(part)], window)
}

/// What came with it: by our names where all accounts have them, else by WeChat's.
fn value(name: &str, push: &Tree<'_>) -> Map<String, Value> {
    let key = push.text_of("EventKey").unwrap_or_default();
    let pairs: &[(&str, Option<Value>)] = match name {
        "subscribe" | "scan" => {
            let scene = key.strip_prefix(SCENE).unwrap_or(key);
            &[("scene", text(scene)), ("ticket", of(push, "Ticket"))]
        }
        "click" => &[("key", text(key))],
        "view" => &[("url", text(key)), ("menu_id", of(push, "MenuId"))],
        "location" => &[
            ("lat", number(push, "Latitude")),
            ("lon", number(push, "Longitude")),
            ("precision", number(push, "Precision")),
        ],
        "user_enter_tempsession" => &[("session_from", of(push, "SessionFrom"))],
        "unsubscribe" => &[],
        _ => return fields(push),
    };
    let there = |(name, value): &(&str, Option<Value>)| Some(((*name).to_owned(), value.clone()?));
    pairs.iter().filter_map(there).collect()
}

fn text(text: &str) -> Option<Value> {
    (!text.is_empty()).then(|| text.into())
}

fn of(push: &Tree<'_>, name: &str) -> Option<Value> {
    push.text_of(name).map(Value::from)
}

/// A number, or what stands there if it is none.
fn number(push: &Tree<'_>, name: &str) -> Option<Value> {
    let text = push.text_of(name)?;
    let number = text
        .trim()
        .parse::<f64>()
        .ok()
        .filter(|number| number.is_finite());
    Some(number.map_or_else(|| text.into(), |number| json!(number)))
}

/// WeChat's word on what we sent by template; none for any other push.
pub(super) fn receipts(push: &Tree<'_>, at: Option<Time>) -> Option<Vec<Receipt>> {
    if push.text_of("MsgType") != Some("event") {
        return None;
    }
    let receipts = match push.text_of("Event")?.to_ascii_lowercase().as_str() {
        "templatesendjobfinish" => vec![of_job(push, at, |status| status == "success")?],
        "masssendjobfinish" => {
            let is_good = |status: &str| matches!(status, "send success" | "sendsuccess");
            vec![of_job(push, at, is_good)?]
        }
        "subscribe_msg_sent_event" => {
            let lists = push.get("SubscribeMsgSentEvent").unwrap_or(push);
            let found = lists.all("List").filter_map(|notice| of_notice(notice, at));
            found.collect()
        }
        _ => return None,
    };
    (!receipts.is_empty()).then_some(receipts)
}

fn of_job(push: &Tree<'_>, at: Option<Time>, is_good: impl Fn(&str) -> bool) -> Option<Receipt> {
    let status = push.text_of("Status")?;
    Some(Receipt {
        external_id: push.text_of("MsgID").or(push.text_of("MsgId"))?.to_owned(),
        state: state(is_good(status)),
        at,
        code: (!is_good(status)).then(|| status.to_owned()),
        text: None,
    })
}

/// `<List><TemplateId/><MsgID/><ErrorCode>0</ErrorCode><ErrorStatus>success</ErrorStatus></List>`
fn of_notice(notice: &Tree<'_>, at: Option<Time>) -> Option<Receipt> {
    let code = notice.text_of("ErrorCode")?;
    let is_good = code == "0";
    let words = notice.text_of("ErrorStatus").filter(|_| !is_good);
    Some(Receipt {
        external_id: notice.text_of("MsgID")?.to_owned(),
        state: state(is_good),
        at,
        code: (!is_good).then(|| code.to_owned()),
        text: words.map(str::to_owned),
    })
}

fn state(is_good: bool) -> ReceiptState {
    if is_good {
        ReceiptState::Delivered
    } else {
        ReceiptState::Failed
    }
}
