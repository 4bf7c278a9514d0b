//! The connection for consuming, and subscriptions on it: one AMQP channel each.

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use lapin::{
    Channel, Connection,
    message::Delivery as Delivered,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicQosOptions, BasicRejectOptions,
        QueueDeclareOptions,
    },
    types::FieldTable,
    uri::AMQPUri,
};
use parking_lot::Mutex;
use patchbay_message::MessageId;
use tokio::sync::{Notify, watch};

use super::{
    Shared, Stage,
    acks::Tracker,
    link::{self, Backoff, State},
};
use crate::{AckSink, BusError, Consumer, Delivery, Message, Queue};

/// How health and logs name this connection.
const ROLE: &str = "consume";

/// The connection all subscriptions share.
pub(super) struct Consuming {
    state: watch::Sender<State<Arc<Connection>>>,
}

impl Consuming {
    pub(super) fn new() -> Self {
        Self {
            state: watch::Sender::new(State::New),
        }
    }

    /// Keeps the connection up until the bus is closed.
    pub(super) async fn run(&self, shared: &Shared, uri: &AMQPUri) {
        let mut backoff = Backoff::new(shared.options.backoff);
        loop {
            let why = self.session(shared, uri, &mut backoff).await;
            if !link::go_on(shared, ROLE, &self.state, &mut backoff, why).await {
                return;
            }
        }
    }

    async fn session(&self, shared: &Shared, uri: &AMQPUri, backoff: &mut Backoff) -> String {
        let connect = link::connect(uri, &shared.options, ROLE);
        let connection = match tokio::time::timeout(shared.options.connect_timeout, connect).await {
            Ok(Ok(connection)) => Arc::new(connection),
            Ok(Err(error)) => return error.to_string(),
            Err(_) => return "the broker did not answer in time".to_owned(),
        };
        backoff.reset();
        tracing::info!(role = ROLE, "bus connected");
        shared.set_problem(ROLE, None);
        self.state.send_replace(State::Up(connection.clone()));
        tokio::select! {
            // A connection that never publishes is never blocked in earnest.
            why = link::watch_over(&connection, |_| {}) => why,
            () = shared.reached(Stage::Closed) => {
                let _ = connection.close(200, "closing".into()).await;
                "closed".to_owned()
            }
        }
    }

    /// The connection; waits for one that is being made.
    pub(super) async fn connection(&self, shared: &Shared) -> Result<Arc<Connection>, BusError> {
        let mut watch = self.state.subscribe();
        let settled = watch.wait_for(|state| !matches!(state, State::New | State::Down(_)));
        let _ = tokio::time::timeout(shared.options.connect_timeout, settled).await;
        let state = watch.borrow_and_update().clone();
        match state {
            State::Up(connection) => Ok(connection),
            other => Err(BusError(other.why())),
        }
    }

    /// How many messages of a queue are ready to be delivered.
    pub(super) async fn depth(&self, shared: &Shared, queue: Queue) -> Result<u64, BusError> {
        let failed = |error: lapin::Error| BusError(error.to_string());
        let connection = self.connection(shared).await?;
        // A refusal closes the channel it happens on.
        let channel = connection.create_channel().await.map_err(failed)?;
        let options = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let declared = channel
            .queue_declare(shared.names.queue(queue), options, FieldTable::default())
            .await
            .map_err(failed)?;
        let _ = channel.close(200, "done".into()).await;
        Ok(declared.message_count().into())
    }
}

/// A subscription to one queue.
pub(super) struct RabbitConsumer {
    queue: Queue,
    /// Always there until the drop.
    stream: Option<lapin::Consumer>,
    acks: Arc<Acks>,
    shared: Arc<Shared>,
}

impl RabbitConsumer {
    pub(super) async fn subscribe(
        shared: &Arc<Shared>,
        connection: &Connection,
        queue: Queue,
        prefetch: u16,
    ) -> Result<Self, lapin::Error> {
        let channel = connection.create_channel().await?;
        channel
            .basic_qos(prefetch.max(1), BasicQosOptions::default())
            .await?;
        let stream = channel
            .basic_consume(
                shared.names.queue(queue),
                "".into(),
                BasicConsumeOptions::default(),
                FieldTable::default(),
            )
            .await?;
        let acks = Arc::new(Acks {
            state: Mutex::new(AckState::default()),
            wake: Notify::new(),
            many: Notify::new(),
            shared: shared.clone(),
        });
        shared.subscriptions.spawn(acks.clone().send(channel));
        Ok(Self {
            queue,
            stream: Some(stream),
            acks,
            shared: shared.clone(),
        })
    }

    fn lost(&self, why: &str) -> BusError {
        BusError(format!("subscription to {} lost: {why}", self.queue))
    }

    /// Hands a message out; one that is not ours goes to the broker's dead letters.
    fn admit(&self, delivered: Delivered) -> Option<Delivery> {
        let tag = delivered.delivery_tag;
        let redelivered = delivered.redelivered;
        let Some(message) = message_of(delivered) else {
            tracing::warn!(queue = %self.queue, "foreign message rejected");
            self.acks.reject(tag);
            return None;
        };
        self.acks.state.lock().tracker.opened(tag);
        Some(Delivery::new(message, redelivered, tag, self.acks.clone()))
    }
}

