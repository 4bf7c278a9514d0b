//! Web chat: visitors of a web page or an app talk to agents.
//!
//! # What it is
//! The protocol of `docs/channels/webchat.md`: a token per visitor, a WebSocket, plain HTTP where
//! sockets do not get through.
//! # Set up
//! Choose a token secret, name the origins of your pages, put the widget's script on them.
//! # Options
//! See [`Options`]; `docs/channels/webchat.md` lists them.
//! # Limits
//! See [`Options`] for what can be set; at most [`PARTS_MAX`] parts make one message.

mod client;
mod options;
mod part;
mod server;
mod token;
mod visitor;

use http::{Method, StatusCode};
use patchbay_message::{Envelope, ReceiptState};
use patchbay_sdk::{
    Adapter, Answer, Ask, Channel, Cx, Decoded, Exchange, From, HttpIn, Link, LinkPolicy,
    LiveEvent, LiveOut, Manifest, OutLimits, Problem, Reject, Reply, Request, SendError, Sent,
    Session, Step, ThreadMessage, Wire, verify,
};

pub use options::{Options, Uploads};
use token::Visitor;

/// Parts of one message.
pub const PARTS_MAX: usize = 10;
/// A long poll waits no longer than this, seconds.
const WAIT_S_MAX: u64 = 30;
/// Where a connection's memory keeps the end of its token, milliseconds since 1970.
const EXPIRES_AT: &str = "expires_at";

/// The adapter.
pub struct WebChat;

impl Adapter for WebChat {
    type Options = Options;
    type Channel = Chat;
    const MANIFEST: Manifest = Manifest {
        id: "webchat",
        title: "Web chat",
        content_out: &["text", "image", "audio", "video", "file", "event"],
        limits: OutLimits {
            text_bytes_max: None,
            media_bytes_max: None,
            parts_max: None,
        },
        ack_deadline: None,
        redelivers: false,
        reply_window: None,
        quota: None,
    };

    fn open(options: Options) -> Result<Chat, Vec<Problem>> {
        let problems = options.problems();
        if problems.is_empty() {
            Ok(Chat(options))
        } else {
            Err(problems)
        }
    }
}

/// An opened web chat.
pub struct Chat(Options);

impl Channel for Chat {
    fn links(&self) -> Vec<Link> {
        vec![Link::Http, Link::Socket]
    }

    fn decode(
        &self,
        cx: &Cx<'_>,
        session: &mut Session,
        wire: Wire<'_>,
    ) -> Result<Decoded, Reject> {
        match wire {
            Wire::Http(request) => self.request(cx, request),
            Wire::Open(request) => self.connect(cx, session, request),
            Wire::Frame(frame) => self.client_frame(cx, session, frame),
            Wire::MqttLogin(_) | Wire::Mqtt(_) => Err(Reject::NotFound),
        }
    }

    fn send(
        &self,
        cx: &Cx<'_>,
        outbound: &Envelope,
        past: &[Exchange],
    ) -> Result<Step<Vec<Sent>>, SendError> {
        match past.last() {
            None => self.push(cx, outbound).map(Step::Call),
            // The store's history is the truth: who is not connected reads it there later.
            Some(Exchange::Answered(Answer::Live { .. })) => Ok(Step::Done(vec![Sent {
                part: 0,
                external_id: Some(outbound.id.to_string()),
                state: ReceiptState::Sent,
                awaits: None,
            }])),
            // A client drops a number it has shown, so that pushing again is harmless.
            Some(_) => Err(SendError::Retry(None)),
        }
    }

    fn frame(&self, _cx: &Cx<'_>, event: &LiveEvent<'_>) -> Option<String> {
        server::frame(event, self.0.heartbeat.get())
    }

    fn policy(&self) -> LinkPolicy {
        self.0.policy()
    }
}

impl Chat {
    fn request(&self, cx: &Cx<'_>, request: HttpIn<'_>) -> Result<Decoded, Reject> {
        let is_upload = request.path == "/uploads";
        if !is_upload && request.body.len() > self.0.frame_bytes_max.in_memory() {
            return Err(self.frame_too_large());
        }
        match (request.method, request.path) {
            (&Method::POST, "/visitor") => visitor::decode(&self.0, cx, request.body),
            (&Method::POST, "/messages") => self.message(cx, request),
            (&Method::GET, "/messages") => self.history(cx, request),
            (&Method::POST, "/seen") => {
                let (visitor, proof) = self.verify(cx, request)?;
                let seen = client::seen(request.body, &visitor.address)?;
                let done = Decoded::answer(proof, Reply::status(StatusCode::NO_CONTENT));
                Ok(done.with(seen))
            }
            (&Method::POST, "/uploads") => self.upload(cx, request),
            _ => Err(Reject::NotFound),
        }
    }

