//! What is said to a contact: every part of an outbound as WeChat takes it.
//!
//! <https://developers.weixin.qq.com/doc/offiaccount/Message_Management/Service_Center_messages.html>

use patchbay_message::{Attributes, Choice, Content, Envelope, Media, Part};
use patchbay_sdk::{Cx, SendError, plain_text};
use serde_json::{Map, Value, json};

use super::{
    media::Kind,
    options::{Account, Options, Templates},
    split::split,
};

/// Bytes of one text message.
pub(super) const TEXT_BYTES_MAX: usize = 2048;
/// Messages of one outbound: no window allows more.
pub(super) const MESSAGES_MAX: usize = 5;

/// One message to the contact.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Say {
    Text(String),
    /// A file, to be given to WeChat first unless it has it.
    Media {
        kind: Kind,
        media: MediaAt,
        more: Map<String, Value>,
    },
    /// A link with a picture.
    News(Value),
    /// A page of a mini-program; its picture is to be given to WeChat first unless it has it.
    Page {
        thumb: MediaAt,
        more: Map<String, Value>,
    },
    Menu(Value),
    Template(Value),
    Notice(Value),
    Typing(bool),
    /// As an answer on WeChat's own request only: a sound by its address.
    Music(Value),
    /// As an answer on WeChat's own request only: WeChat's own agents take over.
    Transfer(Option<String>),
}

/// Where a file is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum MediaAt {
    /// With WeChat, under this id.
    There(String),
    /// With us.
    Here(Media),
}

/// Everything an outbound says.
pub(super) fn plan(
    options: &Options,
    cx: &Cx<'_>,
    outbound: &Envelope,
) -> Result<Vec<Say>, SendError> {
    let mut all = Vec::new();
    for content in &outbound.content {
        all.extend(of_content(options, cx, content)?);
    }
    if all.is_empty() {
        return Err(SendError::Unsupported);
    }
    if all.len() > MESSAGES_MAX {
        let sentence = format!(
            "makes {} messages, {MESSAGES_MAX} at most are possible",
            all.len()
        );
        return Err(SendError::Payload(sentence));
    }
    check_sizes(&all)?;
    Ok(all)
}

fn of_content(options: &Options, cx: &Cx<'_>, content: &Content) -> Result<Vec<Say>, SendError> {
    let Content::Known(part) = content else {
        return Ok(Vec::new());
    };
    let is_official = options.account == Account::Official;
    Ok(vec![match part {
        Part::Text { text, .. } => return Ok(texts(text)),
        Part::Image { media, extra } => file(Kind::Image, media, extra),
        Part::Audio { media, extra, .. } if is_official && is_voice(media, extra) => {
            file(Kind::Voice, media, extra)
        }
        Part::Video { media, extra } if is_official => file(Kind::Video, media, extra),
        Part::Card { extra, .. } if extra.contains_key("music") => music(part),
        Part::Card { extra, .. } if extra.contains_key("page_path") => page(options, part)?,
        Part::Card { url: Some(_), .. } => news(options, cx, part),
        Part::Choice {
            text,
            options: choices,
            ..
        } if is_official && !choices.is_empty() => menu(text.as_deref(), choices),
        Part::Template {
            template,
            values,
            extra,
        } => of_template(options, template, values, extra),
        Part::Event { name, value, .. } if name == "typing" => {
            let on = value
                .as_ref()
                .and_then(|value| value.get("on"))
                .and_then(Value::as_bool);
            Say::Typing(on.unwrap_or(true))
        }
        Part::Command {
            name, arguments, ..
        } if name == "transfer_customer_service" => {
            let account = arguments
                .as_ref()
                .and_then(|arguments| arguments["account"].as_str());
            Say::Transfer(account.map(str::to_owned))
        }
        _ => {
            return Ok(plain_text(&absolute(cx, content))
                .map(|text| texts(&text))
                .unwrap_or_default());
        }
    }])
}

fn texts(text: &str) -> Vec<Say> {
    split(text, TEXT_BYTES_MAX)
        .map(|text| Say::Text(text.to_owned()))
        .collect()
}

/// Text cannot carry a file; its address must lead there from anywhere.
pub(crate) fn absolute(cx: &Cx<'_>, content: &Content) -> Content {
    let mut content = content.clone();
    if let Content::Known(
        Part::Image { media, .. }
        | Part::Audio { media, .. }
        | Part::Video { media, .. }
        | Part::File { media, .. },
    ) = &mut content
    {
        media.url = from_anywhere(cx, &media.url);
    }
    content
}

pub(crate) fn from_anywhere(cx: &Cx<'_>, url: &str) -> String {
    if url.starts_with('/') {
        format!("{}{url}", cx.public_url)
    } else {
        url.to_owned()
    }
}

/// WeChat plays two kinds of sound as a voice message.
fn is_voice(media: &Media, extra: &Attributes) -> bool {
    extra.contains_key("media_id")
        || matches!(
            media.mime.as_str(),
            "audio/amr" | "audio/mpeg" | "audio/mp3"
        )
}

