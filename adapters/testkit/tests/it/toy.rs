//! Toy: the smallest whole adapter of an HTTP provider; a place to start reading.
//!
//! # What it is
//! An imaginary provider of text messages. Its hooks carry `x-toy-time` and `x-toy-mac`, the hex
//! HMAC-SHA256 of time, a dot and the body.
//! # Set up
//! Tell the provider the channel's address; put its secret and your account into the options.
//! # Options
//! See [`Options`].
//! # Limits
//! Text only.

use std::{marker::PhantomData, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use patchbay_message::{Content, Envelope, Party, ReceiptState, Time};
use patchbay_sdk::{
    Adapter, Answer, Channel, Cx, Decoded, Effect, Exchange, HttpIn, HttpOut, Inbound,
    InboundMessage, Link, Manifest, OutLimits, Problem, Reject, Reply, Request, SendError, Sent,
    Session, Step, TokenName, Wire,
    options::{Problems, Secrets},
    parse_object, verify,
};
use schemars::JsonSchema;
use serde::{Deserialize, de::DeserializeOwned};

/// Where messages go.
const URL: &str = "https://api.toy.example/messages";
/// How old a hook may be.
const AGE_MAX: Duration = Duration::from_secs(300);
/// The provider's bearer token.
const ACCESS: TokenName = "access";

/// The adapter; `O` and `FLAW` are for the tests of the rules, see [`crate::flaws`].
pub(crate) struct Toy<O = Options, const FLAW: u8 = 0>(PhantomData<O>);

/// `[options]` of a toy.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    /// Shared with the provider.
    secrets: Secrets,
    /// Our account there.
    account: String,
}

/// What the tests need to put other options in their place.
pub(crate) trait Settings:
    DeserializeOwned + JsonSchema + std::fmt::Debug + Send + Sync + 'static
{
    fn secrets(&self) -> &Secrets;
    fn account(&self) -> &str;
}

impl Settings for Options {
    fn secrets(&self) -> &Secrets {
        &self.secrets
    }
    fn account(&self) -> &str {
        &self.account
    }
}

impl<O: Settings, const FLAW: u8> Adapter for Toy<O, FLAW> {
    type Options = O;
    type Channel = Line<O, FLAW>;
    const MANIFEST: Manifest = Manifest {
        id: "toy",
        title: "Toy",
        content_out: &["text"],
        limits: OutLimits {
            text_bytes_max: Some(1000),
            media_bytes_max: None,
            parts_max: None,
        },
        ack_deadline: Some(Duration::from_secs(5)),
        redelivers: true,
        reply_window: None,
        quota: None,
    };

    fn open(options: O) -> Result<Line<O, FLAW>, Vec<Problem>> {
        let mut problems = Problems::default();
        problems.secrets("secrets", options.secrets(), 16);
        problems.require(
            !options.account().is_empty(),
            "account",
            "must not be empty",
        );
        match problems.found() {
            found if found.is_empty() => Ok(Line(options)),
            found => Err(found),
        }
    }
}

/// An opened toy.
pub(crate) struct Line<O, const FLAW: u8>(O);

impl<O: Settings, const FLAW: u8> Channel for Line<O, FLAW> {
    fn links(&self) -> Vec<Link> {
        vec![Link::Http]
    }

    fn decode(&self, cx: &Cx<'_>, _: &mut Session, wire: Wire<'_>) -> Result<Decoded, Reject> {
        let Wire::Http(request) = wire else {
            return Err(Reject::NotFound);
        };
        if request.method != Method::POST || !request.path.is_empty() {
            return Err(Reject::NotFound);
        }
        let proof = self.verify(cx, &request)?;
        let hook: Hook = parse_object(request.body)?;
        if hook.account != self.0.account() && FLAW != crate::flaws::ANY_ACCOUNT {
            return Err(Reject::Forbidden("another account".to_owned()));
        }
        let done = Decoded::answer(proof, self.answer());
        Ok(done.with(Inbound::Message(Box::new(message::<FLAW>(cx, hook)))))
    }

    fn send(
        &self,
        cx: &Cx<'_>,
        outbound: &Envelope,
        past: &[Exchange],
    ) -> Result<Step<Vec<Sent>>, SendError> {
        match past.last() {
            None => {
                let Some(token) = (cx.token)(ACCESS) else {
                    return Ok(Step::Need(ACCESS));
                };
                if FLAW == crate::flaws::PANIC_IN_SEND {
                    assert!(outbound.recipient.is_some(), "a flaw");
                }
                request(outbound, token.expose()).map(Step::Call)
            }
            Some(Exchange::Answered(Answer::Http { status, body, .. })) => {
                classify(*status, body).map(|sent| Step::Done(vec![sent]))
            }
            Some(Exchange::Unknown(_)) if FLAW == crate::flaws::UNKNOWN_IS_SENT => {
                Ok(Step::Done(Vec::new()))
            }
            Some(Exchange::Unknown(_)) => Err(SendError::Unknown),
            Some(_) => Err(SendError::Retry(None)),
        }
    }
}

