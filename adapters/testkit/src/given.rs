//! What a step gives to the adapter: a request, a frame, an outbound envelope and its answers.
//! What MQTT gives is in [`crate::mqtt`].

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use patchbay_message::Envelope;
use patchbay_sdk::{Answer, Exchange, HttpIn, PullAt};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// A request.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestFile {
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    path: String,
    #[serde(default)]
    query: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// The body as text, to the byte.
    #[serde(default)]
    text: Option<String>,
    /// The body as JSON, written without blanks.
    #[serde(default)]
    json: Option<Value>,
    /// The body as base64.
    #[serde(default)]
    base64: Option<String>,
}

/// A request that owns its parts.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn lend(&self) -> HttpIn<'_> {
        HttpIn {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers: &self.headers,
            body: &self.body,
        }
    }
}

impl RequestFile {
    pub(crate) fn request(&self) -> Result<Request, String> {
        let method = self.method.as_deref().unwrap_or("GET");
        let method = method
            .parse::<Method>()
            .map_err(|error| format!("`{method}`: {error}"))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let name = name
                .parse::<HeaderName>()
                .map_err(|error| format!("`{name}`: {error}"))?;
            let value =
                HeaderValue::from_str(value).map_err(|error| format!("`{name}`: {error}"))?;
            headers.append(name, value);
        }
        let body = body(
            self.text.as_deref(),
            self.json.as_ref(),
            self.base64.as_deref(),
        )?;
        Ok(Request {
            method,
            path: self.path.clone(),
            query: self.query.clone(),
            headers,
            body,
        })
    }
}

/// An outbound envelope, by what differs from the least one, and what becomes of each request.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SendFile {
    envelope: Map<String, Value>,
    #[serde(default)]
    answers: Vec<AnswerFile>,
}

impl SendFile {
    /// The envelope, complete.
    pub(crate) fn envelope(&self, channel: &str, kind: &str) -> Result<Envelope, String> {
        let mut envelope = json!({
            "schema": 1,
            "type": "message",
            "id": "01937e00-0000-7000-8000-000000000001",
            "direction": "outbound",
            "channel": { "id": channel, "kind": kind },
            "partition_key": "fixture",
            "conversation_id": "01937e00-0000-7000-8000-0000000000c1",
            "received_at": "2026-11-20T12:00:00.000Z",
            "authenticity": "none",
        });
        for (field, value) in &self.envelope {
            envelope[field] = value.clone();
        }
        let envelope = envelope.to_string();
        Envelope::from_slice(envelope.as_bytes()).map_err(|error| format!("envelope {error}"))
    }

    pub(crate) fn answers(&self) -> Result<Vec<Exchange>, String> {
        exchanges(&self.answers)
    }
}

/// A token to be fetched, and what becomes of each request.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenFile {
    pub(crate) name: String,
    /// The provider refused the present one.
    #[serde(default)]
    pub(crate) renew: bool,
    #[serde(default)]
    answers: Vec<AnswerFile>,
}

impl TokenFile {
    pub(crate) fn answers(&self) -> Result<Vec<Exchange>, String> {
        exchanges(&self.answers)
    }
}

/// A file to be fetched by the provider's handle, and what becomes of each request.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FetchFile {
    pub(crate) handle: String,
    #[serde(default)]
    answers: Vec<AnswerFile>,
}

impl FetchFile {
    pub(crate) fn answers(&self) -> Result<Vec<Exchange>, String> {
        exchanges(&self.answers)
    }
}

/// A page to be pulled, and what becomes of each request.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PullFile {
    pub(crate) line: String,
    #[serde(default)]
    pub(crate) cursor: Option<String>,
    #[serde(default)]
    pub(crate) hint: Option<String>,
    #[serde(default)]
    pub(crate) rung_ago: Option<patchbay_sdk::options::Duration>,
    #[serde(default)]
    answers: Vec<AnswerFile>,
}

impl PullFile {
    pub(crate) fn at<'a>(&'a self, hint: Option<&'a patchbay_sdk::Secret>) -> PullAt<'a> {
        PullAt {
            line: &self.line,
            cursor: self.cursor.as_deref(),
            hint,
            rung_ago: self
                .rung_ago
                .map_or(std::time::Duration::ZERO, |ago| ago.get()),
        }
    }

    pub(crate) fn answers(&self) -> Result<Vec<Exchange>, String> {
        exchanges(&self.answers)
    }
}

fn exchanges(answers: &[AnswerFile]) -> Result<Vec<Exchange>, String> {
    answers.iter().map(AnswerFile::exchange).collect()
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
enum AnswerFile {
    Http(AnswerHttp),
    Live {
        gateways: u32,
    },
    /// PUBACK's reason code.
    Puback {
        reason: u8,
    },
    NotSent(String),
    Unknown(String),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerHttp {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    json: Option<Value>,
    #[serde(default)]
    base64: Option<String>,
}

impl AnswerFile {
    fn exchange(&self) -> Result<Exchange, String> {
        Ok(match self {
            Self::Live { gateways } => Exchange::Answered(Answer::Live {
                gateways: *gateways,
            }),
            Self::Puback { reason } => Exchange::Answered(Answer::Mqtt { reason: *reason }),
            Self::NotSent(why) => Exchange::NotSent(why.clone()),
            Self::Unknown(why) => Exchange::Unknown(why.clone()),
            Self::Http(http) => {
                let request = RequestFile {
                    headers: http.headers.clone(),
                    ..RequestFile::default()
                };
                Exchange::Answered(Answer::Http {
                    status: StatusCode::from_u16(http.status)
                        .map_err(|error| format!("`{}`: {error}", http.status))?,
                    headers: request.request()?.headers,
                    body: Bytes::from(body(
                        http.text.as_deref(),
                        http.json.as_ref(),
                        http.base64.as_deref(),
                    )?),
                })
            }
        })
    }
}

pub(crate) fn body(
    text: Option<&str>,
    json: Option<&Value>,
    base64: Option<&str>,
) -> Result<Vec<u8>, String> {
    match (text, json, base64) {
        (None, None, None) => Ok(Vec::new()),
        (Some(text), None, None) => Ok(text.as_bytes().to_vec()),
        (None, Some(json), None) => Ok(json.to_string().into_bytes()),
        (None, None, Some(base64)) => STANDARD
            .decode(base64)
            .map_err(|error| format!("`base64`: {error}")),
        _ => Err("a body is `text`, `json` or `base64`, not several of them".to_owned()),
    }
}