    fn message(&self, cx: &Cx<'_>, request: HttpIn<'_>) -> Result<Decoded, Reject> {
        let (visitor, proof) = self.verify(cx, request)?;
        let message = client::message(&self.0, cx, request.body, visitor.party())?;
        let accepted = serde_json::json!({ "id": message.id, "client_id": message.external_id });
        let done = Decoded::answer(proof, Reply::json(StatusCode::ACCEPTED, &accepted));
        Ok(done.with(patchbay_sdk::Inbound::Message(Box::new(message))))
    }

    fn history(&self, cx: &Cx<'_>, request: HttpIn<'_>) -> Result<Decoded, Reject> {
        let (visitor, proof) = self.verify(cx, request)?;
        let wait = number(&request, "wait")?.min(WAIT_S_MAX);
        let ask = Ask::History {
            address: visitor.address,
            after: number(&request, "after")?,
            wait: std::time::Duration::from_secs(wait),
        };
        Ok(Decoded::answer(proof, Reply::status(StatusCode::OK)).asking(ask))
    }

    fn upload(&self, cx: &Cx<'_>, request: HttpIn<'_>) -> Result<Decoded, Reject> {
        let (_, proof) = self.verify(cx, request)?;
        let ask = Ask::Upload {
            name: request
                .query_value("name")
                .map(std::borrow::Cow::into_owned),
            bytes_max: self.0.uploads.bytes_max.get(),
            types: self.0.uploads.types.clone(),
        };
        Ok(Decoded::answer(proof, Reply::status(StatusCode::CREATED)).asking(ask))
    }

    fn connect(
        &self,
        cx: &Cx<'_>,
        session: &mut Session,
        request: HttpIn<'_>,
    ) -> Result<Decoded, Reject> {
        let (visitor, proof) = self.verify(cx, request)?;
        let after = number(&request, "after")?;
        session.party = Some(visitor.party());
        session
            .memory
            .insert(EXPIRES_AT.to_owned(), visitor.expires_at.as_ms().into());
        let ask = Ask::Register {
            address: visitor.address,
            after,
        };
        Ok(Decoded::answer(proof, Reply::silence()).asking(ask))
    }

    fn client_frame(
        &self,
        cx: &Cx<'_>,
        session: &Session,
        frame: &[u8],
    ) -> Result<Decoded, Reject> {
        let proof = verify::by_connection(session).ok_or(Reject::Unauthorized)?;
        let party = session.party.as_ref().ok_or(Reject::Unauthorized)?;
        let expires_at = session
            .memory
            .get(EXPIRES_AT)
            .and_then(serde_json::Value::as_i64);
        if expires_at.is_none_or(|at| at <= cx.now.as_ms()) {
            return Err(Reject::Stale);
        }
        if frame.len() > self.0.frame_bytes_max.in_memory() {
            return Err(self.frame_too_large());
        }
        client::decode(&self.0, cx, proof, party, frame)
    }

    fn verify(
        &self,
        cx: &Cx<'_>,
        request: HttpIn<'_>,
    ) -> Result<(Visitor, patchbay_sdk::Verified), Reject> {
        let in_query = request.query_value("token");
        let token = request
            .bearer()
            .or(in_query.as_deref())
            .ok_or(Reject::Unauthorized)?;
        Visitor::read(&self.0.token_secrets, cx, token)
    }

    fn push(&self, cx: &Cx<'_>, outbound: &Envelope) -> Result<Request, SendError> {
        let missing = |what: &str| SendError::Payload(format!("the message has no {what}"));
        let recipient = outbound
            .recipient
            .as_ref()
            .ok_or_else(|| missing("recipient"))?;
        let seq = outbound
            .thread_seq
            .ok_or_else(|| missing("number in the thread"))?;
        let conversation_id = outbound
            .conversation_id
            .ok_or_else(|| missing("conversation"))?;
        if !outbound.content.iter().any(part::can_show) {
            return Err(SendError::Unsupported);
        }
        let agent = outbound
            .sender
            .as_ref()
            .filter(|sender| !sender.is_system());
        let message = ThreadMessage {
            seq,
            id: outbound.id,
            from: agent.map_or(From::System, |_| From::Agent),
            name: agent.and_then(|agent| agent.name.clone()),
            external_id: None,
            content: outbound.content.clone(),
            at: outbound.received_at,
            conversation_id,
        };
        let frame = self.frame(cx, &LiveEvent::Message(&message));
        Ok(Request::Live(LiveOut {
            id: outbound.id,
            address: recipient.address.clone(),
            seq,
            frame: frame.expect("a message has a frame"),
        }))
    }

    fn frame_too_large(&self) -> Reject {
        Reject::TooLarge(format!("{} at most are allowed", self.0.frame_bytes_max))
    }
}

/// A number of the query; 0 if it is not there.
fn number(request: &HttpIn<'_>, name: &str) -> Result<u64, Reject> {
    request.query_value(name).map_or(Ok(0), |text| {
        text.parse()
            .map_err(|_| Reject::Malformed(format!("`{name}` must be a whole number")))
    })
}
