//! WeCom KF: customers write from WeChat to an enterprise's customer service accounts.
//!
//! # What it is
//! WeCom rings, and keeps the messages until they are pulled; answers go by the same API.
//! # Set up
//! Make accounts in WeCom's console under WeChat customer service, let its API ring at the channel's
//! address, and put what the console shows into the channel's file. `docs/channels/wecom-kf.md` goes
//! through it.
//! # Options
//! See [`Options`]; `docs/channels/wecom-kf.md` lists them.
//! # Limits
//! Five messages within 48 hours of a customer's message. A text has 2048 bytes.

mod answer;
mod event;
mod message;
mod options;
mod page;
mod push;
mod say;

use std::time::Duration;

use http::Method;
use patchbay_message::{Envelope, ReceiptState};
use patchbay_sdk::{
    Adapter, Channel, Cx, Decoded, Effect, Exchange, Fetched, Link, Manifest, OutLimits, Poll,
    Problem, PullAt, Pulled, Reject, SendError, Sent, Session, Step, Token, TokenName, Wire,
    sealed::SealKey, verify,
};

use crate::{
    wechat::{ACCESS, answer::Nature, media, say::MediaAt, send::recipient},
    wecom,
};
pub use options::Options;
use say::Say;

/// WeCom cuts the connection after this long, and rings again, three times in all.
///
/// <https://developer.work.weixin.qq.com/document/path/94670>
const ACK_DEADLINE: Duration = Duration::from_secs(5);
/// How long after a customer's message it may be answered, and how often.
///
/// <https://developer.work.weixin.qq.com/document/path/94677>
const REPLY_WINDOW: Duration = Duration::from_secs(48 * 3600);
const QUOTA: u32 = 5;
/// Bytes of a message id of ours in hex: 32 characters are allowed.
const MSGID_BYTES: usize = 16;

/// The adapter.
pub struct WeComKf;

impl Adapter for WeComKf {
    type Options = Options;
    type Channel = KfAccounts;
    const MANIFEST: Manifest = Manifest {
        id: "wecom-kf",
        title: "WeCom customer service",
        content_out: &[
            "text", "image", "audio", "video", "file", "location", "contact", "choice", "card",
        ],
        limits: OutLimits {
            text_bytes_max: Some(say::TEXT_BYTES_MAX),
            media_bytes_max: Some(20 * 1024 * 1024),
            parts_max: Some(say::MESSAGES_MAX),
        },
        ack_deadline: Some(ACK_DEADLINE),
        redelivers: true,
        reply_window: Some(REPLY_WINDOW),
        quota: Some(QUOTA),
    };

    fn open(options: Options) -> Result<KfAccounts, Vec<Problem>> {
        let keys = options.keys()?;
        Ok(KfAccounts { options, keys })
    }
}

/// The opened accounts of an enterprise.
pub struct KfAccounts {
    options: Options,
    /// Open doorbells; the newest first.
    keys: Vec<SealKey>,
}

impl Channel for KfAccounts {
    fn links(&self) -> Vec<Link> {
        let poll = |line: &String| {
            Link::Poll(Poll {
                line: line.clone(),
                every: self.options.poll.get(),
            })
        };
        let lines = self.options.accounts.iter().map(poll);
        [Link::Http].into_iter().chain(lines).collect()
    }

    fn decode(&self, cx: &Cx<'_>, _: &mut Session, wire: Wire<'_>) -> Result<Decoded, Reject> {
        let Wire::Http(request) = wire else {
            return Err(Reject::NotFound);
        };
        match (request.method, request.path) {
            (&Method::GET, "") => push::check_address(&self.options, &self.keys, cx, &request),
            (&Method::POST, "") => push::decode(&self.options, &self.keys, cx, &request),
            _ => Err(Reject::NotFound),
        }
    }

    fn pull(
        &self,
        cx: &Cx<'_>,
        at: &PullAt<'_>,
        past: &[Exchange],
    ) -> Result<Step<Pulled>, SendError> {
        page::step(&self.options, cx, at, past)
    }

    fn send(
        &self,
        cx: &Cx<'_>,
        outbound: &Envelope,
        past: &[Exchange],
    ) -> Result<Step<Vec<Sent>>, SendError> {
        let address = recipient(outbound)?;
        let (account, customer) = address
            .split_once('/')
            .ok_or_else(|| SendError::Gone(address.to_owned()))?;
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
            let msgid = msgid(outbound, part);
            let Some(exchange) = past.next() else {
                let to = say::To {
                    account,
                    customer,
                    msgid: &msgid,
                };
                let (path, body) = say.body(&to, media_id.as_deref());
                let effect = Effect::Deliver {
                    part,
                    key: Some(msgid),
                };
                return Ok(Step::Call(api.post(path, token.expose(), &body, effect)));
            };
            // The same id is not delivered twice: what was lost is said again.
            let external_id = match api.said(exchange, Nature::Repeatable) {
                Ok(said) => said.msgid().unwrap_or(msgid),
                Err(error) if answer::is_repeat(&error) => msgid,
                Err(SendError::Gone(_)) => return Err(SendError::Gone(address.to_owned())),
                Err(error) => return Err(error),
            };
            sent.push(Sent {
                part,
                external_id: Some(external_id),
                state: ReceiptState::Accepted,
                awaits: None,
            });
        }
        Ok(Step::Done(sent))
    }

    fn token_account(&self, name: TokenName) -> Option<String> {
        (name == ACCESS).then(|| self.options.account())
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
        wecom::token(&self.options.api(), corp_id, secret, name, past)
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

/// The id under which WeCom knows a repeat of a part: the same whenever it is tried.
fn msgid(outbound: &Envelope, part: u16) -> String {
    let digest = verify::digest(format!("{}:{part}", outbound.id).as_bytes());
    hex::encode(&digest[..MSGID_BYTES])
}
