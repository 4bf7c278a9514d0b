//! Publishing to brokers: one connection per channel, made anew after every error. A publish ends
//! with its PUBACK, matched by packet id; what may have left us without one is unknown, everything
//! else was not sent. Nothing waits here for a broker that is away: retrying is the lanes' business.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use patchbay_message::{ChannelId, InstanceId};
use patchbay_mqtt::{Client, LinkError, Packet, Properties, Publish, reason, topic};
use patchbay_sdk::{Answer, Exchange, Link, MqttBroker, MqttOut};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{OpenChannel, backoff::Backoff, meter, worker::Status};

/// How long a publish waits for a connection that is being made.
const CONNECT_WAIT: Duration = Duration::from_secs(3);
/// How often it is looked whether an acknowledgement is missing.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between two tries to connect.
const BACKOFF: Backoff = Backoff {
    min: Duration::from_millis(200),
    max: Duration::from_secs(30),
    jitter: 0.5,
};
/// A connection that lasted this long begins its pauses anew.
const LASTING: Duration = Duration::from_secs(30);

/// The connections of this process.
pub(crate) struct Mqtt {
    instance: InstanceId,
    status: Arc<Status>,
    publishers: Mutex<HashMap<ChannelId, Publisher>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

#[derive(Clone)]
struct Publisher {
    jobs: mpsc::Sender<Job>,
    connected: watch::Receiver<bool>,
}

/// One publish, and where its end is awaited.
struct Job {
    out: MqttOut,
    turn: Arc<Turn>,
    done: oneshot::Sender<Exchange>,
}

/// Whether a publish has begun to leave us: decided once, by whoever is first.
#[derive(Default)]
struct Turn(AtomicU8);

impl Turn {
    const BEGUN: u8 = 1;
    const GIVEN_UP: u8 = 2;

