//! The way a message goes through the gateway: decode, normalize, publish; only then answer.
//!
//! Reads like the picture in ARCHITECTURE.md. Transports call [`Pipeline::read`], then
//! [`Pipeline::publish`], and answer; they know no channel, and this knows no transport.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use patchbay_bus::{Bus, Message, PublishError, Queue, partition_of};
use patchbay_message::{Clock, Envelope, Violation};
use patchbay_normalizer::{NormalizeCx, normalize_message, normalize_receipt};
use patchbay_sdk::{Ask, Cx, Decoded, Inbound, Random, Reject, Reply, Session, Signal, Slot, Wire};
use patchbay_sinks::OpenChannel;

use crate::{gates::Gates, rates::Rates};

/// What the gateway's transports share.
pub struct Pipeline {
    /// Where messages go.
    pub bus: Arc<dyn Bus>,
    /// Number of inbound partitions, fixed at install.
    pub partitions: u16,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Random bytes for adapters.
    pub random: Arc<dyn Random>,
    /// Our configured public address.
    pub public_url: String,
    /// Region of phone numbers without a country code.
    pub region: Option<String>,
    /// One unconfirmed publish per key.
    pub gates: Gates,
    /// How fast one address may send.
    pub rates: Rates,
}

/// What came in, verified and read, not yet durable.
#[derive(Debug)]
pub struct Read {
    /// What goes over the bus, in the order it came.
    pub envelopes: Vec<Envelope>,
    /// Typing and read marks, for the transport to pass on.
    pub signals: Vec<Signal>,
    /// What else the transport is to do.
    pub asks: Vec<Ask>,
    /// What to answer once the envelopes are durable.
    pub confirmed: Reply,
    /// What to answer if they are not: what this provider takes for "again".
    pub refused: Reply,
    /// The answer may wait for a reply, once they are durable.
    pub slot: Option<Slot>,
}

