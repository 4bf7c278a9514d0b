//! What the broker and a bare client can do, without Patchbay.

use std::time::Duration;

use anyhow::Context as _;
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
        ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
    },
    types::{AMQPValue, FieldTable},
};
use tokio::time::Instant;

use super::{Load, meter::Meter};

/// Bytes of a message: about an envelope.
const BODY: usize = 600;
/// Acks are gathered for this long.
const ACK_EVERY: Duration = Duration::from_millis(5);

/// Publish with confirm at the window, then two hops closed by the window.
pub(super) async fn run(amqp: &str, window: usize, load: Load) -> anyhow::Result<()> {
    publish(amqp, window, load).await?;
    two_hops(amqp, window, load).await
}

async fn publish(amqp: &str, window: usize, load: Load) -> anyhow::Result<()> {
    let (connection, channel) = open(amqp).await?;
    let queue = declare(&channel, "patchbay.bench.publish").await?;
    let body = vec![b'x'; BODY];
    let mut meter = Meter::begin(&[])?;
    let end = Instant::now() + Duration::from_secs(load.seconds);
    let mut unconfirmed = FuturesUnordered::new();
    while Instant::now() < end {
        while unconfirmed.len() < window {
            let begun = Instant::now();
            let confirm = send(&channel, queue, &body).await?;
            unconfirmed.push(confirm.map(move |confirm| (begun, confirm)));
        }
        let (begun, confirm) = unconfirmed.next().await.context("nothing under way")?;
        anyhow::ensure!(matches!(confirm?, Confirmation::Ack(None)), "not confirmed");
        meter.record(begun.elapsed());
    }
    meter.report(&format!("bare publisher, window {window}"));
    channel
        .queue_delete(queue.into(), QueueDeleteOptions::default())
        .await?;
    drop(connection);
    Ok(())
}

/// In, a relay that confirms before it acks, out: what every way through a broker has to do.
async fn two_hops(amqp: &str, window: usize, load: Load) -> anyhow::Result<()> {
    let (_first, source) = open(amqp).await?;
    let (_second, relay) = open(amqp).await?;
    let (_third, sink) = open(amqp).await?;
    let (inbound, outbound) = ("patchbay.bench.in", "patchbay.bench.out");
    declare(&source, inbound).await?;
    declare(&source, outbound).await?;
    let relaying = tokio::spawn(hop(
        relay.clone(),
        consume(&relay, inbound).await?,
        outbound,
    ));
    let mut arrivals = consume(&sink, outbound).await?;
    let mut meter = Meter::begin(&[])?;
    let begun = Instant::now();
    let end = begun + Duration::from_secs(load.seconds);
    let (mut sent, mut arrived) = (0_usize, 0_usize);
    let mut acked = Instant::now();
    while Instant::now() < end {
        while sent - arrived < window {
            let mut body = vec![b'x'; BODY];
            body[..8].copy_from_slice(&u64::try_from(begun.elapsed().as_micros())?.to_be_bytes());
            drop(send(&source, inbound, &body).await?);
            sent += 1;
        }
        let delivery = arrivals.next().await.context("the broker closed")??;
        let stamp = u64::from_be_bytes(delivery.data[..8].try_into()?);
        meter.record(begun.elapsed().saturating_sub(Duration::from_micros(stamp)));
        arrived += 1;
        if acked.elapsed() > ACK_EVERY {
            sink.basic_ack(delivery.delivery_tag, BasicAckOptions { multiple: true })
                .await?;
            acked = Instant::now();
        }
    }
    meter.report(&format!("bare two hops, window {window}"));
    relaying.abort();
    for queue in [inbound, outbound] {
        source
            .queue_delete(queue.into(), QueueDeleteOptions::default())
            .await?;
    }
    Ok(())
}

async fn hop(channel: Channel, mut deliveries: Consumer, to: &'static str) -> anyhow::Result<()> {
    let mut unconfirmed = FuturesUnordered::new();
    let mut acked = Instant::now();
    loop {
        tokio::select! {
            delivery = deliveries.next() => {
                let delivery = delivery.context("the broker closed")??;
                let tag = delivery.delivery_tag;
                unconfirmed.push(send(&channel, to, &delivery.data).await?.map(move |c| (tag, c)));
            }
            Some((tag, confirm)) = unconfirmed.next(), if !unconfirmed.is_empty() => {
                anyhow::ensure!(confirm?.is_ack(), "not confirmed");
                if acked.elapsed() > ACK_EVERY {
                    channel.basic_ack(tag, BasicAckOptions { multiple: true }).await?;
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

async fn declare(channel: &Channel, queue: &'static str) -> anyhow::Result<&'static str> {
    let mut arguments = FieldTable::default();
    arguments.insert(
        "x-queue-type".into(),
        AMQPValue::LongString("quorum".into()),
    );
    channel
        .queue_declare(queue.into(), QueueDeclareOptions::durable(), arguments)
        .await?;
    Ok(queue)
}

async fn consume(channel: &Channel, queue: &str) -> anyhow::Result<Consumer> {
    channel.basic_qos(2000, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    Ok(channel
        .basic_consume(queue.into(), "".into(), options, FieldTable::default())
        .await?)
}

async fn send(
    channel: &Channel,
    queue: &str,
    body: &[u8],
) -> anyhow::Result<lapin::PublisherConfirm> {
    let properties = BasicProperties::default().with_delivery_mode(2);
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    Ok(channel
        .basic_publish("".into(), queue.into(), options, body, properties)
        .await?)
}
