//! RabbitMQ: the conformance suite on the shared test broker.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use lapin::{Connection, ConnectionProperties, options};
use patchbay_bus::{Bus, RabbitBus, RabbitOptions};
use patchbay_message::MessageId;

use crate::support::{Bounds, Fixture, within};

/// The shared broker's address.
pub(crate) fn broker_url() -> String {
    std::env::var("PATCHBAY_TEST_AMQP")
        .expect("PATCHBAY_TEST_AMQP is not set; `make test` starts a broker and sets it")
}

/// A namespace of its own on the broker, one inbound and two outbound queues.
pub(crate) fn test_options() -> RabbitOptions {
    RabbitOptions {
        namespace: format!("test-{}", MessageId::new()),
        partitions: 1,
        shards: 2,
        backoff: (Duration::from_millis(50), Duration::from_millis(500)),
        ..RabbitOptions::default()
    }
}

pub(crate) struct Rabbit {
    namespace: String,
    bus: Arc<RabbitBus>,
}

#[async_trait]
impl Fixture for Rabbit {
    async fn open(bounds: Bounds) -> Self {
        let options = RabbitOptions {
            queue_length_max: bounds.queue_length_max.try_into().unwrap(),
            mailbox_max: bounds.mailbox_max,
            ..test_options()
        };
        let namespace = options.namespace.clone();
        let url = broker_url();
        let connect = RabbitBus::connect(&url, options);
        let bus = within("connect", connect).await.unwrap();
        assert_eq!(bus.health().problem, None);
        Self { namespace, bus }
    }

    fn bus(&self) -> Arc<dyn Bus> {
        self.bus.clone()
    }

    async fn remove(self) {
        self.bus.close().await;
        remove_namespace(&broker_url(), &self.namespace).await;
    }
}

/// Deletes what [`test_options`] makes the bus declare.
pub(crate) async fn remove_namespace(url: &str, namespace: &str) {
    let connection = Connection::connect(url, ConnectionProperties::default())
        .await
        .unwrap();
    let channel = connection.create_channel().await.unwrap();
    for queue in ["inbound.g1.0", "outbound.g1.0", "outbound.g1.1", "dead.g1"] {
        let name = format!("{namespace}.{queue}");
        let options = options::QueueDeleteOptions::default();
        channel.queue_delete(name.into(), options).await.unwrap();
    }
    for exchange in ["patchbay.events", "dead.g1"] {
        let name = format!("{namespace}.{exchange}");
        let options = options::ExchangeDeleteOptions::default();
        channel.exchange_delete(name.into(), options).await.unwrap();
    }
}

crate::conformance::conformance!(Rabbit);
