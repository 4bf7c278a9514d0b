//! Commands: published into the conversation's own partition, and waited for a short while.
//!
//! A command costs no look-up but the first one of its conversation: where it goes is remembered, how
//! it ended comes with the event.

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::http::StatusCode;
use moka::future::Cache;
use parking_lot::Mutex;
use patchbay_bus::{Message, PublishError, Queue};
use patchbay_message::{
    Authenticity, ChannelRef, Command, CommandId, CommandName, ConversationId, Direction, Envelope,
    EnvelopeType, MessageId, Outcome, OutcomeStatus, SCHEMA_VERSION, ThreadId,
};
use serde_json::Value;
use tokio::{sync::oneshot, time::timeout};

use crate::{Api, Problem};

/// Commands waited for at once; beyond it the answer is 202 at once.
const WAITERS_MAX: usize = 10_000;

/// Conversations whose place is remembered.
const PLACES_MAX: u64 = 50_000;
/// For this long.
const PLACE_TTL: Duration = Duration::from_secs(60);

/// Where a conversation's commands and signals go.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) thread: ThreadId,
    partition: u16,
    channel: ChannelRef,
    address: String,
}

/// Places of conversations that were asked for lately.
pub(crate) struct Places(Cache<ConversationId, Arc<Place>>);

impl Default for Places {
    fn default() -> Self {
        let cache = Cache::builder()
            .max_capacity(PLACES_MAX)
            .time_to_live(PLACE_TTL);
        Self(cache.build())
    }
}

/// Who waits for which command.
#[derive(Default)]
pub(crate) struct Waiters(Mutex<HashMap<CommandId, oneshot::Sender<Option<Outcome>>>>);

impl Waiters {
    fn wait(&self, id: CommandId) -> Option<oneshot::Receiver<Option<Outcome>>> {
        let mut waiters = self.0.lock();
        if waiters.len() >= WAITERS_MAX {
            metrics::counter!("patchbay_api_bound_hit_total", "bound" => "commands_waited_for")
                .increment(1);
            return None;
        }
        let (ended, wait) = oneshot::channel();
        waiters.insert(id, ended);
        Some(wait)
    }

    fn forget(&self, id: CommandId) {
        self.0.lock().remove(&id);
    }

    /// A command ended: `data` is its event's.
    pub(crate) fn ended(&self, data: &Value) {
        let id = data["command_id"].as_str().and_then(|id| id.parse().ok());
        let Some(id) = id else { return };
        if let Some(ended) = self.0.lock().remove(&id) {
            let _ = ended.send(done(id, data));
        }
    }
}

/// The outcome, if the event says all of it: why a command was refused is only in the store.
fn done(command_id: CommandId, data: &Value) -> Option<Outcome> {
    if data["status"] != OutcomeStatus::Done.as_str() {
        return None;
    }
    Some(Outcome {
        command_id,
        status: OutcomeStatus::Done,
        code: None,
        detail: None,
        message_id: data["message_id"].as_str().and_then(|id| id.parse().ok()),
        version: data["version"].as_i64(),
    })
}

impl Api {
    /// Where a conversation's commands go. It never moves while it is remembered: a conversation
    /// keeps its thread, and a thread its partition.
    ///
    /// # Errors
    /// 404 if there is no such conversation, 503 if the store is away.
    pub(crate) async fn place(&self, id: ConversationId) -> Result<Arc<Place>, Problem> {
        let load = async {
            let view = self.store.conversation(id).await?;
            let view = view.ok_or_else(|| crate::rest::missing("conversation"))?;
            Ok(Arc::new(Place {
                thread: view.thread.id,
                partition: view.conversation.partition,
                channel: ChannelRef {
                    id: view.thread.channel,
                    kind: view.thread.channel_kind,
                },
                address: view.thread.address,
            }))
        };
        self.places
            .0
            .try_get_with(id, load)
            .await
            .map_err(|problem: Arc<Problem>| (*problem).clone())
    }

