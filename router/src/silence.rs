//! A device that has been silent for too long, as a fault: an envelope for the device's own partition,
//! which decides. Pure.
//!
//! Whoever makes it for the same silence makes the same one, and it is taken once.

use patchbay_message::{
    Attributes, Authenticity, ChannelRef, Content, Direction, Envelope, EnvelopeType, Fault,
    FaultState, MessageId, Part, Party, SCHEMA_VERSION, Time,
};
use patchbay_store::Device;
use serde_json::json;
use uuid::Uuid;

/// Namespace of the envelopes' ids; drawn once at random.
const SILENCES: Uuid = Uuid::from_u128(0x1f8e_07a4_52cb_4c0d_b6f3_9a40_77d1_5be2);
/// The channel's kind, which the device's row does not hold; its thread does.
const KIND: &str = "device";

/// The envelope; none if the device's silence means nothing.
pub(crate) fn envelope(device: &Device, now: Time) -> Option<Envelope> {
    let (silence, silent_at) = (device.silence.as_ref()?, device.silent_at?);
    let dedupe_key = format!(
        "silence:{}:{}:{}",
        device.channel,
        device.address,
        silent_at.as_ms()
    );
    let fault = Fault {
        device: device.address.clone(),
        code: silence.code.clone(),
        severity: silence.severity.clone(),
        state: FaultState::Raised,
        occurred_at: silent_at,
        sequence: None,
        text: None,
        location: None,
        readings: Attributes::new(),
    };
    Some(Envelope {
        schema: SCHEMA_VERSION,
        kind: EnvelopeType::Message,
        id: MessageId(Uuid::new_v5(&SILENCES, dedupe_key.as_bytes())),
        direction: Direction::Inbound,
        channel: ChannelRef {
            id: device.channel.clone(),
            kind: KIND.to_owned(),
        },
        partition_key: format!("{}:{}", device.channel, device.address),
        thread_hints: Attributes::from_iter([("silence".to_owned(), json!(silence))]),
        conversation_id: None,
        thread_seq: None,
        lane_key: None,
        out_seq: None,
        hop: None,
        sender: Some(Party {
            address: device.address.clone(),
            ..Party::default()
        }),
        recipient: None,
        external_id: None,
        dedupe_key: Some(dedupe_key),
        in_reply_to: None,
        sent_at: Some(silent_at),
        received_at: now,
        content: vec![Content::Known(Part::Fault {
            fault,
            extra: Attributes::new(),
        })],
        receipt: None,
        command: None,
        reply: None,
        authenticity: Authenticity::None,
        attributes: Attributes::from_iter([("silence".to_owned(), json!(true))]),
        expires_at: None,
        traceparent: None,
        extra: Attributes::new(),
    })
}
