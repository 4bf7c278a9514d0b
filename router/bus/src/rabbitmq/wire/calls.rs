//! The calls we make on a channel, each with its answer.

use amq_protocol::{
    protocol::{AMQPClass, basic, channel, confirm, exchange, queue},
    types::{FieldTable, ShortString},
};

use super::{CallError, Channel};

/// How a queue is declared besides its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// It outlives the broker.
    Durable,
    /// It lives as long as the connection, and its consumer.
    Exclusive,
}

/// The name of a queue, and how many messages are ready in it.
pub(crate) struct Declared {
    pub(crate) name: ShortString,
    pub(crate) n_ready: u32,
}

fn odd() -> CallError {
    CallError::Lost("the broker gave another answer than asked for".to_owned())
}

impl Channel {
    pub(super) async fn open(&self) -> Result<(), CallError> {
        let open = channel::AMQPMethod::Open(channel::Open {});
        self.call(AMQPClass::Channel(open)).await.map(drop)
    }

    /// From now on what is published here is confirmed.
    pub(crate) async fn select_confirms(&self) -> Result<(), CallError> {
        let select = confirm::AMQPMethod::Select(confirm::Select { nowait: false });
        self.call(AMQPClass::Confirm(select)).await.map(drop)
    }

    pub(crate) async fn declare_exchange(&self, name: &str, kind: &str) -> Result<(), CallError> {
        let declare = exchange::Declare {
            exchange: name.into(),
            kind: kind.into(),
            passive: false,
            durable: true,
            auto_delete: false,
            internal: false,
            nowait: false,
            arguments: FieldTable::default(),
        };
        let declare = exchange::AMQPMethod::Declare(declare);
        self.call(AMQPClass::Exchange(declare)).await.map(drop)
    }

    pub(crate) async fn declare_queue(
        &self,
        name: &str,
        lifetime: Lifetime,
        arguments: FieldTable,
    ) -> Result<Declared, CallError> {
        self.declare(queue::Declare {
            queue: name.into(),
            passive: false,
            durable: lifetime == Lifetime::Durable,
            exclusive: lifetime == Lifetime::Exclusive,
            auto_delete: lifetime == Lifetime::Exclusive,
            nowait: false,
            arguments,
        })
        .await
    }

    /// Asks for a queue that is there.
    pub(crate) async fn look_at_queue(&self, name: &str) -> Result<Declared, CallError> {
        self.declare(queue::Declare {
            queue: name.into(),
            passive: true,
            durable: false,
            exclusive: false,
            auto_delete: false,
            nowait: false,
            arguments: FieldTable::default(),
        })
        .await
    }

    async fn declare(&self, declare: queue::Declare) -> Result<Declared, CallError> {
        let declare = AMQPClass::Queue(queue::AMQPMethod::Declare(declare));
        match self.call(declare).await? {
            AMQPClass::Queue(queue::AMQPMethod::DeclareOk(ok)) => Ok(Declared {
                name: ok.queue,
                n_ready: ok.message_count,
            }),
            _ => Err(odd()),
        }
    }

    pub(crate) async fn bind(
        &self,
        queue: &str,
        exchange: &str,
        key: &str,
    ) -> Result<(), CallError> {
        let bind = queue::Bind {
            queue: queue.into(),
            exchange: exchange.into(),
            routing_key: key.into(),
            nowait: false,
            arguments: FieldTable::default(),
        };
        self.call(AMQPClass::Queue(queue::AMQPMethod::Bind(bind)))
            .await
            .map(drop)
    }

    /// At most so many deliveries without an ack.
    pub(crate) async fn prefetch(&self, prefetch_count: u16) -> Result<(), CallError> {
        let qos = basic::AMQPMethod::Qos(basic::Qos {
            prefetch_count,
            global: false,
        });
        self.call(AMQPClass::Basic(qos)).await.map(drop)
    }

    /// Deliveries begin; `no_ack` ones are settled by being sent.
    pub(crate) async fn consume(&self, queue: &str, no_ack: bool) -> Result<(), CallError> {
        let consume = basic::AMQPMethod::Consume(basic::Consume {
            queue: queue.into(),
            consumer_tag: "".into(),
            no_local: false,
            no_ack,
            exclusive: false,
            nowait: false,
            arguments: FieldTable::default(),
        });
        self.call(AMQPClass::Basic(consume)).await.map(drop)
    }
}