fn message_of(delivered: Delivered) -> Option<Message> {
    let properties = &delivered.properties;
    let id: MessageId = properties.message_id().as_ref()?.as_str().parse().ok()?;
    let kind = properties.kind().as_ref()?.as_str().into();
    Some(Message {
        id,
        kind,
        body: Bytes::from(delivered.data),
    })
}

#[async_trait]
impl Consumer for RabbitConsumer {
    async fn recv(&mut self, max: usize) -> Result<Vec<Delivery>, BusError> {
        loop {
            let stream = self.stream.as_mut().expect("it is there until the drop");
            let first = match stream.next().await {
                Some(Ok(first)) => first,
                Some(Err(error)) => return Err(self.lost(&error.to_string())),
                None => return Err(self.lost("the broker cancelled it")),
            };
            let mut deliveries: Vec<Delivery> = self.admit(first).into_iter().collect();
            while deliveries.len() < max {
                // An end shows again at the next call.
                let stream = self.stream.as_mut().expect("it is there until the drop");
                let Some(Some(Ok(next))) = stream.next().now_or_never() else {
                    break;
                };
                deliveries.extend(self.admit(next));
            }
            if !deliveries.is_empty() {
                let n_redelivered = deliveries.iter().filter(|d| d.redelivered).count();
                self.shared
                    .meter
                    .delivered(self.queue, deliveries.len(), n_redelivered);
                return Ok(deliveries);
            }
        }
    }
}

impl Drop for RabbitConsumer {
    fn drop(&mut self) {
        let mut state = self.acks.state.lock();
        state.ended = self.stream.take();
        self.shared.meter.settled(state.tracker.n_open());
        drop(state);
        self.acks.wake.notify_one();
        self.acks.many.notify_one();
    }
}

/// Gathers the acks of one subscription and sends them.
struct Acks {
    state: Mutex<AckState>,
    /// There is something to send, or the subscription ended.
    wake: Notify,
    /// There is enough to send it now.
    many: Notify,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct AckState {
    tracker: Tracker,
    rejects: Vec<u64>,
    /// The consumer was dropped. Its stream is kept until the channel is closed, because dropping
    /// that cancels it: the broker would then hand the queue to the next consumer before it has
    /// what this one did not ack, out of order.
    ended: Option<lapin::Consumer>,
}

impl AckSink for Acks {
    fn ack(&self, tag: u64) {
        let mut state = self.state.lock();
        // Once the consumer has gone its messages belong to the next one.
        if state.ended.is_some() || !state.tracker.done(tag) {
            return;
        }
        let n_waiting = state.tracker.n_waiting();
        drop(state);
        self.shared.meter.settled(1);
        if n_waiting == 1 {
            self.wake.notify_one();
        }
        if n_waiting >= self.shared.options.ack_batch_max {
            self.many.notify_one();
        }
    }
}

impl Acks {
    fn reject(&self, tag: u64) {
        self.state.lock().rejects.push(tag);
        self.wake.notify_one();
    }

    /// Sends until the subscription ends, then closes its channel, which returns what was not acked.
    async fn send(self: Arc<Self>, channel: Channel) {
        let options = &self.shared.options;
        let mut straggling_since: Option<Instant> = None;
        loop {
            tokio::select! {
                () = self.wake.notified() => {}
                () = self.shared.reached(Stage::Draining) => {}
            }
            tokio::select! {
                () = tokio::time::sleep(options.ack_interval) => {}
                () = self.many.notified() => {}
                () = self.shared.reached(Stage::Draining) => {}
            }
            let waited =
                straggling_since.is_some_and(|at| at.elapsed() >= options.ack_straggler_wait);
            let draining = *self.shared.stage.borrow() >= Stage::Draining;
            let (round, ended) = self.take(waited || draining);
            if round.send(&channel).await.is_err() {
                return;
            }
            if ended || draining {
                let _ = channel.close(200, "unsubscribed".into()).await;
                return;
            }
            if self.state.lock().tracker.n_waiting() > 0 {
                straggling_since.get_or_insert_with(Instant::now);
                self.wake.notify_one();
            } else {
                straggling_since = None;
            }
        }
    }

    fn take(&self, singly: bool) -> (Round, bool) {
        let mut state = self.state.lock();
        let prefix = state.tracker.prefix();
        let ended = state.ended.is_some();
        let singles = if singly || ended {
            state.tracker.singles().into_iter().collect()
        } else {
            Vec::new()
        };
        let round = Round {
            prefix,
            singles,
            rejects: std::mem::take(&mut state.rejects),
        };
        (round, ended)
    }
}

/// What is sent at once.
struct Round {
    prefix: Option<u64>,
    singles: Vec<u64>,
    rejects: Vec<u64>,
}

impl Round {
    async fn send(self, channel: &Channel) -> Result<(), lapin::Error> {
        // Rejects first: the prefix would ack them.
        for tag in self.rejects {
            channel
                .basic_reject(tag, BasicRejectOptions { requeue: false })
                .await?;
        }
        if let Some(tag) = self.prefix {
            channel
                .basic_ack(tag, BasicAckOptions { multiple: true })
                .await?;
        }
        for tag in self.singles {
            channel
                .basic_ack(tag, BasicAckOptions { multiple: false })
                .await?;
        }
        Ok(())
    }
}
