//! Answers on WeChat's own request: no token, no quota, one message, within five seconds.
//!
//! <https://developers.weixin.qq.com/doc/offiaccount/Message_Management/Passive_user_reply_message.html>

use std::fmt::Write;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use patchbay_message::Envelope;
use patchbay_sdk::{Cx, Exchange, Reply, SendError, Slot, Step, sealed::SealKey, verify};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    ACCESS, media,
    options::{Account, Options},
    say::{MediaAt, Say, plan},
    send::{media_of, recipient},
};

/// What an answer must know of the push it answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Memory {
    /// The account's original id, from which the answer comes.
    pub(super) from: String,
    pub(super) is_json: bool,
    pub(super) is_sealed: bool,
}

/// The next step of an answer. What cannot be said in this way is [`SendError::Unsupported`]: it goes
/// by the API.
pub(super) fn step(
    options: &Options,
    keys: &[SealKey],
    cx: &Cx<'_>,
    slot: &Slot,
    outbound: &Envelope,
    past: &[Exchange],
) -> Result<Step<Reply>, SendError> {
    let memory = Memory::deserialize(Value::Object(slot.memory.clone()));
    let memory = memory.map_err(|_| SendError::Unsupported)?;
    let to = recipient(outbound)?;
    if to != slot.address {
        return Err(SendError::Unsupported);
    }
    let plan = plan(options, cx, outbound)?;
    let [say] = plan.as_slice() else {
        return Err(SendError::Unsupported);
    };
    let is_transfer = matches!(say, Say::Transfer(_));
    if options.account == Account::MiniProgram && !is_transfer {
        return Err(SendError::Unsupported);
    }
    let media_id = match media_of(say) {
        None => String::new(),
        Some((_, MediaAt::There(id))) => id.clone(),
        Some((kind, MediaAt::Here(file))) => match (past.first(), (cx.token)(ACCESS)) {
            (Some(exchange), _) => options.api().uploaded(exchange)?,
            (None, Some(token)) => {
                return Ok(Step::Call(media::upload(
                    &options.api(),
                    cx,
                    token.expose(),
                    kind,
                    file,
                )));
            }
            (None, None) => return Ok(Step::Need(ACCESS)),
        },
    };
    let said = body(say, &media_id).ok_or(SendError::Unsupported)?;
    let mut all = Map::from_iter([
        ("ToUserName".to_owned(), Value::from(to)),
        ("FromUserName".to_owned(), memory.from.clone().into()),
        ("CreateTime".to_owned(), (cx.now.as_ms() / 1000).into()),
    ]);
    all.extend(said);
    let open = if memory.is_json {
        Value::Object(all).to_string()
    } else {
        xml(&all)
    };
    let answer = match (memory.is_sealed, keys.first()) {
        (false, _) => open,
        (true, Some(key)) => sealed(options, key, cx, &open, memory.is_json)?,
        (true, None) => return Err(SendError::Unsupported),
    };
    Ok(Step::Done(reply(answer, memory.is_json)))
}

/// What stands beside sender and receiver.
fn body(say: &Say, media_id: &str) -> Option<Map<String, Value>> {
    let body = match say {
        Say::Text(text) => json!({ "MsgType": "text", "Content": text }),
        Say::Media {
            kind: media::Kind::Image,
            ..
        } => {
            json!({ "MsgType": "image", "Image": { "MediaId": media_id } })
        }
        Say::Media {
            kind: media::Kind::Voice,
            ..
        } => {
            json!({ "MsgType": "voice", "Voice": { "MediaId": media_id } })
        }
        Say::Media { more, .. } => json!({ "MsgType": "video", "Video": {
            "MediaId": media_id, "Title": of(more, "title"), "Description": of(more, "description"),
        } }),
        Say::Music(music) => json!({ "MsgType": "music", "Music": {
            "Title": music["title"], "Description": music["description"],
            "MusicUrl": music["musicurl"], "HQMusicUrl": music["hqmusicurl"],
            "ThumbMediaId": music["thumb_media_id"],
        } }),
        // Who has written gets one article, whatever the count.
        Say::News(link) => json!({ "MsgType": "news", "ArticleCount": 1, "Articles": { "item": {
            "Title": link["title"], "Description": link["description"],
            "PicUrl": link["picurl"], "Url": link["url"],
        } } }),
        Say::Transfer(None) => json!({ "MsgType": "transfer_customer_service" }),
        Say::Transfer(Some(account)) => {
            json!({ "MsgType": "transfer_customer_service", "TransInfo": { "KfAccount": account } })
        }
        _ => return None,
    };
    body.as_object().cloned()
}

fn of(more: &Map<String, Value>, name: &str) -> Value {
    more.get(name).cloned().unwrap_or_else(|| "".into())
}

/// As XML, every text in CDATA.
fn xml(all: &Map<String, Value>) -> String {
    let mut out = "<xml>".to_owned();
    elements(all, &mut out);
    out.push_str("</xml>");
    out
}

fn elements(all: &Map<String, Value>, out: &mut String) {
    for (name, value) in all {
        write!(out, "<{name}>").expect("a string takes any text");
        match value {
            Value::Object(inner) => elements(inner, out),
            Value::String(text) => cdata(text, out),
            other => write!(out, "{other}").expect("a string takes any text"),
        }
        write!(out, "</{name}>").expect("a string takes any text");
    }
}

/// `]]>` ends a section, so that it is cut in two; what XML has no room for is left out.
fn cdata(text: &str, out: &mut String) {
    let is_char = |c: &char| {
        // XML 1.0, section 2.2.
        matches!(*c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
    };
    let text: String = text.chars().filter(is_char).collect();
    write!(
        out,
        "<![CDATA[{}]]>",
        text.replace("]]>", "]]]]><![CDATA[>")
    )
    .expect("a string takes any text");
}

/// Sealed as the push was, under the newest key, signed by the newest token.
fn sealed(
    options: &Options,
    key: &SealKey,
    cx: &Cx<'_>,
    open: &str,
    is_json: bool,
) -> Result<String, SendError> {
    let token = options.token.newest().ok_or(SendError::Unsupported)?;
    let (mut random, mut nonce) = ([0_u8; 16], [0_u8; 8]);
    cx.random.fill(&mut random);
    cx.random.fill(&mut nonce);
    let encrypt = key.seal(random, open.as_bytes(), options.receiver());
    let timestamp = cx.now.as_ms() / 1000;
    let (signed_at, nonce) = (timestamp.to_string(), u64::from_le_bytes(nonce).to_string());
    let parts = [token.expose(), &signed_at, &nonce, &encrypt].map(str::as_bytes);
    let signature = hex::encode(verify::sorted_sha1(parts));
    let all = json!({
        "Encrypt": encrypt, "MsgSignature": signature, "TimeStamp": timestamp, "Nonce": nonce,
    });
    Ok(match all {
        Value::Object(all) if !is_json => xml(&all),
        all => all.to_string(),
    })
}

fn reply(body: String, is_json: bool) -> Reply {
    let kind = if is_json {
        "application/json"
    } else {
        "text/xml; charset=utf-8"
    };
    Reply::Http {
        status: StatusCode::OK,
        headers: HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))]),
        body: body.into_bytes(),
    }
}
