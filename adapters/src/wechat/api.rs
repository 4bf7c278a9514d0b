//! The API that WeChat and WeCom have in common: a token in the address, `errcode` in the answer.

use http::{HeaderMap, HeaderValue, Method, header};
use patchbay_sdk::{Effect, Exchange, HttpOut, Request, SendError};
use serde_json::Value;

use super::{
    TIMEOUT,
    answer::{self, Nature, Said},
};

/// One account's API.
pub(crate) struct Api<'a> {
    /// Where it is, without a slash at the end.
    pub(crate) url: &'a str,
    /// Whose files are kept there: `wechat:<AppID>`.
    pub(crate) account: String,
    /// What is to be done about an `errcode`.
    pub(crate) error: fn(i64, &str) -> SendError,
}

impl Api<'_> {
    /// Whether it can be where an API is: scheme and host, perhaps a path, no slash at the end.
    pub(crate) fn is_address(url: &str) -> bool {
        let host = url.strip_prefix("https://").or(url.strip_prefix("http://"));
        host.is_some_and(|host| {
            let is_plain = |b: u8| b.is_ascii_graphic() && !b"?#@".contains(&b);
            !host.is_empty() && !host.ends_with('/') && host.bytes().all(is_plain)
        })
    }

    /// An address of the API.
    pub(crate) fn address(&self, path: &str, query: &[(&str, &str)]) -> String {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(query)
            .finish();
        format!("{}{path}?{query}", self.url)
    }

    /// A call in JSON. Chinese goes out as it is: some clients show `\u4f60` to the letter.
    pub(crate) fn post(&self, path: &str, token: &str, body: &Value, effect: Effect) -> Request {
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        Request::Http(HttpOut {
            method: Method::POST,
            url: self.address(path, &[("access_token", token)]),
            headers: HeaderMap::from_iter([(header::CONTENT_TYPE, json)]),
            body: body.to_string().into(),
            effect,
            timeout: TIMEOUT,
        })
    }

    /// What was said, or why it failed.
    pub(crate) fn said(&self, exchange: &Exchange, nature: Nature) -> Result<Said, SendError> {
        answer::said(exchange, nature, self.error)
    }

    /// The id under which a file is kept there now. It has no end but its own: three days.
    pub(crate) fn uploaded(&self, exchange: &Exchange) -> Result<String, SendError> {
        let said = self.said(exchange, Nature::Repeatable)?;
        said.media_id.ok_or(SendError::Retry(None))
    }
}
