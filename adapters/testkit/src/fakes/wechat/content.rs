//! What a customer-service message must have.

use serde_json::Value;

use super::{
    Kind,
    errcode::{
        BAD_JSON, BAD_MESSAGE_TYPE, BAD_OPENID, BAD_PARAMETER, EMPTY_BODY, EMPTY_TEXT, NO_MEDIA_ID,
        Refused, TOO_LONG, TOO_MANY_ARTICLES,
    },
    media::Media,
};

/// Bytes of text in one message.
pub const TEXT_BYTES_MAX: usize = 2048;

/// A message that is well formed.
pub(super) struct Message {
    pub(super) to: String,
    pub(super) msg_type: String,
    pub(super) content: Value,
    /// Files it names, and what each may be.
    pub(super) files: Vec<(String, &'static [Media])>,
}

/// Reads a body; UTF-8 is to stand as it is: an escaped character is shown to users as the escape.
pub(super) fn json(body: &[u8]) -> Result<Value, Refused> {
    if body.is_empty() {
        return Err(Refused::new(EMPTY_BODY, "empty post data"));
    }
    let text = std::str::from_utf8(body)
        .map_err(|_| Refused::new(BAD_JSON, "data format error: not UTF-8"))?;
    if let Some(escape) = escaped(text) {
        return Err(Refused::new(
            BAD_JSON,
            format!("data format error: {escape} would be shown as it is"),
        ));
    }
    serde_json::from_str(text)
        .map_err(|error| Refused::new(BAD_JSON, format!("data format error: {error}")))
}

/// The first escaped character that need not be: JSON asks for it below a space only.
fn escaped(text: &str) -> Option<&str> {
    let mut at = 0;
    while let Some(found) = text[at..].find('\\') {
        let start = at + found;
        if text[start..].starts_with("\\u") {
            let escape = text.get(start..start + 6)?;
            if u32::from_str_radix(&escape[2..], 16).is_ok_and(|code| code >= 0x20) {
                return Some(escape);
            }
        }
        // Behind the backslash and what it escapes.
        at = start + 1 + text[start + 1..].chars().next().map_or(0, char::len_utf8);
    }
    None
}

/// Text that must be there.
pub(super) fn text_of<'a>(value: &'a Value, name: &str) -> Result<&'a str, Refused> {
    let text = value[name].as_str().filter(|text| !text.is_empty());
    text.ok_or_else(|| Refused::new(BAD_PARAMETER, format!("invalid args: {name} is missing")))
}

/// The openid a call is about.
pub(super) fn openid(value: &Value) -> Result<String, Refused> {
    let openid = value["touser"].as_str().filter(|openid| !openid.is_empty());
    openid
        .map(str::to_owned)
        .ok_or_else(|| Refused::new(BAD_OPENID, "invalid openid"))
}

/// Checks a customer-service message.
pub(super) fn message(value: &Value, kind: Kind) -> Result<Message, Refused> {
    let to = openid(value)?;
    let msg_type = value["msgtype"].as_str().unwrap_or_default().to_owned();
    let content = value[&msg_type].clone();
    let mut message = Message {
        to,
        msg_type,
        content,
        files: Vec::new(),
    };
    if !allowed(kind, &message.msg_type) {
        return Err(Refused::new(
            BAD_MESSAGE_TYPE,
            format!("invalid message type {:?}", message.msg_type),
        ));
    }
    let content = &message.content;
    let want = |names: &[&str]| {
        names
            .iter()
            .try_for_each(|name| text_of(content, name).map(drop))
    };
    match message.msg_type.as_str() {
        "text" => text(content)?,
        "image" => message
            .files
            .push((file(content, "media_id")?, &[Media::Image])),
        "voice" => message
            .files
            .push((file(content, "media_id")?, &[Media::Voice])),
        "video" => {
            message
                .files
                .push((file(content, "media_id")?, &[Media::Video]));
            message.files.push((
                file(content, "thumb_media_id")?,
                &[Media::Thumb, Media::Image],
            ));
        }
        "music" => {
            want(&["musicurl", "hqmusicurl"])?;
            message.files.push((
                file(content, "thumb_media_id")?,
                &[Media::Thumb, Media::Image],
            ));
        }
        "news" => articles(content)?,
        "link" => want(&["title", "description", "url", "thumb_url"])?,
        "msgmenu" => menu(content)?,
        _ => {
            want(&["title", "pagepath"])?;
            if kind == Kind::Official {
                want(&["appid"])?;
            }
            message.files.push((
                file(content, "thumb_media_id")?,
                &[Media::Thumb, Media::Image],
            ));
        }
    }
    Ok(message)
}

fn allowed(kind: Kind, msg_type: &str) -> bool {
    match kind {
        Kind::Official => {
            matches!(
                msg_type,
                "text"
                    | "image"
                    | "voice"
                    | "video"
                    | "music"
                    | "news"
                    | "msgmenu"
                    | "miniprogrampage"
            )
        }
        Kind::MiniProgram => matches!(msg_type, "text" | "image" | "link" | "miniprogrampage"),
    }
}

fn text(content: &Value) -> Result<(), Refused> {
    let text = content["content"].as_str().unwrap_or_default();
    if text.is_empty() {
        return Err(Refused::new(EMPTY_TEXT, "text content is empty"));
    }
    if text.len() > TEXT_BYTES_MAX {
        let sentence = format!("content size out of limit: {} bytes", text.len());
        return Err(Refused::new(TOO_LONG, sentence));
    }
    Ok(())
}

fn file(content: &Value, name: &str) -> Result<String, Refused> {
    let id = content[name].as_str().filter(|id| !id.is_empty());
    id.map(str::to_owned)
        .ok_or_else(|| Refused::new(NO_MEDIA_ID, format!("missing {name}")))
}

fn articles(content: &Value) -> Result<(), Refused> {
    let articles = content["articles"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    // One, since 2018.
    let [article] = articles else {
        return Err(Refused::new(
            TOO_MANY_ARTICLES,
            format!("{} articles, not one", articles.len()),
        ));
    };
    text_of(article, "title")
        .and(text_of(article, "url"))
        .map(drop)
}

fn menu(content: &Value) -> Result<(), Refused> {
    let list = content["list"].as_array().filter(|list| !list.is_empty());
    let list = list.ok_or_else(|| Refused::new(BAD_PARAMETER, "invalid args: list is missing"))?;
    text_of(content, "head_content")?;
    for entry in list {
        text_of(entry, "id").and(text_of(entry, "content"))?;
    }
    Ok(())
}
