//! AMQP 0-9-1 frames. Those that carry or settle messages are written and read here, byte by byte;
//! all others by `amq-protocol`.
//!
//! Layout: type (1), AMQP channel (2), size (4), payload, 0xCE. See the specification, 2.3 and 4.2.

use amq_protocol::{
    frame::{AMQPFrame, WriteContext, gen_frame, parse_frame},
    protocol::AMQPClass,
};
use patchbay_message::MessageId;
use uuid::Uuid;

pub(crate) const METHOD: u8 = 1;
pub(crate) const HEADER: u8 = 2;
pub(crate) const BODY: u8 = 3;
pub(crate) const HEARTBEAT: u8 = 8;
const END: u8 = 0xCE;
/// Bytes of a frame besides its payload.
pub(crate) const FRAME_OVERHEAD: usize = 8;

const BASIC: u16 = 60;
const PUBLISH: u16 = 40;
const RETURN: u16 = 50;
const DELIVER: u16 = 60;
const ACK: u16 = 80;
const REJECT: u16 = 90;
const NACK: u16 = 120;

/// What the other side sent makes no sense; the connection is of no use any more.
#[derive(Debug, thiserror::Error)]
#[error("malformed frame: {0}")]
pub(crate) struct Malformed(pub(crate) &'static str);

/// One frame as it stands in the buffer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: u8,
    pub(crate) channel: u16,
    pub(crate) payload: &'a [u8],
    /// All of it, for `amq-protocol`.
    whole: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The first frame of a buffer and its length; none while it is incomplete.
    pub(crate) fn first(
        bytes: &'a [u8],
        frame_max: usize,
    ) -> Result<Option<(Self, usize)>, Malformed> {
        let Some(head) = bytes.first_chunk::<7>() else {
            return Ok(None);
        };
        let channel = u16::from_be_bytes([head[1], head[2]]);
        let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
        let length = size + FRAME_OVERHEAD;
        if length > frame_max {
            return Err(Malformed("longer than agreed"));
        }
        let Some(whole) = bytes.get(..length) else {
            return Ok(None);
        };
        if whole[length - 1] != END {
            return Err(Malformed("no end mark"));
        }
        let frame = Self {
            kind: head[0],
            channel,
            payload: &whole[7..length - 1],
            whole,
        };
        Ok(Some((frame, length)))
    }

    /// A method that is not on the hot path.
    pub(crate) fn method(&self) -> Result<AMQPClass, Malformed> {
        match parse_frame(self.whole) {
            Ok((_, AMQPFrame::Method(_, method))) => Ok(method),
            _ => Err(Malformed("unknown method")),
        }
    }
}

/// A method about messages.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Basic {
    /// The other side confirms or refuses what we published.
    Confirm {
        tag: u64,
        multiple: bool,
        taken: bool,
    },
    Deliver {
        tag: u64,
        redelivered: bool,
    },
    Return,
}

impl Basic {
    /// None if the method is another one.
    pub(crate) fn read(payload: &[u8]) -> Result<Option<Self>, Malformed> {
        let mut from = From(payload);
        if from.u16()? != BASIC {
            return Ok(None);
        }
        Ok(Some(match from.u16()? {
            ACK => Self::Confirm {
                tag: from.u64()?,
                multiple: from.u8()? & 1 == 1,
                taken: true,
            },
            NACK => Self::Confirm {
                tag: from.u64()?,
                multiple: from.u8()? & 1 == 1,
                taken: false,
            },
            DELIVER => {
                from.short_text()?;
                Self::Deliver {
                    tag: from.u64()?,
                    redelivered: from.u8()? & 1 == 1,
                }
            }
            RETURN => Self::Return,
            _ => return Ok(None),
        }))
    }
}

/// What we want to know of a content header.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Header<'a> {
    pub(crate) body_bytes: u64,
    pub(crate) id: Option<MessageId>,
    pub(crate) kind: Option<&'a str>,
}

