//! One device's connection: reads what it sends, acks what the bus has confirmed, sends what its
//! thread has for it. One task; an idle one keeps a timer and next to no buffer.

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use patchbay_message::ThreadId;
use patchbay_mqtt::{Bounds, Conn, Packet, Publish, Will, reason, topic};
use patchbay_sdk::{MqttProof, MqttVersion, Session};
use tokio::time::{Instant, sleep_until, timeout};

use super::{
    down::Down,
    end::End,
    listener::Listener,
    meter,
    roster::Place,
    uplink::{Done, Ended, Uplink},
    welcome::{Permits, Welcome},
};
use crate::live::{Push, Registration};

/// A device that takes nothing for this long is too slow.
const WRITE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a goodbye may take.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);
/// Filters one device may subscribe to.
const SUBSCRIPTIONS_MAX: usize = 32;
/// Publishes to topics that are not the device's, before its connection is closed.
const FOREIGN_MAX: u32 = 10;

/// What is left of a device whose connection broke.
pub(super) struct Departed {
    pub(super) session: Session,
    /// Kept until the will is published: whoever takes it makes the will void.
    pub(super) place: Place,
    pub(super) will: Will,
}

/// One connection.
pub(super) struct Line {
    pub(super) listener: Arc<Listener>,
    pub(super) conn: Conn,
    pub(super) thread: ThreadId,
    pub(super) registration: Registration,
    pub(super) subscriptions: Vec<String>,
    /// From the first subscription on.
    pub(super) down: Option<Box<Down>>,
    /// What the device takes.
    pub(super) bounds: Bounds,
    pub(super) session: Session,
    permits: Permits,
    place: Place,
    will: Option<Box<Will>>,
    uplink: Uplink,
    /// One that came too fast, and when it is read.
    held: Option<(Box<Packet>, Instant)>,
    silence_max: Duration,
    heard: Instant,
    n_foreign: u32,
    in_flight: meter::InFlight,
    _connection: meter::Connection,
}

impl Line {
    pub(super) fn new(listener: Arc<Listener>, peer: SocketAddr, welcome: Welcome) -> Self {
        let channel = &listener.channel;
        let ingress = &listener.shared.ingress;
        let uplink = Uplink::new(ingress, channel, Some(peer.ip()), MqttProof::Session);
        tracing::debug!(channel = %channel.id, address = welcome.address, "device connected");
        Self {
            conn: welcome.conn,
            thread: welcome.thread,
            registration: welcome.registration,
            subscriptions: Vec::new(),
            down: None,
            bounds: welcome.bounds,
            session: welcome.session,
            permits: welcome.permits,
            place: welcome.place,
            will: welcome.will,
            uplink,
            held: None,
            // One and a half times the keep-alive ([MQTT-3.1.2-24], 3.1.1; section 3.1.2.10, 5).
            silence_max: Duration::from_millis(1500 * u64::from(welcome.keep_alive)),
            heard: Instant::now(),
            n_foreign: 0,
            in_flight: meter::InFlight::inbound(&channel.id, "listener"),
            _connection: meter::Connection::begin(&channel.id, "listener"),
            listener,
        }
    }

    /// Talks until one side ends it; answers the will that is due, if one is.
    pub(super) async fn run(mut self) -> Option<Departed> {
        let end = self.talk().await;
        self.finish(end).await
    }

    /// When it has to end for reasons of our own, whatever it waits for.
    pub(super) fn called_off(&self) -> impl Future<Output = End> + Send + use<> {
        let (stop, kicked) = (&self.listener.shared.stop, &self.place.kicked);
        let (stop, kicked) = (stop.clone(), kicked.clone());
        async move {
            tokio::select! {
                biased;
                () = stop.cancelled() => End::ours(reason::SHUTTING_DOWN, "shutdown"),
                () = kicked.cancelled() => End::ours(reason::TAKEN_OVER, "taken_over"),
            }
        }
    }

