//! Makes canonical envelopes of what adapters read: addresses in one form, text in NFC without
//! control characters, times that can be true, every field within its bound, the keys that order and
//! deduplicate. Pure: no IO; knows no channel.
//!
//! What is too long is treated by what it is for: words for people are cut, ids are refused (half an
//! id names something else), references that cannot be an id are dropped (they point at nothing).

mod address;
mod content;
mod text;
mod value;

use patchbay_message::{
    Attributes, Authenticity, ChannelRef, Direction, Envelope, EnvelopeType, MessageId, Party,
    Receipt, SCHEMA_VERSION, Time, Violation,
    limits::{KEY_BYTES_MAX, LOCALE_BYTES_MAX, NAME_BYTES_MAX, TEXT_BYTES_MAX},
};
use patchbay_sdk::InboundMessage;
use sha2::{Digest, Sha256};

pub use address::warm_up;

/// What the pipeline knows of something that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NormalizeCx {
    /// On which channel.
    pub channel: ChannelRef,
    /// When, by our clock.
    pub received_at: Time,
    /// How the sender was proven.
    pub authenticity: Authenticity,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// Region of phone numbers without a country code, ISO 3166-1 alpha-2.
    pub region: Option<String>,
}

/// 2000-01-01T00:00:00Z: what came before was sent by a clock that was never set.
const SENT_AT_MIN_MS: i64 = 946_684_800_000;
/// How far a sender's clock may be ahead of ours.
const SENT_AT_AHEAD_MAX: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// Makes an envelope of a message.
///
/// A message without an id of its own gets a new one; everything else follows from the arguments.
///
/// # Errors
/// [`Violation`]: a field cannot be made right, an id past its bound for example.
pub fn normalize_message(message: InboundMessage, cx: &NormalizeCx) -> Result<Envelope, Violation> {
    let handles = message.handles;
    let party = |party| party_of(party, handles, cx.region.as_deref());
    let sender = party(message.sender);
    let channel = &cx.channel.id;
    let partition_key = format!(
        "{channel}:{}",
        message.group.as_ref().unwrap_or(&sender.address)
    );
    let dedupe_key = message.dedupe_key.or_else(|| {
        let external_id = message.external_id.as_ref()?;
        Some(bounded_key(format!("{channel}:{external_id}")))
    });
    let mut envelope = bare(EnvelopeType::Message, message.id, partition_key, cx);
    envelope.sender = Some(sender);
    envelope.recipient = message.recipient.map(party);
    envelope.external_id = message.external_id;
    envelope.dedupe_key = dedupe_key;
    envelope.in_reply_to = message.in_reply_to.filter(|id| is_key(id));
    envelope.sent_at = message
        .sent_at
        .filter(|at| is_plausible(*at, cx.received_at));
    envelope.content = content::clean_all(message.content);
    envelope.reply = message.reply;
    envelope.thread_hints = value::clean_map(message.thread_hints);
    envelope.attributes = value::clean_map(message.attributes);
    envelope.check()?;
    Ok(envelope)
}

/// Makes an envelope of a receipt. Receipts of one outbound message keep their order.
///
/// # Errors
/// [`Violation`]: a field cannot be made right.
pub fn normalize_receipt(receipt: Receipt, cx: &NormalizeCx) -> Result<Envelope, Violation> {
    let partition_key = bounded_key(format!("{}:{}", cx.channel.id, receipt.external_id));
    let mut envelope = bare(EnvelopeType::Receipt, None, partition_key, cx);
    envelope.receipt = Some(Receipt {
        at: receipt.at.filter(|at| is_plausible(*at, cx.received_at)),
        code: receipt.code.map(|code| text::line(code, NAME_BYTES_MAX)),
        text: receipt
            .text
            .map(|words| text::clean(words, TEXT_BYTES_MAX).0),
        ..receipt
    });
    envelope.check()?;
    Ok(envelope)
}

fn bare(
    kind: EnvelopeType,
    id: Option<MessageId>,
    partition_key: String,
    cx: &NormalizeCx,
) -> Envelope {
    Envelope {
        schema: SCHEMA_VERSION,
        kind,
        id: id.unwrap_or_else(MessageId::new),
        direction: Direction::Inbound,
        channel: cx.channel.clone(),
        partition_key,
        thread_hints: Attributes::new(),
        conversation_id: None,
        thread_seq: None,
        lane_key: None,
        out_seq: None,
        hop: None,
        sender: None,
        recipient: None,
        external_id: None,
        dedupe_key: None,
        in_reply_to: None,
        sent_at: None,
        received_at: cx.received_at,
        content: Vec::new(),
        receipt: None,
        command: None,
        reply: None,
        authenticity: cx.authenticity.clone(),
        attributes: Attributes::new(),
        expires_at: None,
        traceparent: cx.traceparent.clone(),
        extra: Attributes::new(),
    }
}

fn party_of(party: Party, handles: patchbay_sdk::Handles, region: Option<&str>) -> Party {
    Party {
        address: address::canonical(party.address, handles, region),
        name: party
            .name
            .map(|name| text::line(name, NAME_BYTES_MAX))
            .filter(|name| !name.is_empty()),
        locale: party.locale.and_then(|locale| locale_of(&locale)),
        verified: party.verified,
        attributes: value::clean_map(party.attributes),
    }
}

/// `zh_CN` becomes `zh-CN`; what is not a language tag becomes nothing.
fn locale_of(text: &str) -> Option<String> {
    let tag = text.trim().replace('_', "-");
    let good = !tag.is_empty()
        && tag.len() <= LOCALE_BYTES_MAX
        && tag.split('-').all(|subtag| {
            (1..=8).contains(&subtag.len()) && subtag.bytes().all(|b| b.is_ascii_alphanumeric())
        });
    good.then_some(tag)
}

fn is_plausible(at: Time, received_at: Time) -> bool {
    at.as_ms() >= SENT_AT_MIN_MS && at <= received_at.plus(SENT_AT_AHEAD_MAX)
}

fn is_key(id: &str) -> bool {
    !id.is_empty() && id.len() <= KEY_BYTES_MAX && !id.chars().any(char::is_control)
}

/// Two good ids together may be longer than one key: then their digest stands for them.
fn bounded_key(key: String) -> String {
    if key.len() <= KEY_BYTES_MAX {
        return key;
    }
    format!("sha256:{}", hex::encode(Sha256::digest(key.as_bytes())))
}
