//! What WeCom pushes, always sealed: the check of our address, and messages.
//!
//! <https://developer.work.weixin.qq.com/document/path/90930>

use std::time::Duration;

use http::StatusCode;
use patchbay_message::Party;
use patchbay_sdk::{
    Cx, Decoded, HttpIn, Inbound, InboundMessage, Reject, Reply, Verified,
    options::Secrets,
    sealed::SealKey,
    tree::{self, Tree},
};

use super::Options;
use crate::wechat::{
    content, event,
    gate::{self, Signed},
    push::{key_of, time_of},
};

/// What lets a push in.
pub(crate) struct Gate<'a> {
    pub(crate) token: &'a Secrets,
    pub(crate) keys: &'a [SealKey],
    /// For whom pushes are sealed.
    pub(crate) receiver: &'a str,
    pub(crate) freshness: Duration,
}

/// Answers the check of our address by what is sealed in it, without a letter more.
pub(crate) fn check_address(
    gate: &Gate<'_>,
    cx: &Cx<'_>,
    request: &HttpIn<'_>,
) -> Result<Decoded, Reject> {
    let sealed = request.query_value("echostr").ok_or(Reject::Unauthorized)?;
    // A plus that was not encoded has become a blank, which base64 does not have.
    let sealed = sealed.replace(' ', "+");
    let (proof, echo) = gate.open_sealed(cx, request, &sealed)?;
    let echo = String::from_utf8(echo);
    let echo = echo.map_err(|_| Reject::Malformed("`echostr` is no text".to_owned()))?;
    Ok(Decoded::answer(proof, gate::plain(&echo)))
}

/// Lets a push in, opens and reads it.
pub(super) fn decode(
    options: &Options,
    keys: &[SealKey],
    cx: &Cx<'_>,
    request: &HttpIn<'_>,
) -> Result<Decoded, Reject> {
    let (proof, push) = options.gate(keys).open(cx, request)?;
    let push = tree::parse_xml(&push)?;
    let agent = push.text_of("AgentID");
    if agent.is_some_and(|agent| agent.parse() != Ok(options.agent_id)) {
        return Err(Reject::Forbidden(
            "a push for another application".to_owned(),
        ));
    }
    // Any other status, and it comes again.
    let done = Decoded::answer(proof, Reply::status(StatusCode::OK));
    Ok(done.with(Inbound::Message(Box::new(message(cx, &push)?))))
}

impl Gate<'_> {
    /// What a push's body has sealed.
    pub(crate) fn open(
        &self,
        cx: &Cx<'_>,
        request: &HttpIn<'_>,
    ) -> Result<(Verified, Vec<u8>), Reject> {
        let envelope = tree::parse_xml(request.body)?;
        let sealed = envelope.text_of("Encrypt").ok_or(Reject::Unauthorized)?;
        self.open_sealed(cx, request, sealed)
    }

    /// The signature covers what is sealed; only then is it opened.
    fn open_sealed(
        &self,
        cx: &Cx<'_>,
        request: &HttpIn<'_>,
        sealed: &str,
    ) -> Result<(Verified, Vec<u8>), Reject> {
        let signed = Signed::of(request)?;
        let proof = signed.check_sealed(self.token, request, sealed)?;
        signed.fresh(self.freshness, cx)?;
        let opened = self
            .keys
            .iter()
            .find_map(|key| key.open(sealed, self.receiver).ok());
        Ok((proof, opened.ok_or(Reject::Unauthorized)?))
    }
}

fn message(cx: &Cx<'_>, push: &Tree<'_>) -> Result<InboundMessage, Reject> {
    let sender = push.text_of("FromUserName");
    let sender = sender.ok_or_else(|| Reject::Malformed("`FromUserName` is missing".to_owned()))?;
    let content = match push.text_of("MsgType") {
        Some("event") => event::read(push).0,
        kind => content::read(kind.unwrap_or_default(), push),
    };
    Ok(InboundMessage {
        sender: Party {
            address: sender.to_owned(),
            ..Party::default()
        },
        external_id: push.text_of("MsgId").map(str::to_owned),
        dedupe_key: Some(key_of(cx, sender, push)),
        sent_at: time_of(push),
        content,
        ..InboundMessage::default()
    })
}
