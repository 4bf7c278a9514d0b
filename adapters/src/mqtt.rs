//! MQTT: devices report faults and readings, and are told what to do.
//!
//! # What it is
//! Subscriptions at a broker, or a listener of our own that devices connect to; MQTT 3.1.1 and 5, QoS
//! 0 and 1. Which topic means what is said in the channel's file, by topics with named levels and by
//! expressions (CEL); see `docs/channels/mqtt.md`.
//! # Set up
//! Name the broker (`url`) or the address to listen at (`listen`), say how a topic names its device,
//! and write a rule for every topic.
//! # Options
//! See [`Options`]; `docs/channels/mqtt.md` lists them.
//! # Limits
//! See [`Options`] for what can be set. One PUBLISH says one thing to a device.

mod address;
mod down;
mod links;
mod login;
mod open;
mod options;
mod profile;
mod rule;
mod up;

use std::{collections::BTreeMap, time::Duration};

use patchbay_message::{Envelope, Party, ReceiptState};
use patchbay_sdk::{
    Adapter, Answer, Await, Channel, Cx, Decoded, Downlink, Exchange, From, Link, LinkPolicy,
    LiveOut, Manifest, OutLimits, Problem, Reject, Request, Scope, SendError, Sent, Session, Step,
    ThreadMessage, Wire, mapping::Tables,
};
use serde_json::Value;

pub use options::Options;

/// How long a broker whose quota is used up is left alone; it does not say itself.
const QUOTA_REST: Duration = Duration::from_secs(30);

// Reason codes of PUBACK (MQTT 5.0, section 3.4.2.1).
const NO_SUBSCRIBERS: u8 = 0x10;
const FIRST_FAILURE: u8 = 0x80;
const NOT_AUTHORIZED: u8 = 0x87;
const TOPIC_NAME_INVALID: u8 = 0x90;
const QUOTA_EXCEEDED: u8 = 0x97;
const PAYLOAD_FORMAT_INVALID: u8 = 0x99;

/// The adapter.
pub struct Mqtt;

impl Adapter for Mqtt {
    type Options = Options;
    type Channel = Fleet;
    const MANIFEST: Manifest = Manifest {
        id: "mqtt",
        title: "MQTT devices",
        content_out: &["text", "command", "event", "choice", "card", "location"],
        limits: OutLimits {
            text_bytes_max: Some(patchbay_sdk::expr::TEXT_BYTES_MAX),
            media_bytes_max: None,
            parts_max: None,
        },
        ack_deadline: None,
        redelivers: true,
        reply_window: None,
        quota: None,
    };

    fn open(options: Options) -> Result<Fleet, Vec<Problem>> {
        open::open(&options)
    }
}

/// An opened channel: the devices of one broker or listener.
pub struct Fleet {
    link: Link,
    rules: Vec<rule::Rule>,
    downs: BTreeMap<String, down::DownRule>,
    tables: Tables,
    shape: address::Shape,
    offline_code: String,
    silence: Option<Value>,
    retained: options::Retained,
    logins: login::Logins,
    connections: LinkPolicy,
}

impl Channel for Fleet {
    fn links(&self) -> Vec<Link> {
        vec![self.link.clone()]
    }

    fn decode(
        &self,
        cx: &Cx<'_>,
        session: &mut Session,
        wire: Wire<'_>,
    ) -> Result<Decoded, Reject> {
        match wire {
            Wire::MqttLogin(given) => self.login(session, given),
            Wire::Mqtt(given) => self.publish(cx, session, given),
            Wire::Http(_) | Wire::Open(_) | Wire::Frame(_) => Err(Reject::NotFound),
        }
    }

