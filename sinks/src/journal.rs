//! Exchanges as JSON: whole for the journal, so that a send can go on after a crash; without
//! anything said in them for dead letters.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use patchbay_sdk::{Answer, Exchange};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// An exchange as it stands in the journal.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Record {
    /// It failed and is to be made again.
    Dropped,
    /// No byte left us.
    NotSent(String),
    /// Bytes left us and no answer came.
    Unknown(String),
    /// A live push.
    Live(u32),
    /// A broker's PUBACK.
    Mqtt(u8),
    /// An answer over HTTP.
    Http {
        status: u16,
        headers: Vec<(String, String)>,
        /// Base64: a body may be anything.
        body: String,
    },
}

/// The journal's form of an exchange.
pub(crate) fn encode(exchange: &Exchange) -> Value {
    let record = match exchange {
        Exchange::NotSent(why) => Record::NotSent(why.clone()),
        Exchange::Unknown(why) => Record::Unknown(why.clone()),
        Exchange::Answered(Answer::Live { gateways }) => Record::Live(*gateways),
        Exchange::Answered(Answer::Mqtt { reason }) => Record::Mqtt(*reason),
        Exchange::Answered(Answer::Http {
            status,
            headers,
            body,
        }) => Record::Http {
            status: status.as_u16(),
            headers: headers
                .iter()
                .filter_map(|(name, value)| {
                    Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
                })
                .collect(),
            body: STANDARD.encode(body),
        },
    };
    serde_json::to_value(record).expect("strings and numbers are JSON")
}

/// The mark of a step that failed and is to be made again.
pub(crate) fn dropped() -> Value {
    serde_json::to_value(Record::Dropped).expect("a word is JSON")
}

/// Reads a journaled exchange; `None` for one that is to be made again.
pub(crate) fn decode(value: &Value) -> Option<Exchange> {
    let Ok(record) = Record::deserialize(value) else {
        return Some(Exchange::Unknown("its record cannot be read".to_owned()));
    };
    Some(match record {
        Record::Dropped => return None,
        Record::NotSent(why) => Exchange::NotSent(why),
        Record::Unknown(why) => Exchange::Unknown(why),
        Record::Live(gateways) => Exchange::Answered(Answer::Live { gateways }),
        Record::Mqtt(reason) => Exchange::Answered(Answer::Mqtt { reason }),
        Record::Http {
            status,
            headers,
            body,
        } => Exchange::Answered(Answer::Http {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            headers: headers
                .iter()
                .filter_map(|(name, value)| {
                    let name = HeaderName::try_from(name).ok()?;
                    Some((name, HeaderValue::try_from(value).ok()?))
                })
                .collect::<HeaderMap>(),
            body: Bytes::from(STANDARD.decode(body).unwrap_or_default()),
        }),
    })
}

/// What a dead letter shows of its last exchange: no header and no body.
pub(crate) fn redacted(exchange: &Exchange) -> Value {
    match exchange {
        Exchange::NotSent(why) => json!({ "not_sent": why }),
        Exchange::Unknown(why) => json!({ "unknown": why }),
        Exchange::Answered(Answer::Live { gateways }) => json!({ "gateways": gateways }),
        Exchange::Answered(Answer::Mqtt { reason }) => json!({ "reason": reason }),
        Exchange::Answered(Answer::Http { status, body, .. }) => {
            json!({ "status": status.as_u16(), "body_bytes": body.len() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_comes_back_as_it_was() {
        let mut headers = HeaderMap::new();
        headers.append("retry-after", HeaderValue::from_static("3"));
        headers.append("x-part", HeaderValue::from_static("a"));
        headers.append("x-part", HeaderValue::from_static("b"));
        let exchanges = [
            Exchange::NotSent("refused".to_owned()),
            Exchange::Unknown("no answer in time".to_owned()),
            Exchange::Answered(Answer::Live { gateways: 2 }),
            Exchange::Answered(Answer::Mqtt { reason: 16 }),
            Exchange::Answered(Answer::Http {
                status: StatusCode::TOO_MANY_REQUESTS,
                headers,
                body: Bytes::from_static(b"\xff\x00{}"),
            }),
        ];
        for exchange in exchanges {
            assert_eq!(decode(&encode(&exchange)), Some(exchange));
        }
        assert_eq!(decode(&dropped()), None);
    }

    #[test]
    fn a_dead_letter_shows_no_body_and_no_header() {
        let shown = redacted(&Exchange::Answered(Answer::Http {
            status: StatusCode::BAD_REQUEST,
            headers: HeaderMap::from_iter([(
                http::header::SET_COOKIE,
                HeaderValue::from_static("hidden"),
            )]),
            body: Bytes::from_static(b"hidden"),
        }));
        assert_eq!(shown, json!({ "status": 400, "body_bytes": 6 }));
    }
}
