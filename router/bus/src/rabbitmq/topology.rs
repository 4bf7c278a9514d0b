//! Names and declarations of everything the broker holds for us.

use std::sync::Arc;

use amq_protocol::types::{AMQPValue, FieldTable, LongString};

use super::{
    options::RabbitOptions,
    wire::{CallError, Channel, Lifetime, Wire},
};
use crate::{Mailbox, Queue};

/// AMQP's reply code for something that exists and differs.
const PRECONDITION_FAILED: u16 = 406;

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

    pub(super) fn queue(&self, queue: Queue) -> String {
        format!("{}{queue}", self.prefix)
    }

    /// Where the broker puts what it gives up on; also the exchange in front of it.
    fn dead(&self) -> String {
        format!("{}dead.g1", self.prefix)
    }

    /// The exchange for events, a topic.
    pub(super) fn events(&self) -> String {
        format!("{}patchbay.events", self.prefix)
    }

    /// A gateway's own queue.
    pub(super) fn live(&self, instance: &str) -> String {
        format!("{}live.g1.{instance}", self.prefix)
    }

    /// A sink worker's own queue.
    pub(super) fn sinks(&self, instance: &str) -> String {
        format!("{}sinks.g1.{instance}", self.prefix)
    }

    /// Exchange and routing key of a nudge.
    pub(super) fn route(&self, mailbox: &Mailbox) -> (String, String) {
        match mailbox {
            Mailbox::Gateway(instance) => (String::new(), self.live(instance)),
            Mailbox::Sinks(instance) => (String::new(), self.sinks(instance)),
            Mailbox::Event(kind) => (self.events(), format!("event.{kind}")),
        }
    }
}

/// All durable queues of an installation.
pub(super) fn queues(options: &RabbitOptions) -> impl Iterator<Item = Queue> {
    let inbound = (0..options.partitions).map(Queue::Inbound);
    inbound.chain((0..options.shards).map(Queue::Outbound))
}

/// Why declaring failed.
pub(super) enum DeclareError {
    /// Something of that name exists and differs; somebody has to act.
    Differs(String),
    /// The broker went away or refused; try again.
    Failed(CallError),
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
fn ordered(options: &RabbitOptions, names: &Names) -> FieldTable {
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
    wire: &Arc<Wire>,
    options: &RabbitOptions,
    names: &Names,
) -> Result<(), DeclareError> {
    let channel = wire.calls().await.map_err(DeclareError::Failed)?;
    let (events, dead) = (names.events(), names.dead());
    for (exchange, kind) in [(&events, "topic"), (&dead, "fanout")] {
        channel
            .declare_exchange(exchange, kind)
            .await
            .map_err(|error| explain("exchange", exchange, error))?;
    }
    declare_queue(&channel, &dead, quorum(options)).await?;
    channel
        .bind(&dead, &dead, "")
        .await
        .map_err(DeclareError::Failed)?;
    for queue in queues(options) {
        declare_queue(&channel, &names.queue(queue), ordered(options, names)).await?;
    }
    Ok(())
}

async fn declare_queue(
    channel: &Channel,
    name: &str,
    arguments: FieldTable,
) -> Result<(), DeclareError> {
    channel
        .declare_queue(name, Lifetime::Durable, arguments)
        .await
        .map(drop)
        .map_err(|error| explain("queue", name, error))
}

/// Makes a sentence of the broker's refusal that says what to do.
fn explain(what: &str, name: &str, error: CallError) -> DeclareError {
    match error {
        CallError::Refused {
            code: PRECONDITION_FAILED,
            text,
        } => DeclareError::Differs(format!(
            "the {what} `{name}` exists with other settings than this process has; give all processes \
             the same bus settings, or, if the change is meant, drain and delete the {what}, or set \
             another bus namespace; the broker says: {text}"
        )),
        other => DeclareError::Failed(other),
    }
}