    async fn talk(&mut self) -> End {
        let mut called_off = pin!(self.called_off());
        let mut alarm = pin!(sleep_until(self.alarm_at()));
        loop {
            let may_read = self.may_read();
            let step = tokio::select! {
                biased;
                end = &mut called_off => Err(end),
                done = self.uplink.next() => self.ended(done),
                push = self.registration.next() => self.push(push).await,
                packet = self.conn.read(), if may_read => match packet {
                    Ok(packet) => self.packets(packet).await,
                    Err(error) => Err(error.into()),
                },
                () = &mut alarm => self.alarmed().await,
            };
            self.in_flight.set(self.uplink.len());
            let step = match step {
                Ok(()) => self.flush().await,
                end => end,
            };
            if let Err(end) = step {
                return end;
            }
            let at = self.alarm_at();
            if alarm.is_elapsed() || alarm.deadline() > at {
                alarm.as_mut().reset(at);
            }
        }
    }

    /// Whether more may be read: not while too much is under way, nor while the device is held back.
    fn may_read(&self) -> bool {
        let max = usize::from(self.listener.bounds.in_flight_max.max(1));
        self.held.is_none() && self.uplink.len() < max
    }

    fn alarm_at(&self) -> Instant {
        match &self.held {
            Some((_, at)) => *at,
            None if self.may_read() => self.heard + self.silence_max,
            // What we do not read says nothing about the device.
            None => Instant::now() + self.silence_max,
        }
    }

    async fn alarmed(&mut self) -> Result<(), End> {
        let now = Instant::now();
        if let Some((packet, _)) = self.held.take_if(|(_, at)| *at <= now) {
            self.heard = now;
            return self.packet(*packet).await;
        }
        if self.may_read() && now >= self.heard + self.silence_max {
            return Err(End::fault(reason::KEEP_ALIVE, "keep_alive"));
        }
        Ok(())
    }

    /// Works off a packet and whatever else was read with it.
    async fn packets(&mut self, first: Packet) -> Result<(), End> {
        self.heard = Instant::now();
        let mut next = Some(first);
        while let Some(packet) = next.take() {
            self.packet(packet).await?;
            if self.may_read() {
                next = self.conn.take()?;
            }
        }
        Ok(())
    }

    async fn packet(&mut self, packet: Packet) -> Result<(), End> {
        // Held back, not thrown away: the device waits, and nothing of it is lost.
        if is_work(&packet)
            && let Some(wait) = self.listener.wait(self.thread)
        {
            meter::refused(&self.listener.channel.id, "rate_limited");
            self.held = Some((Box::new(packet), Instant::now() + wait));
            return Ok(());
        }
        match packet {
            Packet::Publish(publish) => self.publish(&publish),
            Packet::PubAck { id, reason } => self.acked(id, reason).await,
            Packet::PingReq => Ok(self.conn.put(&Packet::PingResp)?),
            Packet::Subscribe { id, filters } => self.subscribe(id, filters).await,
            Packet::Unsubscribe { id, filters } => {
                self.subscriptions
                    .retain(|filter| !filters.contains(filter));
                let n = filters.len();
                Ok(self.conn.put(&Packet::UnsubAck { id, n })?)
            }
            Packet::Disconnect { reason: 0 } => Err(End::Left),
            Packet::Disconnect { .. } => Err(End::Broken),
            Packet::Qos2 => Err(End::fault(reason::QOS, "qos")),
            Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::SubAck { .. }
            | Packet::UnsubAck { .. }
            | Packet::PingResp => Err(End::fault(reason::PROTOCOL, "protocol")),
        }
    }

    fn publish(&mut self, publish: &Publish) -> Result<(), End> {
        let channel = &self.listener.channel.id;
        if publish.qos > 1 {
            return Err(End::fault(reason::QOS, "qos"));
        }
        if publish
            .properties
            .as_ref()
            .is_some_and(|all| all.topic_alias.is_some())
        {
            return Err(End::fault(reason::TOPIC_ALIAS, "topic_alias"));
        }
        if !topic::is_name(&publish.topic) {
            return Err(End::fault(reason::TOPIC, "malformed"));
        }
        if self.permits.may_publish(&publish.topic) {
            meter::received(channel, "listener");
            self.uplink.begin(&mut self.session, publish, false);
            return Ok(());
        }
        meter::refused(channel, "topic");
        self.n_foreign += 1;
        // 3.1.1 has no word for it (section 3.3.5: acknowledge or close).
        if self.conn.version() == MqttVersion::V4 || self.n_foreign > FOREIGN_MAX {
            return Err(End::fault(reason::NOT_AUTHORIZED, "topic"));
        }
        self.uplink.refuse(publish, reason::NOT_AUTHORIZED);
        Ok(())
    }

