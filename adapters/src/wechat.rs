//! WeChat: official accounts and the customer service of mini-programs.
//!
//! # What it is
//! WeChat pushes what contacts say and do to our address, open or sealed; answers go by its API.
//! # Set up
//! Choose a token, enter it with the channel's address and an `EncodingAESKey` in WeChat's console,
//! put them with AppID and AppSecret into the channel's file, and our address into WeChat's list of
//! IP addresses. `docs/channels/wechat.md` goes through it.
//! # Options
//! See [`Options`]; `docs/channels/wechat.md` lists them.
//! # Limits
//! A text has 2048 bytes, longer ones are cut in up to 5. Five messages within 48 h after a contact's
//! message, three within a minute after a menu's button, a scanned code or following.

pub(crate) mod answer;
pub(crate) mod api;
pub(crate) mod checks;
pub(crate) mod content;
pub(crate) mod event;
pub(crate) mod gate;
pub(crate) mod media;
mod options;
mod passive;
pub(crate) mod push;
pub(crate) mod say;
pub(crate) mod send;
pub(crate) mod split;
mod token;

use std::time::Duration;

use http::Method;
use patchbay_message::Envelope;
use patchbay_sdk::{
    Adapter, Channel, Cx, Decoded, Exchange, Fetched, Link, Manifest, OutLimits, Problem, Reject,
    Reply, SendError, Sent, Session, Slot, Step, Token, TokenName, Wire, sealed::SealKey,
};

pub use options::{Account, Mode, Options, PassiveReply, Templates};

/// WeChat cuts the connection after this long, and sends again, three times in all.
///
/// <https://developers.weixin.qq.com/doc/offiaccount/Message_Management/Receiving_standard_messages.html>
const ACK_DEADLINE: Duration = Duration::from_secs(5);
/// How long an API call may take.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);
/// The access token.
pub(crate) const ACCESS: TokenName = "access_token";

/// The adapter.
pub struct WeChat;

impl Adapter for WeChat {
    type Options = Options;
    type Channel = WeChatAccount;
    const MANIFEST: Manifest = Manifest {
        id: "wechat",
        title: "WeChat",
        content_out: &[
            "text", "image", "audio", "video", "file", "location", "contact", "choice", "card",
            "template", "event", "command",
        ],
        limits: OutLimits {
            text_bytes_max: Some(say::TEXT_BYTES_MAX),
            media_bytes_max: Some(10 * 1024 * 1024),
            parts_max: Some(say::MESSAGES_MAX),
        },
        ack_deadline: Some(ACK_DEADLINE),
        redelivers: true,
        reply_window: Some(Duration::from_secs(48 * 3600)),
        quota: Some(5),
    };

    fn open(options: Options) -> Result<WeChatAccount, Vec<Problem>> {
        let keys = options.keys()?;
        Ok(WeChatAccount { options, keys })
    }
}

/// An opened account.
pub struct WeChatAccount {
    options: Options,
    /// Open sealed pushes; the newest first.
    keys: Vec<SealKey>,
}

impl Channel for WeChatAccount {
    fn links(&self) -> Vec<Link> {
        vec![Link::Http]
    }

    fn decode(&self, cx: &Cx<'_>, _: &mut Session, wire: Wire<'_>) -> Result<Decoded, Reject> {
        let Wire::Http(request) = wire else {
            return Err(Reject::NotFound);
        };
        match (request.method, request.path) {
            (&Method::GET, "") => gate::check_address(&self.options, cx, &request),
            (&Method::POST, "") => {
                let letter = gate::push(&self.options, &self.keys, cx, &request)?;
                push::decode(&self.options, cx, &letter)
            }
            _ => Err(Reject::NotFound),
        }
    }

    fn send(
        &self,
        cx: &Cx<'_>,
        outbound: &Envelope,
        past: &[Exchange],
    ) -> Result<Step<Vec<Sent>>, SendError> {
        send::step(&self.options, cx, outbound, past)
    }

    fn rides(&self) -> bool {
        self.options.passive_reply.is_some()
    }

    fn ride(
        &self,
        cx: &Cx<'_>,
        slot: &Slot,
        outbound: &Envelope,
        past: &[Exchange],
    ) -> Result<Step<Reply>, SendError> {
        passive::step(&self.options, &self.keys, cx, slot, outbound, past)
    }

    fn token_account(&self, name: TokenName) -> Option<String> {
        (name == ACCESS).then(|| token::account(&self.options))
    }

    fn token(
        &self,
        cx: &Cx<'_>,
        name: TokenName,
        renew: bool,
        past: &[Exchange],
    ) -> Result<Step<Token>, SendError> {
        if name != ACCESS {
            return Err(SendError::Unsupported);
        }
        token::step(&self.options, cx, renew, past)
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
