//! MQTT: sessions at brokers, and listeners that devices connect to. Both end in the same pipeline as
//! everything else that comes in; a PUBACK goes out once the bus has confirmed.

mod acks;
mod broker;
mod down;
mod end;
mod line;
mod listener;
mod meter;
mod roster;
mod status;
mod uplink;
mod welcome;
mod wills;
mod window;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use moka::sync::Cache;
use patchbay_message::{InstanceId, ThreadId};
use patchbay_sdk::{Link, MqttBroker, MqttListener};
use patchbay_sinks::OpenChannel;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::status::Links;
pub(super) use self::status::Shown;
use self::{acks::Acks, listener::Listener, roster::Roster, wills::Wills};
use super::Ingress;

/// Devices of which it is remembered what they were sent, and how long.
const WAS_SENT_MAX: u64 = 100_000;
const WAS_SENT_FOR: Duration = Duration::from_secs(3600);

/// Bounds of what this gateway holds open by MQTT.
#[derive(Debug, Clone)]
pub struct MqttOptions {
    /// How long a subscription stays ours without a renewal of its lease.
    pub lease_ttl: Duration,
    /// At stop: how long publishes under way may take to be confirmed.
    pub drain: Duration,
    /// What devices have acknowledged and the store does not have yet; beyond it their connections
    /// wait.
    pub acks_max: usize,
}

impl MqttOptions {
    /// The usual [`MqttOptions::acks_max`].
    pub const ACKS_MAX: usize = 4096;
}

/// What all MQTT links of a gateway share.
struct Shared {
    ingress: Arc<Ingress>,
    instance: InstanceId,
    options: MqttOptions,
    links: Arc<Links>,
    roster: Roster,
    acks: Acks,
    wills: Wills,
    /// Up to which number devices were sent messages lately: after a reconnect those come as repeats.
    was_sent: Cache<ThreadId, u64>,
    stop: CancellationToken,
}

/// Everything of MQTT that is open, not yet running.
pub struct Mqtt {
    shared: Arc<Shared>,
    listeners: Vec<(TcpListener, Arc<Listener>)>,
    brokers: Vec<(Arc<OpenChannel>, MqttBroker)>,
    write_acks: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Ends what only ends after the last line: the writing of acks.
    rest: CancellationToken,
}

impl Mqtt {
    /// Binds every listener of every channel, and finds the brokers to subscribe at.
    ///
    /// # Errors
    /// An address that cannot be listened on; a TLS file that cannot be used.
    pub async fn open(
        ingress: Arc<Ingress>,
        instance: InstanceId,
        options: MqttOptions,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let rest = CancellationToken::new();
        let (acks, write_acks) = Acks::new(
            Arc::clone(&ingress.store),
            Arc::clone(&ingress.bus),
            options.acks_max,
            rest.clone(),
        );
        let channels = ingress.channels.all();
        let shared = Arc::new(Shared {
            instance,
            options,
            links: Arc::default(),
            roster: Roster::default(),
            acks,
            wills: Wills::default(),
            was_sent: Cache::builder()
                .max_capacity(WAS_SENT_MAX)
                .time_to_live(WAS_SENT_FOR)
                .build(),
            stop,
            ingress,
        });
        let mut mqtt = Self {
            shared,
            listeners: Vec::new(),
            brokers: Vec::new(),
            write_acks: Box::pin(write_acks),
            rest,
        };
        for channel in channels {
            for link in channel.channel.links() {
                match link {
                    Link::MqttBroker(broker) => mqtt.brokers.push((Arc::clone(&channel), *broker)),
                    Link::MqttListener(bounds) => mqtt.bind(&channel, *bounds).await?,
                    Link::Http | Link::Socket | Link::Poll(_) => {}
                }
            }
        }
        Ok(mqtt)
    }

    async fn bind(
        &mut self,
        channel: &Arc<OpenChannel>,
        bounds: MqttListener,
    ) -> anyhow::Result<()> {
        let address = bounds.listen;
        let named = || format!("listen on {address} (channel {})", channel.id);
        let socket = TcpListener::bind(address).await.with_context(named)?;
        let address = socket.local_addr().with_context(named)?;
        tracing::info!(channel = %channel.id, %address, "listening for MQTT devices");
        let listener = Listener::open(&self.shared, channel, bounds);
        let listener = listener.with_context(|| format!("open channel {}", channel.id))?;
        self.listeners.push((socket, Arc::new(listener)));
        Ok(())
    }

    /// Where devices can connect, in the order of the channels.
    #[must_use]
    pub fn addresses(&self) -> Vec<std::net::SocketAddr> {
        let addresses = self.listeners.iter().map(|(socket, _)| socket.local_addr());
        addresses.filter_map(Result::ok).collect()
    }

    /// How the links are, for `/readyz`.
    #[must_use]
    pub fn links(&self) -> Arc<Links> {
        Arc::clone(&self.shared.links)
    }

    /// Serves until `stop`, then confirms what is under way, and ends.
    pub async fn run(self) {
        let Self {
            shared,
            listeners,
            brokers,
            write_acks,
            rest,
        } = self;
        let writing = tokio::spawn(write_acks);
        let tasks = TaskTracker::new();
        let mut running = JoinSet::new();
        for (socket, listener) in listeners {
            running.spawn(listener.run(socket, tasks.clone()));
        }
        if !brokers.is_empty() {
            running.spawn(broker::keep(Arc::clone(&shared), brokers));
        }
        while let Some(ended) = running.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "an MQTT link ended badly");
            }
        }
        tasks.close();
        tasks.wait().await;
        rest.cancel();
        if writing.await.is_err() {
            tracing::error!("what devices acknowledged last was not written");
        }
    }
}
