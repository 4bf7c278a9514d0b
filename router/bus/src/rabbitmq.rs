//! The bus on RabbitMQ (3.10 to 4.x): quorum queues, confirms, a single active consumer each.
//!
//! Two connections, one to publish and one to consume, so that a broker that blocks publishers never
//! blocks draining. Both are kept up for ever; see `link`.

mod acks;
mod confirms;
mod consumer;
mod link;
mod mailboxes;
mod options;
mod publisher;
mod topology;
mod wire;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use amq_protocol::uri::AMQPUri;
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::task::TaskTracker;

pub use self::options::RabbitOptions;
use self::{
    consumer::{Consuming, RabbitConsumer},
    publisher::Publisher,
    topology::Names,
};
use crate::{
    BODY_BYTES_MAX, Bus, BusError, Consumer, Health, Mailbox, Message, PublishError, Queue,
    check_size,
    meter::{self, Meter, count_by_kind},
};

/// The bus on RabbitMQ, see the module.
pub struct RabbitBus {
    shared: Arc<Shared>,
    publisher: Arc<Publisher>,
    consuming: Arc<Consuming>,
}

/// What both connections and all subscriptions know.
struct Shared {
    options: RabbitOptions,
    names: Names,
    meter: Arc<Meter>,
    /// Connections and mailboxes.
    tasks: TaskTracker,
    closing: watch::Sender<bool>,
    /// What is wrong, by who found it.
    problems: Mutex<BTreeMap<&'static str, String>>,
    /// The last publish was not confirmed in time.
    overdue: AtomicBool,
    /// The declarations differ; nothing works until somebody acts.
    differs: Mutex<Option<String>>,
    n_reconnects: AtomicU64,
}

impl Shared {
    fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    async fn closing(&self) {
        // An error means that the sender is gone, and the bus with it.
        let _ = self.closing.subscribe().wait_for(|closing| *closing).await;
    }

    fn set_problem(&self, who: &'static str, problem: Option<String>) {
        let mut problems = self.problems.lock();
        match problem {
            Some(problem) => problems.insert(who, problem),
            None => problems.remove(who),
        };
    }

    fn set_blocked(&self, reason: Option<&str>) {
        self.meter
            .blocked
            .set(if reason.is_some() { 1.0 } else { 0.0 });
        let problem = reason.map(|reason| format!("the broker takes no messages: {reason}"));
        if let Some(problem) = &problem {
            tracing::warn!(%problem, "bus blocked");
        }
        self.set_problem("publish", problem);
    }

    fn set_overdue(&self, why: Option<&str>) {
        if self.overdue.load(Ordering::Relaxed) != why.is_some() {
            self.overdue.store(why.is_some(), Ordering::Relaxed);
            self.set_problem("confirm", why.map(|why| format!("publishes are {why}")));
        }
    }

    fn set_differs(&self, sentence: &str) {
        *self.differs.lock() = Some(sentence.to_owned());
    }

    fn count_reconnect(&self) {
        self.n_reconnects.fetch_add(1, Ordering::Relaxed);
        self.meter.reconnects.increment(1);
    }
}

impl RabbitBus {
    /// Connects to `amqp://user:password@host:port/vhost`, or `amqps`. A broker that is away is no
    /// error: it is tried for ever, and [`Bus::health`] says so.
    ///
    /// # Errors
    /// The address makes no sense, or the broker holds a queue of that name with other settings.
    pub async fn connect(url: &str, options: RabbitOptions) -> Result<Arc<Self>, BusError> {
        let uri: AMQPUri = url
            .parse()
            .map_err(|why: String| BusError(format!("bus address: {why}")))?;
        let shared = Arc::new(Shared {
            names: Names::new(&options.namespace),
            meter: Arc::new(Meter::new()),
            tasks: TaskTracker::new(),
            closing: watch::Sender::new(false),
            problems: Mutex::new(BTreeMap::from([
                ("publish", "not yet connected".to_owned()),
                ("consume", "not yet connected".to_owned()),
            ])),
            overdue: AtomicBool::new(false),
            differs: Mutex::new(None),
            n_reconnects: AtomicU64::new(0),
            options,
        });
        let bus = Arc::new(Self {
            publisher: Arc::new(Publisher::new()),
            consuming: Arc::new(Consuming::new()),
            shared,
        });
        bus.start(uri);
        bus.publisher
            .tried(bus.shared.options.connect_timeout)
            .await;
        let differs = bus.shared.differs.lock().clone();
        match differs {
            Some(sentence) => Err(BusError(sentence)),
            None => Ok(bus),
        }
    }

    fn start(&self, uri: AMQPUri) {
        let (shared, publisher) = (self.shared.clone(), self.publisher.clone());
        let publishing_to = uri.clone();
        self.shared
            .tasks
            .spawn(async move { publisher.run(&shared, &publishing_to).await });
        let (shared, consuming) = (self.shared.clone(), self.consuming.clone());
        self.shared
            .tasks
            .spawn(async move { consuming.run(&shared, &uri).await });
    }

