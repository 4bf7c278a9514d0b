//! What a test needs: a bus, a store, channels, gateways, and everything that came in.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;
use patchbay_bus::{Bus, EmbeddedBus, EmbeddedOptions, Queue};
use patchbay_gateway::{
    ingress::{Bells, Ingress, Links, Mqtt, MqttOptions, agent_names},
    live::{self, Hub, Registrar, Slots},
    pipeline::Pipeline,
};
use patchbay_message::{ChannelId, Content, Envelope, InstanceId, Part, SystemClock};
use patchbay_sdk::Random;
use patchbay_sinks::{Channels, OpenChannel, RetryPolicy, SendLimits};
use patchbay_store::{SqliteOptions, SqliteStore, Store, blobs};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{sync::Notify, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::bus::Moody;

/// Nothing a test waits for takes this long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
const PARTITIONS: u16 = 4;
const LEASE_TTL: Duration = Duration::from_secs(2);

struct Noise;

impl Random for Noise {
    fn fill(&self, bytes: &mut [u8]) {
        rand::Rng::fill_bytes(&mut rand::rng(), bytes);
    }
}

/// A bus, a store, and what came in.
pub(crate) struct World {
    pub(crate) bus: Arc<Moody>,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) channels: Arc<Channels>,
    arrived: Arc<Arrived>,
    folder: TempDir,
}

#[derive(Default)]
struct Arrived {
    all: Mutex<Vec<Envelope>>,
    more: Notify,
}

/// A running gateway. Dropping it kills it as it stands.
pub(crate) struct Gateway {
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) links: Arc<Links>,
    stop: CancellationToken,
    rest: CancellationToken,
    running: JoinHandle<()>,
    watching: JoinHandle<()>,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.running.abort();
        self.watching.abort();
        self.rest.cancel();
    }
}

impl Gateway {
    /// Stops it as a signal would.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        timeout(DEADLINE, &mut self.running)
            .await
            .expect("it stops")
            .expect("it stops well");
    }

    /// Ends it at once, as a crash would.
    pub(crate) async fn kill(mut self) {
        self.running.abort();
        let ended = (&mut self.running).await;
        assert!(ended.is_err_and(|error| error.is_cancelled()));
    }

    /// Where the first listener is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[0]
    }
}

/// A channel of kind `mqtt` with these options.
pub(crate) fn mqtt(id: &str, options: Value) -> OpenChannel {
    let kind = (patchbay_adapters::ALL.iter())
        .find(|kind| kind.manifest.id == "mqtt")
        .unwrap();
    let channel = match (kind.open)(options) {
        Ok(channel) => channel,
        Err(error) => panic!("{error}: {error:?}"),
    };
    OpenChannel {
        id: ChannelId::new(id).unwrap(),
        kind: kind.manifest,
        channel,
        limits: SendLimits::default(),
        retry: RetryPolicy::default(),
    }
}

impl World {
    pub(crate) fn new(channels: impl IntoIterator<Item = OpenChannel>) -> Self {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let lines = tracing_subscriber::fmt()
            .with_test_writer()
            .with_env_filter(filter);
        let _ = lines.try_init();
        let folder = tempfile::tempdir().unwrap();
        let bus = EmbeddedBus::open(folder.path().join("bus.db"), EmbeddedOptions::default());
        let store =
            SqliteStore::open(folder.path().join("store.db"), SqliteOptions::default()).unwrap();
        let world = Self {
            bus: Moody::new(bus.unwrap()),
            store,
            channels: Arc::new(Channels::new(channels)),
            arrived: Arc::default(),
            folder,
        };
        for partition in 0..PARTITIONS {
            let (bus, arrived) = (Arc::clone(&world.bus), Arc::clone(&world.arrived));
            tokio::spawn(async move {
                let queue = Queue::Inbound(partition);
                let mut consumer = bus.consume(queue, 1000).await.expect("a consumer");
                while let Ok(deliveries) = consumer.recv(100).await {
                    for delivery in deliveries {
                        let envelope = serde_json::from_slice(&delivery.message.body).unwrap();
                        arrived.all.lock().push(envelope);
                        delivery.ack();
                    }
                    arrived.more.notify_waiters();
                }
            });
        }
        world
    }

