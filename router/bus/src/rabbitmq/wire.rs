//! A connection to the broker that sends and receives in batches: what many tasks have to say goes
//! out in one write, what one read brings is handed on with one wake-up.
//!
//! It keeps no state beyond the connection's life: whoever uses it makes another when it ends.

mod calls;
mod dispatch;
mod frames;
mod handshake;
mod socket;

use std::{sync::Arc, time::Duration};

use amq_protocol::{
    protocol::{AMQPClass, channel, connection},
    uri::AMQPUri,
};
use parking_lot::Mutex;
use tokio::{
    io::AsyncWriteExt,
    sync::{Notify, oneshot, watch},
};
use tokio_util::task::TaskTracker;

pub(super) use self::{
    calls::Lifetime,
    dispatch::Delivered,
    frames::{Frames, Properties},
};
use self::{handshake::Agreed, socket::Writing};
use patchbay_message::MessageId;

/// Who gets what the broker sends on one AMQP channel. Called by the task that reads: must not block.
pub(super) trait Port: Send + Sync {
    /// What was published with this tag (and those before it) is taken or refused.
    fn confirmed(&self, _tag: u64, _multiple: bool, _taken: bool) {}
    /// What was published cannot be routed; its confirm follows.
    fn returned(&self, _id: Option<MessageId>) {}
    /// A message for the consumer on this channel.
    fn delivered(&self, _delivered: Delivered) {}
    /// That is all for now: time to wake who waits.
    fn flush(&self) {}
    /// The channel is gone.
    fn ended(&self, _why: &str) {}
}

/// A port for channels that only make calls.
struct Deaf;

impl Port for Deaf {}

/// Why a call did not succeed.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum CallError {
    /// The broker refused and closed the channel.
    #[error("{code} {text}")]
    Refused { code: u16, text: String },
    /// The connection has ended.
    #[error("{0}")]
    Lost(String),
}

/// An open connection. Ends by [`Wire::end`], by the broker, or by silence.
pub(super) struct Wire {
    agreed: Agreed,
    outbox: Mutex<Frames>,
    outgoing: Notify,
    slots: Mutex<Slots>,
    ended: watch::Sender<Option<Arc<str>>>,
    blocked: watch::Sender<Option<Arc<str>>>,
}

/// The AMQP channels, by number; the first is the connection itself. Empty once it has ended.
#[derive(Default)]
struct Slots {
    by_number: Vec<Option<Slot>>,
    n_opened: u64,
}

struct Slot {
    /// Tells this use of the number from earlier ones.
    opened: u64,
    port: Arc<dyn Port>,
    call: Option<oneshot::Sender<Result<AMQPClass, CallError>>>,
    content: Option<dispatch::Content>,
}

/// Names one use of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Id {
    number: u16,
    opened: u64,
}

/// Marks a slot whose channel was dropped.
const GONE: u64 = u64::MAX;
/// The connection's own.
const CONNECTION: Id = Id {
    number: 0,
    opened: 0,
};

impl Slots {
    fn get(&mut self, id: Id) -> Option<&mut Slot> {
        let slot = self.by_number.get_mut(usize::from(id.number))?;
        slot.as_mut().filter(|slot| slot.opened == id.opened)
    }

    /// None if all numbers are in use.
    fn open(&mut self, port: Arc<dyn Port>, channel_max: u16) -> Option<Id> {
        let free = self.by_number.iter().position(Option::is_none);
        let at = free.unwrap_or(self.by_number.len());
        let number = u16::try_from(at).ok().filter(|at| *at <= channel_max)?;
        self.n_opened += 1;
        let slot = Slot {
            opened: self.n_opened,
            port,
            call: None,
            content: None,
        };
        let opened = slot.opened;
        if at == self.by_number.len() {
            self.by_number.push(None);
        }
        self.by_number[at] = Some(slot);
        Some(Id { number, opened })
    }
}