impl<'a> Header<'a> {
    pub(crate) fn read(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut from = From(payload);
        let (_class, _weight) = (from.u16()?, from.u16()?);
        let body_bytes = from.u64()?;
        let flags = from.u16()?;
        let mut header = Header {
            body_bytes,
            ..Self::default()
        };
        // In the order of the specification; what comes after the type is of no interest.
        for property in (5..=15).rev() {
            if flags & (1 << property) == 0 {
                continue;
            }
            match property {
                HEADERS => from.long_text().map(drop)?,
                DELIVERY_MODE | PRIORITY => from.u8().map(drop)?,
                TIMESTAMP => from.u64().map(drop)?,
                MESSAGE_ID => header.id = id_of(from.short_text()?),
                TYPE => header.kind = std::str::from_utf8(from.short_text()?).ok(),
                _ => from.short_text().map(drop)?,
            }
        }
        Ok(header)
    }
}

fn id_of(text: &[u8]) -> Option<MessageId> {
    Uuid::try_parse_ascii(text).ok().map(MessageId)
}

// Bits of the property flags.
const CONTENT_TYPE: u16 = 15;
const HEADERS: u16 = 13;
const DELIVERY_MODE: u16 = 12;
const PRIORITY: u16 = 11;
const MESSAGE_ID: u16 = 7;
const TIMESTAMP: u16 = 6;
const TYPE: u16 = 5;

/// AMQP's delivery mode for what is written to disk.
const PERSISTENT: u8 = 2;
const JSON: &str = "application/json";

/// What a published message says of itself.
pub(crate) struct Properties<'a> {
    pub(crate) id: MessageId,
    pub(crate) kind: &'a str,
    /// CloudEvents `source`.
    pub(crate) source: &'a str,
}

/// Frames on their way out.
#[derive(Debug, Default)]
pub(crate) struct Frames(pub(crate) Vec<u8>);

impl Frames {
    /// Writes a frame whose payload `write` appends.
    fn frame(&mut self, kind: u8, channel: u16, write: impl FnOnce(&mut Vec<u8>)) {
        let out = &mut self.0;
        out.push(kind);
        out.extend(channel.to_be_bytes());
        let size_at = out.len();
        out.extend([0; 4]);
        write(out);
        let size = u32::try_from(out.len() - size_at - 4).expect("frames are bounded");
        out[size_at..size_at + 4].copy_from_slice(&size.to_be_bytes());
        out.push(END);
    }

    /// Any method.
    pub(crate) fn method(&mut self, channel: u16, method: AMQPClass) {
        let frame = AMQPFrame::Method(channel, method);
        let context = WriteContext::from(std::mem::take(&mut self.0));
        self.0 = gen_frame(&frame)(context)
            .expect("writing to memory does not fail")
            .into_inner()
            .0;
    }

    pub(crate) fn heartbeat(&mut self) {
        self.frame(HEARTBEAT, 0, |_| {});
    }

    pub(crate) fn ack(&mut self, channel: u16, tag: u64, multiple: bool) {
        self.settle(channel, ACK, tag, multiple);
    }

    /// Gives a delivery to the dead letters.
    pub(crate) fn reject(&mut self, channel: u16, tag: u64) {
        self.settle(channel, REJECT, tag, false);
    }

    fn settle(&mut self, channel: u16, method: u16, tag: u64, bit: bool) {
        self.frame(METHOD, channel, |out| {
            out.extend(BASIC.to_be_bytes());
            out.extend(method.to_be_bytes());
            out.extend(tag.to_be_bytes());
            out.push(u8::from(bit));
        });
    }

    /// `basic.publish`, to be followed by [`Self::content`].
    pub(crate) fn publish(&mut self, channel: u16, exchange: &str, key: &str, mandatory: bool) {
        self.frame(METHOD, channel, |out| {
            out.extend(BASIC.to_be_bytes());
            out.extend(PUBLISH.to_be_bytes());
            out.extend([0; 2]);
            short_text(out, exchange);
            short_text(out, key);
            out.push(u8::from(mandatory));
        });
    }

