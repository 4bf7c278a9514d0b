//! Every field of an envelope against its bound in [`crate::limits`], with the path of the field.

use std::io;

use serde::Serialize;
use serde_json::Value;

use crate::{
    Attributes, Command, Content, Envelope, Location, Media, Part, Party, Receipt, ReplyHandle,
    limits::{
        ATTRIBUTES_BYTES_MAX, CHOICES_MAX, KEY_BYTES_MAX, LOCALE_BYTES_MAX, NAME_BYTES_MAX,
        PARTS_MAX, Rule, TEXT_BYTES_MAX, TRACE_BYTES_MAX, URL_BYTES_MAX, Violation,
    },
};

type Checked = Result<(), Violation>;

impl Envelope {
    /// Checks every field against its bound, the whole against [`Envelope::to_bytes`]' not included.
    ///
    /// # Errors
    /// The first [`Violation`], with the path of the field as on the wire.
    pub fn check(&self) -> Checked {
        name("channel.kind", &self.channel.kind)?;
        key("partition_key", &self.partition_key)?;
        attributes("thread_hints", &self.thread_hints)?;
        maybe(key, "lane_key", self.lane_key.as_ref())?;
        inside("sender", self.sender.as_ref(), Party::check)?;
        inside("recipient", self.recipient.as_ref(), Party::check)?;
        maybe(key, "external_id", self.external_id.as_ref())?;
        maybe(key, "dedupe_key", self.dedupe_key.as_ref())?;
        maybe(key, "in_reply_to", self.in_reply_to.as_ref())?;
        contents(&self.content)?;
        inside("receipt", self.receipt.as_ref(), Receipt::check)?;
        inside("command", self.command.as_ref(), Command::check)?;
        inside("reply", self.reply.as_ref(), ReplyHandle::check)?;
        attributes("attributes", &self.attributes)?;
        if let Some(trace) = &self.traceparent {
            bounded("traceparent", trace.len(), TRACE_BYTES_MAX)?;
        }
        attributes("extra", &self.extra)
    }
}

impl Party {
    /// See [`Envelope::check`].
    ///
    /// # Errors
    /// The first [`Violation`].
    pub fn check(&self) -> Checked {
        key("address", &self.address)?;
        maybe(name, "name", self.name.as_ref())?;
        if let Some(locale) = &self.locale {
            bounded("locale", locale.len(), LOCALE_BYTES_MAX)?;
        }
        attributes("attributes", &self.attributes)
    }
}

impl Receipt {
    /// See [`Envelope::check`].
    ///
    /// # Errors
    /// The first [`Violation`].
    pub fn check(&self) -> Checked {
        key("external_id", &self.external_id)?;
        maybe(name, "code", self.code.as_ref())?;
        maybe(text, "text", self.text.as_ref())
    }
}

impl Command {
    /// See [`Envelope::check`].
    ///
    /// # Errors
    /// The first [`Violation`].
    pub fn check(&self) -> Checked {
        key("idempotency_key", &self.idempotency_key)?;
        maybe(name, "category", self.category.as_ref())?;
        maybe(name, "title", self.title.as_ref())?;
        contents(&self.content)
    }
}

impl ReplyHandle {
    // A handle may be an address to call (DingTalk's session webhook), hence the bound of a URL.
    fn check(&self) -> Checked {
        url("handle", &self.handle)
    }
}

impl Content {
    /// See [`Envelope::check`].
    ///
    /// # Errors
    /// The first [`Violation`].
    pub fn check(&self) -> Checked {
        match self {
            Self::Known(part) => part.check(),
            Self::Other(raw) => value(".", raw),
        }
    }
}

impl Part {
    fn check(&self) -> Checked {
        attributes("extra", self.extra())?;
        match self {
            Self::Text { text: said, .. } => text("text", said),
            Self::Html { html, .. } => text("html", html),
            Self::Image { media, .. } | Self::Video { media, .. } | Self::File { media, .. } => {
                media.check()
            }
            Self::Audio {
                media, transcript, ..
            } => {
                media.check()?;
                maybe(text, "transcript", transcript.as_ref())
            }
            Self::Location {
                location, label, ..
            } => {
                location.check()?;
                maybe(name, "label", label.as_ref())
            }
            Self::Contact {
                name: title,
                addresses,
                ..
            } => {
                name("name", title)?;
                bounded("addresses", addresses.len(), CHOICES_MAX)?;
                each("addresses", addresses, |address| key(".", address))
            }
            Self::Choice {
                text: question,
                options,
                chosen,
                ..
            } => {
                maybe(text, "text", question.as_ref())?;
                maybe(key, "chosen", chosen.as_ref())?;
                bounded("options", options.len(), CHOICES_MAX)?;
                each("options", options, |option| {
                    key("id", &option.id)?;
                    name("label", &option.label)
                })
            }
            Self::Card {
                title,
                text: words,
                url: link,
                image,
                ..
            } => {
                name("title", title)?;
                maybe(text, "text", words.as_ref())?;
                maybe(url, "url", link.as_ref())?;
                maybe(url, "image", image.as_ref())
            }
            Self::Template {
                template, values, ..
            } => {
                key("template", template)?;
                attributes("values", values)
            }
            Self::Fault { .. } | Self::Telemetry { .. } | Self::Command { .. } => {
                self.check_device()
            }
            _ => self.check_event(),
        }
    }

