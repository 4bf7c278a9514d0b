//! The same limits with lapin, the library that most would use.

use std::time::Duration;

use anyhow::Context as _;
use futures_util::{
    FutureExt, StreamExt,
    stream::{FuturesOrdered, FuturesUnordered},
};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
        ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
    },
    types::{AMQPValue, FieldTable},
};
use tokio::time::Instant;

use super::{
    baseline::{ACK_EVERY, Asked, INBOUND, OUTBOUND, PREFETCH, PUBLISHED, body, read_stamp, stamp},
    meter::Meter,
};

/// Publishes with confirm, closed by the window.
pub(super) async fn publish(asked: &Asked) -> anyhow::Result<()> {
    let (connection, channel) = open(&asked.amqp).await?;
    declare(&channel, PUBLISHED).await?;
    let body = body();
    let window = usize::try_from(asked.window)?;
    let mut meter = Meter::begin(&asked.watch)?;
    let end = Instant::now() + asked.time();
    let mut unconfirmed = FuturesUnordered::new();
    while Instant::now() < end {
        while unconfirmed.len() < window {
            let begun = Instant::now();
            let confirm = send(&channel, PUBLISHED, &body).await?;
            unconfirmed.push(confirm.map(move |confirm| (begun, confirm)));
        }
        let (begun, confirm) = unconfirmed.next().await.context("nothing under way")?;
        anyhow::ensure!(matches!(confirm?, Confirmation::Ack(None)), "not confirmed");
        meter.record(begun.elapsed());
    }
    meter.report(&format!("lapin publisher, window {window}"))?;
    delete(&channel, PUBLISHED).await?;
    drop(connection);
    Ok(())
}

/// In, a relay that confirms before it acks, out.
pub(super) async fn two_hops(asked: &Asked) -> anyhow::Result<()> {
    let (_first, source) = open(&asked.amqp).await?;
    let (_second, relay) = open(&asked.amqp).await?;
    let (_third, sink) = open(&asked.amqp).await?;
    declare(&source, INBOUND).await?;
    declare(&source, OUTBOUND).await?;
    let relaying = tokio::spawn(hop(relay.clone(), consume(&relay, INBOUND).await?));
    let mut arrivals = consume(&sink, OUTBOUND).await?;
    let mut meter = Meter::begin(&asked.watch)?;
    let begun = Instant::now();
    let (warm, end) = (
        begun + super::WARM_UP,
        begun + super::WARM_UP + asked.time(),
    );
    let (mut sent, mut arrived, mut acked) = (0, 0, begun);
    let mut is_warm = false;
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    while Instant::now() < end {
        if !is_warm && Instant::now() > warm {
            meter = Meter::begin(&asked.watch)?;
            is_warm = true;
        }
        let target = match asked.rate {
            0 => arrived + asked.window,
            rate => u64::try_from(begun.elapsed().as_micros())? * rate / 1_000_000,
        };
        while sent < target {
            let at = match asked.rate {
                0 => begun.elapsed(),
                rate => Duration::from_micros(sent * 1_000_000 / rate),
            };
            let mut body = body();
            stamp(&mut body, at);
            drop(send(&source, INBOUND, &body).await?);
            sent += 1;
        }
        let delivery = tokio::select! {
            delivery = arrivals.next() => delivery.context("the broker closed")??,
            _ = ticks.tick(), if asked.rate > 0 => continue,
        };
        meter.record(begun.elapsed().saturating_sub(read_stamp(&delivery.data)?));
        arrived += 1;
        if acked.elapsed() > ACK_EVERY {
            ack(&sink, delivery.delivery_tag).await?;
            acked = Instant::now();
        }
    }
    meter.report(&format!("lapin two hops, {}", asked.pace()))?;
    relaying.abort();
    delete(&source, INBOUND).await?;
    delete(&source, OUTBOUND).await
}

/// Relays until it is stopped.
pub(super) async fn relay(asked: &Asked) -> anyhow::Result<()> {
    let (_connection, channel) = open(&asked.amqp).await?;
    declare(&channel, INBOUND).await?;
    declare(&channel, OUTBOUND).await?;
    let deliveries = consume(&channel, INBOUND).await?;
    println!("relaying");
    hop(channel, deliveries).await
}

async fn hop(channel: Channel, mut deliveries: Consumer) -> anyhow::Result<()> {
    let mut unconfirmed = FuturesOrdered::new();
    let mut acked = Instant::now();
    loop {
        tokio::select! {
            delivery = deliveries.next() => {
                let delivery = delivery.context("the broker closed")??;
                let tag = delivery.delivery_tag;
                let confirm = send(&channel, OUTBOUND, &delivery.data).await?;
                unconfirmed.push_back(confirm.map(move |confirm| (tag, confirm)));
            }
            Some((tag, confirm)) = unconfirmed.next(), if !unconfirmed.is_empty() => {
                anyhow::ensure!(confirm?.is_ack(), "not confirmed");
                if acked.elapsed() > ACK_EVERY {
                    ack(&channel, tag).await?;
                    acked = Instant::now();
                }
            }
        }
    }
}

async fn open(amqp: &str) -> anyhow::Result<(Connection, Channel)> {
    let connection = Connection::connect(amqp, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    Ok((connection, channel))
}

async fn declare(channel: &Channel, queue: &'static str) -> anyhow::Result<()> {
    delete(channel, queue).await?;
    let mut arguments = FieldTable::default();
    arguments.insert(
        "x-queue-type".into(),
        AMQPValue::LongString("quorum".into()),
    );
    let options = QueueDeclareOptions::durable();
    channel
        .queue_declare(queue.into(), options, arguments)
        .await?;
    Ok(())
}

async fn delete(channel: &Channel, queue: &'static str) -> anyhow::Result<()> {
    let options = QueueDeleteOptions::default();
    channel.queue_delete(queue.into(), options).await?;
    Ok(())
}

async fn consume(channel: &Channel, queue: &str) -> anyhow::Result<Consumer> {
    channel
        .basic_qos(PREFETCH, BasicQosOptions::default())
        .await?;
    let options = BasicConsumeOptions::default();
    Ok(channel
        .basic_consume(queue.into(), "".into(), options, FieldTable::default())
        .await?)
}

async fn ack(channel: &Channel, tag: u64) -> anyhow::Result<()> {
    let options = BasicAckOptions { multiple: true };
    Ok(channel.basic_ack(tag, options).await?)
}

async fn send(
    channel: &Channel,
    queue: &str,
    body: &[u8],
) -> anyhow::Result<lapin::PublisherConfirm> {
    let properties = BasicProperties::default().with_delivery_mode(2);
    let options = BasicPublishOptions::default();
    Ok(channel
        .basic_publish("".into(), queue.into(), options, body, properties)
        .await?)
}