/// `{"account":"a1","id":"m1","from":"f1","text":"hi"}`
#[derive(Deserialize)]
struct Hook {
    account: String,
    id: String,
    from: String,
    text: String,
}

/// `{"id":"out-1"}`
#[derive(Deserialize)]
struct Accepted {
    id: String,
}

impl<O: Settings, const FLAW: u8> Line<O, FLAW> {
    fn verify(&self, cx: &Cx<'_>, request: &HttpIn<'_>) -> Result<patchbay_sdk::Verified, Reject> {
        let header = |name| request.headers.get(name).map(HeaderValue::as_bytes);
        let time = header("x-toy-time").ok_or(Reject::Unauthorized)?;
        let given = header("x-toy-mac").and_then(|mac| hex::decode(mac).ok());
        let given = given.ok_or(Reject::Unauthorized)?;
        let keys = self.0.secrets().all();
        let found = verify::check_hmac_sha256(keys, &[time, b".", request.body], &given);
        let proof = match FLAW {
            crate::flaws::SIGNATURE_IGNORED => found.unwrap_or(verify::none("a flaw")),
            _ => found?,
        };
        let time = std::str::from_utf8(time)
            .ok()
            .and_then(|time| time.parse::<i64>().ok());
        let time = time.ok_or(Reject::Unauthorized)?;
        let is_old = cx.now.since(Time::from_ms(time.saturating_mul(1000))) >= AGE_MAX;
        if is_old && FLAW != crate::flaws::NEVER_STALE {
            return Err(Reject::Stale);
        }
        Ok(proof)
    }

    fn answer(&self) -> Reply {
        if FLAW == crate::flaws::SECRET_IN_ANSWER {
            let secret = self.0.secrets().newest().map(|secret| secret.expose());
            return Reply::json(StatusCode::OK, &serde_json::json!({ "ok": secret }));
        }
        Reply::status(StatusCode::OK)
    }
}

fn message<const FLAW: u8>(cx: &Cx<'_>, hook: Hook) -> InboundMessage {
    if FLAW == crate::flaws::PANIC_IN_DECODE {
        let _ = &hook.text[..1];
    }
    let (external_id, dedupe_key) = match FLAW {
        crate::flaws::NO_KEY => (None, None),
        crate::flaws::LONG_ID => (Some(hook.id.repeat(300)), None),
        crate::flaws::KEY_OF_TIME => (Some(hook.id), Some(cx.now.to_string())),
        _ => (Some(hook.id), None),
    };
    InboundMessage {
        sender: Party {
            address: hook.from,
            ..Party::default()
        },
        external_id,
        dedupe_key,
        content: vec![Content::text(hook.text)],
        ..InboundMessage::default()
    }
}

fn request(outbound: &Envelope, token: &str) -> Result<Request, SendError> {
    let recipient = outbound.recipient.as_ref();
    let recipient = recipient.ok_or_else(|| SendError::Payload("no recipient".to_owned()))?;
    let text = outbound
        .content
        .iter()
        .find_map(Content::as_text)
        .ok_or(SendError::Unsupported)?;
    let body = serde_json::json!({ "to": recipient.address, "text": text, "key": outbound.id });
    let bearer = HeaderValue::from_str(&format!("Bearer {token}"))
        .map_err(|_| SendError::Account("the token is no header's value".to_owned()))?;
    Ok(Request::Http(HttpOut {
        method: Method::POST,
        url: URL.to_owned(),
        headers: HeaderMap::from_iter([(header::AUTHORIZATION, bearer)]),
        body: Bytes::from(body.to_string()),
        effect: Effect::Deliver {
            part: 0,
            key: Some(outbound.id.to_string()),
        },
        timeout: Duration::from_secs(10),
    }))
}

fn classify(status: StatusCode, body: &[u8]) -> Result<Sent, SendError> {
    match status.as_u16() {
        200 => {
            let Accepted { id } = serde_json::from_slice(body).map_err(|_| SendError::Unknown)?;
            Ok(Sent {
                part: 0,
                external_id: Some(id),
                state: ReceiptState::Accepted,
                awaits: None,
            })
        }
        401 => Err(SendError::TokenExpired(ACCESS)),
        429 | 500..=599 => Err(SendError::Retry(None)),
        _ => Err(SendError::Payload(format!("status {status}"))),
    }
}
