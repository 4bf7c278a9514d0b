//! Sessions at brokers: one for each topic filter, held by the gateway that has its lease. A message
//! is acked after the bus has confirmed it, in the order they came; when the bus fails, nothing is
//! acked any more and the connection is made anew, so that the broker delivers again from there.

use std::{sync::Arc, time::Duration};

use patchbay_mqtt::{Client, LinkError, Packet, SUBSCRIPTION_REFUSED, filter_hash};
use patchbay_sdk::{MqttBroker, MqttProof, Session};
use patchbay_sinks::{Backoff, OpenChannel};
use patchbay_store::{Fence, Keeping, Leases, Share, Told, Unrenewed, keep as keep_leases};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    Shared, meter,
    status::Shown,
    uplink::{Ended, Uplink},
};

/// The role under which gateways that could hold sessions count each other.
const ROLE: &str = "mqtt";
/// Sessions of a shared subscription, all gateways together: fixed, so that each goes on under its
/// client id wherever it is held, and what the broker keeps for it is never orphaned.
const SHARED_SESSIONS: usize = 8;
/// Between two tries to connect.
const BACKOFF: Backoff = Backoff {
    min: Duration::from_millis(200),
    max: Duration::from_secs(30),
    jitter: 0.5,
};
/// A session that lasted this long begins its pauses anew.
const LASTING: Duration = Duration::from_secs(30);
/// The packet id of the only SUBSCRIBE of a session.
const SUBSCRIBE_ID: u16 = 1;

/// One session at a broker.
struct Subscription {
    /// Its lease, and its name in `/readyz`.
    name: String,
    channel: Arc<OpenChannel>,
    broker: MqttBroker,
    /// As it is subscribed to.
    filter: String,
    client_id: String,
}

/// Keeps this gateway's share of all sessions until the stop.
pub(super) async fn keep(shared: Arc<Shared>, brokers: Vec<(Arc<OpenChannel>, MqttBroker)>) {
    let all: Vec<Arc<Subscription>> = brokers
        .into_iter()
        .flat_map(|(channel, broker)| subscriptions(&channel, &broker))
        .map(Arc::new)
        .collect();
    let keeping = Keeping {
        role: ROLE,
        names: all.iter().map(|one| one.name.clone()).collect(),
        ttl: shared.options.lease_ttl,
        share: Share::Even,
        unrenewed: Unrenewed::Ends,
    };
    let work = |at: usize, _: Fence, stop: CancellationToken| {
        hold(Arc::clone(&shared), Arc::clone(&all[at]), stop)
    };
    let links = Arc::clone(&shared.links);
    let tell = |told: Told<'_>| match told.problem {
        Some(error) => links.bad("leases", error),
        None => links.good("leases"),
    };
    let store: Arc<dyn Leases> = Arc::clone(&shared.ingress.store) as _;
    let (instance, stop) = (shared.instance.clone(), shared.stop.clone());
    keep_leases(store, instance, keeping, work, tell, stop).await;
}

/// The sessions of a channel: one per filter, or a fixed number that share it.
fn subscriptions(channel: &Arc<OpenChannel>, broker: &MqttBroker) -> Vec<Subscription> {
    let one = |name: String, filter: String, client_id: String| Subscription {
        name: format!("mqtt.{}.{name}", channel.id),
        channel: Arc::clone(channel),
        broker: broker.clone(),
        filter,
        client_id,
    };
    // A login that signs the client id allows no other.
    if let ([filter], None) = (&broker.filters[..], &broker.share) {
        let name = filter_hash(filter);
        return vec![one(name, filter.clone(), broker.client_id.clone())];
    }
    let mut all = Vec::new();
    for filter in &broker.filters {
        let hash = filter_hash(filter);
        let id = format!("{}-{hash}", broker.client_id);
        match &broker.share {
            None => all.push(one(hash, filter.clone(), id)),
            Some(group) => all.extend((0..SHARED_SESSIONS).map(|k| {
                let filter = format!("$share/{group}/{filter}");
                one(format!("{hash}.{k}"), filter, format!("{id}-{k}"))
            })),
        }
    }
    all
}

/// Holds one session, connected anew after every error, until `stop`.
async fn hold(shared: Arc<Shared>, one: Arc<Subscription>, stop: CancellationToken) {
    let _shown = Shown {
        links: &shared.links,
        link: &one.name,
    };
    let mut tries = 0;
    loop {
        let begun = Instant::now();
        let Err(error) = session(&shared, &one, &stop).await else {
            return;
        };
        shared.links.bad(&one.name, &error);
        meter::reconnect(&one.channel.id);
        tracing::warn!(channel = %one.channel.id, link = one.name, %error, "broker session ended");
        tries = if begun.elapsed() > LASTING {
            1
        } else {
            tries + 1
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(BACKOFF.delay(tries, fastrand::f64())) => {}
        }
    }
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
enum SessionError {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("what came in could not be stored; the broker delivers it again")]
    NotTaken,
}

