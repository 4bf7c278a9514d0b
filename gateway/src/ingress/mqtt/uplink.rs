//! What comes in by MQTT, on its way to the bus: many at once, ended in the order they came
//! ([MQTT-4.6.0-2]), and after a failure nothing later of the same connection is taken.

use std::{
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, stream::FuturesOrdered};
use patchbay_bus::PublishError;
use patchbay_mqtt::{Publish, reason};
use patchbay_sdk::{MqttIn, MqttProof, Reject, Session, Wire};
use patchbay_sinks::OpenChannel;
use tokio::time::Instant;

use super::{
    super::{
        Ingress,
        reject::{Refusal, count},
    },
    meter,
};
use crate::pipeline::NotTaken;

/// The name of the user property that carries a trace (W3C Trace Context for MQTT, section 3).
const TRACE: &str = "traceparent";

/// How one publish ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The bus has it.
    Taken,
    /// It will never be taken: sent again it would be refused again. The MQTT 5 reason says why.
    Refused(u8),
    /// Not now: it has to come again.
    Again,
}

/// One publish, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Done {
    /// Its packet id; 0 with QoS 0.
    pub(super) id: u16,
    pub(super) ended: Ended,
}

type Pending = Pin<Box<dyn Future<Output = Done> + Send>>;

/// The publishes of one connection that are under way.
pub(super) struct Uplink {
    ingress: Arc<Ingress>,
    channel: Arc<OpenChannel>,
    peer: Option<IpAddr>,
    proof: MqttProof,
    pending: Option<FuturesOrdered<Pending>>,
    failed: Arc<AtomicBool>,
    complaints: Complaints,
}

impl Uplink {
    pub(super) fn new(
        ingress: &Arc<Ingress>,
        channel: &Arc<OpenChannel>,
        peer: Option<IpAddr>,
        proof: MqttProof,
    ) -> Self {
        Self {
            ingress: Arc::clone(ingress),
            channel: Arc::clone(channel),
            peer,
            proof,
            pending: None,
            failed: Arc::default(),
            complaints: Complaints::default(),
        }
    }

    /// How many are under way.
    pub(super) fn len(&self) -> usize {
        self.pending.as_ref().map_or(0, FuturesOrdered::len)
    }

    /// Reads a publish and begins to bring it to the bus.
    pub(super) fn begin(&mut self, session: &mut Session, publish: &Publish, retained: bool) {
        let id = if publish.qos == 0 { 0 } else { publish.id };
        let channel = &self.channel;
        let properties = publish.properties.as_deref();
        let user = properties.map_or(&[][..], |all| &all.user);
        let trace = (user.iter().find(|(name, _)| name == TRACE)).map(|(_, value)| value.as_str());
        let wire = Wire::Mqtt(MqttIn {
            topic: &publish.topic,
            payload: &publish.payload,
            qos: publish.qos,
            retained,
            response_topic: properties.and_then(|all| all.response_topic.as_deref()),
            correlation: properties.and_then(|all| all.correlation.as_deref()),
            content_type: properties.and_then(|all| all.content_type.as_deref()),
            user_properties: user,
            link: self.proof,
        });
        let pipeline = &self.ingress.pipeline;
        let future: Pending = match pipeline.read(channel, session, self.peer, trace, wire) {
            Err(error) => {
                let ended = self.complain(&publish.topic, &error);
                Box::pin(async move { Done { id, ended } })
            }
            Ok(read) => {
                if read.envelopes.is_empty() && read.signals.is_empty() {
                    meter::unmapped(&channel.id);
                }
                for signal in &read.signals {
                    self.ingress.pass_on(channel, signal);
                }
                let ingress = Arc::clone(&self.ingress);
                let failed = Arc::clone(&self.failed);
                let channel = Arc::clone(channel);
                Box::pin(async move {
                    // Whatever follows one that failed comes again after it; taken now, it would
                    // overtake it.
                    if failed.load(Ordering::Relaxed) {
                        let ended = Ended::Again;
                        return Done { id, ended };
                    }
                    let outcome = ingress.pipeline.publish(&read.envelopes).await;
                    let ended = ended(&channel, outcome);
                    // With QoS 0 it never comes again, and there is no order to keep.
                    if ended == Ended::Again && id != 0 {
                        failed.store(true, Ordering::Relaxed);
                    }
                    Done { id, ended }
                })
            }
        };
        self.pending.get_or_insert_default().push_back(future);
    }