    /// From now on the store writes nothing, until this is dropped.
    pub(crate) fn lock_store(&self) -> rusqlite::Connection {
        let path = self.folder.path().join("store.db");
        let other = rusqlite::Connection::open(path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        other
    }

    /// A gateway of its own, with all channels.
    pub(crate) async fn gateway(&self) -> Gateway {
        let (stop, rest) = (CancellationToken::new(), CancellationToken::new());
        let instance = InstanceId::new();
        let store: Arc<dyn Store> = self.store.clone();
        let bus: Arc<dyn Bus> = self.bus.clone();
        let (registrar, write) = Registrar::new(Arc::clone(&store), rest.clone());
        let slots = Slots::new(
            instance.clone(),
            registrar.clone(),
            Arc::clone(&bus),
            Arc::new(SystemClock),
        );
        let hub = Hub::new(instance.clone(), registrar);
        let watch = live::watch(
            Arc::clone(&hub),
            Arc::clone(&slots),
            Arc::clone(&bus),
            Arc::clone(&store),
            instance.clone(),
            rest.clone(),
        );
        let watching = tokio::spawn(async move {
            tokio::join!(write, watch);
        });
        let ingress = Ingress {
            pipeline: Pipeline {
                bus: Arc::clone(&bus),
                partitions: PARTITIONS,
                clock: Arc::new(SystemClock),
                random: Arc::new(Noise),
                public_url: "https://chat.example".to_owned(),
                region: None,
                gates: Default::default(),
                rates: Default::default(),
            },
            channels: Arc::clone(&self.channels),
            hub,
            slots,
            store,
            blobs: blobs::open("file", self.folder.path()).await.unwrap(),
            agent_names: agent_names(),
            bus,
            body_bytes_max: 1 << 20,
            upload_bytes_max: 1 << 20,
            bells: Bells::default(),
            stop: stop.clone(),
        };
        let options = MqttOptions {
            lease_ttl: LEASE_TTL,
            drain: Duration::from_secs(5),
            acks_max: 1,
        };
        let mqtt = Mqtt::open(Arc::new(ingress), instance, options, stop.clone()).await;
        let mqtt = mqtt.expect("it opens");
        Gateway {
            addresses: mqtt.addresses(),
            links: mqtt.links(),
            stop,
            rest,
            running: tokio::spawn(mqtt.run()),
            watching,
        }
    }

    /// Everything that came in so far, by arrival on the bus.
    pub(crate) fn arrived(&self) -> Vec<Envelope> {
        self.arrived.all.lock().clone()
    }

    /// Waits until something came in for which this holds.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&[Envelope]) -> bool) {
        let waiting = async {
            loop {
                let more = self.arrived.more.notified();
                if holds(&self.arrived.all.lock()) {
                    return;
                }
                more.await;
            }
        };
        let came = timeout(DEADLINE, waiting).await;
        assert!(
            came.is_ok(),
            "{what}: {} came in",
            self.arrived.all.lock().len()
        );
    }

    /// Waits until so many different messages came in; answers what they say, by arrival, repeats
    /// left out.
    pub(crate) async fn texts(&self, n: usize) -> Vec<String> {
        self.until("too few came in", |all| distinct(all).len() >= n)
            .await;
        distinct(&self.arrived())
    }
}

/// What was said, each once (a message that came again has the same key).
pub(crate) fn distinct(all: &[Envelope]) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    let is_new = |envelope: &&Envelope| seen.insert(envelope.dedupe_key.clone());
    all.iter().filter(is_new).map(text).collect()
}

/// What an envelope says, short: `address: text`, or `address: code state`.
pub(crate) fn text(envelope: &Envelope) -> String {
    let address = envelope
        .sender
        .as_ref()
        .map_or("?", |sender| sender.address.as_str());
    match envelope.content.first() {
        Some(Content::Known(Part::Fault { fault, .. })) => {
            format!("{address}: {} {}", fault.code, fault.state.as_str())
        }
        Some(content) => format!("{address}: {}", content.as_text().unwrap_or("?")),
        None => format!("{address}: nothing"),
    }
}

/// Waits until nothing is wrong with a gateway's links.
pub(crate) async fn well(gateway: &Gateway) {
    let waiting = async {
        while gateway.links.problem().is_some() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = timeout(DEADLINE, waiting).await;
    assert!(waited.is_ok(), "{:?}", gateway.links.problem());
}

/// Waits for something that is looked at again and again.
pub(crate) async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(timeout(DEADLINE, waiting).await.is_ok(), "{what}");
}
