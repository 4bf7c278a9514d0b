//! One outbound on its way: the envelope, where it came from, and which lane it goes by.

use bytes::Bytes;
use patchbay_bus::Delivery;
use patchbay_message::{
    Attributes, Authenticity, ChannelId, ChannelRef, Direction, Envelope, EnvelopeType, MessageId,
    SCHEMA_VERSION, ThreadId, Time,
};
use patchbay_store::Parked;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;

use crate::sending::Place;

/// One outbound message in a lane.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) envelope: Envelope,
    /// The envelope as it came, for parking.
    pub(crate) raw: Bytes,
    pub(crate) lane: ThreadId,
    pub(crate) seq: u64,
    pub(crate) origin: Origin,
    /// How often it was tried.
    pub(crate) attempts: u32,
    /// Its room among what is held in memory.
    pub(crate) room: Option<OwnedSemaphorePermit>,
    /// It cannot be read, a sentence; then the envelope stands in for it.
    pub(crate) broken: Option<String>,
}

/// Where an item came from, and so what has to be done with it in the end.
#[derive(Debug)]
pub(crate) enum Origin {
    /// From the bus: acked once its outcome is committed.
    Bus(Delivery),
    /// From the store, where it is parked until its outcome is committed.
    Store,
}

/// The few fields that let a lane go on past a message that cannot be read.
#[derive(Debug, Deserialize)]
struct Hint {
    channel: ChannelRef,
    lane_key: ThreadId,
    out_seq: u64,
}

impl Item {
    /// Reads a delivery. One that does not even say its place in a lane is given back, with a
    /// sentence.
    pub(crate) fn delivered(delivery: Delivery) -> Result<Self, (Delivery, String)> {
        let raw = delivery.message.body.clone();
        match read(&raw, delivery.message.id) {
            Ok((envelope, lane, seq, broken)) => Ok(Self {
                envelope,
                raw,
                lane,
                seq,
                origin: Origin::Bus(delivery),
                attempts: 0,
                room: None,
                broken,
            }),
            Err(why) => Err((delivery, why)),
        }
    }

    /// Reads a parked row.
    pub(crate) fn parked(row: Parked) -> Self {
        let (envelope, broken) = match read(&row.envelope, row.id) {
            Ok((envelope, _, _, broken)) => (envelope, broken),
            Err(why) => (
                stand_in(row.id, nowhere(), row.lane, row.out_seq),
                Some(why),
            ),
        };
        Self {
            envelope,
            raw: row.envelope,
            lane: row.lane,
            seq: row.out_seq,
            origin: Origin::Store,
            attempts: row.attempts,
            room: None,
            broken,
        }
    }

    pub(crate) fn id(&self) -> MessageId {
        self.envelope.id
    }

    pub(crate) fn channel(&self) -> &ChannelId {
        &self.envelope.channel.id
    }

    /// Where its pages stand in the journal.
    pub(crate) fn place(&self, epoch: i64) -> Place {
        Place {
            message: self.id(),
            lane: self.lane,
            out_seq: self.seq,
            epoch,
        }
    }

    /// A span with the ids every log line about this message carries.
    pub(crate) fn span(&self) -> tracing::Span {
        tracing::info_span!(
            "outbound",
            message = %self.envelope.id,
            conversation = self.envelope.conversation_id.map(tracing::field::display),
            channel = %self.envelope.channel.id,
            trace = self.envelope.traceparent,
        )
    }
}

type Readable = (Envelope, ThreadId, u64, Option<String>);

fn read(raw: &Bytes, id: MessageId) -> Result<Readable, String> {
    let why = match serde_json::from_slice::<Envelope>(raw) {
        Ok(envelope) => {
            let lane = envelope.lane_key.as_deref().map(str::parse::<ThreadId>);
            match (lane, envelope.out_seq) {
                (Some(Ok(lane)), Some(seq)) if seq > 0 => return Ok((envelope, lane, seq, None)),
                _ => return Err("no lane_key or out_seq".to_owned()),
            }
        }
        Err(error) => format!("not an envelope: {error}"),
    };
    match serde_json::from_slice::<Hint>(raw) {
        Ok(place) if place.out_seq > 0 => {
            let envelope = stand_in(id, place.channel, place.lane_key, place.out_seq);
            Ok((envelope, place.lane_key, place.out_seq, Some(why)))
        }
        _ => Err(why),
    }
}

/// The channel of what does not say its own.
pub(crate) fn nowhere() -> ChannelRef {
    ChannelRef {
        id: ChannelId::new("unknown").expect("a word is a channel id"),
        kind: "unknown".to_owned(),
    }
}

/// Stands for an envelope that cannot be read, so that it keeps its place in the lane.
fn stand_in(id: MessageId, channel: ChannelRef, lane: ThreadId, seq: u64) -> Envelope {
    Envelope {
        schema: SCHEMA_VERSION,
        kind: EnvelopeType::Message,
        id,
        direction: Direction::Outbound,
        partition_key: String::new(),
        thread_hints: Attributes::new(),
        conversation_id: None,
        thread_seq: None,
        lane_key: Some(lane.to_string()),
        out_seq: Some(seq),
        hop: None,
        sender: None,
        recipient: None,
        external_id: None,
        dedupe_key: None,
        in_reply_to: None,
        sent_at: None,
        received_at: Time::from_ms(0),
        content: Vec::new(),
        receipt: None,
        command: None,
        reply: None,
        authenticity: Authenticity::None,
        attributes: Attributes::new(),
        expires_at: None,
        traceparent: None,
        extra: Attributes::new(),
        channel,
    }
}
