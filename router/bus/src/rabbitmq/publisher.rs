//! The connection for publishing: confirms pipelined within a window, and nudges beside them.

use bytes::Bytes;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::{AMQPValue, FieldTable, LongString, ShortString},
    uri::AMQPUri,
};
use tokio::sync::{Notify, Semaphore, mpsc, watch};

use super::{
    Shared, Stage,
    link::{self, Backoff, State},
    topology::{self, DeclareError},
};
use crate::{Mailbox, Message, PublishError, Queue, meter};

/// AMQP's delivery mode for what is written to disk.
const PERSISTENT: u8 = 2;
/// How health and logs name this connection.
const ROLE: &str = "publish";

pub(super) struct Publisher {
    state: watch::Sender<State<Channel>>,
    window: Semaphore,
    bytes: Semaphore,
    /// A queue is missing: declare again.
    missing: Notify,
    nudges: mpsc::Sender<(Mailbox, Bytes)>,
}

impl Publisher {
    /// The publisher, and the nudges that [`Self::run`] sends.
    pub(super) fn new(shared: &Shared) -> (Self, mpsc::Receiver<(Mailbox, Bytes)>) {
        let (nudges, receiver) = mpsc::channel(shared.options.nudges_max.max(1));
        let publisher = Self {
            state: watch::Sender::new(State::New),
            window: Semaphore::new(shared.options.window.max(1) as usize),
            bytes: Semaphore::new(shared.options.in_flight_bytes_max as usize),
            missing: Notify::new(),
            nudges,
        };
        (publisher, receiver)
    }

    /// How the connection is; resolves again at every change.
    pub(super) fn watch(&self) -> watch::Receiver<State<Channel>> {
        self.state.subscribe()
    }

    /// Keeps the connection up until the bus is closed.
    pub(super) async fn run(
        &self,
        shared: &Shared,
        uri: &AMQPUri,
        mut nudges: mpsc::Receiver<(Mailbox, Bytes)>,
    ) {
        let mut backoff = Backoff::new(shared.options.backoff);
        loop {
            let why = match self.open(shared, uri).await {
                Ok(connection) => {
                    self.serve(shared, &connection, &mut backoff, &mut nudges)
                        .await
                }
                Err(why) => why,
            };
            if !link::go_on(shared, ROLE, &self.state, &mut backoff, why).await {
                return;
            }
        }
    }

    async fn open(&self, shared: &Shared, uri: &AMQPUri) -> Result<Connection, String> {
        let options = &shared.options;
        let open = async {
            let connection = link::connect(uri, options, ROLE)
                .await
                .map_err(|error| error.to_string())?;
            declare(shared, &connection).await?;
            Ok(connection)
        };
        tokio::time::timeout(options.connect_timeout, open)
            .await
            .unwrap_or_else(|_| Err("the broker did not answer in time".to_owned()))
    }

    async fn serve(
        &self,
        shared: &Shared,
        connection: &Connection,
        backoff: &mut Backoff,
        nudges: &mut mpsc::Receiver<(Mailbox, Bytes)>,
    ) -> String {
        let (channel, nudging) = match channels(connection).await {
            Ok(channels) => channels,
            Err(error) => return error.to_string(),
        };
        backoff.reset();
        tracing::info!(role = ROLE, "bus connected");
        let blocked = |reason: Option<String>| {
            shared.set_blocked(reason.as_deref());
            self.state.send_replace(match reason {
                Some(reason) => State::Blocked(reason.into()),
                None => State::Up(channel.clone()),
            });
        };
        blocked(None);
        let why = tokio::select! {
            why = link::watch_over(connection, blocked) => why,
            why = self.declare_missing(shared, connection) => why,
            why = send_nudges(shared, &nudging, nudges) => why,
            () = shared.reached(Stage::Closed) => {
                let _ = connection.close(200, "closing".into()).await;
                "closed".to_owned()
            }
        };
        shared.set_blocked(None);
        why
    }

    /// Declares again what somebody deleted.
    async fn declare_missing(&self, shared: &Shared, connection: &Connection) -> String {
        loop {
            self.missing.notified().await;
            if let Err(why) = declare(shared, connection).await {
                return why;
            }
        }
    }

    /// Publishes and waits for the confirms, as long as the connection is good.
    pub(super) async fn publish(
        &self,
        shared: &Shared,
        batch: &[(Queue, Message)],
    ) -> Result<(), PublishError> {
        let options = &shared.options;
        let n = u32::try_from(batch.len()).unwrap_or(u32::MAX);
        let bytes: usize = batch.iter().map(|(_, message)| message.body.len()).sum();
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let mut watch = self.watch();
        let channel = ready(&mut watch, options.connect_wait).await?;
        let confirmed = async {
            // A batch beyond a bound goes alone.
            let closed = |_| PublishError::Unavailable("the bus is closed".to_owned());
            let n = n.min(options.window.max(1));
            let bytes = bytes.min(options.in_flight_bytes_max);
            let _room = self.window.acquire_many(n).await.map_err(closed)?;
            let _bytes = self.bytes.acquire_many(bytes).await.map_err(closed)?;
            self.send(shared, &channel, batch).await
        };
        tokio::select! {
            result = confirmed => result,
            why = not_ready(&mut watch) => Err(PublishError::Unavailable(why)),
        }
    }

