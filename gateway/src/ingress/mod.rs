//! Transports: how bytes get to the pipeline and answers back. They know no channel.

mod held;
mod http;
mod media;
mod mqtt;
mod origin;
mod poll;
mod pull;
mod reject;
mod socket;

use std::{collections::HashMap, sync::Arc, time::Duration};

pub use mqtt::{Links, Mqtt, MqttOptions};
pub use pull::{Bells, PAGE_BYTES_MAX, Puller};

use axum::{
    Router,
    routing::{any, get},
};
use moka::future::Cache;
use patchbay_bus::{Bus, Mailbox};
use patchbay_message::{AgentId, ContactTyping, Direction, ThreadId};
use patchbay_sdk::{LiveEvent, Signal, ThreadMessage};
use patchbay_sinks::{Channels, OpenChannel};
use patchbay_store::{MessageRow, Store, blobs::Blobs};
use tokio_util::sync::CancellationToken;

use crate::{
    live::{Hub, Slots},
    pipeline::Pipeline,
};

/// All names under one key, see [`agent_names`].
pub type AgentNames = Cache<(), Arc<HashMap<AgentId, String>>>;

/// An empty cache of agents' names; a new name is seen after a few seconds.
pub fn agent_names() -> AgentNames {
    Cache::builder()
        .max_capacity(1)
        .time_to_live(Duration::from_secs(5))
        .build()
}

/// What the transports of one gateway share.
pub struct Ingress {
    /// Decode, normalize, publish.
    pub pipeline: Pipeline,
    /// The open channels.
    pub channels: Arc<Channels>,
    /// Live connections.
    pub hub: Arc<Hub>,
    /// Answers held back for a reply.
    pub slots: Arc<Slots>,
    /// The truth about threads.
    pub store: Arc<dyn Store>,
    /// Files.
    pub blobs: Arc<dyn Blobs>,
    /// Names of agents, kept for a moment.
    pub agent_names: AgentNames,
    /// Signals to the API.
    pub bus: Arc<dyn Bus>,
    /// Largest body of a request, bytes.
    pub body_bytes_max: usize,
    /// Largest upload, bytes; a channel may allow less.
    pub upload_bytes_max: usize,
    /// Wakes whoever pulls in this process.
    pub bells: Bells,
    /// Closes live connections.
    pub stop: CancellationToken,
}

/// What providers and visitors reach.
pub fn routes(ingress: Arc<Ingress>) -> Router {
    Router::new()
        .route("/channels/{id}", any(http::request))
        .route(
            "/channels/{id}/socket",
            get(socket::open).options(http::request),
        )
        .route("/channels/{id}/{*rest}", any(http::request))
        .route("/media/{token}", get(media::download))
        .with_state(ingress)
}

impl Ingress {
    /// How something live looks on the wire of a channel.
    fn frame(&self, channel: &OpenChannel, event: &LiveEvent<'_>) -> Option<String> {
        self.pipeline
            .with_cx(channel, None, |cx| channel.channel.frame(cx, event))
    }

    /// Typing goes to whoever looks at the conversation; what was seen goes to the store.
    fn pass_on(&self, channel: &OpenChannel, signal: &Signal) {
        match signal {
            Signal::Typing { address, on } => {
                let typing = ContactTyping {
                    thread_id: ThreadId::of(&channel.id, address),
                    on: *on,
                };
                if let Ok(body) = serde_json::to_vec(&typing) {
                    self.bus.nudge(
                        &Mailbox::Event(ContactTyping::MAILBOX.to_owned()),
                        body.into(),
                    );
                }
            }
            Signal::Seen {
                address,
                delivered,
                read,
            } => {
                self.hub.seen(&channel.id, address, *delivered, *read);
            }
        }
    }
}

/// A row of the history as the contact may see it.
fn thread_message(row: MessageRow) -> ThreadMessage {
    let from = match (&row.direction, row.agent_id) {
        (Direction::Inbound, _) => patchbay_sdk::From::Contact,
        (_, Some(_)) => patchbay_sdk::From::Agent,
        (_, None) => patchbay_sdk::From::System,
    };
    ThreadMessage {
        seq: row.thread_seq.unwrap_or_default(),
        id: row.id,
        from,
        name: row.sender.name,
        external_id: row.external_id,
        content: row.content,
        at: row.at,
        conversation_id: row.conversation_id,
    }
}
