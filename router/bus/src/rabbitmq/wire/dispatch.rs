//! The task that reads: frames in, calls on ports out.

use std::{sync::Arc, time::Duration};

use amq_protocol::protocol::{AMQPClass, basic, channel, connection};
use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncReadExt;

use super::{
    CallError, Port, Wire, answer,
    frames::{BODY, Basic, Frame, Frames, HEADER, Header, METHOD, Malformed},
    socket::Reading,
};
use crate::{BODY_BYTES_MAX, Message, intern_kind};
use patchbay_message::MessageId;

/// Room for one read, bytes.
const READ_BYTES: usize = 128 * 1024;

/// A message as it comes.
#[derive(Debug)]
pub(crate) struct Delivered {
    pub(crate) tag: u64,
    pub(crate) redelivered: bool,
    pub(crate) body: Bytes,
    identity: Option<(MessageId, Arc<str>)>,
}

impl Delivered {
    /// None if it is not one of ours: no id, no type, or too large.
    pub(crate) fn into_message(self) -> Option<Message> {
        let (id, kind) = self.identity?;
        Some(Message {
            id,
            kind,
            body: self.body,
        })
    }
}

/// A message of which the body is still coming.
pub(super) struct Content {
    method: Basic,
    identity: Option<(MessageId, Arc<str>)>,
    missing: u64,
    body: BytesMut,
    too_large: bool,
}

/// Reads until the connection ends.
pub(super) async fn read(wire: Arc<Wire>, mut reading: Reading) {
    let mut buffer = BytesMut::with_capacity(READ_BYTES);
    let mut touched: Vec<(u16, Arc<dyn Port>)> = Vec::new();
    // A peer silent for two heartbeats is gone.
    let silence = match wire.agreed.heartbeat_s {
        0 => Duration::MAX,
        heartbeat_s => Duration::from_secs(u64::from(heartbeat_s) * 2),
    };
    let mut ended = wire.ended.subscribe();
    loop {
        buffer.reserve(READ_BYTES);
        let read = tokio::select! {
            read = tokio::time::timeout(silence, reading.read_buf(&mut buffer)) => read,
            _ = ended.wait_for(Option::is_some) => return,
        };
        let why = match read {
            Ok(Ok(0)) => "the broker hung up".to_owned(),
            Ok(Ok(_)) => match handle(&wire, &mut buffer, &mut touched) {
                Ok(()) => {
                    for (_, port) in touched.drain(..) {
                        port.flush();
                    }
                    continue;
                }
                Err(why) => why,
            },
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the broker is silent".to_owned(),
        };
        wire.end(&why);
        return;
    }
}

/// Handles all whole frames of the buffer.
fn handle(
    wire: &Wire,
    buffer: &mut BytesMut,
    touched: &mut Vec<(u16, Arc<dyn Port>)>,
) -> Result<(), String> {
    let mut at = 0;
    loop {
        let first = Frame::first(&buffer[at..], wire.agreed.frame_max);
        let Some((frame, length)) = first.map_err(|error| error.to_string())? else {
            break;
        };
        at += length;
        match frame.channel {
            0 => on_connection(wire, &frame)?,
            _ => on_channel(wire, &frame, touched)?,
        }
    }
    buffer.advance(at);
    Ok(())
}

fn on_connection(wire: &Wire, frame: &Frame<'_>) -> Result<(), String> {
    if frame.kind != METHOD {
        return Ok(());
    }
    let method = frame.method().map_err(|error| error.to_string())?;
    match method {
        AMQPClass::Connection(connection::AMQPMethod::Blocked(blocked)) => {
            wire.blocked
                .send_replace(Some(blocked.reason.as_str().into()));
        }
        AMQPClass::Connection(connection::AMQPMethod::Unblocked(_)) => {
            wire.blocked.send_replace(None);
        }
        AMQPClass::Connection(connection::AMQPMethod::Close(close)) => {
            let close_ok = connection::AMQPMethod::CloseOk(connection::CloseOk {});
            let mut frames = Frames::default();
            frames.method(0, AMQPClass::Connection(close_ok));
            wire.push(&frames);
            return Err(format!("{} {}", close.reply_code, close.reply_text));
        }
        other => reply(wire, 0, other),
    }
    Ok(())
}

