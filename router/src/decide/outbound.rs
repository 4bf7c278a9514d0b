//! A reply as the envelope that goes to the sinks.

use bytes::Bytes;
use patchbay_bus::partition_of;
use patchbay_message::{
    Attributes, Authenticity, ChannelRef, Command, Direction, Envelope, EnvelopeType, MessageId,
    Party, SCHEMA_VERSION, Time, Violation,
};
use patchbay_store::{Contact, Thread};

use super::{Board, actions::Order};

/// Until when a reply may be sent: as long as its channel allows, and as long as it is worth sending.
pub(super) fn expires_at(board: &Board<'_>, thread: &Thread, command: &Command) -> Time {
    let rules = board.context.rules;
    let expire_after = rules
        .expire_after_by_channel
        .get(&thread.channel)
        .unwrap_or(&rules.expire_after);
    let latest = board.now().plus(*expire_after);
    command.expires_at.map_or(latest, |at| at.min(latest))
}

/// The reply's envelope as JSON, and its shard. The thread's numbers are already this message's.
///
/// # Errors
/// It is too large for an envelope.
pub(super) fn envelope(
    board: &Board<'_>,
    id: MessageId,
    thread: &Thread,
    order: Order<'_>,
) -> Result<(u16, Bytes), Violation> {
    let Order {
        envelope: carrier,
        command,
        conversation,
        voice,
    } = order;
    let lane_key = thread.id.to_string();
    let shard = partition_of(&lane_key, board.context.rules.shards);
    let envelope = Envelope {
        schema: SCHEMA_VERSION,
        kind: EnvelopeType::Message,
        id,
        direction: Direction::Outbound,
        channel: ChannelRef {
            id: thread.channel.clone(),
            kind: thread.channel_kind.clone(),
        },
        partition_key: lane_key.clone(),
        thread_hints: carrier.thread_hints.clone(),
        conversation_id: Some(conversation.id),
        thread_seq: Some(thread.last_seq),
        lane_key: Some(lane_key),
        out_seq: Some(thread.last_out_seq),
        hop: None,
        sender: Some(voice.party()),
        recipient: Some(recipient(thread, board.contact(thread.contact_id))),
        external_id: None,
        dedupe_key: None,
        in_reply_to: carrier.in_reply_to.clone(),
        sent_at: Some(carrier.received_at),
        received_at: board.now(),
        content: command.content.clone(),
        receipt: None,
        command: None,
        reply: carrier.reply.clone(),
        authenticity: Authenticity::None,
        attributes: carrier.attributes.clone(),
        expires_at: Some(expires_at(board, thread, command)),
        traceparent: carrier.traceparent.clone(),
        extra: Attributes::new(),
    };
    Ok((shard, Bytes::from(envelope.to_bytes()?)))
}

fn recipient(thread: &Thread, contact: Option<&Contact>) -> Party {
    Party {
        address: thread.address.clone(),
        name: contact.and_then(|contact| contact.name.clone()),
        locale: contact.and_then(|contact| contact.locale.clone()),
        verified: thread.verified,
        attributes: Attributes::new(),
    }
}
