//! Parts of a message, both ways.

use std::borrow::Cow;

use patchbay_message::{Attributes, Content, Media, Part};
use patchbay_sdk::plain_text;
use serde::{Deserialize, Serialize};

/// Bytes of a file's name.
const NAME_BYTES_MAX: usize = 255;
/// Bytes of the token in `/media/{token}`.
const MEDIA_TOKEN_BYTES_MAX: usize = 256;
/// Bytes of an event's name.
const EVENT_BYTES_MAX: usize = 64;

/// A part as a client sends it: `{"type":"text","text":"hi"}`,
/// `{"type":"image","url":"/media/x","mime":"image/png","size":7}`, `{"type":"event","name":"opened"}`.
#[derive(Deserialize)]
pub(super) struct PartIn<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    url: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    mime: Option<Cow<'a, str>>,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    width: Option<u32>,
    #[serde(default)]
    height: Option<u32>,
}

/// A part as a client gets it.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum PartOut<'a> {
    Text {
        text: Cow<'a, str>,
    },
    Image(MediaOut<'a>),
    Audio(MediaOut<'a>),
    Video(MediaOut<'a>),
    File(MediaOut<'a>),
    Event {
        name: &'a str,
    },
    /// There is something the client cannot be shown.
    Unsupported {
        what: &'a str,
    },
}

#[derive(Serialize)]
pub(super) struct MediaOut<'a> {
    url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    mime: &'a str,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u32>,
}

type Refusal = (&'static str, String);

impl PartIn<'_> {
    /// The part; only what a visitor may say. Faults and commands are not theirs to make.
    pub(super) fn read(&self, text_bytes_max: usize) -> Result<Content, Refusal> {
        let extra = Attributes::new();
        let part = match self.kind.as_ref() {
            "text" => Part::Text {
                text: self.words(text_bytes_max)?,
                extra,
            },
            "image" => Part::Image {
                media: self.media()?,
                extra,
            },
            "audio" => Part::Audio {
                media: self.media()?,
                transcript: None,
                extra,
            },
            "video" => Part::Video {
                media: self.media()?,
                extra,
            },
            "file" => Part::File {
                media: self.media()?,
                extra,
            },
            "event" => Part::Event {
                name: self.event()?,
                value: None,
                extra,
            },
            _ => {
                let known = "`type` must be `text`, `image`, `audio`, `video`, `file` or `event`";
                return Err(("unsupported", known.to_owned()));
            }
        };
        Ok(Content::Known(part))
    }

    fn words(&self, bytes_max: usize) -> Result<String, Refusal> {
        let text = self.text.as_ref().ok_or_else(|| missing("text"))?;
        if text.trim().is_empty() {
            return Err(("bad_frame", "`text` is empty".to_owned()));
        }
        if text.len() > bytes_max {
            return Err((
                "too_large",
                format!("`text` must have {bytes_max} bytes at most"),
            ));
        }
        Ok(text.clone().into_owned())
    }

    fn media(&self) -> Result<Media, Refusal> {
        let url = self.url.as_ref().ok_or_else(|| missing("url"))?;
        if !is_upload(url) {
            return Err((
                "bad_frame",
                "`url` must be one that an upload answered".to_owned(),
            ));
        }
        let name = self.name.as_ref();
        if name.is_some_and(|name| name.len() > NAME_BYTES_MAX) {
            return Err((
                "too_large",
                format!("`name` must have {NAME_BYTES_MAX} bytes at most"),
            ));
        }
        Ok(Media {
            url: url.clone().into_owned(),
            mime: self
                .mime
                .as_ref()
                .ok_or_else(|| missing("mime"))?
                .clone()
                .into_owned(),
            size: self.size.ok_or_else(|| missing("size"))?,
            name: name.map(|name| name.clone().into_owned()),
            caption: None,
            width: self.width,
            height: self.height,
        })
    }

    fn event(&self) -> Result<String, Refusal> {
        let name = self.name.as_ref().ok_or_else(|| missing("name"))?;
        if !(1..=EVENT_BYTES_MAX).contains(&name.len()) {
            return Err((
                "bad_frame",
                format!("`name` must have 1 to {EVENT_BYTES_MAX} bytes"),
            ));
        }
        Ok(name.clone().into_owned())
    }
}

impl<'a> PartOut<'a> {
    /// How parts look to a client. What it does not know is told as text; a message whose parts
    /// all have nothing to show still takes its number.
    pub(super) fn list(content: &'a [Content]) -> Vec<Self> {
        let parts: Vec<Self> = content.iter().flat_map(Self::of).collect();
        match content.first() {
            Some(first) if parts.is_empty() => vec![Self::Unsupported {
                what: first.type_name(),
            }],
            _ => parts,
        }
    }

    fn of(content: &'a Content) -> Vec<Self> {
        let Content::Known(part) = content else {
            return Vec::new();
        };
        match part {
            Part::Text { text, .. } => vec![Self::Text { text: text.into() }],
            Part::Image { media, .. } => of_media(media, Self::Image),
            Part::Audio { media, .. } => of_media(media, Self::Audio),
            Part::Video { media, .. } => of_media(media, Self::Video),
            Part::File { media, .. } => of_media(media, Self::File),
            Part::Event { name, .. } => vec![Self::Event { name }],
            _ => plain_text(content)
                .map(|text| Self::Text { text: text.into() })
                .into_iter()
                .collect(),
        }
    }
}

/// Whether a client can be shown anything of it.
pub(super) fn can_show(content: &Content) -> bool {
    !PartOut::of(content).is_empty()
}

fn of_media<'a>(
    media: &'a Media,
    part: impl FnOnce(MediaOut<'a>) -> PartOut<'a>,
) -> Vec<PartOut<'a>> {
    let file = part(MediaOut {
        url: &media.url,
        name: media.name.as_deref(),
        mime: &media.mime,
        size: media.size,
        width: media.width,
        height: media.height,
    });
    let caption = media
        .caption
        .as_deref()
        .filter(|caption| !caption.is_empty());
    let caption = caption.map(|caption| PartOut::Text {
        text: caption.into(),
    });
    [file].into_iter().chain(caption).collect()
}

/// `/media/{token}` of our own and nothing behind it: no other path, no other host.
fn is_upload(url: &str) -> bool {
    url.strip_prefix("/media/").is_some_and(|token| {
        (1..=MEDIA_TOKEN_BYTES_MAX).contains(&token.len())
            && token
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._~-".contains(&b))
            && !token.bytes().all(|b| b == b'.')
    })
}

fn missing(field: &str) -> Refusal {
    ("bad_frame", format!("`{field}` is missing"))
}
