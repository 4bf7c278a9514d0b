//! Commands: published into the conversation's own partition, and waited for a short while.

use std::{collections::HashMap, sync::Arc};

use axum::http::StatusCode;
use parking_lot::Mutex;
use patchbay_bus::{Message, PublishError, Queue};
use patchbay_message::{
    Authenticity, ChannelRef, Command, CommandId, Direction, Envelope, EnvelopeType, MessageId,
    Outcome, SCHEMA_VERSION,
};
use patchbay_store::ConversationView;
use tokio::{sync::oneshot, time::timeout};

use crate::{Api, Problem};

/// Commands waited for at once; beyond it the answer is 202 at once.
const WAITERS_MAX: usize = 10_000;

/// Who waits for which command.
#[derive(Default)]
pub(crate) struct Waiters(Mutex<HashMap<CommandId, oneshot::Sender<()>>>);

impl Waiters {
    fn wait(&self, id: CommandId) -> Option<oneshot::Receiver<()>> {
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

    /// A command ended.
    pub(crate) fn ended(&self, id: CommandId) {
        if let Some(ended) = self.0.lock().remove(&id) {
            let _ = ended.send(());
        }
    }
}

impl Api {
    /// Publishes a command and waits for its outcome; `None` if it takes longer.
    ///
    /// # Errors
    /// 503 if the bus does not take it.
    pub(crate) async fn command(
        &self,
        view: &ConversationView,
        command: Command,
    ) -> Result<Option<Outcome>, Problem> {
        let id = command.id;
        let wait = self.waiters.wait(id);
        let envelope = self.envelope_of(view, command);
        let sent = self.publish(view.conversation.partition, &envelope).await;
        if let Err(problem) = sent {
            self.waiters.forget(id);
            return Err(problem);
        }
        if let Some(wait) = wait {
            let _ = timeout(self.options.command_wait, wait).await;
            self.waiters.forget(id);
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

    fn envelope_of(&self, view: &ConversationView, command: Command) -> Envelope {
        let thread = &view.thread;
        Envelope {
            schema: SCHEMA_VERSION,
            kind: EnvelopeType::Command,
            // One identity for the envelope and the command, see `Command::id`.
            id: MessageId(command.id.0),
            direction: Direction::Inbound,
            channel: ChannelRef {
                id: thread.channel.clone(),
                kind: thread.channel_kind.clone(),
            },
            partition_key: format!("{}:{}", thread.channel, thread.address),
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
