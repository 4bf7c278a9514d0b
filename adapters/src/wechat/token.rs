//! Access tokens, by the API whose tokens stay good while others ask for one too.
//!
//! <https://developers.weixin.qq.com/doc/service/api/base/api_getstableaccesstoken>

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, header};
use patchbay_sdk::{Cx, Effect, Exchange, HttpOut, Request, Secret, SendError, Step, Token};
use serde_json::json;

use super::{
    ACCESS, TIMEOUT,
    answer::{self, Nature},
    options::Options,
};

/// What WeChat means if it does not say.
const EXPIRES_IN: Duration = Duration::from_secs(7200);

/// Whose token it is. `stable` tokens and those of the older API do not disturb each other.
pub(super) fn account(options: &Options) -> String {
    format!("wechat:{}:stable", options.app_id)
}

/// Fetches the token. Forcing a new one is allowed 20 times a day: when one was refused, it is
/// first asked whether there is another by now.
pub(super) fn step(
    options: &Options,
    cx: &Cx<'_>,
    renew: bool,
    past: &[Exchange],
) -> Result<Step<Token>, SendError> {
    let refused = (cx.token)(ACCESS).filter(|_| renew);
    let must_force = renew && refused.is_none();
    let Some(first) = past.first() else {
        return Ok(Step::Call(request(options, must_force)));
    };
    let token = read(first)?;
    match (
        refused.is_some_and(|refused| refused == token.value),
        past.get(1),
    ) {
        (false, _) => Ok(Step::Done(token)),
        (true, None) => Ok(Step::Call(request(options, true))),
        (true, Some(second)) => read(second).map(Step::Done),
    }
}

fn read(exchange: &Exchange) -> Result<Token, SendError> {
    let said =
        answer::said(exchange, Nature::Repeatable, answer::error).map_err(answer::token_error)?;
    let value = said.access_token.filter(|token| !token.is_empty());
    Ok(Token {
        value: Secret::new(value.ok_or(SendError::Retry(None))?),
        expires_in: said.expires_in.map_or(EXPIRES_IN, Duration::from_secs),
    })
}

fn request(options: &Options, force: bool) -> Request {
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    let body = json!({
        "grant_type": "client_credential",
        "appid": options.app_id,
        "secret": options.app_secret.expose(),
        "force_refresh": force,
    });
    Request::Http(HttpOut {
        method: Method::POST,
        url: format!("{}/cgi-bin/stable_token", options.api_url),
        headers: HeaderMap::from_iter([(header::CONTENT_TYPE, json)]),
        body: body.to_string().into(),
        effect: Effect::Read,
        timeout: TIMEOUT,
    })
}
