//! Frames to a visitor's client.

use std::time::Duration;

use patchbay_message::{ConversationId, MessageId, Time};
use patchbay_sdk::{From, LiveEvent, QueueState, ThreadMessage};
use serde::Serialize;
use serde_json::value::RawValue;

use super::part::PartOut;

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Frame<'a> {
    Ready(Ready<'a>),
    Accepted { client_id: &'a str, id: MessageId },
    Refused(Refused<'a>),
    Message(MessageOut<'a>),
    Typing(Typing<'a>),
    Seen { by: &'static str, read: u64 },
    Queue(Queue<'a>),
    Ping {},
    Pong(Pong<'a>),
    Bye(Bye),
}

#[derive(Serialize)]
struct Ready<'a> {
    visitor: &'a str,
    seq: u64,
    heartbeat_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<Queue<'a>>,
    delivered: u64,
    read: u64,
    agent_read: u64,
}

#[derive(Serialize)]
struct Refused<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    code: &'static str,
    detail: &'a str,
    retry: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

#[derive(Serialize)]
struct MessageOut<'a> {
    seq: u64,
    id: MessageId,
    from: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    content: Vec<PartOut<'a>>,
    at: Time,
    conversation_id: ConversationId,
}

#[derive(Serialize)]
struct Typing<'a> {
    from: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    on: bool,
}

#[derive(Serialize)]
struct Queue<'a> {
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<&'a str>,
}

#[derive(Serialize)]
struct Pong<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<&'a RawValue>,
    seq: u64,
}

#[derive(Serialize)]
struct Bye {
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reconnect_ms: Option<u64>,
}

/// How something live looks to a client.
pub(super) fn frame(event: &LiveEvent<'_>, heartbeat: Duration) -> Option<String> {
    let frame = match *event {
        LiveEvent::Ready {
            address,
            seq,
            delivered,
            read,
            agent_read,
            ref queue,
        } => Frame::Ready(Ready {
            visitor: address,
            seq,
            heartbeat_ms: millis(heartbeat),
            queue: queue.as_ref().map(of_queue),
            delivered,
            read,
            agent_read,
        }),
        LiveEvent::Message(message) => Frame::Message(of_message(message)),
        LiveEvent::Accepted { external_id, id } => Frame::Accepted {
            client_id: external_id,
            id,
        },
        LiveEvent::Refused {
            external_id,
            code,
            detail,
            retry_after,
        } => Frame::Refused(Refused {
            client_id: external_id,
            code,
            detail,
            retry: retry_after.is_some(),
            retry_after_ms: retry_after.map(millis),
        }),
        LiveEvent::Typing { name, on } => Frame::Typing(Typing {
            from: "agent",
            name,
            on,
        }),
        LiveEvent::Seen { read } => Frame::Seen { by: "agent", read },
        LiveEvent::Queue(queue) => Frame::Queue(of_queue(queue)),
        LiveEvent::Ping => Frame::Ping {},
        LiveEvent::Pong { at, seq } => {
            let at = at.and_then(|at| serde_json::from_str(at).ok());
            Frame::Pong(Pong { at, seq })
        }
        LiveEvent::Bye { reason, reconnect } => Frame::Bye(Bye {
            reason,
            reconnect_ms: reconnect.map(millis),
        }),
    };
    Some(serde_json::to_string(&frame).expect("texts and numbers are JSON"))
}

fn of_message(message: &ThreadMessage) -> MessageOut<'_> {
    MessageOut {
        seq: message.seq,
        id: message.id,
        from: match message.from {
            From::Contact => "visitor",
            From::Agent => "agent",
            From::System => "system",
        },
        name: message.name.as_deref(),
        client_id: message.external_id.as_deref(),
        content: PartOut::list(&message.content),
        at: message.at,
        conversation_id: message.conversation_id,
    }
}

fn of_queue(queue: &QueueState) -> Queue<'_> {
    let (state, position, agent) = match queue {
        QueueState::Waiting(position) => ("waiting", Some(*position), None),
        QueueState::Assigned(agent) => ("assigned", None, agent.as_deref()),
        QueueState::Closed => ("closed", None, None),
    };
    Queue {
        state,
        position,
        agent,
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