impl From<patchbay_mqtt::Malformed> for SessionError {
    fn from(error: patchbay_mqtt::Malformed) -> Self {
        Self::Link(error.into())
    }
}

/// One connection, from CONNECT to its end; good if it was told to stop.
async fn session(
    shared: &Shared,
    one: &Subscription,
    stop: &CancellationToken,
) -> Result<(), SessionError> {
    let client = tokio::select! {
        () = stop.cancelled() => return Ok(()),
        client = Client::connect(&one.broker, &one.client_id, false) => client?,
    };
    let _connection = meter::Connection::begin(&one.channel.id, "broker");
    tracing::info!(channel = %one.channel.id, link = one.name,
        session_present = client.session_present, "connected to the broker");
    let proof = match &one.broker {
        MqttBroker { tls: Some(_), .. } => MqttProof::Tls,
        MqttBroker {
            username: Some(_), ..
        } => MqttProof::Login,
        _ => MqttProof::None,
    };
    let talk = Talk {
        one,
        uplink: Uplink::new(&shared.ingress, &one.channel, None, proof),
        in_flight: meter::InFlight::inbound(&one.channel.id, "broker"),
        session: Session::default(),
        client,
    };
    talk.run(shared, stop).await
}

struct Talk<'a> {
    one: &'a Subscription,
    client: Client,
    uplink: Uplink,
    in_flight: meter::InFlight,
    session: Session,
}

impl Talk<'_> {
    async fn run(mut self, shared: &Shared, stop: &CancellationToken) -> Result<(), SessionError> {
        // Also in a session that goes on: a broker may have forgotten what it does not count as part
        // of the session, and a filter that is no longer allowed has to be noticed.
        self.client.put(&Packet::Subscribe {
            id: SUBSCRIBE_ID,
            filters: vec![(self.one.filter.clone(), self.one.broker.qos.min(1))],
        })?;
        self.client.flush().await?;
        let in_flight_max = usize::from(self.one.broker.in_flight_max.max(1));
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                done = self.uplink.next() => self.ended(done).await?,
                // While too much is under way nothing more is read; the broker waits.
                packet = self.client.next(), if self.uplink.len() < in_flight_max => {
                    let mut packet = Some(packet?);
                    while let Some(one) = packet.take() {
                        self.packet(shared, one)?;
                        if self.uplink.len() < in_flight_max {
                            packet = self.client.take()?;
                        }
                    }
                }
            }
            self.in_flight.set(self.uplink.len());
        }
        self.finish(shared.options.drain).await
    }

    fn packet(&mut self, shared: &Shared, packet: Packet) -> Result<(), SessionError> {
        match packet {
            Packet::Publish(publish) if publish.qos < 2 => {
                meter::received(&self.one.channel.id, "broker");
                self.uplink
                    .begin(&mut self.session, &publish, publish.retain);
            }
            Packet::SubAck {
                id: SUBSCRIBE_ID,
                codes,
            } => match codes.first() {
                Some(code) if *code < SUBSCRIPTION_REFUSED => {
                    if *code < self.one.broker.qos.min(1) {
                        tracing::warn!(channel = %self.one.channel.id, link = self.one.name,
                            "the broker grants QoS 0 only: what comes while nobody is there is lost");
                    }
                    shared.links.good(&self.one.name);
                }
                Some(code) => return Err(LinkError::NotGranted(*code).into()),
                None => return Err(LinkError::Unexpected.into()),
            },
            _ => return Err(LinkError::Unexpected.into()),
        }
        Ok(())
    }

    /// Acks this one and whatever else has ended.
    async fn ended(&mut self, done: super::uplink::Done) -> Result<(), SessionError> {
        let mut next = Some(done);
        let mut again = false;
        while let Some(done) = next {
            match done.ended {
                // A message that is never taken is acked too: the broker would deliver it for ever.
                Ended::Taken | Ended::Refused(_) if done.id != 0 => {
                    self.client.put(&Packet::PubAck {
                        id: done.id,
                        reason: 0,
                    })?;
                }
                Ended::Again if done.id != 0 => {
                    again = true;
                    break;
                }
                _ => {}
            }
            next = self.uplink.try_next();
        }
        self.client.flush().await?;
        if again {
            Err(SessionError::NotTaken)
        } else {
            Ok(())
        }
    }

    /// Acks what is still confirmed in time, and goes.
    async fn finish(mut self, drain: Duration) -> Result<(), SessionError> {
        let end = Instant::now() + drain;
        while self.uplink.len() > 0 {
            tokio::select! {
                done = self.uplink.next() => self.ended(done).await?,
                () = sleep_until(end) => break,
            }
        }
        self.client.close().await;
        Ok(())
    }
}