    fn check_device(&self) -> Checked {
        match self {
            Self::Fault { fault, .. } => {
                key("device", &fault.device)?;
                key("code", &fault.code)?;
                maybe(text, "text", fault.text.as_ref())?;
                inside("location", fault.location.as_ref(), Location::check)?;
                attributes("readings", &fault.readings)
            }
            Self::Telemetry { readings, .. } => attributes("readings", readings),
            Self::Command {
                name: order,
                arguments,
                ..
            } => {
                name("name", order)?;
                maybe(value, "arguments", arguments.as_ref())
            }
            _ => Ok(()),
        }
    }

    fn check_event(&self) -> Checked {
        match self {
            Self::Event {
                name: event,
                value: with,
                ..
            } => {
                name("name", event)?;
                maybe(value, "value", with.as_ref())
            }
            Self::Reaction { emoji, to, .. } => {
                name("emoji", emoji)?;
                key("to", to)
            }
            Self::Edit { of, text: said, .. } => {
                key("of", of)?;
                text("text", said)
            }
            Self::Recall { of, .. } => key("of", of),
            Self::Unsupported { what, raw, .. } => {
                name("what", what)?;
                maybe(url, "raw", raw.as_ref())
            }
            _ => Ok(()),
        }
    }
}

impl Media {
    fn check(&self) -> Checked {
        url("url", &self.url)?;
        name("mime", &self.mime)?;
        maybe(name, "name", self.name.as_ref())?;
        maybe(text, "caption", self.caption.as_ref())
    }
}

impl Location {
    fn check(&self) -> Checked {
        // NaN and infinity are in no range; JSON could not write them.
        if !(-90.0..=90.0).contains(&self.lat) {
            return Err(Violation::new(
                "lat",
                Rule::Form("must lie between -90 and 90"),
            ));
        }
        if !(-180.0..=180.0).contains(&self.lon) {
            return Err(Violation::new(
                "lon",
                Rule::Form("must lie between -180 and 180"),
            ));
        }
        Ok(())
    }
}

fn contents(content: &[Content]) -> Checked {
    bounded("content", content.len(), PARTS_MAX)?;
    each("content", content, Content::check)
}

fn each<T>(field: &str, items: &[T], check: impl Fn(&T) -> Checked) -> Checked {
    items.iter().enumerate().try_for_each(|(i, item)| {
        check(item).map_err(|violation| violation.under(&format!("{field}[{i}]")))
    })
}

fn inside<T>(field: &str, item: Option<&T>, check: impl Fn(&T) -> Checked) -> Checked {
    item.map_or(Ok(()), |item| {
        check(item).map_err(|violation| violation.under(field))
    })
}

fn maybe<T: std::borrow::Borrow<U>, U: ?Sized>(
    check: impl Fn(&'static str, &U) -> Checked,
    field: &'static str,
    item: Option<&T>,
) -> Checked {
    item.map_or(Ok(()), |item| check(field, item.borrow()))
}

/// Ids and keys are compared: they are not empty and have no character that cannot be seen.
fn key(field: &'static str, id: &str) -> Checked {
    if id.is_empty() {
        return Err(Violation::new(field, Rule::Missing));
    }
    bounded(field, id.len(), KEY_BYTES_MAX)?;
    visible(field, id)
}

fn visible(field: &'static str, text: &str) -> Checked {
    if text.chars().any(char::is_control) {
        return Err(Violation::new(field, Rule::Control));
    }
    Ok(())
}

fn name(field: &'static str, words: &str) -> Checked {
    bounded(field, words.len(), NAME_BYTES_MAX)?;
    without_null(field, words)
}

fn text(field: &'static str, words: &str) -> Checked {
    bounded(field, words.len(), TEXT_BYTES_MAX)?;
    without_null(field, words)
}

fn url(field: &'static str, link: &str) -> Checked {
    bounded(field, link.len(), URL_BYTES_MAX)?;
    visible(field, link)
}

/// PostgreSQL's `text` and `jsonb` cannot hold U+0000.
fn without_null(field: &'static str, words: &str) -> Checked {
    if words.contains('\0') {
        return Err(Violation::new(field, Rule::Control));
    }
    Ok(())
}

fn bounded(field: &str, found: usize, max: usize) -> Checked {
    if found > max {
        return Err(Violation::new(field, Rule::TooLong { found, max }));
    }
    Ok(())
}

fn attributes(field: &'static str, map: &Attributes) -> Checked {
    if map.is_empty() {
        return Ok(());
    }
    bounded(field, weight(map), ATTRIBUTES_BYTES_MAX)?;
    map.iter().try_for_each(|(name, value)| {
        without_null(field, name)?;
        no_null(field, value)
    })
}

fn value(field: &'static str, value: &Value) -> Checked {
    bounded(field, weight(value), ATTRIBUTES_BYTES_MAX)?;
    no_null(field, value)
}

fn no_null(field: &'static str, value: &Value) -> Checked {
    match value {
        Value::String(words) => without_null(field, words),
        Value::Array(items) => items.iter().try_for_each(|item| no_null(field, item)),
        Value::Object(map) => map.iter().try_for_each(|(name, value)| {
            without_null(field, name)?;
            no_null(field, value)
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

/// Bytes as JSON.
fn weight(value: &impl Serialize) -> usize {
    struct Scales(usize);
    impl io::Write for Scales {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut scales = Scales(0);
    serde_json::to_writer(&mut scales, value).map_or(usize::MAX, |()| scales.0)
}
