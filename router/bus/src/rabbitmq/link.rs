//! A connection that is kept up: made at the start, and again after every loss, for ever.
//!
//! Own supervision rather than lapin's recovery: we decide how long anything waits, and an outage is
//! seen at once, by publishers, by consumers and by health.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use lapin::{
    Connection, ConnectionBuilder, ConnectionProperties, Event, tcp::OwnedTLSConfig,
    types::LongString, uri::AMQPUri,
};
use tokio::sync::watch;

use super::{Shared, Stage, options::RabbitOptions};

/// How a connection is.
#[derive(Debug, Clone)]
pub(super) enum State<T> {
    /// Not tried yet.
    New,
    /// Being made; the sentence says why it is not there.
    Down(Arc<str>),
    Up(T),
    /// There, but the broker takes no publishes; the sentence says why.
    Blocked(Arc<str>),
    /// Closed by us.
    Closed,
}

/// Makes one connection.
pub(super) async fn connect(
    uri: &AMQPUri,
    options: &RabbitOptions,
    role: &str,
) -> Result<Connection, lapin::Error> {
    let mut uri = uri.clone();
    uri.query.heartbeat.get_or_insert(options.heartbeat_s);
    let connect_timeout_ms = u64::try_from(options.connect_timeout.as_millis()).unwrap_or(u64::MAX);
    uri.query
        .connection_timeout
        .get_or_insert(connect_timeout_ms);
    let name = format!("{} {role}", options.connection_name);
    let tls = OwnedTLSConfig {
        identity: None,
        cert_chain: options.ca_pem.clone(),
    };
    ConnectionBuilder::new()?
        .with_uri(uri)
        .with_properties(
            ConnectionProperties::default().with_connection_name(LongString::from(name)),
        )
        .with_tls_config(tls)
        .connect()
        .await
}

/// Pauses between attempts: doubling, with jitter, bounded.
pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) fn new((min, max): (Duration, Duration)) -> Self {
        Self {
            min,
            max,
            next: min,
        }
    }

    /// It worked: the next pause is short again.
    pub(super) fn reset(&mut self) {
        self.next = self.min;
    }

    /// The pause now: half of it fixed, half of it by chance.
    pub(super) fn pause(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(self.max);
        whole.mul_f64(0.5 + 0.5 * fastrand::f64())
    }
}

/// How often a connection is looked at besides listening to it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Waits for the end of a connection, passing on when the broker blocks and unblocks it.
pub(super) async fn watch_over(
    connection: &Connection,
    mut blocked: impl FnMut(Option<String>),
) -> String {
    let mut events = std::pin::pin!(connection.events_listener());
    while connection.status().connected() {
        match tokio::time::timeout(LOOK_EVERY, events.next()).await {
            Ok(Some(Event::ConnectionBlocked(reason))) => blocked(Some(reason)),
            Ok(Some(Event::ConnectionUnblocked)) => blocked(None),
            Ok(Some(Event::Error(error))) => return error.to_string(),
            Ok(None) => break,
            Ok(Some(_)) | Err(_) => {}
        }
    }
    "the connection was closed".to_owned()
}

/// After a session ended: tells why, pauses, and says whether to begin another.
pub(super) async fn go_on<T>(
    shared: &Shared,
    role: &'static str,
    state: &watch::Sender<State<T>>,
    backoff: &mut Backoff,
    why: String,
) -> bool {
    if *shared.stage.borrow() != Stage::Closed {
        tracing::warn!(role, %why, "bus connection lost");
        shared.set_problem(role, Some(format!("no connection to {role}: {why}")));
        state.send_replace(State::Down(why.into()));
        tokio::select! {
            () = tokio::time::sleep(backoff.pause()) => {
                shared.reconnects();
                return true;
            }
            () = shared.reached(Stage::Closed) => {}
        }
    }
    state.send_replace(State::Closed);
    false
}
