//! Gate: the smallest adapter of devices that connect by MQTT, and the flaws the rules find in it.

use patchbay_message::{Content, Envelope, Party, ReceiptState};
use patchbay_sdk::{
    Adapter, Answer, Ask, Channel, Cx, Decoded, Exchange, Inbound, InboundMessage, Kind, Link,
    LiveOut, Manifest, MqttIn, MqttLogin, OutLimits, Problem, Reject, Reply, Request, SendError,
    Sent, Session, Step, Wire, device, options::Secrets, verify,
};
use patchbay_testkit::Suite;
use schemars::JsonSchema;
use serde::Deserialize;

const PASSWORD_IGNORED: u8 = 1;
const ANYBODY: u8 = 2;
const NO_KEY: u8 = 3;
const PANIC_IN_PUBLISH: u8 = 4;
const PANIC_IN_LOGIN: u8 = 5;

struct Gate<const FLAW: u8 = 0>;

/// `[options]` of a gate.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {
    /// Of the only device.
    passwords: Secrets,
}

impl<const FLAW: u8> Adapter for Gate<FLAW> {
    type Options = Options;
    type Channel = Open<FLAW>;
    const MANIFEST: Manifest = Manifest {
        id: "gate",
        title: "Gate",
        content_out: &["text"],
        limits: OutLimits {
            text_bytes_max: None,
            media_bytes_max: None,
            parts_max: None,
        },
        ack_deadline: None,
        redelivers: true,
        reply_window: None,
        quota: None,
    };

    fn open(options: Options) -> Result<Open<FLAW>, Vec<Problem>> {
        Ok(Open(options))
    }
}

struct Open<const FLAW: u8>(Options);

impl<const FLAW: u8> Channel for Open<FLAW> {
    fn links(&self) -> Vec<Link> {
        Vec::new()
    }

    fn decode(
        &self,
        cx: &Cx<'_>,
        session: &mut Session,
        wire: Wire<'_>,
    ) -> Result<Decoded, Reject> {
        match wire {
            Wire::MqttLogin(given) => self.login(session, given),
            Wire::Mqtt(given) => publish::<FLAW>(cx, session, given),
            _ => Err(Reject::NotFound),
        }
    }

    fn send(
        &self,
        _: &Cx<'_>,
        outbound: &Envelope,
        past: &[Exchange],
    ) -> Result<Step<Vec<Sent>>, SendError> {
        let recipient = outbound.recipient.as_ref().ok_or(SendError::Unsupported)?;
        match past.last() {
            None => Ok(Step::Call(Request::Live(LiveOut {
                id: outbound.id,
                address: recipient.address.clone(),
                seq: 1,
                frame: String::new(),
            }))),
            Some(Exchange::Answered(Answer::Live { .. })) => Ok(Step::Done(vec![Sent {
                part: 0,
                external_id: Some(outbound.id.to_string()),
                state: ReceiptState::Accepted,
                awaits: None,
            }])),
            Some(_) => Err(SendError::Retry(None)),
        }
    }
}

impl<const FLAW: u8> Open<FLAW> {
    fn login(&self, session: &mut Session, given: MqttLogin<'_>) -> Result<Decoded, Reject> {
        let username = given.username.ok_or(Reject::Unauthorized)?;
        if FLAW == PANIC_IN_LOGIN {
            assert!(given.password.is_some_and(|it| it.len() < 1000), "a flaw");
        }
        if username != "d1" && FLAW != ANYBODY {
            return Err(Reject::Unauthorized);
        }
        let passwords = self.0.passwords.all();
        let proof = match (FLAW, passwords.first()) {
            (PASSWORD_IGNORED, Some(own)) => {
                verify::by_password(passwords, own.expose().as_bytes())
            }
            _ => verify::by_password(passwords, given.password.unwrap_or_default()),
        };
        let proof = proof?;
        session.party = Some(Party {
            address: username.to_owned(),
            ..Party::default()
        });
        let ask = Ask::Register {
            address: username.to_owned(),
            after: 0,
        };
        Ok(Decoded::answer(proof, Reply::silence()).asking(ask))
    }
}

fn publish<const FLAW: u8>(
    cx: &Cx<'_>,
    session: &Session,
    given: MqttIn<'_>,
) -> Result<Decoded, Reject> {
    let proof = verify::by_connection(session).ok_or(Reject::Unauthorized)?;
    let sender = session.party.clone().unwrap_or_default();
    let text = std::str::from_utf8(given.payload);
    let text = match (FLAW, text) {
        (PANIC_IN_PUBLISH, text) => text.expect("a flaw"),
        (_, text) => text.map_err(|_| Reject::Malformed("no text".to_owned()))?,
    };
    let dedupe_key = device::key(&[cx.channel, &sender.address, text]);
    let message = InboundMessage {
        sender,
        dedupe_key: (FLAW != NO_KEY).then_some(dedupe_key),
        content: vec![Content::text(text)],
        ..InboundMessage::default()
    };
    let done = Decoded::answer(proof, Reply::silence());
    Ok(done.with(Inbound::Message(Box::new(message))))
}

fn suite(kinds: &'static [Kind]) -> Suite {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    Suite::new(kinds, here.join("tests/links/fixtures"))
}

#[test]
fn an_adapter_of_devices_without_a_flaw_passes() {
    static GOOD: &[Kind] = &[Kind::of::<Gate>()];
    let report = suite(GOOD).run();
    report.assert();
    assert!(report.checks() > 60, "{} checks", report.checks());
}

macro_rules! flaw {
    ($name:ident, $flaw:ident, $run:ident, $sentence:literal) => {
        #[test]
        fn $name() {
            static KINDS: &[Kind] = &[Kind::of::<Gate<$flaw>>()];
            crate::flaws::finds_in(&suite(KINDS).$run(), $sentence);
        }
    };
}

flaw!(
    finds_a_password_that_is_ignored,
    PASSWORD_IGNORED,
    run_rules,
    "of `password` ("
);
flaw!(
    finds_a_name_that_is_ignored,
    ANYBODY,
    run_rules,
    "of `username` ("
);
flaw!(
    finds_a_device_without_keys,
    NO_KEY,
    run_rules,
    "the step says why that is `unkeyed`"
);
flaw!(
    finds_a_panic_in_a_publish,
    PANIC_IN_PUBLISH,
    run_fuzz,
    "panics"
);
flaw!(
    finds_a_panic_in_a_login,
    PANIC_IN_LOGIN,
    run_fuzz,
    "panics with a body of"
);
