//! The agents' API: REST, live events, OpenAPI. See docs/api.md.
//!
//! Reads come from the store; whatever changes a conversation is a command through the bus, in the
//! conversation's own order. It knows no channel and no transport but HTTP.

mod auth;
mod commands;
mod directory;
mod feed;
mod live;
pub mod media;
mod problem;
mod rest;
mod view;

use std::{sync::Arc, time::Duration};

use axum::{Extension, Router};
use patchbay_bus::{Bus, Mailbox};
use patchbay_message::{Clock, LogNudge};
use patchbay_store::{Audit, Changes, Store, StoreError, blobs::Blobs};
use tokio_util::sync::CancellationToken;

pub use auth::TOKEN_PREFIX;
pub use problem::Problem;

use crate::{
    auth::Operator,
    commands::{Places, Waiters},
    directory::Directory,
    feed::Feed,
    live::Tickets,
};

/// Bounds and times of the API.
#[derive(Debug, Clone)]
pub struct ApiOptions {
    /// How long a command's outcome is waited for before the answer is 202.
    pub command_wait: Duration,
    /// How long a ticket for live events is good for.
    pub ticket_ttl: Duration,
    /// Requests a second of one token; past it 429.
    pub requests_per_second: u32,
    /// A console that vanished makes its agent offline after this long.
    pub presence_grace: Duration,
    /// Largest upload, bytes.
    pub upload_bytes_max: u64,
    /// Types agents may upload, `image/*` style.
    pub upload_types: Vec<String>,
    /// Live connections at once.
    pub sockets_max: usize,
    /// Number of inbound partitions, fixed at install.
    pub partitions: u16,
    /// Ids and kinds of the configured channels.
    pub channels: Vec<(patchbay_message::ChannelId, String)>,
}

/// What every request needs.
pub struct Api {
    store: Arc<dyn Store>,
    bus: Arc<dyn Bus>,
    blobs: Arc<dyn Blobs>,
    clock: Arc<dyn Clock>,
    options: ApiOptions,
    directory: Directory,
    waiters: Waiters,
    places: Places,
    feed: Feed,
    tickets: Tickets,
    guard: auth::Guard,
    sockets: tokio::sync::Semaphore,
    stop: CancellationToken,
}

impl Api {
    /// The API over a store and a bus; `stop` closes live connections.
    ///
    /// # Errors
    /// The store is away.
    pub async fn open(
        store: Arc<dyn Store>,
        bus: Arc<dyn Bus>,
        blobs: Arc<dyn Blobs>,
        clock: Arc<dyn Clock>,
        options: ApiOptions,
        stop: CancellationToken,
    ) -> Result<Arc<Self>, StoreError> {
        Ok(Arc::new(Self {
            directory: Directory::new(Arc::clone(&store)),
            waiters: Waiters::default(),
            places: Places::default(),
            feed: Feed::default(),
            tickets: Tickets::open(&*store).await?,
            guard: auth::Guard::new(options.requests_per_second),
            sockets: tokio::sync::Semaphore::new(options.sockets_max),
            store,
            bus,
            blobs,
            clock,
            options,
            stop,
        }))
    }

    /// Follows the event log, and the typing of contacts and agents, until `stop`.
    pub async fn follow(self: Arc<Self>, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = feed::follow(&self) => {}
            () = feed::overhear(&self) => {}
            () = live::attend(&self) => {}
        }
    }

    /// `/api/v1/...` for everyone with a token.
    pub fn routes(self: Arc<Self>) -> Router {
        rest::routes(self)
    }

    /// The same for whoever reaches the admin listener: the operator, without a token.
    pub fn operator_routes(self: Arc<Self>) -> Router {
        rest::routes(self)
            .layer(Extension(Operator))
            .layer(axum::middleware::from_fn(auth::no_browser))
    }
}

/// The machine-readable description, as served.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    rest::describe()
}

impl Api {
    /// Writes down who did what.
    async fn audit(
        &self,
        who: &auth::Who,
        action: &str,
        target: &impl std::fmt::Display,
        detail: serde_json::Value,
    ) -> Result<(), Problem> {
        let audit = Audit {
            agent_id: who.agent,
            token_id: who.token,
            action: action.to_owned(),
            target: target.to_string(),
            detail,
        };
        self.store
            .commit(Changes {
                audit: vec![audit],
                ..Changes::default()
            })
            .await?;
        Ok(())
    }

    /// Whether a channel is configured.
    fn knows(&self, id: &patchbay_message::ChannelId) -> bool {
        self.options.channels.iter().any(|(known, _)| known == id)
    }

    /// Agents, groups or channels changed: forget names, wake whoever looks.
    fn changed(&self) {
        self.directory.forget();
        self.nudge(LogNudge::MAILBOX, &serde_json::json!({ "seq": 0 }));
        self.nudge("agent", &serde_json::json!({}));
    }

    fn nudge(&self, mailbox: &str, body: &serde_json::Value) {
        self.bus
            .nudge(&Mailbox::Event(mailbox.to_owned()), body.to_string().into());
    }
}
