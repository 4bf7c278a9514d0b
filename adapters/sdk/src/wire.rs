//! What comes in over a transport, and what goes back at once.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use patchbay_message::Party;

/// What came in, by transport.
#[derive(Debug, Clone, Copy)]
pub enum Wire<'a> {
    /// A request below `/channels/{id}`.
    Http(HttpIn<'a>),
    /// A WebSocket wants to open.
    Open(HttpIn<'a>),
    /// A frame on an open WebSocket.
    Frame(&'a [u8]),
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

    /// Nothing on the socket.
    #[must_use]
    pub fn silence() -> Self {
        Self::Frames(Vec::new())
    }
}