fn on_channel(
    wire: &Wire,
    frame: &Frame<'_>,
    touched: &mut Vec<(u16, Arc<dyn Port>)>,
) -> Result<(), String> {
    let mut slots = wire.slots.lock();
    // Frames of a channel that is gone are nobody's.
    let Some(Some(slot)) = slots.by_number.get_mut(usize::from(frame.channel)) else {
        return Ok(());
    };
    let port = slot.port.clone();
    match frame.kind {
        METHOD => match Basic::read(frame.payload).map_err(|error| error.to_string())? {
            Some(Basic::Confirm {
                tag,
                multiple,
                taken,
            }) => {
                drop(slots);
                port.confirmed(tag, multiple, taken);
            }
            Some(method) => {
                slot.content = Some(Content::new(method));
                return Ok(());
            }
            None => {
                drop(slots);
                let method = frame.method().map_err(|error| error.to_string())?;
                if let Some(why) = on_method(wire, frame.channel, method) {
                    port.ended(&why);
                }
                return Ok(());
            }
        },
        HEADER | BODY => {
            let content = slot.content.take().ok_or("a body without a beginning")?;
            let content = content.go_on(frame).map_err(|error| error.to_string())?;
            if content.missing > 0 {
                slot.content = Some(content);
                return Ok(());
            }
            drop(slots);
            content.hand_over(&*port);
        }
        _ => return Ok(()),
    }
    if !touched.iter().any(|(channel, _)| *channel == frame.channel) {
        touched.push((frame.channel, port));
    }
    Ok(())
}

/// Whatever is not about messages. The reason, if the channel or its consumer has ended.
fn on_method(wire: &Wire, number: u16, method: AMQPClass) -> Option<String> {
    match method {
        AMQPClass::Channel(channel::AMQPMethod::Close(close)) => {
            let refused = CallError::Refused {
                code: close.reply_code,
                text: close.reply_text.to_string(),
            };
            let why = refused.to_string();
            let close_ok = channel::AMQPMethod::CloseOk(channel::CloseOk {});
            let mut frames = Frames::default();
            frames.method(number, AMQPClass::Channel(close_ok));
            free(wire, number, &frames, Err(refused));
            Some(why)
        }
        AMQPClass::Channel(channel::AMQPMethod::CloseOk(close_ok)) => {
            let closed = AMQPClass::Channel(channel::AMQPMethod::CloseOk(close_ok));
            free(wire, number, &Frames::default(), Ok(closed));
            None
        }
        AMQPClass::Basic(basic::AMQPMethod::Cancel(_)) => {
            // We never ask for an answer to be given, and RabbitMQ wants none.
            Some("the broker cancelled it".to_owned())
        }
        other => {
            reply(wire, number, other);
            None
        }
    }
}

/// The channel is gone and its number free. What goes out last does so before another channel can
/// use the number.
fn free(wire: &Wire, number: u16, farewell: &Frames, last: Result<AMQPClass, CallError>) {
    let mut slots = wire.slots.lock();
    let slot = slots
        .by_number
        .get_mut(usize::from(number))
        .and_then(Option::take);
    if !farewell.0.is_empty() {
        wire.push(farewell);
    }
    drop(slots);
    if let Some(slot) = slot {
        answer(slot.call, last);
    }
}

fn reply(wire: &Wire, number: u16, method: AMQPClass) {
    let mut slots = wire.slots.lock();
    let slot = slots.by_number.get_mut(usize::from(number));
    let call = slot
        .and_then(Option::as_mut)
        .and_then(|slot| slot.call.take());
    drop(slots);
    answer(call, Ok(method));
}

impl Content {
    fn new(method: Basic) -> Self {
        Self {
            method,
            identity: None,
            missing: 0,
            body: BytesMut::new(),
            too_large: false,
        }
    }

    /// Takes the header, or a part of the body.
    fn go_on(mut self, frame: &Frame<'_>) -> Result<Self, Malformed> {
        if frame.kind == HEADER {
            let header = Header::read(frame.payload)?;
            self.missing = header.body_bytes;
            self.too_large = header.body_bytes > BODY_BYTES_MAX as u64;
            if !self.too_large {
                self.identity = header.id.zip(header.kind.map(intern_kind));
                let size = usize::try_from(header.body_bytes).unwrap_or(0);
                self.body.reserve(size);
            }
        } else {
            let missing = self.missing.checked_sub(frame.payload.len() as u64);
            self.missing = missing.ok_or(Malformed("more body than announced"))?;
            if !self.too_large {
                self.body.extend_from_slice(frame.payload);
            }
        }
        Ok(self)
    }

    fn hand_over(self, port: &dyn Port) {
        match self.method {
            Basic::Deliver { tag, redelivered } => port.delivered(Delivered {
                tag,
                redelivered,
                body: self.body.freeze(),
                identity: self.identity,
            }),
            Basic::Return => port.returned(self.identity.map(|(id, _)| id)),
            Basic::Confirm { .. } => {}
        }
    }
}
