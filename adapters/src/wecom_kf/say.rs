//! What is said to a customer: every part of an outbound as WeCom takes it.
//!
//! <https://developer.work.weixin.qq.com/document/path/94677>

use patchbay_message::{Attributes, Choice, Content, Envelope, Location, Media, Part};
use patchbay_sdk::{Cx, SendError, plain_text};
use serde_json::{Value, json};

use crate::wechat::{
    media::Kind,
    say::{MediaAt, absolute},
    split::split,
};

/// Bytes of one text message.
pub(super) const TEXT_BYTES_MAX: usize = 2048;
/// Messages of one outbound: no window allows more.
pub(super) const MESSAGES_MAX: usize = 5;
/// Answers of a menu.
const MENU_MAX: usize = 10;

const SEND: &str = "/cgi-bin/kf/send_msg";
/// <https://developer.work.weixin.qq.com/document/path/94910>
const WELCOME: &str = "/cgi-bin/kf/send_msg_on_event";

/// One message to the customer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Say {
    Text(String),
    /// Greets whoever has just come in, by the code of their entry.
    Welcome {
        code: String,
        text: String,
    },
    /// A file, to be given to WeCom first unless it has it.
    Media(Kind, MediaAt),
    /// Something by its `msgtype`.
    Other(&'static str, Value),
}

/// To whom, and under which id.
pub(super) struct To<'a> {
    pub(super) account: &'a str,
    pub(super) customer: &'a str,
    pub(super) msgid: &'a str,
}

/// Everything an outbound says.
pub(super) fn plan(cx: &Cx<'_>, outbound: &Envelope) -> Result<Vec<Say>, SendError> {
    let mut all = Vec::new();
    for content in &outbound.content {
        all.extend(of_content(cx, content)?);
    }
    match all.len() {
        0 => Err(SendError::Unsupported),
        1..=MESSAGES_MAX => Ok(all),
        n => Err(SendError::Payload(format!(
            "makes {n} messages, {MESSAGES_MAX} at most are possible"
        ))),
    }
}

fn of_content(cx: &Cx<'_>, content: &Content) -> Result<Vec<Say>, SendError> {
    let Content::Known(part) = content else {
        return Ok(Vec::new());
    };
    Ok(vec![match part {
        Part::Text { text, extra } => match of(extra, "welcome_code") {
            Some(code) => welcome(code, text)?,
            None => return Ok(texts(text)),
        },
        Part::Image { media, extra } => file(Kind::Image, media, extra)?,
        Part::Audio { media, extra, .. } if media.mime == "audio/amr" => {
            file(Kind::Voice, media, extra)?
        }
        Part::Video { media, extra } => file(Kind::Video, media, extra)?,
        Part::Audio { media, extra, .. } | Part::File { media, extra } => {
            file(Kind::File, media, extra)?
        }
        Part::Location {
            location, label, ..
        } => place(*location, label.as_deref()),
        Part::Choice {
            text,
            options,
            chosen: None,
            ..
        } if (1..=MENU_MAX).contains(&options.len()) => menu(text.as_deref(), options),
        Part::Card {
            title,
            text,
            url,
            extra,
            ..
        } if of(extra, "thumb_media_id").is_some() => {
            card(title, text.as_deref(), url.as_deref(), extra)
        }
        _ => {
            let text = plain_text(&absolute(cx, content));
            return Ok(text.map(|text| texts(&text)).unwrap_or_default());
        }
    }])
}

fn of<'a>(extra: &'a Attributes, name: &str) -> Option<&'a str> {
    extra.get(name).and_then(Value::as_str)
}

fn texts(text: &str) -> Vec<Say> {
    let pieces = split(text, TEXT_BYTES_MAX);
    pieces.map(|text| Say::Text(text.to_owned())).collect()
}

/// A code is good for one message.
fn welcome(code: &str, text: &str) -> Result<Say, SendError> {
    if text.len() > TEXT_BYTES_MAX {
        let sentence = format!("a welcome has {TEXT_BYTES_MAX} bytes at most");
        return Err(SendError::Payload(sentence));
    }
    Ok(Say::Welcome {
        code: code.to_owned(),
        text: text.to_owned(),
    })
}

fn file(kind: Kind, media: &Media, extra: &Attributes) -> Result<Say, SendError> {
    if let Some(id) = of(extra, "media_id") {
        return Ok(Say::Media(kind, MediaAt::There(id.to_owned())));
    }
    let (size, max) = (media.size, kind.bytes_max());
    if size > max {
        let sentence = format!("a file has {size} bytes, {max} at most are taken");
        return Err(SendError::Payload(sentence));
    }
    Ok(Say::Media(kind, MediaAt::Here(media.clone())))
}

fn place(Location { lat, lon }: Location, label: Option<&str>) -> Say {
    let label = label.unwrap_or_default();
    let place = json!({ "name": label, "address": label, "latitude": lat, "longitude": lon });
    Say::Other("location", place)
}

fn menu(text: Option<&str>, options: &[Choice]) -> Say {
    let list = options.iter().map(
        |option| json!({ "type": "click", "click": { "id": option.id, "content": option.label } }),
    );
    let list: Value = list.collect();
    let menu = json!({ "head_content": text.unwrap_or_default(), "list": list });
    Say::Other("msgmenu", menu)
}

/// A page of a mini-program, or a link; both must have a picture that WeCom has.
fn card(title: &str, text: Option<&str>, url: Option<&str>, extra: &Attributes) -> Say {
    let thumb = of(extra, "thumb_media_id");
    match of(extra, "app_id") {
        Some(app_id) => Say::Other(
            "miniprogram",
            json!({
                "appid": app_id, "title": title, "thumb_media_id": thumb,
                "pagepath": of(extra, "page_path").unwrap_or_default(),
            }),
        ),
        None => Say::Other(
            "link",
            json!({
                "title": title, "desc": text.unwrap_or_default(),
                "url": url.unwrap_or_default(), "thumb_media_id": thumb,
            }),
        ),
    }
}

impl Say {
    /// Where it goes, and what goes there.
    pub(super) fn body(&self, to: &To<'_>, media_id: Option<&str>) -> (&'static str, Value) {
        let (kind, said) = match self {
            Self::Welcome { code, text } => {
                let body = json!({
                    "code": code, "msgid": to.msgid, "msgtype": "text", "text": { "content": text },
                });
                return (WELCOME, body);
            }
            Self::Text(text) => ("text", json!({ "content": text })),
            Self::Media(kind, _) => (kind.word(), json!({ "media_id": media_id })),
            Self::Other(kind, said) => (*kind, said.clone()),
        };
        let body = json!({
            "touser": to.customer, "open_kfid": to.account, "msgid": to.msgid,
            "msgtype": kind, kind: said,
        });
        (SEND, body)
    }
}