    async fn send(
        &self,
        shared: &Shared,
        channel: &Channel,
        batch: &[(Queue, Message)],
    ) -> Result<(), PublishError> {
        let failed = |error: lapin::Error| PublishError::Unavailable(error.to_string());
        let mut confirms = Vec::with_capacity(batch.len());
        for (queue, message) in batch {
            let options = BasicPublishOptions {
                mandatory: true,
                ..BasicPublishOptions::default()
            };
            let confirm = channel
                .basic_publish(
                    "".into(),
                    shared.names.queue(*queue),
                    options,
                    &message.body,
                    properties(message, &shared.options.connection_name),
                )
                .await
                .map_err(failed)?;
            confirms.push((*queue, confirm));
        }
        let mut result = Ok(());
        for (queue, confirm) in confirms {
            match confirm.await.map_err(failed)? {
                Confirmation::Ack(None) => {}
                // The broker confirms what it could not route, and gives it back.
                Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => {
                    self.missing.notify_one();
                    result = Err(PublishError::Unavailable(format!(
                        "the queue {} is missing",
                        shared.names.queue(queue)
                    )));
                }
                Confirmation::Nack(None) => {
                    meter::bound_hit("queue_length_max");
                    result = Err(PublishError::Full(queue));
                }
                Confirmation::NotRequested => {
                    unreachable!("confirms are selected on this channel")
                }
            }
        }
        result
    }

    /// Waits until nothing is in flight.
    pub(super) async fn settled(&self, shared: &Shared) {
        let _ = self.window.acquire_many(shared.options.window.max(1)).await;
    }

    /// Hands a nudge over, or drops it.
    pub(super) fn nudge(&self, mailbox: &Mailbox, body: Bytes) {
        let up = matches!(*self.state.borrow(), State::Up(_));
        if up && self.nudges.try_send((mailbox.clone(), body)).is_err() {
            meter::bound_hit("nudges_max");
        }
    }
}

async fn channels(connection: &Connection) -> Result<(Channel, Channel), lapin::Error> {
    let channel = connection.create_channel().await?;
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await?;
    Ok((channel, connection.create_channel().await?))
}

async fn declare(shared: &Shared, connection: &Connection) -> Result<(), String> {
    topology::declare(connection, &shared.options, &shared.names)
        .await
        .map_err(|error| match error {
            DeclareError::Failed(error) => error.to_string(),
            DeclareError::Differs(sentence) => {
                shared.set_differs(&sentence);
                sentence
            }
        })
}

async fn send_nudges(
    shared: &Shared,
    channel: &Channel,
    nudges: &mut mpsc::Receiver<(Mailbox, Bytes)>,
) -> String {
    while let Some((mailbox, body)) = nudges.recv().await {
        let (exchange, key) = shared.names.route(&mailbox);
        let options = BasicPublishOptions::default();
        let properties = BasicProperties::default().with_content_type("application/json".into());
        if let Err(error) = channel
            .basic_publish(exchange, key, options, &body, properties)
            .await
        {
            return error.to_string();
        }
    }
    "closed".to_owned()
}

/// The channel; waits for a connection that is being made, but not for one that is blocked.
async fn ready(
    watch: &mut watch::Receiver<State<Channel>>,
    wait: std::time::Duration,
) -> Result<Channel, PublishError> {
    let settled = watch.wait_for(|state| !matches!(state, State::New | State::Down(_)));
    let _ = tokio::time::timeout(wait, settled).await;
    let state = watch.borrow_and_update().clone();
    match state {
        State::Up(channel) => Ok(channel),
        other => Err(PublishError::Unavailable(other.why())),
    }
}

/// Waits until the connection is not good any more, and says why.
async fn not_ready(watch: &mut watch::Receiver<State<Channel>>) -> String {
    match watch.wait_for(|state| !matches!(state, State::Up(_))).await {
        Ok(state) => state.why(),
        Err(_) => "the bus is closed".to_owned(),
    }
}

/// AMQP properties, and the attributes of CloudEvents 1.0 in its AMQP binding.
fn properties(message: &Message, source: &str) -> BasicProperties {
    let id = message.id.to_string();
    let mut headers = FieldTable::default();
    let mut attribute = |name: &str, value: &str| {
        headers.insert(
            ShortString::from(name),
            AMQPValue::LongString(LongString::from(value)),
        );
    };
    attribute("cloudEvents_specversion", "1.0");
    attribute("cloudEvents_id", &id);
    attribute("cloudEvents_source", source);
    attribute("cloudEvents_type", &message.kind);
    let seconds = message.id.0.get_timestamp().map(|at| at.to_unix());
    if let Some((seconds, nanos)) = seconds {
        let ms = i64::try_from(seconds).unwrap_or(0) * 1000 + i64::from(nanos / 1_000_000);
        attribute(
            "cloudEvents_time",
            &patchbay_message::Time::from_ms(ms).to_string(),
        );
    }
    let properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_content_type("application/json".into())
        .with_message_id(id.into())
        .with_type((*message.kind).into())
        .with_headers(headers);
    match seconds {
        Some((seconds, _)) => properties.with_timestamp(seconds),
        None => properties,
    }
}

/// For [`super::RabbitBus::connect`]: waits for the first connection, or for the reason against it.
pub(super) async fn first_state(publisher: &Publisher, wait: std::time::Duration) {
    let mut watch = publisher.watch();
    let tried = watch.wait_for(|state| !matches!(state, State::New));
    let _ = tokio::time::timeout(wait, tried).await;
}