    fn decide(&self, word: u8) -> bool {
        let decided = self
            .0
            .compare_exchange(0, word, Ordering::AcqRel, Ordering::Acquire);
        decided.is_ok()
    }
}

impl Mqtt {
    pub(crate) fn new(instance: InstanceId, status: Arc<Status>) -> Self {
        Self {
            instance,
            status,
            publishers: Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    /// Connects, so that the first publish need not wait for it.
    pub(crate) fn connect(&self, channel: &OpenChannel) {
        self.publisher(channel);
    }

    /// Ends every connection. Whoever still waits for a PUBACK learns that it is unknown.
    pub(crate) async fn close(&self) {
        self.stop.cancel();
        self.publishers.lock().clear();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Publishes and waits for the PUBACK.
    pub(crate) async fn perform(&self, channel: &OpenChannel, out: MqttOut) -> Exchange {
        let exchange = self.publish(channel, out).await;
        let outcome = match &exchange {
            Exchange::Answered(Answer::Mqtt { reason }) if *reason >= 0x80 => "refused",
            Exchange::Answered(_) => "acked",
            Exchange::NotSent(_) => "not_sent",
            Exchange::Unknown(_) => "unknown",
        };
        meter::mqtt_sent(&channel.id, outcome);
        exchange
    }

    async fn publish(&self, channel: &OpenChannel, out: MqttOut) -> Exchange {
        let not_sent = |why: &str| Exchange::NotSent(why.to_owned());
        if !topic::is_name(&out.topic) {
            return answered(reason::TOPIC);
        }
        let Some(mut publisher) = self.publisher(channel) else {
            return not_sent("the channel has no connection to publish by");
        };
        let patience = out.timeout;
        let connected = publisher.connected.wait_for(|connected| *connected);
        if !matches!(
            timeout(CONNECT_WAIT.min(patience), connected).await,
            Ok(Ok(_))
        ) {
            return not_sent("no connection to the broker");
        }
        let (done, answer) = oneshot::channel();
        let turn = Arc::new(Turn::default());
        let job = Job {
            out,
            turn: Arc::clone(&turn),
            done,
        };
        if publisher.jobs.try_send(job).is_err() {
            return not_sent("too many publishes are under way");
        }
        match timeout(patience, answer).await {
            Ok(Ok(exchange)) => exchange,
            Ok(Err(_)) if turn.decide(Turn::GIVEN_UP) => not_sent("the connection broke"),
            Err(_) if turn.decide(Turn::GIVEN_UP) => not_sent("the broker takes too long"),
            Ok(Err(_)) => Exchange::Unknown("the connection broke".to_owned()),
            Err(_) => Exchange::Unknown("no PUBACK in time".to_owned()),
        }
    }

    fn publisher(&self, channel: &OpenChannel) -> Option<Publisher> {
        if let Some(publisher) = self.publishers.lock().get(&channel.id) {
            return Some(publisher.clone());
        }
        let links = channel.channel.links().into_iter();
        let broker = links.into_iter().find_map(|link| match link {
            Link::MqttBroker(broker) if !is_single(&broker) => Some(*broker),
            _ => None,
        })?;
        let mut publishers = self.publishers.lock();
        if self.stop.is_cancelled() {
            return None;
        }
        let publisher = publishers.entry(channel.id.clone()).or_insert_with(|| {
            let (jobs, rx) = mpsc::channel(usize::from(broker.in_flight_max.max(1)));
            let (tell, connected) = watch::channel(false);
            let line = Line {
                channel: channel.id.clone(),
                client_id: format!("{}-out-{}", broker.client_id, self.instance),
                broker,
                jobs: rx,
                tell,
                status: Arc::clone(&self.status),
            };
            self.tasks.spawn(line.run(self.stop.clone()));
            Publisher { jobs, connected }
        });
        Some(publisher.clone())
    }
}

/// Whether the login signs the client id, so that the broker lets in one connection only: the one
/// that subscribes. Aliyun writes the signature's method behind the id, after a bar.
fn is_single(broker: &MqttBroker) -> bool {
    broker.client_id.contains('|')
}

fn answered(reason: u8) -> Exchange {
    Exchange::Answered(Answer::Mqtt { reason })
}

/// One channel's connection.
struct Line {
    channel: ChannelId,
    broker: MqttBroker,
    client_id: String,
    jobs: mpsc::Receiver<Job>,
    tell: watch::Sender<bool>,
    status: Arc<Status>,
}

impl Line {
    async fn run(mut self, stop: CancellationToken) {
        let mut tries = 0;
        loop {
            let begun = Instant::now();
            let ended = tokio::select! {
                () = stop.cancelled() => Ok(()),
                ended = self.connection(&stop) => ended,
            };
            self.tell.send_replace(false);
            // They were told of a connection that is gone; none of them has begun.
            while let Ok(job) = self.jobs.try_recv() {
                drop(job);
            }
            let Err(error) = ended else {
                self.status.broker(&self.channel, None);
                return;
            };
            self.status.broker(&self.channel, Some(error.to_string()));
            meter::mqtt_reconnect(&self.channel);
            tracing::warn!(channel = %self.channel, %error, "no connection to publish by");
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

    async fn connection(&mut self, stop: &CancellationToken) -> Result<(), LinkError> {
        let client = Client::connect(&self.broker, &self.client_id, true).await?;
        let _connection = meter::MqttConnection::begin(&self.channel);
        tracing::info!(channel = %self.channel, "connected to publish");
        self.status.broker(&self.channel, None);
        self.tell.send_replace(true);
        let window = client.bounds.receive_max.unwrap_or(u16::MAX);
        let mut talk = Talk {
            window: usize::from(window.min(self.broker.in_flight_max).max(1)),
            client,
            unacked: HashMap::new(),
            next_id: 0,
        };
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    talk.client.close().await;
                    return Ok(());
                }
                packet = talk.client.next() => talk.packet(&packet?)?,
                _ = look.tick() => talk.look()?,
                job = self.jobs.recv(), if talk.unacked.len() < talk.window => {
                    let Some(job) = job else { return Ok(()) };
                    talk.send(job, &mut self.jobs).await?;
                }
            }
        }
    }
}

/// A connection at work. Dropped, it leaves whoever waits with an unknown outcome.
struct Talk {
    client: Client,
    window: usize,
    unacked: HashMap<u16, oneshot::Sender<Exchange>>,
    next_id: u16,
}

impl Talk {
    /// Whoever waited for an acknowledgement too long has gone. Its packet id stays taken at the
    /// broker, and with many of them nothing could be sent: the connection is made anew.
    fn look(&self) -> Result<(), LinkError> {
        if self.unacked.values().any(oneshot::Sender::is_closed) {
            return Err(LinkError::Silent("acknowledge a publish"));
        }
        Ok(())
    }

    fn packet(&mut self, packet: &Packet) -> Result<(), LinkError> {
        match packet {
            Packet::PubAck { id, reason } => {
                if let Some(done) = self.unacked.remove(id) {
                    let _ = done.send(answered(*reason));
                }
                Ok(())
            }
            _ => Err(LinkError::Unexpected),
        }
    }

    /// Writes this one and whatever else waits, in one go.
    async fn send(&mut self, first: Job, jobs: &mut mpsc::Receiver<Job>) -> Result<(), LinkError> {
        let mut unanswered = Vec::new();
        let mut next = Some(first);
        while let Some(job) = next.take() {
            self.put(job, &mut unanswered);
            if self.unacked.len() < self.window {
                next = jobs.try_recv().ok();
            }
        }
        self.client.flush().await?;
        for done in unanswered {
            // QoS 0: nobody will say anything of it.
            let _ = done.send(answered(reason::SUCCESS));
        }
        Ok(())
    }

    fn put(&mut self, job: Job, unanswered: &mut Vec<oneshot::Sender<Exchange>>) {
        let Job { out, turn, done } = job;
        if !turn.decide(Turn::BEGUN) {
            return;
        }
        let id = if out.qos == 0 { 0 } else { self.id() };
        let seconds = |after: Duration| u32::try_from(after.as_secs().max(1)).unwrap_or(u32::MAX);
        let publish = Publish {
            topic: out.topic,
            payload: out.payload,
            qos: out.qos.min(1),
            id,
            dup: false,
            retain: out.retain,
            properties: Some(Box::new(Properties {
                response_topic: out.response_topic,
                correlation: out.correlation,
                content_type: out.content_type,
                expiry: out.expires_after.map(seconds),
                ..Properties::default()
            })),
        };
        if self.client.put_bounded(&Packet::Publish(publish)).is_err() {
            // Tried again it would be as large as now.
            let _ = done.send(answered(reason::PAYLOAD_FORMAT));
        } else if id == 0 {
            unanswered.push(done);
        } else {
            self.unacked.insert(id, done);
        }
    }

    /// A packet id that no publish under way has.
    fn id(&mut self) -> u16 {
        loop {
            self.next_id = self.next_id.checked_add(1).unwrap_or(1);
            if !self.unacked.contains_key(&self.next_id) {
                return self.next_id;
            }
        }
    }
}
