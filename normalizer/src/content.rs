//! Parts of a message: words cleaned and cut, files by reference only, lists bounded.

use patchbay_message::{
    Attributes, Choice, Content, Fault, Media, Part,
    limits::{
        CHOICES_MAX, ENVELOPE_BYTES_MAX, NAME_BYTES_MAX, PARTS_MAX, TEXT_BYTES_MAX, URL_BYTES_MAX,
    },
};

use crate::{text, value};

/// All text of one message together, bytes. JSON writes no character that is left in clean text
/// with more than twice its bytes, so half of an envelope leaves room for everything else.
const TEXTS_BYTES_MAX: usize = ENVELOPE_BYTES_MAX / 2 - 32 * 1024;

/// Set in a part whose text was cut.
const CUT: &str = "cut";

pub(crate) fn clean_all(mut content: Vec<Content>) -> Vec<Content> {
    let extra_parts = content.len().saturating_sub(PARTS_MAX);
    if extra_parts > 0 {
        content.truncate(PARTS_MAX - 1);
        content.push(unsupported(format!("{} more parts", extra_parts + 1)));
    }
    let mut room = TEXTS_BYTES_MAX;
    content
        .into_iter()
        .map(|part| clean(part, &mut room))
        .collect()
}

fn clean(content: Content, room: &mut usize) -> Content {
    match content {
        Content::Other(raw) => Content::Other(value::clean(raw)),
        Content::Known(part) => Content::Known(clean_part(part, room)),
    }
}

fn clean_part(part: Part, room: &mut usize) -> Part {
    match part {
        Part::Text { text, extra } => {
            let mut extra = value::clean_map(extra);
            let text = words(text, room, &mut extra);
            Part::Text { text, extra }
        }
        Part::Html { html, extra } => {
            let mut extra = value::clean_map(extra);
            let html = words(html, room, &mut extra);
            Part::Html { html, extra }
        }
        Part::Edit { of, text, extra } => {
            let mut extra = value::clean_map(extra);
            let text = words(text, room, &mut extra);
            Part::Edit { of, text, extra }
        }
        Part::Image { media, extra } => with_media(media, extra, "image", room, |media, extra| {
            Part::Image { media, extra }
        }),
        Part::Video { media, extra } => with_media(media, extra, "video", room, |media, extra| {
            Part::Video { media, extra }
        }),
        Part::File { media, extra } => with_media(media, extra, "file", room, |media, extra| {
            Part::File { media, extra }
        }),
        Part::Audio {
            media,
            transcript,
            extra,
        } => {
            let transcript = maybe_words(transcript, room);
            with_media(media, extra, "audio", room, |media, extra| Part::Audio {
                media,
                transcript,
                extra,
            })
        }
        other => clean_structured(other, room),
    }
}

fn clean_structured(part: Part, room: &mut usize) -> Part {
    match part {
        Part::Location {
            location,
            label,
            extra,
        } => Part::Location {
            location,
            label: label.map(name),
            extra: value::clean_map(extra),
        },
        Part::Contact {
            name: title,
            mut addresses,
            extra,
        } => {
            addresses.truncate(CHOICES_MAX);
            Part::Contact {
                name: name(title),
                addresses,
                extra: value::clean_map(extra),
            }
        }
        Part::Choice {
            text,
            mut options,
            chosen,
            extra,
        } => {
            options.truncate(CHOICES_MAX);
            let options = options.into_iter();
            Part::Choice {
                text: maybe_words(text, room),
                options: options
                    .map(|option| Choice {
                        label: name(option.label),
                        ..option
                    })
                    .collect(),
                chosen,
                extra: value::clean_map(extra),
            }
        }
        Part::Card {
            title,
            text,
            url,
            image,
            extra,
        } => Part::Card {
            title: name(title),
            text: maybe_words(text, room),
            url: url.filter(|url| is_web(url)),
            image: image.filter(|url| is_reference(url)),
            extra: value::clean_map(extra),
        },
        Part::Template {
            template,
            values,
            extra,
        } => Part::Template {
            template,
            values: value::clean_map(values),
            extra: value::clean_map(extra),
        },
        other => clean_event(other, room),
    }
}

fn clean_event(part: Part, room: &mut usize) -> Part {
    match part {
        Part::Event {
            name: event,
            value,
            extra,
        } => Part::Event {
            name: name(event),
            value: value.map(value::clean),
            extra: value::clean_map(extra),
        },
        Part::Fault { fault, extra } => Part::Fault {
            fault: Fault {
                text: maybe_words(fault.text, room),
                readings: value::clean_map(fault.readings),
                ..fault
            },
            extra: value::clean_map(extra),
        },
        Part::Telemetry {
            readings,
            taken_at,
            extra,
        } => Part::Telemetry {
            readings: value::clean_map(readings),
            taken_at,
            extra: value::clean_map(extra),
        },
        Part::Command {
            name: order,
            arguments,
            extra,
        } => Part::Command {
            name: name(order),
            arguments: arguments.map(value::clean),
            extra: value::clean_map(extra),
        },
        Part::Reaction { emoji, to, extra } => Part::Reaction {
            emoji: name(emoji),
            to,
            extra: value::clean_map(extra),
        },
        Part::Unsupported { what, raw, extra } => Part::Unsupported {
            what: name(what),
            raw: raw.filter(|url| is_url(url)),
            extra: value::clean_map(extra),
        },
        other => other,
    }
}

/// A file the message only points at; a reference we could not follow becomes a notice.
fn with_media(
    media: Media,
    extra: Attributes,
    what: &str,
    room: &mut usize,
    part: impl FnOnce(Media, Attributes) -> Part,
) -> Part {
    if !is_reference(&media.url) && !is_handle(&media) {
        return Part::Unsupported {
            what: what.to_owned(),
            raw: None,
            extra: Attributes::new(),
        };
    }
    let media = Media {
        mime: text::line(media.mime, NAME_BYTES_MAX).to_ascii_lowercase(),
        name: media.name.map(name).filter(|name| !name.is_empty()),
        caption: maybe_words(media.caption, room),
        ..media
    };
    part(media, value::clean_map(extra))
}

/// A path of ours, or an address on the web.
fn is_reference(url: &str) -> bool {
    (url.starts_with("/media/") || is_web(url)) && is_url(url)
}

/// The provider's name of a file that is yet to be fetched from it.
fn is_handle(media: &Media) -> bool {
    let handle = media.handle().filter(|handle| !handle.is_empty());
    handle.is_some_and(is_url)
}

fn is_web(url: &str) -> bool {
    (url.starts_with("https://") || url.starts_with("http://")) && is_url(url)
}

fn is_url(url: &str) -> bool {
    url.len() <= URL_BYTES_MAX && !url.contains(|c: char| c.is_control() || c.is_whitespace())
}

fn words(text: String, room: &mut usize, extra: &mut Attributes) -> String {
    let (text, cut) = text::clean(text, TEXT_BYTES_MAX.min(*room));
    *room -= text.len();
    if cut {
        extra.insert(CUT.to_owned(), true.into());
    }
    text
}

fn maybe_words(text: Option<String>, room: &mut usize) -> Option<String> {
    text.map(|text| words(text, room, &mut Attributes::new()))
}

fn name(text: String) -> String {
    text::line(text, NAME_BYTES_MAX)
}

fn unsupported(what: String) -> Content {
    Content::Known(Part::Unsupported {
        what,
        raw: None,
        extra: Attributes::new(),
    })
}
