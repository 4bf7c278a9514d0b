//! WeCom (WeChat Work): members of an enterprise write to one of its applications.
//!
//! # What it is
//! WeCom pushes sealed what members say and do; answers go by the application's API.
//! # Set up
//! Make an application in WeCom's console, let it receive messages at the channel's address, and put
//! what the console shows into the channel's file. `docs/channels/wecom.md` goes through it.
//! # Options
//! See [`Options`]; `docs/channels/wecom.md` lists them.
//! # Limits
//! A text has 2048 bytes, longer ones are cut in up to 10. Nothing limits when an application may
//! write to a member.

mod answer;
mod options;
mod push;
mod say;

use std::time::Duration;

use http::Method;
use patchbay_message::{Envelope, ReceiptState};
use patchbay_sdk::{
    Adapter, Channel, Cx, Decoded, Effect, Exchange, Fetched, HttpOut, Link, Manifest, OutLimits,
    Problem, Reject, Request, Secret, SendError, Sent, Session, Step, Token, TokenName, Wire,
    sealed::SealKey,
};

use crate::wechat::{
    ACCESS, TIMEOUT,
    answer::{Nature, token_error},
    api::Api,
    media,
    say::MediaAt,
    send::recipient,
};
pub(crate) use answer::error;
pub use options::Options;
pub(crate) use options::{API_URL, SECRET_BYTES_MIN, TOKEN_BYTES_MIN};
pub(crate) use push::{Gate, check_address};
use say::Say;

/// WeCom cuts the connection after this long, and sends again, three times in all.
///
/// <https://developer.work.weixin.qq.com/document/path/90238>
const ACK_DEADLINE: Duration = Duration::from_secs(5);
/// What WeCom means if it does not say.
const EXPIRES_IN: Duration = Duration::from_secs(7200);

/// The adapter.
pub struct WeCom;

impl Adapter for WeCom {
    type Options = Options;
    type Channel = WeComApp;
    const MANIFEST: Manifest = Manifest {
        id: "wecom",
        title: "WeCom",
        content_out: &[
            "text", "image", "audio", "video", "file", "location", "contact", "choice", "card",
            "template", "recall",
        ],
        limits: OutLimits {
            text_bytes_max: Some(say::TEXT_BYTES_MAX),
            media_bytes_max: Some(20 * 1024 * 1024),
            parts_max: Some(say::MESSAGES_MAX),
        },
        ack_deadline: Some(ACK_DEADLINE),
        redelivers: true,
        reply_window: None,
        quota: None,
    };

    fn open(options: Options) -> Result<WeComApp, Vec<Problem>> {
        let keys = options.keys()?;
        Ok(WeComApp { options, keys })
    }
}

/// An opened application.
pub struct WeComApp {
    options: Options,
    /// Open pushes; the newest first.
    keys: Vec<SealKey>,
}

impl Channel for WeComApp {
    fn links(&self) -> Vec<Link> {
        vec![Link::Http]
    }

    fn decode(&self, cx: &Cx<'_>, _: &mut Session, wire: Wire<'_>) -> Result<Decoded, Reject> {
        let Wire::Http(request) = wire else {
            return Err(Reject::NotFound);
        };
        match (request.method, request.path) {
            (&Method::GET, "") => check_address(&self.options.gate(&self.keys), cx, &request),
            (&Method::POST, "") => push::decode(&self.options, &self.keys, cx, &request),
            _ => Err(Reject::NotFound),
        }
    }

