//! Pages of `sync_msg`: what customers said, what happened, what servicers said in WeCom itself.
//!
//! <https://developer.work.weixin.qq.com/document/path/94670>

use std::time::Duration;

use patchbay_message::{Attributes, Content, Part, Party, ReplyHandle, Time};
use patchbay_sdk::{
    Cx, Effect, Exchange, Inbound, InboundMessage, PullAt, Pulled, SendError, Step, verify,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Options, QUOTA, REPLY_WINDOW, answer, event, message};
use crate::wechat::{
    ACCESS,
    answer::{Nature, body},
};

const SYNC: &str = "/cgi-bin/kf/sync_msg";
/// Messages of a page; 1000 are possible, and would be too much to hold at once.
const LIMIT: u32 = 200;
/// A doorbell's token is good for ten minutes; the last one is left to clocks that differ.
const HINT_LIFE: Duration = Duration::from_secs(9 * 60);

/// `origin`: who said it.
const CUSTOMER: i64 = 3;
const SYSTEM: i64 = 4;
const SERVICER: i64 = 5;

/// `{"errcode":0,"errmsg":"ok","next_cursor":"..","has_more":1,"msg_list":[..]}`
#[derive(Debug, Deserialize)]
struct Page {
    #[serde(default)]
    errcode: i64,
    #[serde(default)]
    errmsg: String,
    #[serde(default)]
    next_cursor: String,
    #[serde(default)]
    has_more: u8,
    #[serde(default)]
    msg_list: Vec<Value>,
}

/// `{"msgid":"..","open_kfid":"wk..","external_userid":"wm..","send_time":1615478585,"origin":3,
/// "msgtype":"text","text":{"content":".."}}`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Row {
    pub(super) msgid: String,
    open_kfid: String,
    external_userid: String,
    send_time: i64,
    origin: i64,
    servicer_userid: Option<String>,
    msgtype: String,
    /// Under the name of the type stands what it says.
    #[serde(flatten)]
    rest: Map<String, Value>,
}

pub(super) fn step(
    options: &Options,
    cx: &Cx<'_>,
    at: &PullAt<'_>,
    past: &[Exchange],
) -> Result<Step<Pulled>, SendError> {
    let Some(token) = (cx.token)(ACCESS) else {
        return Ok(Step::Need(ACCESS));
    };
    let hint = at.hint.filter(|_| at.rung_ago < HINT_LIFE);
    let ask = |with_hint: bool| {
        let mut said = json!({ "limit": LIMIT, "voice_format": 0, "open_kfid": at.line });
        if let Some(cursor) = at.cursor {
            said["cursor"] = cursor.into();
        }
        if let Some(hint) = hint.filter(|_| with_hint) {
            said["token"] = hint.expose().into();
        }
        Step::Call(
            options
                .api()
                .post(SYNC, token.expose(), &said, Effect::Read),
        )
    };
    let Some(first) = past.first() else {
        return Ok(ask(true));
    };
    let mut page = read(first)?;
    if page.errcode == answer::BAD_HINT && hint.is_some() {
        match past.get(1) {
            None => return Ok(ask(false)),
            Some(second) => page = read(second)?,
        }
    }
    if page.errcode != 0 {
        return Err(answer::error(page.errcode, &page.errmsg));
    }
    let items = page.msg_list.iter();
    Ok(Step::Done(Pulled {
        proof: verify::by_answer(&options.api_url),
        items: items.map(|row| item(cx, at.line, row)).collect(),
        cursor: match page.next_cursor {
            none if none.is_empty() => at.cursor.unwrap_or_default().to_owned(),
            next => next,
        },
        more: page.has_more != 0,
    }))
}

fn read(exchange: &Exchange) -> Result<Page, SendError> {
    let body = body(exchange, Nature::Repeatable)?;
    serde_json::from_slice(body).map_err(|_| SendError::Retry(None))
}

/// One row: nothing that WeCom may put there stops the page.
fn item(cx: &Cx<'_>, line: &str, raw: &Value) -> Inbound {
    let row = Row::deserialize(raw).unwrap_or_default();
    if let Some(receipt) = event::receipt(&row, row.at()) {
        return Inbound::Receipt(receipt);
    }
    let said = row.said();
    let content = match row.origin {
        CUSTOMER => message::read(&row.msgtype, said),
        SYSTEM => event::read(said),
        SERVICER => event::of_servicer(row.servicer_userid.as_deref(), &row.msgtype, said),
        _ => unsupported(&row.msgtype, raw),
    };
    let key = match row.msgid.as_str() {
        "" => hex::encode(verify::digest(raw.to_string().as_bytes())),
        id => id.to_owned(),
    };
    Inbound::Message(Box::new(InboundMessage {
        sender: Party {
            address: row.address(line),
            ..Party::default()
        },
        external_id: (!row.msgid.is_empty()).then(|| row.msgid.clone()),
        dedupe_key: Some(format!("{}:{key}", cx.channel)),
        sent_at: row.at(),
        reply: row.window(cx, &key),
        content: vec![Content::Known(content)],
        ..InboundMessage::default()
    }))
}

impl Row {
    /// Account and customer: the same customer talks with each account for itself. What no customer is
    /// named for is the account's.
    fn address(&self, line: &str) -> String {
        let of_event = self.rest.get("event").map(event::parties);
        let (account, customer) = of_event.unwrap_or_default();
        let account = [self.open_kfid.as_str(), account.unwrap_or_default(), line]
            .into_iter()
            .find(|id| !id.is_empty())
            .unwrap_or(line);
        let customer = [self.external_userid.as_str(), customer.unwrap_or_default()]
            .into_iter()
            .find(|id| !id.is_empty());
        match customer {
            Some(customer) => format!("{account}/{customer}"),
            None => account.to_owned(),
        }
    }

    pub(super) fn at(&self) -> Option<Time> {
        (self.send_time > 0).then(|| Time::from_ms(self.send_time.saturating_mul(1000)))
    }

    pub(super) fn is_event(&self) -> bool {
        self.origin == SYSTEM
    }

    pub(super) fn said(&self) -> Option<&Value> {
        self.rest.get(&self.msgtype)
    }

    /// What a customer says may be answered for a while, and an entry be welcomed once.
    fn window(&self, cx: &Cx<'_>, key: &str) -> Option<ReplyHandle> {
        // It runs by WeCom's clock; one that is ahead of ours opens it no longer than ours.
        let from = self.at().map_or(cx.now, |at| at.min(cx.now));
        let (lasts, quota) = match self.origin {
            CUSTOMER => (REPLY_WINDOW, QUOTA),
            SYSTEM if self.said().is_some_and(event::can_be_welcomed) => (event::WELCOME_WINDOW, 1),
            _ => return None,
        };
        Some(ReplyHandle {
            handle: key.to_owned(),
            expires_at: Some(from.plus(lasts)),
            quota: Some(quota),
        })
    }
}

/// Authentic and not understood: what it says is kept.
pub(super) fn unsupported(what: &str, fields: &Value) -> Part {
    let what = if what.is_empty() { "message" } else { what };
    Part::Unsupported {
        what: what.to_owned(),
        raw: None,
        extra: Attributes::from_iter([("fields".to_owned(), event::kept(fields))]),
    }
}