    /// A persistent message: header and body.
    pub(crate) fn content(
        &mut self,
        channel: u16,
        properties: &Properties<'_>,
        body: &[u8],
        frame_max: usize,
    ) {
        const FLAGS: u16 = 1 << CONTENT_TYPE
            | 1 << HEADERS
            | 1 << DELIVERY_MODE
            | 1 << MESSAGE_ID
            | 1 << TIMESTAMP
            | 1 << TYPE;
        let mut id = [0; 36];
        let id = properties.id.0.as_hyphenated().encode_lower(&mut id);
        let at = properties.id.0.get_timestamp().map(|at| at.to_unix());
        let (seconds, nanos) = at.unwrap_or_default();
        self.frame(HEADER, channel, |out| {
            header_start(out, body.len(), FLAGS);
            short_text(out, JSON);
            cloud_events(out, id, properties, seconds, nanos);
            out.push(PERSISTENT);
            short_text(out, id);
            out.extend(seconds.to_be_bytes());
            short_text(out, properties.kind);
        });
        self.body(channel, body, frame_max);
    }

    /// A message that may be lost: header and body.
    pub(crate) fn lossy_content(&mut self, channel: u16, body: &[u8], frame_max: usize) {
        self.frame(HEADER, channel, |out| {
            header_start(out, body.len(), 1 << CONTENT_TYPE);
            short_text(out, JSON);
        });
        self.body(channel, body, frame_max);
    }

    fn body(&mut self, channel: u16, body: &[u8], frame_max: usize) {
        for chunk in body.chunks(frame_max - FRAME_OVERHEAD) {
            self.frame(BODY, channel, |out| out.extend_from_slice(chunk));
        }
    }
}

fn header_start(out: &mut Vec<u8>, body_bytes: usize, flags: u16) {
    out.extend(BASIC.to_be_bytes());
    out.extend([0; 2]);
    out.extend((body_bytes as u64).to_be_bytes());
    out.extend(flags.to_be_bytes());
}

/// The attributes of CloudEvents 1.0 in its AMQP binding, as a table of texts.
fn cloud_events(
    out: &mut Vec<u8>,
    id: &str,
    properties: &Properties<'_>,
    seconds: u64,
    nanos: u32,
) {
    let ms = i64::try_from(seconds).unwrap_or(0) * 1000 + i64::from(nanos / 1_000_000);
    let time = patchbay_message::Time::from_ms(ms).to_string();
    let size_at = out.len();
    out.extend([0; 4]);
    for (name, value) in [
        ("cloudEvents_specversion", "1.0"),
        ("cloudEvents_id", id),
        ("cloudEvents_source", properties.source),
        ("cloudEvents_type", properties.kind),
        ("cloudEvents_time", &time),
    ] {
        short_text(out, name);
        out.push(b'S');
        let size = u32::try_from(value.len()).expect("attributes are short");
        out.extend(size.to_be_bytes());
        out.extend_from_slice(value.as_bytes());
    }
    let size = u32::try_from(out.len() - size_at - 4).expect("attributes are short");
    out[size_at..size_at + 4].copy_from_slice(&size.to_be_bytes());
}

/// A text of at most 255 bytes; a longer one is cut at a character.
fn short_text(out: &mut Vec<u8>, text: &str) {
    let text = &text[..text.floor_char_boundary(255)];
    out.push(u8::try_from(text.len()).expect("cut to 255"));
    out.extend_from_slice(text.as_bytes());
}

/// Reads big-endian fields from a payload.
struct From<'a>(&'a [u8]);

impl<'a> From<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or(Malformed("too short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let taken = self.take(N)?;
        Ok(taken.try_into().expect("as many as asked for"))
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    fn short_text(&mut self) -> Result<&'a [u8], Malformed> {
        let size = self.u8()?;
        self.take(usize::from(size))
    }

    /// A long text or a table: both begin with their size.
    fn long_text(&mut self) -> Result<&'a [u8], Malformed> {
        let size = self.array().map(u32::from_be_bytes)?;
        self.take(size as usize)
    }
}

#[cfg(test)]
mod tests {
    use amq_protocol::protocol::basic;
    use proptest::prelude::*;

    use super::*;

    const FRAME_MAX: usize = 4096;

