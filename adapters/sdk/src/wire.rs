//! What comes in over a transport, and what goes back at once.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use patchbay_message::Party;

use crate::{MqttIn, MqttLogin};

/// When to send again what could not be stored, seconds.
const RETRY_AFTER_S: &str = "5";
/// Made for every request, and nearly never sent: ready as it is.
const UNAVAILABLE: &[u8] = br#"{"type":"about:blank","title":"Service Unavailable","status":503,"detail":"the message could not be stored; send it again","code":"unavailable"}"#;

/// What came in, by transport.
#[derive(Debug, Clone, Copy)]
pub enum Wire<'a> {
    /// A request below `/channels/{id}`.
    Http(HttpIn<'a>),
    /// A WebSocket wants to open.
    Open(HttpIn<'a>),
    /// A frame on an open WebSocket.
    Frame(&'a [u8]),
    /// An MQTT client wants to connect: answered by `Register` and `Topics`.
    MqttLogin(MqttLogin<'a>),
    /// An MQTT PUBLISH came in, from a broker or from a device that is connected to us.
    Mqtt(MqttIn<'a>),
}

/// A request.
#[derive(Debug, Clone, Copy)]
pub struct HttpIn<'a> {
    /// Method.
    pub method: &'a Method,
    /// Path below `/channels/{id}`: empty or with a slash in front.
    pub path: &'a str,
    /// Query, still encoded, without the question mark.
    pub query: &'a str,
    /// Headers.
    pub headers: &'a HeaderMap,
    /// Raw body.
    pub body: &'a [u8],
}

impl<'a> HttpIn<'a> {
    /// The first query parameter of this name, decoded.
    #[must_use]
    pub fn query_value(&self, name: &str) -> Option<Cow<'a, str>> {
        let mut pairs = form_urlencoded::parse(self.query.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The token of `Authorization: Bearer` (RFC 6750, section 2.1).
    #[must_use]
    pub fn bearer(&self) -> Option<&'a str> {
        let (scheme, token) = self
            .headers
            .get(header::AUTHORIZATION)?
            .to_str()
            .ok()?
            .split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    }
}

/// What a connection knows between its frames; empty for a single request.
#[derive(Debug, Clone, Default)]
pub struct Session {
    /// For whom the connection speaks, once verified.
    pub party: Option<Party>,
    /// Whatever else the adapter wants to remember.
    pub memory: serde_json::Map<String, serde_json::Value>,
}

/// What goes back at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// An HTTP answer.
    Http {
        /// Status.
        status: StatusCode,
        /// Headers.
        headers: HeaderMap,
        /// Body.
        body: Vec<u8>,
    },
    /// Frames on the socket. The transport itself tells of acceptance and refusal of messages, by
    /// [`crate::Channel::frame`].
    Frames(Vec<String>),
}

impl Reply {
    /// A status without a body.
    #[must_use]
    pub fn status(status: StatusCode) -> Self {
        Self::Http {
            status,
            headers: HeaderMap::new(),
            body: Vec::new(),
        }
    }

    /// A JSON body.
    #[must_use]
    pub fn json(status: StatusCode, body: &serde_json::Value) -> Self {
        let json = HeaderValue::from_static("application/json");
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, json)]);
        Self::Http {
            status,
            headers,
            body: body.to_string().into_bytes(),
        }
    }

    /// A problem document (RFC 9457).
    #[must_use]
    pub fn problem(status: StatusCode, code: &str, detail: &str) -> Self {
        let body = serde_json::json!({
            "type": "about:blank",
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "detail": detail,
            "code": code,
        });
        let kind = HeaderValue::from_static("application/problem+json");
        Self::Http {
            status,
            headers: HeaderMap::from_iter([(header::CONTENT_TYPE, kind)]),
            body: body.to_string().into_bytes(),
        }
    }

    /// 503: nothing was taken, the same may be sent again.
    #[must_use]
    pub fn unavailable() -> Self {
        let fixed = HeaderValue::from_static;
        Self::Http {
            status: StatusCode::SERVICE_UNAVAILABLE,
            headers: HeaderMap::from_iter([
                (header::CONTENT_TYPE, fixed("application/problem+json")),
                (header::RETRY_AFTER, fixed(RETRY_AFTER_S)),
            ]),
            body: UNAVAILABLE.to_vec(),
        }
    }

    /// Nothing on the socket.
    #[must_use]
    pub fn silence() -> Self {
        Self::Frames(Vec::new())
    }
}