fn file(kind: Kind, media: &Media, extra: &Attributes) -> Say {
    let mut more = Map::new();
    if kind == Kind::Video {
        let title = media.caption.as_ref().or(media.name.as_ref());
        more.extend(title.map(|title| ("title".to_owned(), Value::from(title.as_str()))));
        let thumb = extra.get("thumb_media_id").cloned();
        more.extend(thumb.map(|thumb| ("thumb_media_id".to_owned(), thumb)));
    }
    Say::Media {
        kind,
        media: media_at(media, extra, "media_id"),
        more,
    }
}

/// A file that is too large is told at once, before anything is uploaded.
fn check_sizes(all: &[Say]) -> Result<(), SendError> {
    for say in all {
        if let Say::Media {
            kind,
            media: MediaAt::Here(file),
            ..
        } = say
            && file.size > kind.bytes_max()
        {
            let (size, max) = (file.size, kind.bytes_max());
            let sentence = format!("a file has {size} bytes, {max} at most are taken");
            return Err(SendError::Payload(sentence));
        }
    }
    Ok(())
}

fn media_at(media: &Media, extra: &Attributes, field: &str) -> MediaAt {
    match extra.get(field).and_then(Value::as_str) {
        Some(id) => MediaAt::There(id.to_owned()),
        None => MediaAt::Here(media.clone()),
    }
}

fn news(options: &Options, cx: &Cx<'_>, card: &Part) -> Say {
    let Part::Card {
        title,
        text,
        url,
        image,
        ..
    } = card
    else {
        return Say::News(Value::Null);
    };
    let image = image.as_deref().map(|image| from_anywhere(cx, image));
    let text = text.as_deref().unwrap_or_default();
    Say::News(match options.account {
        Account::Official => {
            json!({ "title": title, "description": text, "url": url, "picurl": image.unwrap_or_default() })
        }
        Account::MiniProgram => {
            json!({ "title": title, "description": text, "url": url, "thumb_url": image.unwrap_or_default() })
        }
    })
}

fn page(options: &Options, card: &Part) -> Result<Say, SendError> {
    let Part::Card {
        title,
        image,
        extra,
        ..
    } = card
    else {
        return Err(SendError::Unsupported);
    };
    let thumb = match (extra.get("thumb_media_id").and_then(Value::as_str), image) {
        (Some(id), _) => MediaAt::There(id.to_owned()),
        (None, Some(image)) if image.starts_with("/media/") => MediaAt::Here(Media {
            url: image.clone(),
            mime: "image/jpeg".to_owned(),
            size: 0,
            name: None,
            caption: None,
            width: None,
            height: None,
        }),
        _ => {
            let sentence = "a page of a mini-program needs `thumb_media_id`, or an `image` of ours";
            return Err(SendError::Payload(sentence.to_owned()));
        }
    };
    let mut more = Map::from_iter([("title".to_owned(), Value::from(title.as_str()))]);
    if options.account == Account::Official {
        let app_id = extra.get("app_id").cloned().unwrap_or(Value::Null);
        more.insert("appid".to_owned(), app_id);
    }
    more.insert("pagepath".to_owned(), extra["page_path"].clone());
    Ok(Say::Page { thumb, more })
}

fn menu(text: Option<&str>, choices: &[Choice]) -> Say {
    let list: Vec<Value> = choices
        .iter()
        .map(|choice| json!({ "id": choice.id, "content": choice.label }))
        .collect();
    Say::Menu(json!({ "head_content": text.unwrap_or_default(), "list": list, "tail_content": "" }))
}

/// <https://developers.weixin.qq.com/doc/offiaccount/Message_Management/Template_Message_Interface.html>
fn of_template(options: &Options, template: &str, values: &Attributes, extra: &Attributes) -> Say {
    let value = |value: &Value| match value {
        Value::Object(_) => value.clone(),
        Value::String(text) => json!({ "value": text }),
        other => json!({ "value": other.to_string() }),
    };
    let data: Map<String, Value> = values
        .iter()
        .map(|(name, found)| (name.clone(), value(found)))
        .collect();
    let mut body = Map::from_iter([
        ("template_id".to_owned(), Value::from(template)),
        ("data".to_owned(), Value::Object(data)),
    ]);
    let is_notice =
        options.account == Account::MiniProgram || options.templates == Templates::Subscribe;
    let more: &[&str] = match (is_notice, options.account) {
        (false, _) => &["url", "miniprogram"],
        (true, Account::Official) => &["page", "miniprogram"],
        (true, Account::MiniProgram) => &["page", "miniprogram_state", "lang"],
    };
    for field in more {
        body.extend(
            extra
                .get(*field)
                .map(|value| ((*field).to_owned(), value.clone())),
        );
    }
    if is_notice {
        Say::Notice(Value::Object(body))
    } else {
        Say::Template(Value::Object(body))
    }
}

fn music(card: &Part) -> Say {
    let Part::Card {
        title,
        text,
        url,
        extra,
        ..
    } = card
    else {
        return Say::Music(Value::Null);
    };
    let more = &extra["music"];
    Say::Music(json!({
        "title": title,
        "description": text.as_deref().unwrap_or_default(),
        "musicurl": url.as_deref().unwrap_or_default(),
        "hqmusicurl": more["hq_url"].as_str().or(url.as_deref()).unwrap_or_default(),
        "thumb_media_id": more["thumb_media_id"].as_str().unwrap_or_default(),
    }))
}
