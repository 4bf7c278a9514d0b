//! What is said to a member: every part of an outbound as WeCom takes it.
//!
//! <https://developer.work.weixin.qq.com/document/path/90236>

use patchbay_message::{Attributes, Content, Envelope, Media, Part};
use patchbay_sdk::{Cx, SendError, plain_text};
use serde_json::{Map, Value, json};

use super::Options;
use crate::wechat::{
    media::Kind,
    say::{MediaAt, absolute, from_anywhere},
    split::split,
};

/// Bytes of one text message.
pub(super) const TEXT_BYTES_MAX: usize = 2048;
/// Messages of one outbound.
pub(super) const MESSAGES_MAX: usize = 10;

const SEND: &str = "/cgi-bin/message/send";
const RECALL: &str = "/cgi-bin/message/recall";

/// One message to the member.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Say {
    Text(String),
    /// A file, to be given to WeCom first unless it has it.
    Media(Kind, MediaAt),
    /// Something by its `msgtype`.
    Other(&'static str, Value),
    /// Takes back the message of this id.
    Recall(String),
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
        Part::Text { text, .. } => return Ok(texts(text)),
        Part::Image { media, extra } => file(Kind::Image, media, extra)?,
        Part::Audio { media, extra, .. } if media.mime == "audio/amr" => {
            file(Kind::Voice, media, extra)?
        }
        Part::Video { media, extra } => file(Kind::Video, media, extra)?,
        Part::Audio { media, extra, .. } | Part::File { media, extra } => {
            file(Kind::File, media, extra)?
        }
        Part::Card {
            title,
            text,
            url: Some(url),
            image,
            ..
        } => card(cx, title, text.as_deref(), url, image.as_deref()),
        Part::Template {
            template, values, ..
        } => {
            let mut card =
                Map::from_iter([("card_type".to_owned(), Value::from(template.as_str()))]);
            card.extend(values.clone());
            Say::Other("template_card", Value::Object(card))
        }
        Part::Recall { of, .. } => Say::Recall(of.clone()),
        _ => {
            let text = plain_text(&absolute(cx, content));
            return Ok(text.map(|text| texts(&text)).unwrap_or_default());
        }
    }])
}

fn texts(text: &str) -> Vec<Say> {
    let pieces = split(text, TEXT_BYTES_MAX);
    pieces.map(|text| Say::Text(text.to_owned())).collect()
}

fn file(kind: Kind, media: &Media, extra: &Attributes) -> Result<Say, SendError> {
    if let Some(id) = extra.get("media_id").and_then(Value::as_str) {
        return Ok(Say::Media(kind, MediaAt::There(id.to_owned())));
    }
    let (size, max) = (media.size, kind.bytes_max());
    if size > max {
        let sentence = format!("a file has {size} bytes, {max} at most are taken");
        return Err(SendError::Payload(sentence));
    }
    Ok(Say::Media(kind, MediaAt::Here(media.clone())))
}

fn card(cx: &Cx<'_>, title: &str, text: Option<&str>, url: &str, image: Option<&str>) -> Say {
    match image {
        Some(image) => {
            let article = json!({
                "title": title, "description": text.unwrap_or_default(), "url": url,
                "picurl": from_anywhere(cx, image),
            });
            Say::Other("news", json!({ "articles": [article] }))
        }
        // It must have a description.
        None => {
            let text = text.unwrap_or(title);
            Say::Other(
                "textcard",
                json!({ "title": title, "description": text, "url": url }),
            )
        }
    }
}

impl Say {
    /// Where it goes, and what goes there.
    pub(super) fn body(
        &self,
        options: &Options,
        to: &str,
        media_id: Option<&str>,
    ) -> (&'static str, Value) {
        let (kind, said) = match self {
            Self::Recall(id) => return (RECALL, json!({ "msgid": id })),
            Self::Text(text) => ("text", json!({ "content": text })),
            Self::Media(kind, _) => (kind.word(), json!({ "media_id": media_id })),
            Self::Other(kind, said) => (*kind, said.clone()),
        };
        let mut body = json!({
            "touser": to, "msgtype": kind, "agentid": options.agent_id, kind: said,
        });
        if let Some(within) = options.duplicate_check {
            body["enable_duplicate_check"] = 1.into();
            body["duplicate_check_interval"] = within.as_secs().into();
        }
        (SEND, body)
    }
}