    /// Acks this one and whatever else has ended.
    fn ended(&mut self, done: Done) -> Result<(), End> {
        let mut next = Some(done);
        while let Some(Done { id, ended }) = next {
            let reason = match ended {
                Ended::Taken => reason::SUCCESS,
                Ended::Refused(reason) => reason,
                // Without an ack it comes again, when the device is back.
                Ended::Again if id != 0 => return Err(End::ours(reason::BUSY, "unavailable")),
                Ended::Again => reason::SUCCESS,
            };
            if id != 0 {
                self.conn.put(&Packet::PubAck { id, reason })?;
            }
            next = self.uplink.try_next();
        }
        Ok(())
    }

    async fn subscribe(&mut self, id: u16, filters: Vec<(String, u8)>) -> Result<(), End> {
        let mut codes = Vec::with_capacity(filters.len());
        let n_before = self.subscriptions.len();
        for (filter, qos) in filters {
            codes.push(self.grant(filter, qos));
        }
        self.conn.put(&Packet::SubAck { id, codes })?;
        // What it has subscribed to already it has been sent.
        if self.subscriptions.len() == n_before {
            return Ok(());
        }
        self.pump().await
    }

    fn grant(&mut self, filter: String, qos: u8) -> u8 {
        let refused = if filter.starts_with("$share/") {
            reason::SHARED
        } else if !topic::is_filter(&filter) {
            reason::FILTER
        } else if !self.permits.may_subscribe(&filter) {
            reason::NOT_AUTHORIZED
        } else if self.subscriptions.contains(&filter) {
            return qos.min(1);
        } else if self.subscriptions.len() >= SUBSCRIPTIONS_MAX {
            reason::QUOTA
        } else {
            self.subscriptions.push(filter);
            return qos.min(1);
        };
        meter::refused(&self.listener.channel.id, "subscription");
        refused
    }

    async fn push(&mut self, push: Option<Push>) -> Result<(), End> {
        match push {
            Some(Push::Frame { .. } | Push::Newest(_)) => self.pump().await,
            Some(Push::TakenOver(since)) if since > self.place.since => {
                Err(End::ours(reason::TAKEN_OVER, "taken_over"))
            }
            Some(_) => Ok(()),
            None => Err(End::ours(reason::SHUTTING_DOWN, "shutdown")),
        }
    }

    /// Writes what was put; a device that does not read is not waited for long.
    pub(super) async fn flush(&mut self) -> Result<(), End> {
        if self.conn.n_unwritten() == 0 {
            return Ok(());
        }
        let kicked = self.place.kicked.clone();
        tokio::select! {
            written = timeout(WRITE_TIMEOUT, self.conn.flush()) => match written {
                Ok(written) => Ok(written?),
                Err(_) => Err(End::fault(reason::UNSPECIFIED, "slow_reader")),
            },
            () = kicked.cancelled() => Err(End::ours(reason::TAKEN_OVER, "taken_over")),
        }
    }

    async fn finish(mut self, end: End) -> Option<Departed> {
        let will = match end {
            End::Left => false,
            End::Broken => true,
            End::Closed { reason, word, will } => {
                if word == "shutdown" {
                    self.drain().await;
                } else {
                    meter::refused(&self.listener.channel.id, word);
                }
                self.goodbye(reason).await;
                will
            }
        };
        let will = self.will.take().filter(|_| will)?;
        Some(Departed {
            session: self.session,
            place: self.place,
            will: *will,
        })
    }

    /// Acks what is still confirmed in time.
    async fn drain(&mut self) {
        let end = Instant::now() + self.listener.shared.options.drain;
        while self.uplink.len() > 0 {
            let done = tokio::select! {
                done = self.uplink.next() => done,
                () = sleep_until(end) => return,
            };
            if self.ended(done).is_err() || self.flush().await.is_err() {
                return;
            }
        }
    }

    async fn goodbye(&mut self, reason: u8) {
        // 3.1.1 has no such packet from a server.
        let said = self.conn.version() == MqttVersion::V4
            || self.conn.put(&Packet::Disconnect { reason }).is_ok();
        if said {
            let _ = timeout(GOODBYE_TIMEOUT, self.conn.shutdown()).await;
        }
    }
}

/// What counts for a device's rate: it makes work, here or behind us.
fn is_work(packet: &Packet) -> bool {
    matches!(
        packet,
        Packet::Publish(_) | Packet::Subscribe { .. } | Packet::Unsubscribe { .. }
    )
}
