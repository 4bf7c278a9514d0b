//! Names and declarations of everything the broker holds for us.

use lapin::{
    Channel, Connection, ErrorKind, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    protocol::{AMQPErrorKind, AMQPSoftError},
    types::{AMQPValue, FieldTable, LongString, ShortString},
};

use super::options::RabbitOptions;
use crate::{Mailbox, Queue};

/// Names in one namespace.
#[derive(Debug, Clone)]
pub(super) struct Names {
    prefix: String,
}

impl Names {
    pub(super) fn new(namespace: &str) -> Self {
        let prefix = if namespace.is_empty() {
            String::new()
        } else {
            format!("{namespace}.")
        };
        Self { prefix }
    }

    pub(super) fn queue(&self, queue: Queue) -> ShortString {
        format!("{}{queue}", self.prefix).into()
    }

    /// Where the broker puts what it gives up on; also the exchange in front of it.
    pub(super) fn dead(&self) -> String {
        format!("{}dead.g1", self.prefix)
    }

    /// The exchange for events, a topic.
    pub(super) fn events(&self) -> ShortString {
        format!("{}patchbay.events", self.prefix).into()
    }

    /// A gateway's own queue.
    pub(super) fn live(&self, instance: &str) -> ShortString {
        format!("{}live.g1.{instance}", self.prefix).into()
    }

    /// Exchange and routing key of a nudge.
    pub(super) fn route(&self, mailbox: &Mailbox) -> (ShortString, ShortString) {
        match mailbox {
            Mailbox::Gateway(instance) => ("".into(), self.live(instance)),
            Mailbox::Event(kind) => (self.events(), format!("event.{kind}").into()),
        }
    }
}

/// Why declaring failed.
pub(super) enum DeclareError {
    /// Something of that name exists and differs; somebody has to act.
    Differs(String),
    /// The broker went away or refused; try again.
    Failed(lapin::Error),
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(text))
}

/// Arguments of every durable queue: replicated, bounded by refusing.
fn quorum(options: &RabbitOptions) -> FieldTable {
    let mut table = FieldTable::default();
    table.insert("x-queue-type".into(), text("quorum"));
    table.insert("x-overflow".into(), text("reject-publish"));
    table.insert(
        "x-max-length".into(),
        AMQPValue::LongLongInt(options.queue_length_max.into()),
    );
    table.insert(
        "x-max-length-bytes".into(),
        AMQPValue::LongLongInt(i64::try_from(options.queue_bytes_max).unwrap_or(i64::MAX)),
    );
    table
}

/// Arguments of the queues for messages: besides, one active consumer, and a way out for what
/// cannot be delivered that does not lose it.
fn lane(options: &RabbitOptions, names: &Names) -> FieldTable {
    let mut table = quorum(options);
    table.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    table.insert("x-dead-letter-exchange".into(), text(&names.dead()));
    table.insert("x-dead-letter-strategy".into(), text("at-least-once"));
    table.insert(
        "x-delivery-limit".into(),
        AMQPValue::LongLongInt(options.delivery_limit.into()),
    );
    table
}

/// Declares everything on a channel of its own: a refusal closes the channel it happens on.
pub(super) async fn declare(
    connection: &Connection,
    options: &RabbitOptions,
    names: &Names,
) -> Result<(), DeclareError> {
    let channel = connection
        .create_channel()
        .await
        .map_err(DeclareError::Failed)?;
    declare_exchange(&channel, &names.events(), ExchangeKind::Topic).await?;
    let dead: ShortString = names.dead().into();
    declare_exchange(&channel, &dead, ExchangeKind::Fanout).await?;
    declare_queue(&channel, &dead, quorum(options)).await?;
    channel
        .queue_bind(
            dead.clone(),
            dead,
            "".into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await
        .map_err(DeclareError::Failed)?;
    let inbound = (0..options.partitions).map(Queue::Inbound);
    let outbound = (0..options.shards).map(Queue::Outbound);
    for queue in inbound.chain(outbound) {
        declare_queue(&channel, &names.queue(queue), lane(options, names)).await?;
    }
    let _ = channel.close(200, "declared".into()).await;
    Ok(())
}

async fn declare_exchange(
    channel: &Channel,
    name: &ShortString,
    kind: ExchangeKind,
) -> Result<(), DeclareError> {
    let options = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    channel
        .exchange_declare(name.clone(), kind, options, FieldTable::default())
        .await
        .map_err(|error| explain("exchange", name.as_str(), error))
}

async fn declare_queue(
    channel: &Channel,
    name: &ShortString,
    arguments: FieldTable,
) -> Result<(), DeclareError> {
    let options = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    channel
        .queue_declare(name.clone(), options, arguments)
        .await
        .map(|_| ())
        .map_err(|error| explain("queue", name.as_str(), error))
}

/// Makes a sentence of the broker's refusal that says what to do.
fn explain(what: &str, name: &str, error: lapin::Error) -> DeclareError {
    let detail = match error.kind() {
        ErrorKind::ProtocolError(protocol)
            if matches!(
                protocol.kind(),
                AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED)
            ) =>
        {
            protocol.get_message().to_string()
        }
        _ => return DeclareError::Failed(error),
    };
    DeclareError::Differs(format!(
        "the {what} `{name}` exists with other settings than this process has; give all processes the \
         same bus settings, or, if the change is meant, drain and delete the {what}, or set another \
         bus namespace; the broker says: {detail}"
    ))
}
