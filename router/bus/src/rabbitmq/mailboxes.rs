//! Lossy addresses on the broker: an exclusive queue per listener, made anew after every loss.

use std::sync::Arc;

use amq_protocol::types::{AMQPValue, FieldTable};
use bytes::Bytes;
use tokio::sync::{Notify, mpsc, oneshot};

use super::{
    Shared,
    consumer::Consuming,
    link::Backoff,
    wire::{CallError, Channel, Delivered, Lifetime, Port},
};
use crate::{BusError, Mailbox, meter};

/// Passes on what fits; what does not is lost.
struct Listener {
    sender: mpsc::Sender<Bytes>,
    lost: Notify,
}

impl Port for Listener {
    fn delivered(&self, delivered: Delivered) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.sender.try_send(delivered.body) {
            meter::bound_hit("mailbox_max");
        }
    }

    fn ended(&self, _why: &str) {
        self.lost.notify_one();
    }
}

/// Listens until the receiver is dropped or the bus closed. `first` learns of the first attempt.
pub(super) async fn listen(
    shared: Arc<Shared>,
    consuming: Arc<Consuming>,
    mailbox: Mailbox,
    sender: mpsc::Sender<Bytes>,
    first: oneshot::Sender<Result<(), BusError>>,
) {
    let closed = sender.clone();
    let listening = listen_on(&shared, &consuming, &mailbox, sender, first);
    tokio::select! {
        () = listening => {}
        () = closed.closed() => {}
        () = shared.closing() => {}
    }
}

async fn listen_on(
    shared: &Shared,
    consuming: &Consuming,
    mailbox: &Mailbox,
    sender: mpsc::Sender<Bytes>,
    first: oneshot::Sender<Result<(), BusError>>,
) {
    let mut first = Some(first);
    let mut backoff = Backoff::new(shared.options.backoff);
    loop {
        let listener = Arc::new(Listener {
            sender: sender.clone(),
            lost: Notify::new(),
        });
        match (
            open(shared, consuming, mailbox, &listener).await,
            first.take(),
        ) {
            (Ok(_channel), first) => {
                if let Some(first) = first {
                    let _ = first.send(Ok(()));
                }
                backoff.reset();
                listener.lost.notified().await;
            }
            (Err(error), Some(first)) => {
                let _ = first.send(Err(BusError(error.to_string())));
                return;
            }
            (Err(error), None) => tracing::debug!(%error, "mailbox not open"),
        }
        tokio::time::sleep(backoff.pause()).await;
    }
}

async fn open(
    shared: &Shared,
    consuming: &Consuming,
    mailbox: &Mailbox,
    listener: &Arc<Listener>,
) -> Result<Channel, CallError> {
    let wire = consuming.up(shared).await?.wire;
    let channel = wire.channel(listener.clone()).await?;
    let name = match mailbox {
        Mailbox::Gateway(instance) => shared.names.live(instance),
        Mailbox::Sinks(instance) => shared.names.sinks(instance),
        // The broker finds a name.
        Mailbox::Event(_) => String::new(),
    };
    let mut arguments = FieldTable::default();
    let mailbox_max = i64::try_from(shared.options.mailbox_max).unwrap_or(i64::MAX);
    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(mailbox_max));
    let queue = channel
        .declare_queue(&name, Lifetime::Exclusive, arguments)
        .await?
        .name;
    if let Mailbox::Event(kind) = mailbox {
        let key = match kind.as_str() {
            "*" => "event.#".to_owned(),
            kind => format!("event.{kind}"),
        };
        let events = shared.names.events();
        channel.bind(queue.as_str(), &events, &key).await?;
    }
    channel.consume(queue.as_str(), true).await?;
    Ok(channel)
}