    /// Answers a publish that is not even read, in its turn.
    pub(super) fn refuse(&mut self, publish: &Publish, reason: u8) {
        let id = if publish.qos == 0 { 0 } else { publish.id };
        let ended = Ended::Refused(reason);
        let done: Pending = Box::pin(async move { Done { id, ended } });
        self.pending.get_or_insert_default().push_back(done);
    }

    /// The next one that has ended, in the order they came; for ever if none is under way.
    /// Cancel-safe.
    pub(super) async fn next(&mut self) -> Done {
        match &mut self.pending {
            Some(pending) if !pending.is_empty() => match pending.next().await {
                Some(done) => done,
                None => std::future::pending().await,
            },
            _ => {
                // An idle connection keeps nothing.
                self.pending = None;
                std::future::pending().await
            }
        }
    }

    /// The next one, if it has ended already.
    pub(super) fn try_next(&mut self) -> Option<Done> {
        (self.len() > 0)
            .then(|| self.next().now_or_never())
            .flatten()
    }

    fn complain(&mut self, topic: &str, error: &NotTaken) -> Ended {
        let refusal = Refusal::from(error);
        count(self.channel.id.as_str(), refusal.code);
        if let Some(n) = self.complaints.may_speak() {
            let topic: String = topic.chars().take(TOPIC_SHOWN).collect();
            tracing::warn!(channel = %self.channel.id, code = refusal.code, detail = refusal.detail,
                topic = ?topic, n, "inbound not taken");
        }
        match error {
            NotTaken::TooFast { .. } => Ended::Again,
            error => Ended::Refused(reason_of(error)),
        }
    }
}

/// Characters of a topic in a log line.
const TOPIC_SHOWN: usize = 120;

fn ended(channel: &OpenChannel, outcome: Result<(), NotTaken>) -> Ended {
    let Err(error) = outcome else {
        return Ended::Taken;
    };
    let refusal = Refusal::from(&error);
    count(channel.id.as_str(), refusal.code);
    tracing::warn!(channel = %channel.id, code = refusal.code, %error, "inbound not taken");
    match error {
        NotTaken::Unavailable(PublishError::Full(_) | PublishError::Unavailable(_))
        | NotTaken::TooFast { .. } => Ended::Again,
        error => Ended::Refused(reason_of(&error)),
    }
}

fn reason_of(error: &NotTaken) -> u8 {
    match error {
        NotTaken::Rejected(Reject::Unauthorized | Reject::Stale | Reject::Forbidden(_)) => {
            reason::NOT_AUTHORIZED
        }
        NotTaken::Rejected(Reject::NotFound) => reason::TOPIC,
        NotTaken::Rejected(Reject::TooLarge(_)) | NotTaken::TooFast { .. } => reason::QUOTA,
        NotTaken::Rejected(_) | NotTaken::Violation(_) => reason::PAYLOAD_FORMAT,
        NotTaken::Unavailable(_) => reason::QUOTA,
    }
}

/// A log line now and then: whoever sends a thousand bad messages a second does not fill the disk.
#[derive(Default)]
struct Complaints {
    last: Option<Instant>,
    n: u32,
}

/// Between two lines of one connection.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);

impl Complaints {
    /// How many there were since the last line, if it is time for one.
    fn may_speak(&mut self) -> Option<u32> {
        self.n = self.n.saturating_add(1);
        if self
            .last
            .is_some_and(|last| last.elapsed() < COMPLAIN_EVERY)
        {
            return None;
        }
        self.last = Some(Instant::now());
        Some(std::mem::take(&mut self.n))
    }
}
