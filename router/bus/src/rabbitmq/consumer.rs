//! The connection for consuming, and subscriptions on it: one AMQP channel each.

use std::{collections::VecDeque, sync::Arc};

use amq_protocol::uri::AMQPUri;
use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::{
    Shared,
    acks::{Acker, Subscription},
    link::{self, Backoff, Ending, State},
    wire::{CallError, Delivered, Port, Wire},
};
use crate::{BusError, Consumer, Delivery, Queue};

/// How health and logs name this connection.
const ROLE: &str = "consume";

/// The connection all subscriptions share.
pub(super) struct Consuming {
    state: watch::Sender<State<Subscribable>>,
}

/// A connection, and who gathers the acks on it.
#[derive(Clone)]
pub(super) struct Subscribable {
    pub(super) wire: Arc<Wire>,
    acker: Arc<Acker>,
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
            let connect = link::connect(shared, uri, ROLE);
            let why = match tokio::time::timeout(shared.options.connect_timeout, connect).await {
                Ok(Ok(wire)) => self.serve(shared, &wire, &mut backoff).await,
                Ok(Err(why)) => why,
                Err(_) => "the broker did not answer in time".to_owned(),
            };
            if !link::go_on(shared, ROLE, &self.state, &mut backoff, why).await {
                return;
            }
        }
    }

    async fn serve(&self, shared: &Shared, wire: &Ending, backoff: &mut Backoff) -> String {
        backoff.reset();
        tracing::info!(role = ROLE, "bus connected");
        shared.set_problem(ROLE, None);
        let acker = Arc::new(Acker::new(&shared.options));
        self.state.send_replace(State::Up(Subscribable {
            wire: Arc::clone(wire),
            acker: acker.clone(),
        }));
        tokio::select! {
            why = wire.ended() => why,
            () = acker.run() => unreachable!("it gathers as long as it is polled"),
            () = shared.closing() => {
                acker.flush_all();
                wire.close(shared.options.connect_timeout).await;
                "closed".to_owned()
            }
        }
    }

    /// The connection; waits for one that is being made.
    pub(super) async fn up(&self, shared: &Shared) -> Result<Subscribable, BusError> {
        let mut watch = self.state.subscribe();
        let settled = watch.wait_for(|state| !matches!(state, State::New | State::Down(_)));
        let _ = tokio::time::timeout(shared.options.connect_wait, settled).await;
        let state = watch.borrow_and_update().clone();
        match state {
            State::Up(up) => Ok(up),
            other => Err(BusError(other.why())),
        }
    }

    /// How many messages of a queue are ready to be delivered.
    pub(super) async fn depth(&self, shared: &Shared, queue: Queue) -> Result<u64, BusError> {
        let look = async {
            let channel = self.up(shared).await?.wire.calls().await?;
            channel.look_at_queue(&shared.names.queue(queue)).await
        };
        match look.await {
            Ok(declared) => Ok(declared.n_ready.into()),
            Err(error) => Err(BusError(error.to_string())),
        }
    }
}

impl From<BusError> for CallError {
    fn from(error: BusError) -> Self {
        Self::Lost(error.0)
    }
}

/// A subscription to one queue.
pub(super) struct RabbitConsumer {
    queue: Queue,
    inbox: Arc<Inbox>,
    subscription: Arc<Subscription>,
    shared: Arc<Shared>,
}

impl RabbitConsumer {
    pub(super) async fn subscribe(
        shared: &Arc<Shared>,
        up: &Subscribable,
        queue: Queue,
        prefetch: u16,
    ) -> Result<Self, CallError> {
        let inbox = Arc::new(Inbox::default());
        let channel = up.wire.channel(inbox.clone()).await?;
        channel.prefetch(prefetch.max(1)).await?;
        channel.consume(&shared.names.queue(queue), false).await?;
        let meter = shared.meter.clone();
        let subscription = Subscription::new(channel, up.acker.clone(), meter);
        Ok(Self {
            queue,
            inbox,
            subscription,
            shared: shared.clone(),
        })
    }

    /// Hands out what came; what is not ours goes to the broker's dead letters.
    fn admit(&self, delivered: Vec<Delivered>) -> Vec<Delivery> {
        let (mut deliveries, mut foreign) = (Vec::with_capacity(delivered.len()), Vec::new());
        let mut n_redelivered = 0;
        for delivered in delivered {
            let (tag, redelivered) = (delivered.tag, delivered.redelivered);
            match delivered.into_message() {
                Some(message) => {
                    n_redelivered += usize::from(redelivered);
                    let sink = self.subscription.clone();
                    deliveries.push(Delivery::new(message, redelivered, tag, sink));
                }
                None => {
                    tracing::warn!(queue = %self.queue, "foreign message rejected");
                    foreign.push(tag);
                }
            }
        }
        self.subscription
            .opened(deliveries.iter().map(Delivery::tag), &foreign);
        let meter = &self.shared.meter;
        meter.delivered(self.queue, deliveries.len(), n_redelivered);
        deliveries
    }
}

#[async_trait]
impl Consumer for RabbitConsumer {
    async fn recv(&mut self, max: usize) -> Result<Vec<Delivery>, BusError> {
        loop {
            match self.inbox.take(max.max(1)) {
                Ok(delivered) if delivered.is_empty() => self.inbox.wake.notified().await,
                Ok(delivered) => {
                    let deliveries = self.admit(delivered);
                    if !deliveries.is_empty() {
                        return Ok(deliveries);
                    }
                }
                Err(why) => {
                    let queue = self.queue;
                    return Err(BusError(format!("subscription to {queue} lost: {why}")));
                }
            }
        }
    }
}

impl Drop for RabbitConsumer {
    fn drop(&mut self) {
        self.subscription.end();
    }
}

/// What came and was not yet handed out; the port of the channel. Bounded by the prefetch.
#[derive(Default)]
struct Inbox {
    state: Mutex<InboxState>,
    wake: Notify,
}

#[derive(Default)]
struct InboxState {
    delivered: VecDeque<Delivered>,
    ended: Option<String>,
}

impl Inbox {
    /// Up to `max` of what is there; nothing more once the channel has ended, since acks of it
    /// would be in vain.
    fn take(&self, max: usize) -> Result<Vec<Delivered>, String> {
        let mut state = self.state.lock();
        if let Some(why) = &state.ended {
            return Err(why.clone());
        }
        let n = max.min(state.delivered.len());
        Ok(state.delivered.drain(..n).collect())
    }
}

impl Port for Inbox {
    fn delivered(&self, delivered: Delivered) {
        self.state.lock().delivered.push_back(delivered);
    }

    fn flush(&self) {
        self.wake.notify_one();
    }

    fn ended(&self, why: &str) {
        self.state.lock().ended = Some(why.to_owned());
        self.wake.notify_one();
    }
}