    fn send(
        &self,
        cx: &Cx<'_>,
        outbound: &Envelope,
        past: &[Exchange],
    ) -> Result<Step<Vec<Sent>>, SendError> {
        let to = recipient(outbound)?;
        let (api, plan) = (self.options.api(), say::plan(cx, outbound)?);
        let Some(token) = (cx.token)(ACCESS) else {
            return Ok(Step::Need(ACCESS));
        };
        let mut past = past.iter();
        let mut sent = Vec::new();
        for (part, say) in (0_u16..).zip(&plan) {
            let media_id = match say {
                Say::Media(kind, MediaAt::Here(file)) => match past.next() {
                    None => {
                        let upload = media::upload(&api, cx, token.expose(), *kind, file);
                        return Ok(Step::Call(upload));
                    }
                    Some(exchange) => Some(api.uploaded(exchange)?),
                },
                Say::Media(_, MediaAt::There(id)) => Some(id.clone()),
                _ => None,
            };
            let Some(exchange) = past.next() else {
                let (path, body) = say.body(&self.options, to, media_id.as_deref());
                let effect = self.effect(outbound, part, say);
                return Ok(Step::Call(api.post(path, token.expose(), &body, effect)));
            };
            let nature = match say {
                Say::Recall(_) => Nature::Repeatable,
                _ => Nature::Once,
            };
            let said = api.said(exchange, nature);
            let said = said.map_err(|error| match error {
                SendError::Gone(_) => SendError::Gone(to.to_owned()),
                other => other,
            })?;
            if said.errcode.is_none() {
                return Err(SendError::Unknown);
            }
            // It is said of receivers one by one, although there is but one.
            if said
                .invalid_user
                .as_deref()
                .is_some_and(|users| !users.is_empty())
            {
                return Err(SendError::Gone(to.to_owned()));
            }
            sent.push(Sent {
                part,
                external_id: said.msgid(),
                state: ReceiptState::Accepted,
                awaits: None,
            });
        }
        Ok(Step::Done(sent))
    }

    fn token_account(&self, name: TokenName) -> Option<String> {
        let account = || format!("wecom:{}:{}", self.options.corp_id, self.options.agent_id);
        (name == ACCESS).then(account)
    }

    fn token(
        &self,
        _: &Cx<'_>,
        name: TokenName,
        _renew: bool,
        past: &[Exchange],
    ) -> Result<Step<Token>, SendError> {
        let Options {
            corp_id, secret, ..
        } = &self.options;
        token(&self.options.api(), corp_id, secret, name, past)
    }

    fn fetch(
        &self,
        cx: &Cx<'_>,
        handle: &str,
        past: &[Exchange],
    ) -> Result<Step<Fetched>, SendError> {
        media::fetch(&self.options.api(), cx, handle, past)
    }
}

impl WeComApp {
    fn effect(&self, outbound: &Envelope, part: u16, say: &Say) -> Effect {
        match say {
            // Taking back twice takes back once.
            Say::Recall(_) => Effect::Read,
            // WeCom knows a repeat by what it says, so that our id is as good as any.
            _ => Effect::Deliver {
                part,
                key: self
                    .options
                    .duplicate_check
                    .map(|_| format!("{}:{part}", outbound.id)),
            },
        }
    }
}

/// The next step of fetching an access token.
///
/// <https://developer.work.weixin.qq.com/document/path/91039>
///
/// WeCom gives out the present token until it is worth nothing: there is nothing to force.
pub(crate) fn token(
    api: &Api<'_>,
    corp_id: &str,
    secret: &Secret,
    name: TokenName,
    past: &[Exchange],
) -> Result<Step<Token>, SendError> {
    if name != ACCESS {
        return Err(SendError::Unsupported);
    }
    let Some(exchange) = past.first() else {
        let query = [("corpid", corp_id), ("corpsecret", secret.expose())];
        return Ok(Step::Call(Request::Http(HttpOut {
            method: Method::GET,
            url: api.address("/cgi-bin/gettoken", &query),
            headers: http::HeaderMap::new(),
            body: bytes::Bytes::new(),
            effect: Effect::Read,
            timeout: TIMEOUT,
        })));
    };
    let said = api
        .said(exchange, Nature::Repeatable)
        .map_err(token_error)?;
    let value = said.access_token.filter(|token| !token.is_empty());
    Ok(Step::Done(Token {
        value: Secret::new(value.ok_or(SendError::Retry(None))?),
        expires_in: said.expires_in.map_or(EXPIRES_IN, Duration::from_secs),
    }))
}