    fn properties() -> Properties<'static> {
        Properties {
            id: MessageId(Uuid::from_u128(0x0190_aaaa_bbbb_7ccc_8ddd_eeee_ffff_0001)),
            kind: "receipt",
            source: "patchbay",
        }
    }

    fn frames(mut bytes: &[u8]) -> Vec<Frame<'_>> {
        let mut found = Vec::new();
        while let Some((frame, length)) = Frame::first(bytes, FRAME_MAX).unwrap() {
            found.push(frame);
            bytes = &bytes[length..];
        }
        assert!(bytes.is_empty());
        found
    }

    /// `amq-protocol` reads what we write.
    #[test]
    fn a_message_is_what_others_understand() {
        let body = vec![b'x'; 10_000];
        let mut out = Frames::default();
        out.publish(7, "", "inbound.g1.3", true);
        out.content(7, &properties(), &body, FRAME_MAX);
        let frames = frames(&out.0);
        let parsed: Vec<AMQPFrame> = frames
            .iter()
            .map(|frame| parse_frame(frame.whole).unwrap().1)
            .collect();
        let AMQPFrame::Method(7, AMQPClass::Basic(basic::AMQPMethod::Publish(publish))) =
            &parsed[0]
        else {
            panic!("{:?}", parsed[0]);
        };
        assert_eq!(publish.routing_key.as_str(), "inbound.g1.3");
        assert!(publish.mandatory && !publish.immediate);
        let AMQPFrame::Header(7, header) = &parsed[1] else {
            panic!("{:?}", parsed[1]);
        };
        assert_eq!(header.body_size, 10_000);
        let found = &header.properties;
        let id = properties().id.to_string();
        assert_eq!(found.message_id().as_ref().unwrap().as_str(), id);
        assert_eq!(found.kind().as_ref().unwrap().as_str(), "receipt");
        assert_eq!(*found.delivery_mode(), Some(2));
        assert_eq!(*found.timestamp(), Some(1_720_850_234));
        let headers = found.headers().as_ref().unwrap().inner();
        let attribute = |name: &str| headers[name].as_long_string().unwrap().to_string();
        assert_eq!(attribute("cloudEvents_specversion"), "1.0");
        assert_eq!(attribute("cloudEvents_id"), id);
        assert_eq!(attribute("cloudEvents_source"), "patchbay");
        assert_eq!(attribute("cloudEvents_type"), "receipt");
        assert_eq!(attribute("cloudEvents_time"), "2024-07-13T05:57:14.299Z");
        let bodies: Vec<u8> = parsed[2..]
            .iter()
            .flat_map(|frame| match frame {
                AMQPFrame::Body(7, part) => part.clone(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(bodies, body);
    }

    #[test]
    fn reads_its_own_header() {
        let mut out = Frames::default();
        out.content(1, &properties(), b"{}", FRAME_MAX);
        let frames = frames(&out.0);
        let header = Header::read(frames[0].payload).unwrap();
        assert_eq!(header.body_bytes, 2);
        assert_eq!(header.id, Some(properties().id));
        assert_eq!(header.kind, Some("receipt"));
    }

    #[test]
    fn an_ack_is_what_others_understand() {
        let mut out = Frames::default();
        out.ack(3, 42, true);
        out.reject(3, 43);
        let frames = frames(&out.0);
        assert_eq!(
            frames[0].method().unwrap(),
            AMQPClass::Basic(basic::AMQPMethod::Ack(basic::Ack {
                delivery_tag: 42,
                multiple: true
            }))
        );
        assert_eq!(
            frames[1].method().unwrap(),
            AMQPClass::Basic(basic::AMQPMethod::Reject(basic::Reject {
                delivery_tag: 43,
                requeue: false
            }))
        );
        let confirm = Basic::Confirm {
            tag: 42,
            multiple: true,
            taken: true,
        };
        assert_eq!(Basic::read(frames[0].payload).unwrap(), Some(confirm));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            if let Ok(Some((frame, _))) = Frame::first(&bytes, FRAME_MAX) {
                let _ = (frame.method().is_ok(), Basic::read(frame.payload), Header::read(frame.payload));
            }
            let _ = (Basic::read(&bytes), Header::read(&bytes));
        }

        #[test]
        fn a_cut_frame_waits_for_the_rest(cut in 0_usize..300) {
            let mut out = Frames::default();
            out.content(1, &properties(), b"{}", FRAME_MAX);
            let whole = out.0.len() - 2 - FRAME_OVERHEAD;
            let part = &out.0[..cut.min(whole - 1)];
            prop_assert!(Frame::first(part, FRAME_MAX).unwrap().is_none());
        }
    }
}
