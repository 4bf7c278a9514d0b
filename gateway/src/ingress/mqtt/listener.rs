//! Accepts devices' connections on one address, within its bounds.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use anyhow::Context as _;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock as _};
use patchbay_message::ThreadId;
use patchbay_sdk::MqttListener;
use patchbay_sinks::OpenChannel;
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use super::{
    Shared,
    line::{Departed, Line},
    meter, welcome, wills,
};
use crate::edge::Guests;

/// Devices whose rate is remembered before idle ones are forgotten.
const DEVICES_MAX: usize = 100_000;
/// Out of file descriptors: every accept would fail until some are closed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// One address that devices connect to.
pub(super) struct Listener {
    pub(super) shared: Arc<Shared>,
    pub(super) channel: Arc<OpenChannel>,
    pub(super) bounds: MqttListener,
    pub(super) tls: Option<TlsAcceptor>,
    guests: Arc<Guests>,
    /// By device, so that whoever reconnects has no new allowance.
    rates: DefaultKeyedRateLimiter<ThreadId>,
}

impl Listener {
    pub(super) fn open(
        shared: &Arc<Shared>,
        channel: &Arc<OpenChannel>,
        bounds: MqttListener,
    ) -> anyhow::Result<Self> {
        let tls = match &bounds.tls {
            Some((cert, key)) => {
                let config = patchbay_mqtt::server_config(cert, key, bounds.client_ca.as_deref());
                Some(TlsAcceptor::from(config.context("set up TLS")?))
            }
            None => None,
        };
        let rate = NonZeroU32::new(bounds.messages_per_minute).unwrap_or(NonZeroU32::MIN);
        let burst = NonZeroU32::new(bounds.messages_burst).unwrap_or(NonZeroU32::MIN);
        Ok(Self {
            shared: Arc::clone(shared),
            channel: Arc::clone(channel),
            tls,
            guests: Guests::new(bounds.connections_max, bounds.connections_per_address_max),
            rates: RateLimiter::keyed(Quota::per_minute(rate).allow_burst(burst)),
            bounds,
        })
    }

    /// Accepts until the stop; the connections live on in `tasks` until they have ended.
    pub(super) async fn run(self: Arc<Self>, socket: TcpListener, tasks: TaskTracker) {
        let stop = self.shared.stop.clone();
        loop {
            let (stream, peer) = tokio::select! {
                () = stop.cancelled() => return,
                accepted = socket.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        tracing::warn!(%error, channel = %self.channel.id, "accept failed");
                        sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                },
            };
            // Refused before a task is made: a flood costs a look at two numbers each.
            match self.guests.admit(peer.ip()) {
                Ok(guest) => {
                    let listener = Arc::clone(&self);
                    tasks.spawn(async move {
                        let departed = Arc::clone(&listener).serve(stream, peer).await;
                        drop(guest);
                        if let Some(departed) = departed {
                            Box::pin(wills::publish(&listener, departed)).await;
                        }
                    });
                }
                Err(refusal) => meter::refused(&self.channel.id, refusal.reason()),
            }
        }
    }

    async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        peer: std::net::SocketAddr,
    ) -> Option<Departed> {
        let _ = stream.set_nodelay(true);
        let stop = self.shared.stop.clone();
        // In a box of its own, so that what TLS and CONNECT need is not kept by an idle connection.
        let welcome = Box::pin(timeout(
            self.bounds.connect_timeout,
            welcome::greet(&self, stream, peer),
        ));
        let greeted = tokio::select! {
            () = stop.cancelled() => return None,
            greeted = welcome => greeted,
        };
        match greeted {
            Ok(Ok(welcome)) => return Line::new(self, peer, *welcome).run().await,
            Ok(Err(reason)) => {
                meter::refused(&self.channel.id, reason);
                tracing::debug!(channel = %self.channel.id, reason, "device not let in");
            }
            Err(_) => meter::refused(&self.channel.id, "connect_timeout"),
        }
        None
    }

    /// How long a device has to wait before its next message is read; none if it may be.
    pub(super) fn wait(&self, thread: ThreadId) -> Option<Duration> {
        if self.rates.len() > DEVICES_MAX {
            self.rates.retain_recent();
        }
        let not_until = self.rates.check_key(&thread).err()?;
        let now = governor::clock::DefaultClock::default().now();
        Some(not_until.wait_time_from(now).max(Duration::from_millis(1)))
    }
}
