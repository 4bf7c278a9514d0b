//! What a contact says, by `MsgType`.
//!
//! <https://developers.weixin.qq.com/doc/offiaccount/Message_Management/Receiving_standard_messages.html>

use patchbay_message::{Attributes, Choice, Content, Location, Media, Part};
use patchbay_sdk::tree::Tree;
use serde_json::{Map, Value};

/// Bytes of fields that are kept of what is not understood, as JSON.
const KEPT_BYTES_MAX: usize = 8 * 1024;
/// Fields that every push has.
const COMMON: [&str; 9] = [
    "ToUserName",
    "FromUserName",
    "CreateTime",
    "MsgType",
    "MsgId",
    "MsgDataId",
    "Idx",
    "Event",
    "AgentID",
];

/// The parts of a message of this `MsgType`.
pub(crate) fn read(kind: &str, push: &Tree<'_>) -> Vec<Content> {
    let part = match kind {
        "text" => text(push),
        "image" => media(push, "image/jpeg", &[("pic_url", "PicUrl")])
            .map(|(media, extra)| Part::Image { media, extra }),
        "voice" => voice(push),
        "video" | "shortvideo" => media(push, "video/mp4", &[("thumb_media_id", "ThumbMediaId")])
            .map(|(media, extra)| Part::Video { media, extra }),
        "file" => media(push, "application/octet-stream", &[])
            .map(|(media, extra)| Part::File { media, extra }),
        "location" => location(push),
        "link" => card(push),
        "miniprogrampage" => card(push),
        _ => None,
    };
    vec![Content::Known(
        part.unwrap_or_else(|| unsupported(kind, push)),
    )]
}

/// A text; or the answer chosen of a menu message, which comes as text with the answer's id.
fn text(push: &Tree<'_>) -> Option<Part> {
    let text = push.get("Content")?.text.clone().into_owned();
    Some(match push.text_of("bizmsgmenuid") {
        None => Part::Text {
            text,
            extra: Attributes::new(),
        },
        Some(id) => Part::Choice {
            text: None,
            options: vec![Choice {
                id: id.to_owned(),
                label: text,
            }],
            chosen: Some(id.to_owned()),
            extra: Attributes::new(),
        },
    })
}

fn voice(push: &Tree<'_>) -> Option<Part> {
    // `amr` is also what `speex` is called after recognition; the bytes decide in the end.
    let mime = match push.text_of("Format") {
        Some(format) if format.eq_ignore_ascii_case("speex") => "audio/speex",
        Some(format) if format.eq_ignore_ascii_case("mp3") => "audio/mpeg",
        _ => "audio/amr",
    };
    let (media, extra) = media(push, mime, &[("media_id_16k", "MediaId16K")])?;
    let transcript = push.text_of("Recognition").map(str::to_owned);
    Some(Part::Audio {
        media,
        transcript,
        extra,
    })
}

/// What WeChat keeps for three days under `MediaId`. Its type and size are known once it is fetched.
fn media(push: &Tree<'_>, mime: &str, others: &[(&str, &str)]) -> Option<(Media, Attributes)> {
    let id = push.text_of("MediaId")?;
    let name = ["FileName", "Title"]
        .into_iter()
        .find_map(|name| push.text_of(name));
    let media = Media {
        url: format!("provider:{id}"),
        mime: mime.to_owned(),
        size: 0,
        name: name.map(str::to_owned),
        caption: None,
        width: None,
        height: None,
    };
    let mut extra = named(push, others);
    // To send it on as it is, while WeChat has it.
    extra.insert("media_id".to_owned(), id.into());
    Some((media, extra))
}

fn location(push: &Tree<'_>) -> Option<Part> {
    let number = |name| push.text_of(name)?.trim().parse::<f64>().ok();
    let (lat, lon) = (number("Location_X")?, number("Location_Y")?);
    let is_place = (-90.0..=90.0).contains(&lat) && (-180.0..=180.0).contains(&lon);
    is_place.then(|| Part::Location {
        location: Location { lat, lon },
        label: push.text_of("Label").map(str::to_owned),
        extra: named(push, &[("scale", "Scale")]),
    })
}

/// A link, or a page of a mini-program.
fn card(push: &Tree<'_>) -> Option<Part> {
    let others = [
        ("app_id", "AppId"),
        ("page_path", "PagePath"),
        ("thumb_media_id", "ThumbMediaId"),
    ];
    let of = |name| push.text_of(name).map(str::to_owned);
    Some(Part::Card {
        title: of("Title")?,
        text: of("Description"),
        url: of("Url"),
        image: of("ThumbUrl"),
        extra: named(push, &others),
    })
}

fn named(push: &Tree<'_>, names: &[(&str, &str)]) -> Attributes {
    let value = |(ours, theirs): &(&str, &str)| {
        let text = push.text_of(theirs)?;
        Some(((*ours).to_owned(), Value::from(text)))
    };
    names.iter().filter_map(value).collect()
}

/// Authentic and not understood: nothing of it is lost but what is past every bound.
fn unsupported(kind: &str, push: &Tree<'_>) -> Part {
    let what = if kind.is_empty() { "push" } else { kind };
    let fields = Value::Object(fields(push));
    Part::Unsupported {
        what: what.to_owned(),
        raw: None,
        extra: Attributes::from_iter([("fields".to_owned(), fields)]),
    }
}

/// Every field that is not common to all pushes, by WeChat's names; those that make too much of it
/// are left out and counted under `cut`.
pub(super) fn fields(push: &Tree<'_>) -> Map<String, Value> {
    let (mut room, mut n_cut) = (KEPT_BYTES_MAX, 0_usize);
    let mut kept = Map::new();
    let all = push.to_json();
    let all = all.as_object().into_iter().flatten();
    for (name, value) in all.filter(|(name, _)| !COMMON.contains(&name.as_str())) {
        let n_bytes = name.len() + value.to_string().len();
        match room.checked_sub(n_bytes) {
            Some(left) => {
                room = left;
                kept.insert(name.clone(), value.clone());
            }
            None => n_cut += 1,
        }
    }
    if n_cut > 0 {
        kept.insert("cut".to_owned(), n_cut.into());
    }
    kept
}
