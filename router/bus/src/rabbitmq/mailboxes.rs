//! Lossy addresses on the broker: an exclusive queue per listener, made anew after every loss.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::StreamExt;
use lapin::{
    Channel, Connection,
    options::{BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, ShortString},
};
use tokio::sync::{mpsc, oneshot};

use super::{Shared, Stage, consumer::Consuming, link::Backoff};
use crate::{BusError, Mailbox, meter};

/// Listens until the receiver is dropped or the bus closed. `first` learns of the first attempt.
pub(super) async fn listen(
    shared: Arc<Shared>,
    consuming: Arc<Consuming>,
    mailbox: Mailbox,
    sender: mpsc::Sender<Bytes>,
    first: oneshot::Sender<Result<(), BusError>>,
) {
    let mut first = Some(first);
    let mut backoff = Backoff::new(shared.options.backoff);
    loop {
        let result = tokio::select! {
            result = subscribe(&shared, &consuming, &mailbox) => result,
            () = sender.closed() => return,
            () = shared.reached(Stage::Draining) => return,
        };
        // Kept until the listening ends: dropping the last handle of a channel does not close it.
        let result = match result {
            Ok((channel, stream)) => {
                backoff.reset();
                if let Some(first) = first.take() {
                    let _ = first.send(Ok(()));
                }
                let lost = tokio::select! {
                    () = forward(stream, &sender) => true,
                    () = sender.closed() => false,
                    () = shared.reached(Stage::Draining) => false,
                };
                if !lost {
                    let _ = channel.close(200, "not listening".into()).await;
                    return;
                }
                Err(BusError("the broker cancelled it".to_owned()))
            }
            Err(error) => Err::<(), BusError>(error),
        };
        if let Err(error) = result {
            if let Some(first) = first.take() {
                let _ = first.send(Err(error));
                return;
            }
            tracing::debug!(%error, "mailbox lost");
        }
        let pause: Duration = backoff.pause();
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = sender.closed() => return,
            () = shared.reached(Stage::Draining) => return,
        }
    }
}

/// Passes on what fits; what does not is lost.
async fn forward(mut stream: lapin::Consumer, sender: &mpsc::Sender<Bytes>) {
    while let Some(Ok(delivered)) = stream.next().await {
        if let Err(mpsc::error::TrySendError::Full(_)) = sender.try_send(delivered.data.into()) {
            meter::bound_hit("mailbox_max");
        }
    }
}

async fn subscribe(
    shared: &Shared,
    consuming: &Consuming,
    mailbox: &Mailbox,
) -> Result<(Channel, lapin::Consumer), BusError> {
    let connection = consuming.connection(shared).await?;
    bind(shared, &connection, mailbox)
        .await
        .map_err(|error| BusError(error.to_string()))
}

async fn bind(
    shared: &Shared,
    connection: &Connection,
    mailbox: &Mailbox,
) -> Result<(Channel, lapin::Consumer), lapin::Error> {
    let channel = connection.create_channel().await?;
    let name: ShortString = match mailbox {
        Mailbox::Gateway(instance) => shared.names.live(instance),
        // The broker finds a name.
        Mailbox::Event(_) => "".into(),
    };
    let options = QueueDeclareOptions {
        exclusive: true,
        auto_delete: true,
        ..QueueDeclareOptions::default()
    };
    let mut arguments = FieldTable::default();
    let mailbox_max = i64::try_from(shared.options.mailbox_max).unwrap_or(i64::MAX);
    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(mailbox_max));
    let queue = channel.queue_declare(name, options, arguments).await?;
    if let Mailbox::Event(kind) = mailbox {
        let key = match kind.as_str() {
            "*" => "event.#".to_owned(),
            kind => format!("event.{kind}"),
        };
        channel
            .queue_bind(
                queue.name().clone(),
                shared.names.events(),
                key.into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
            .await?;
    }
    let options = BasicConsumeOptions {
        no_ack: true,
        ..BasicConsumeOptions::default()
    };
    let stream = channel
        .basic_consume(
            queue.name().clone(),
            "".into(),
            options,
            FieldTable::default(),
        )
        .await?;
    Ok((channel, stream))
}