    /// A command that says nothing yet, done once whatever else is asked.
    pub(crate) fn blank(name: CommandName, conversation_id: ConversationId) -> Command {
        let id = CommandId::new();
        Command {
            id,
            name,
            conversation_id,
            agent_id: None,
            expected_version: None,
            idempotency_key: id.to_string(),
            content: Vec::new(),
            assignee: None,
            group: None,
            until: None,
            ticket_id: None,
            expires_at: None,
            category: None,
            severity: None,
            title: None,
        }
    }

    /// Publishes a command and waits for its outcome; `None` if it takes longer.
    ///
    /// # Errors
    /// 503 if the bus does not take it.
    pub(crate) async fn command(
        &self,
        place: &Place,
        command: Command,
    ) -> Result<Option<Outcome>, Problem> {
        let id = command.id;
        let wait = self.waiters.wait(id);
        let envelope = self.envelope_of(place, command);
        let sent = self.publish(place.partition, &envelope).await;
        if let Err(problem) = sent {
            self.waiters.forget(id);
            return Err(problem);
        }
        if let Some(wait) = wait {
            let told = timeout(self.options.command_wait, wait).await;
            self.waiters.forget(id);
            if let Ok(Ok(Some(outcome))) = told {
                return Ok(Some(outcome));
            }
        }
        let outcome = self.store.outcome(id).await;
        // The command is durable: a store that is away only means that its end is not known yet.
        Ok(outcome.unwrap_or_default())
    }

    /// Publishes into an inbound partition.
    pub(crate) async fn publish(&self, partition: u16, envelope: &Envelope) -> Result<(), Problem> {
        let body = envelope.to_bytes().map_err(|violation| {
            Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                violation.to_string(),
            )
        })?;
        let kind: Arc<str> = envelope.kind.as_str().into();
        let message = Message {
            id: envelope.id,
            kind,
            body: body.into(),
        };
        let published = self
            .bus
            .publish(vec![(Queue::Inbound(partition), message)])
            .await;
        published.map_err(|error| match error {
            PublishError::Refused(why) => {
                Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", why)
            }
            error => Problem::unavailable(error.to_string()),
        })
    }

    fn envelope_of(&self, place: &Place, command: Command) -> Envelope {
        Envelope {
            schema: SCHEMA_VERSION,
            kind: EnvelopeType::Command,
            // One identity for the envelope and the command, see `Command::id`.
            id: MessageId(command.id.0),
            direction: Direction::Inbound,
            channel: place.channel.clone(),
            partition_key: format!("{}:{}", place.channel.id, place.address),
            thread_hints: Default::default(),
            conversation_id: Some(command.conversation_id),
            thread_seq: None,
            lane_key: None,
            out_seq: None,
            hop: None,
            sender: None,
            recipient: None,
            external_id: None,
            dedupe_key: None,
            in_reply_to: None,
            sent_at: None,
            received_at: self.clock.now(),
            content: Vec::new(),
            receipt: None,
            command: Some(command),
            reply: None,
            authenticity: Authenticity::Token,
            attributes: Default::default(),
            expires_at: None,
            traceparent: Some(traceparent()),
            extra: Default::default(),
        }
    }
}

/// A new W3C trace for what begins here.
fn traceparent() -> String {
    let (trace, span): (u128, u64) = (rand::random(), rand::random());
    format!("00-{:032x}-{:016x}-01", trace.max(1), span.max(1))
}

/// A refusal of the router as a problem document.
pub(crate) fn problem_of(code: Option<&str>, detail: Option<String>) -> Problem {
    let (status, code) = match code.unwrap_or_default() {
        "not_found" => (StatusCode::NOT_FOUND, "not_found"),
        "version" => (StatusCode::CONFLICT, "version_conflict"),
        "state" => (StatusCode::CONFLICT, "bad_transition"),
        "capacity" => (StatusCode::CONFLICT, "capacity"),
        "offline" => (StatusCode::CONFLICT, "offline"),
        "content" => (StatusCode::UNPROCESSABLE_ENTITY, "content"),
        _ => (StatusCode::CONFLICT, "refused"),
    };
    Problem::new(status, code, detail.unwrap_or_default())
}