    /// Refuses queues that this installation does not have.
    fn check_queues(&self, batch: &[(Queue, Message)]) -> Result<(), PublishError> {
        match batch.iter().find(|(queue, _)| !self.has(*queue)) {
            Some((queue, _)) => Err(PublishError::Refused(format!("there is no queue {queue}"))),
            None => Ok(()),
        }
    }

    fn has(&self, queue: Queue) -> bool {
        match queue {
            Queue::Inbound(p) => p < self.shared.options.partitions,
            Queue::Outbound(s) => s < self.shared.options.shards,
        }
    }

    async fn publish_checked(&self, batch: &[(Queue, Message)]) -> Result<(), PublishError> {
        check_size(batch)?;
        self.check_queues(batch)?;
        if self.shared.is_closing() {
            return Err(PublishError::Unavailable("the bus is closed".to_owned()));
        }
        let timeout = self.shared.options.confirm_timeout;
        let publish = self.publisher.publish(&self.shared, batch);
        match tokio::time::timeout(timeout, publish).await {
            Ok(result) => {
                if result.is_ok() {
                    self.shared.set_overdue(None);
                }
                result
            }
            Err(_) => {
                let why = format!("not confirmed after {} s", timeout.as_secs_f64());
                self.shared.set_overdue(Some(&why));
                Err(PublishError::Unavailable(why))
            }
        }
    }
}

#[async_trait]
impl Bus for RabbitBus {
    async fn publish(&self, batch: Vec<(Queue, Message)>) -> Result<(), PublishError> {
        if batch.is_empty() {
            return Ok(());
        }
        let began = Instant::now();
        let by_kind = count_by_kind(batch.iter().map(|(queue, _)| queue));
        let result = self.publish_checked(&batch).await;
        self.shared
            .meter
            .published(by_kind, &result, began.elapsed());
        result
    }

    async fn consume(&self, queue: Queue, prefetch: u16) -> Result<Box<dyn Consumer>, BusError> {
        if !self.has(queue) {
            return Err(BusError(format!("there is no queue {queue}")));
        }
        let up = self.consuming.up(&self.shared).await?;
        let subscribe = RabbitConsumer::subscribe(&self.shared, &up, queue, prefetch);
        match tokio::time::timeout(self.shared.options.connect_timeout, subscribe).await {
            Ok(Ok(consumer)) => Ok(Box::new(consumer)),
            Ok(Err(error)) => Err(BusError(format!("cannot subscribe to {queue}: {error}"))),
            Err(_) => Err(BusError(format!(
                "cannot subscribe to {queue}: the broker did not answer in time"
            ))),
        }
    }

    fn nudge(&self, mailbox: &Mailbox, body: Bytes) {
        if body.len() > BODY_BYTES_MAX {
            meter::bound_hit("body_bytes_max");
            return;
        }
        self.publisher.nudge(&self.shared, mailbox, &body);
    }

    async fn mailbox(&self, mailbox: Mailbox) -> Result<mpsc::Receiver<Bytes>, BusError> {
        let (sender, receiver) = mpsc::channel(self.shared.options.mailbox_max.max(1));
        let (first, opened) = oneshot::channel();
        self.shared.tasks.spawn(mailboxes::listen(
            self.shared.clone(),
            self.consuming.clone(),
            mailbox,
            sender,
            first,
        ));
        let closed = || BusError("the bus is closed".to_owned());
        opened.await.map_err(|_| closed())??;
        Ok(receiver)
    }

    async fn depth(&self, queue: Queue) -> Result<u64, BusError> {
        let depth = self.consuming.depth(&self.shared, queue);
        match tokio::time::timeout(self.shared.options.connect_timeout, depth).await {
            Ok(depth) => depth,
            Err(_) => Err(BusError("the broker did not answer in time".to_owned())),
        }
    }

    fn health(&self) -> Health {
        let problems = self.shared.problems.lock();
        let sentences: Vec<&str> = problems.values().map(String::as_str).collect();
        Health {
            problem: (!sentences.is_empty()).then(|| sentences.join("; ")),
            reconnects: self.shared.n_reconnects.load(Ordering::Relaxed),
        }
    }

    async fn close(&self) {
        let shared = &self.shared;
        let settled = self.publisher.settled();
        let _ = tokio::time::timeout(shared.options.confirm_timeout, settled).await;
        shared.closing.send_replace(true);
        shared.tasks.close();
        let _ = tokio::time::timeout(shared.options.connect_timeout, shared.tasks.wait()).await;
    }
}

impl Drop for RabbitBus {
    fn drop(&mut self) {
        self.shared.closing.send_replace(true);
    }
}