/// What the outbox keeps allocated between bursts, bytes.
const OUTBOX_KEPT: usize = 1024 * 1024;

impl Wire {
    /// Connects, logs in, and starts reading and writing.
    pub(super) async fn open(
        uri: &AMQPUri,
        name: &str,
        heartbeat_s: u16,
        ca_pem: Option<&str>,
        tasks: &TaskTracker,
    ) -> Result<Arc<Self>, String> {
        let heartbeat_s = uri.query.heartbeat.unwrap_or(heartbeat_s);
        let (mut reading, mut writing) = socket::connect(uri, ca_pem).await?;
        let agreed =
            handshake::shake_hands(&mut reading, &mut writing, uri, name, heartbeat_s).await?;
        let connection = Slot {
            opened: CONNECTION.opened,
            port: Arc::new(Deaf),
            call: None,
            content: None,
        };
        let slots = Slots {
            by_number: vec![Some(connection)],
            n_opened: 0,
        };
        let wire = Arc::new(Self {
            agreed,
            outbox: Mutex::default(),
            outgoing: Notify::new(),
            slots: Mutex::new(slots),
            ended: watch::Sender::new(None),
            blocked: watch::Sender::new(None),
        });
        tasks.spawn(dispatch::read(wire.clone(), reading));
        tasks.spawn(wire.clone().write(writing));
        Ok(wire)
    }

    /// The longest frame, bytes.
    pub(super) fn frame_max(&self) -> usize {
        self.agreed.frame_max
    }

    /// Why the broker takes no messages now, if it does not.
    pub(super) fn blocked(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.blocked.subscribe()
    }

    /// Waits for the end and says why.
    pub(super) async fn ended(&self) -> String {
        let mut ended = self.ended.subscribe();
        match ended.wait_for(Option::is_some).await {
            Ok(why) => why.as_deref().unwrap_or_default().to_owned(),
            Err(_) => unreachable!("the sender lives as long as this"),
        }
    }

    /// Ends the connection for everyone on it. Only the first reason counts.
    pub(super) fn end(&self, why: &str) {
        let first = self.ended.send_if_modified(|ended| {
            let first = ended.is_none();
            ended.get_or_insert_with(|| why.into());
            first
        });
        if !first {
            return;
        }
        let slots = std::mem::take(&mut *self.slots.lock());
        for slot in slots.by_number.into_iter().flatten() {
            slot.port.ended(why);
            answer(slot.call, Err(CallError::Lost(why.to_owned())));
        }
        self.outgoing.notify_one();
    }

    /// Says goodbye, then ends.
    pub(super) async fn close(&self, patience: Duration) {
        let close = connection::AMQPMethod::Close(connection::Close {
            reply_code: 200,
            reply_text: "closing".into(),
            class_id: 0,
            method_id: 0,
        });
        let _ = tokio::time::timeout(
            patience,
            self.call(CONNECTION, AMQPClass::Connection(close)),
        )
        .await;
        self.end("closed");
    }

    /// Sends frames after all sent before. Never waits; what is in the outbox is bounded by those
    /// who fill it.
    fn push(&self, frames: &Frames) {
        self.outbox.lock().0.extend_from_slice(&frames.0);
        self.outgoing.notify_one();
    }

    /// Bytes not yet handed to the system.
    pub(super) fn backlog(&self) -> usize {
        self.outbox.lock().0.len()
    }

    /// Opens an AMQP channel.
    pub(super) async fn channel(
        self: &Arc<Self>,
        port: Arc<dyn Port>,
    ) -> Result<Channel, CallError> {
        let id = {
            let mut slots = self.slots.lock();
            if slots.by_number.is_empty() {
                return Err(self.lost());
            }
            let many = || CallError::Lost("too many channels on the connection".to_owned());
            slots.open(port, self.agreed.channel_max).ok_or_else(many)?
        };
        let channel = Channel {
            wire: self.clone(),
            id,
        };
        channel.open().await?;
        Ok(channel)
    }