/// Why nothing was taken.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// The adapter does not accept it.
    #[error(transparent)]
    Rejected(#[from] Reject),
    /// A field is past its bound.
    #[error(transparent)]
    Violation(#[from] Violation),
    /// This address sends too fast.
    #[error("too many messages, try again in {after:?}")]
    TooFast {
        /// When to come back.
        after: Duration,
        /// The client's id of the message, to tell which.
        external_id: Option<String>,
    },
    /// The bus did not confirm.
    #[error(transparent)]
    Unavailable(#[from] PublishError),
}

impl Pipeline {
    /// Verifies and reads what came in over a transport, and makes envelopes of it.
    ///
    /// # Errors
    /// [`NotTaken`]: nothing of it is taken.
    pub fn read(
        &self,
        channel: &OpenChannel,
        session: &mut Session,
        peer: Option<IpAddr>,
        trace: Option<&str>,
        wire: Wire<'_>,
    ) -> Result<Read, NotTaken> {
        let Decoded {
            proof,
            items,
            asks,
            confirmed,
            refused,
            slot,
        } = self.with_cx(channel, peer, |cx| {
            channel.channel.decode(cx, session, wire)
        })?;
        let cx = NormalizeCx {
            channel: channel.channel_ref(),
            received_at: self.clock.now(),
            authenticity: proof.authenticity().clone(),
            traceparent: Some(traceparent(trace, self.random.as_ref())),
            region: self.region.clone(),
        };
        let (signals, envelopes) = sort_items(items, &cx)?;
        self.rates.check(channel, &envelopes)?;
        Ok(Read {
            envelopes,
            signals,
            asks,
            confirmed,
            refused,
            slot,
        })
    }

    /// Makes envelopes durable, in order; one unconfirmed batch per partition key at a time.
    ///
    /// # Errors
    /// [`NotTaken::Unavailable`]: perhaps none, perhaps some are durable; the sender may send the
    /// same again without doubling anything.
    pub async fn publish(&self, envelopes: &[Envelope]) -> Result<(), NotTaken> {
        let Some(first) = envelopes.first() else {
            return Ok(());
        };
        let batch = envelopes
            .iter()
            .map(|envelope| {
                let queue = Queue::Inbound(partition_of(&envelope.partition_key, self.partitions));
                message_of(envelope).map(|message| (queue, message))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let started = Instant::now();
        let key = &first.partition_key;
        let published = self.gates.publish(&*self.bus, key, batch).await;
        observe(envelopes, published.is_ok(), started.elapsed());
        published?;
        fail::fail_point!("gateway::confirm_answer", |_| std::process::abort());
        Ok(())
    }

    /// Lends an adapter its surroundings.
    pub fn with_cx<T>(
        &self,
        channel: &OpenChannel,
        peer: Option<IpAddr>,
        act: impl FnOnce(&Cx<'_>) -> T,
    ) -> T {
        act(&Cx {
            now: self.clock.now(),
            random: self.random.as_ref(),
            public_url: &self.public_url,
            channel: channel.id.as_str(),
            peer,
            token: &|_| None,
        })
    }
}

/// What goes over the bus, as bytes.
fn message_of(envelope: &Envelope) -> Result<Message, PublishError> {
    let body = envelope
        .to_bytes()
        .map_err(|error| PublishError::Refused(error.to_string()))?;
    Ok(Message {
        id: envelope.id,
        kind: envelope.kind.as_str().into(),
        body: body.into(),
    })
}

fn sort_items(
    items: Vec<Inbound>,
    cx: &NormalizeCx,
) -> Result<(Vec<Signal>, Vec<Envelope>), NotTaken> {
    let mut signals = Vec::new();
    let mut envelopes = Vec::with_capacity(items.len());
    for item in items {
        match item {
            Inbound::Signal(signal) => signals.push(signal),
            Inbound::Message(message) => envelopes.push(normalize_message(*message, cx)),
            Inbound::Receipt(receipt) => envelopes.push(normalize_receipt(receipt, cx)),
        }
    }
    let envelopes = envelopes
        .into_iter()
        .collect::<Result<_, _>>()
        .map_err(NotTaken::Violation)?;
    Ok((signals, envelopes))
}

fn observe(envelopes: &[Envelope], confirmed: bool, took: Duration) {
    let outcome = if confirmed {
        "confirmed"
    } else {
        "unavailable"
    };
    for envelope in envelopes {
        let channel = envelope.channel.id.to_string();
        metrics::counter!("patchbay_ingress_messages_total", "channel" => channel.clone(), "outcome" => outcome)
            .increment(1);
        metrics::histogram!("patchbay_ingress_seconds", "channel" => channel).record(took);
        tracing::debug!(message = %envelope.id, channel = %envelope.channel.id, outcome,
            trace = envelope.traceparent.as_deref(), "inbound published");
    }
}

/// A W3C trace context for a message that came without one.
#[must_use]
pub fn traceparent(given: Option<&str>, random: &dyn Random) -> String {
    if let Some(given) = given.filter(|given| is_traceparent(given)) {
        return given.to_owned();
    }
    let mut bytes = [0_u8; 24];
    random.fill(&mut bytes);
    // All-zero ids are invalid (W3C Trace Context, section 3.2.2.3).
    bytes[0] |= 1;
    bytes[16] |= 1;
    format!(
        "00-{}-{}-01",
        hex::encode(&bytes[..16]),
        hex::encode(&bytes[16..])
    )
}

/// `00-<32 hex>-<16 hex>-<2 hex>`, lower case, ids not all zero (W3C Trace Context, section 3.2.2).
fn is_traceparent(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let hex = |part: &str, n: usize| {
        part.len() == n
            && part
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    matches!(parts[..], ["00", trace, span, flags]
        if hex(trace, 32) && hex(span, 16) && hex(flags, 2)
            && trace.bytes().any(|b| b != b'0') && span.bytes().any(|b| b != b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;
    impl Random for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0);
        }
    }

    #[test]
    fn keeps_a_good_trace_and_replaces_a_bad_one() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(traceparent(Some(good), &Fixed), good);
        for bad in [
            "",
            "00-x-y-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        ] {
            let made = traceparent(Some(bad), &Fixed);
            assert!(is_traceparent(&made), "{made}");
        }
    }
}
