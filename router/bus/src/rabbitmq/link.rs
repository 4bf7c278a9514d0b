//! A connection that is kept up: made at the start, and again after every loss, for ever.

use std::{ops::Deref, sync::Arc, time::Duration};

use amq_protocol::uri::AMQPUri;
use tokio::sync::watch;

use super::{Shared, wire::Wire};

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

impl<T> State<T> {
    /// Why it cannot be used.
    pub(super) fn why(&self) -> String {
        match self {
            Self::New => "not yet connected".to_owned(),
            Self::Up(_) => "the connection was replaced".to_owned(),
            Self::Down(why) => format!("no connection: {why}"),
            Self::Blocked(why) => format!("the broker takes no messages: {why}"),
            Self::Closed => "the bus is closed".to_owned(),
        }
    }
}

/// A connection that ends when this is dropped; its tasks would keep it otherwise.
pub(super) struct Ending(Arc<Wire>);

impl Deref for Ending {
    type Target = Arc<Wire>;
    fn deref(&self) -> &Arc<Wire> {
        &self.0
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end("the connection was given up");
    }
}

/// Makes one connection, named after its role.
pub(super) async fn connect(shared: &Shared, uri: &AMQPUri, role: &str) -> Result<Ending, String> {
    let options = &shared.options;
    let name = format!("{} {role}", options.connection_name);
    let ca_pem = options.ca_pem.as_deref();
    Wire::open(uri, &name, options.heartbeat_s, ca_pem, &shared.tasks)
        .await
        .map(Ending)
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

/// After a session ended: tells why, pauses, and says whether to begin another.
pub(super) async fn go_on<T>(
    shared: &Shared,
    role: &'static str,
    state: &watch::Sender<State<T>>,
    backoff: &mut Backoff,
    why: String,
) -> bool {
    if !shared.is_closing() {
        tracing::warn!(role, %why, "bus connection lost");
        shared.set_problem(role, Some(format!("no connection to {role}: {why}")));
        state.send_replace(State::Down(why.into()));
        tokio::select! {
            () = tokio::time::sleep(backoff.pause()) => {
                shared.count_reconnect();
                return true;
            }
            () = shared.closing() => {}
        }
    }
    state.send_replace(State::Closed);
    false
}