    fn send(
        &self,
        cx: &Cx<'_>,
        outbound: &Envelope,
        past: &[Exchange],
    ) -> Result<Step<Vec<Sent>>, SendError> {
        let saying = saying(outbound)?;
        let said = self.say(cx, &saying)?;
        let sent = |state, awaits| {
            Ok(Step::Done(vec![Sent {
                part: 0,
                external_id: Some(said.external_id.clone()),
                state,
                awaits,
            }]))
        };
        match past.last() {
            None if self.is_live() => Ok(Step::Call(Request::Live(nudge(outbound, &saying)?))),
            None => Ok(Step::Call(Request::Mqtt(said.out))),
            // The gateway that holds the connection tells when the device has it.
            Some(Exchange::Answered(Answer::Live { .. })) if self.is_live() => {
                let until = said.expires_at.map(|at| Await {
                    within: at.since(cx.now),
                    or_else: ReceiptState::Expired,
                    fallback: true,
                });
                sent(ReceiptState::Accepted, until)
            }
            Some(Exchange::Answered(Answer::Mqtt { reason })) if !self.is_live() => {
                acknowledged(*reason, said.out.retain)?;
                let state = match said.out.qos {
                    0 => ReceiptState::Sent,
                    _ => ReceiptState::Accepted,
                };
                sent(state, said.answer)
            }
            Some(Exchange::NotSent(_)) => Err(SendError::Retry(None)),
            Some(Exchange::Unknown(_)) if !self.is_live() => Err(SendError::Unknown),
            // A nudge may be repeated: the history is the truth.
            Some(_) => Err(SendError::Retry(None)),
        }
    }

    fn downlink(&self, cx: &Cx<'_>, device: &Party, message: &ThreadMessage) -> Option<Downlink> {
        if message.from == From::Contact {
            return None;
        }
        let saying = down::Saying {
            id: message.id.to_string(),
            seq: Some(message.seq),
            address: &device.address,
            agent: message.name.as_deref(),
            content: &message.content,
            at: message.at,
            expires_at: None,
        };
        let said = self.say(cx, &saying).ok()?;
        // A device that comes back late is not told what is over.
        if said.expires_at.is_some_and(|at| at <= cx.now) {
            return None;
        }
        Some(Downlink {
            out: said.out,
            awaits: said.answer,
            external_id: said.external_id,
        })
    }

    fn policy(&self) -> LinkPolicy {
        self.connections.clone()
    }
}

impl Fleet {
    /// Devices connect to us.
    fn is_live(&self) -> bool {
        self.link.is_live()
    }

    /// Neither TLS nor a login vouches for the broker.
    fn is_bare(&self) -> bool {
        matches!(&self.link, Link::MqttBroker(broker)
            if broker.tls.is_none() && broker.username.is_none())
    }
}

fn saying(outbound: &Envelope) -> Result<down::Saying<'_>, SendError> {
    let recipient = outbound
        .recipient
        .as_ref()
        .ok_or_else(|| SendError::Payload("the message has no recipient".to_owned()))?;
    let agent = outbound
        .sender
        .as_ref()
        .filter(|sender| !sender.is_system());
    Ok(down::Saying {
        id: outbound.id.to_string(),
        seq: outbound.thread_seq,
        address: &recipient.address,
        agent: agent.and_then(|agent| agent.name.as_deref()),
        content: &outbound.content,
        at: outbound.received_at,
        expires_at: outbound.expires_at,
    })
}

fn nudge(outbound: &Envelope, saying: &down::Saying<'_>) -> Result<LiveOut, SendError> {
    let missing = || SendError::Payload("the message has no number in the thread".to_owned());
    Ok(LiveOut {
        id: outbound.id,
        address: saying.address.to_owned(),
        seq: outbound.thread_seq.ok_or_else(missing)?,
        // The gateway makes the PUBLISH itself, in the order of the history.
        frame: String::new(),
    })
}

/// What PUBACK says (MQTT 5.0, section 3.4.2.1).
fn acknowledged(reason: u8, is_kept: bool) -> Result<(), SendError> {
    match reason {
        // Nobody is there to take it; the broker keeps it if it was asked to.
        NO_SUBSCRIBERS if !is_kept => Err(SendError::Retry(None)),
        NOT_AUTHORIZED => Err(SendError::Account(
            "the broker does not let us publish there".to_owned(),
        )),
        TOPIC_NAME_INVALID => Err(SendError::Payload(
            "the broker does not take the topic".to_owned(),
        )),
        QUOTA_EXCEEDED => Err(SendError::Throttled(Scope::Channel, QUOTA_REST)),
        PAYLOAD_FORMAT_INVALID => Err(SendError::Payload(
            "the broker does not take the payload".to_owned(),
        )),
        FIRST_FAILURE.. => Err(SendError::Retry(None)),
        _ => Ok(()),
    }
}