    /// A channel for calls only.
    pub(super) async fn calls(self: &Arc<Self>) -> Result<Channel, CallError> {
        self.channel(Arc::new(Deaf)).await
    }

    async fn call(&self, id: Id, method: AMQPClass) -> Result<AMQPClass, CallError> {
        let (call, answered) = oneshot::channel();
        let mut frames = Frames::default();
        frames.method(id.number, method);
        {
            let mut slots = self.slots.lock();
            let Some(slot) = slots.get(id) else {
                return Err(self.lost());
            };
            slot.call = Some(call);
            self.push(&frames);
        }
        answered.await.map_err(|_| self.lost())?
    }

    fn lost(&self) -> CallError {
        let ended = self.ended.borrow();
        CallError::Lost(
            ended
                .as_deref()
                .unwrap_or("the channel is closed")
                .to_owned(),
        )
    }

    /// Writes whatever is in the outbox, at once; a heartbeat when there was nothing for long.
    async fn write(self: Arc<Self>, mut writing: Writing) {
        let mut sending = Frames::default();
        let mut ended = self.ended.subscribe();
        let heartbeat = Duration::from_millis(u64::from(self.agreed.heartbeat_s) * 500);
        loop {
            let waited = match self.agreed.heartbeat_s {
                0 => {
                    self.outgoing.notified().await;
                    Ok(())
                }
                _ => tokio::time::timeout(heartbeat, self.outgoing.notified()).await,
            };
            // Whoever is ready to send goes with this write.
            tokio::task::yield_now().await;
            std::mem::swap(&mut self.outbox.lock().0, &mut sending.0);
            if waited.is_err() && sending.0.is_empty() {
                sending.heartbeat();
            }
            let written = async {
                writing.write_all(&sending.0).await?;
                writing.flush().await
            };
            let written = tokio::select! {
                written = written => written,
                _ = ended.wait_for(Option::is_some) => break,
            };
            if let Err(error) = written {
                self.end(&error.to_string());
                break;
            }
            if self.ended.borrow().is_some() {
                break;
            }
            sending.0.clear();
            sending.0.shrink_to(OUTBOX_KEPT);
        }
        let _ = writing.shutdown().await;
    }
}

/// Answers a call, if there is one under way.
fn answer(
    call: Option<oneshot::Sender<Result<AMQPClass, CallError>>>,
    with: Result<AMQPClass, CallError>,
) {
    if let Some(call) = call {
        // The caller may have given up.
        let _ = call.send(with);
    }
}

/// An AMQP channel; closed when dropped, which returns what was delivered on it and not acked.
pub(super) struct Channel {
    wire: Arc<Wire>,
    id: Id,
}

impl Channel {
    /// For frames to be sent on it.
    pub(super) fn number(&self) -> u16 {
        self.id.number
    }

    /// Sends frames of this channel; in vain if it is gone, of which its port is told. A frame on a
    /// channel that is not open would cost the whole connection.
    pub(super) fn send(&self, frames: &Frames) {
        let mut slots = self.wire.slots.lock();
        if slots.get(self.id).is_some() {
            self.wire.push(frames);
        }
    }

    /// Asks and waits for the answer. One call at a time on a channel.
    async fn call(&self, method: AMQPClass) -> Result<AMQPClass, CallError> {
        self.wire.call(self.id, method).await
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        let close = channel::AMQPMethod::Close(channel::Close {
            reply_code: 200,
            reply_text: "done".into(),
            class_id: 0,
            method_id: 0,
        });
        let mut frames = Frames::default();
        frames.method(self.id.number, AMQPClass::Channel(close));
        let mut slots = self.wire.slots.lock();
        if let Some(slot) = slots.get(self.id) {
            // What still comes is nobody's. The number is free when the broker has answered.
            slot.port = Arc::new(Deaf);
            slot.call = None;
            slot.opened = GONE;
            self.wire.push(&frames);
        }
    }
}
