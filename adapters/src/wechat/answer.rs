//! WeChat's answers: status 200 for all, `errcode` says what became of it.
//!
//! <https://developers.weixin.qq.com/doc/offiaccount/Getting_Started/Global_Return_Code.html>

use std::time::Duration;

use http::StatusCode;
use patchbay_sdk::{Answer, Exchange, Scope, SendError};
use serde::Deserialize;
use serde_json::Value;

use super::ACCESS;

/// The day's quota of an API is used up: looked at again after this long, for nothing says when the
/// day ends there.
const DAY_QUOTA_REST: Duration = Duration::from_secs(3600);
/// Too many calls in a minute.
const MINUTE_REST: Duration = Duration::from_secs(60);
/// Characters of WeChat's own words that are kept.
pub(crate) const WORDS_CHARS_MAX: usize = 200;

/// Said before: the first one counts.
const DUPLICATE: i64 = 45065;

/// `{"errcode":0,"errmsg":"ok","msgid":200228332}`, `{"media_id":".."}`,
/// `{"access_token":"..","expires_in":7200}`, `{"video_url":".."}`
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Said {
    pub(crate) errcode: Option<i64>,
    #[serde(default)]
    pub(crate) errmsg: String,
    /// A number past 2^53 with some APIs, a text with others.
    #[serde(default)]
    pub(crate) msgid: Option<Value>,
    /// Of a thumb WeChat calls it otherwise, against its own documentation.
    #[serde(default, alias = "thumb_media_id")]
    pub(crate) media_id: Option<String>,
    #[serde(default)]
    pub(crate) access_token: Option<String>,
    #[serde(default)]
    pub(crate) expires_in: Option<u64>,
    /// WeCom: receivers that are none of the account's.
    #[serde(default, alias = "invaliduser")]
    pub(crate) invalid_user: Option<String>,
    #[serde(default)]
    pub(crate) video_url: Option<String>,
}

impl Said {
    /// The id by which a receipt will name it.
    pub(crate) fn msgid(&self) -> Option<String> {
        match self.msgid.as_ref()? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }
}

/// What a request does if its answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nature {
    /// Nothing that could not be done again.
    Repeatable,
    /// It reaches the contact, perhaps twice.
    Once,
}

/// What was said, or why it failed.
pub(super) fn said(
    exchange: &Exchange,
    nature: Nature,
    error: fn(i64, &str) -> SendError,
) -> Result<Said, SendError> {
    let body = body(exchange, nature)?;
    let said: Said = serde_json::from_slice(body).map_err(|_| lost(nature))?;
    match said.errcode {
        None | Some(0 | DUPLICATE) => Ok(said),
        Some(code) => Err(error(code, &said.errmsg)),
    }
}

/// The body of an answer with status 200.
pub(crate) fn body(exchange: &Exchange, nature: Nature) -> Result<&[u8], SendError> {
    match exchange {
        Exchange::NotSent(_) => Err(SendError::Retry(None)),
        Exchange::Unknown(_) => Err(lost(nature)),
        Exchange::Answered(Answer::Http { status, body, .. }) => match *status {
            StatusCode::OK => Ok(body),
            // Nothing went any further.
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                Err(SendError::Retry(None))
            }
            status if status.is_server_error() => Err(lost(nature)),
            // A proxy in between, or an `api_url` that is none.
            status => Err(SendError::Account(format!("status {}", status.as_u16()))),
        },
        Exchange::Answered(_) => Err(lost(nature)),
    }
}

fn lost(nature: Nature) -> SendError {
    match nature {
        Nature::Repeatable => SendError::Retry(None),
        Nature::Once => SendError::Unknown,
    }
}

/// What is to be done about an `errcode`.
pub(super) fn error(code: i64, words: &str) -> SendError {
    let words: String = words.chars().take(WORDS_CHARS_MAX).collect();
    let sentence = format!("{code} {words}");
    match code {
        // Busy.
        -1 => SendError::Retry(None),
        // Another token is the right one, this one is none, this one is too old.
        40001 | 40014 | 42001 => SendError::TokenExpired(ACCESS),
        45009 => SendError::Throttled(Scope::Channel, DAY_QUOTA_REST),
        45011 => SendError::Throttled(Scope::Channel, MINUTE_REST),
        45015 => SendError::WindowClosed,
        45047 => SendError::QuotaUsed,
        // Does not follow, has us blocked, does not want such messages, has not subscribed to these.
        43004 | 50005 | 43019 | 48002 | 43101 => SendError::Blocked,
        // No openid, or one of another account: it will not become one.
        40003 => SendError::Gone(sentence),
        // AppID, AppSecret, permission, ban, a limited administrator, our address not in the list.
        40013 | 40125 | 40164 | 40243 | 48001 | 48004 | 50001 | 50002 | 61007 | 89501..=89507 => {
            SendError::Account(sentence)
        }
        _ => SendError::Payload(sentence),
    }
}

/// The same while a token is fetched: there is no other one, so `40001` is about the secret.
pub(crate) fn token_error(error: SendError) -> SendError {
    match error {
        SendError::TokenExpired(_) => {
            SendError::Account("the secret is not this account's".to_owned())
        }
        // No token is worth less than any token: nothing else is wrong with a request this small.
        SendError::Payload(sentence) => SendError::Account(sentence),
        other => other,
    }
}
