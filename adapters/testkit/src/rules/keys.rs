//! The same message has the same key, whenever and however often it comes; and an envelope can be
//! made of it that goes by the same address.

use std::time::Duration;

use patchbay_message::{ChannelId, ChannelRef, Envelope};
use patchbay_normalizer::{NormalizeCx, normalize_message, normalize_receipt};
use patchbay_sdk::{Handles, Inbound, Kind, Verified};

use crate::{
    Report,
    act::{self, Incoming},
    fixture::Fixtures,
    pinned::{Seeded, Surroundings},
    play::{self, Moment},
};

/// A provider that got no answer sends again after some seconds.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

pub(crate) fn check(kind: &Kind, fixtures: &Fixtures, report: &mut Report) {
    let mut n_messages = 0;
    for file in &fixtures.files {
        let _ = play::play(kind, &fixtures.setting, file, &mut |moment, _| {
            let read = |surroundings: &Surroundings| -> Option<(Verified, Vec<Inbound>)> {
                if let Some(file) = &moment.step.pull {
                    let pulled = act::pulled(file, moment.channel, surroundings)?;
                    return Some((pulled.proof, pulled.items));
                }
                let incoming = Incoming::of(moment.step).ok()??;
                let mut session = moment.session.clone();
                let decoded = incoming.decode(moment.channel, surroundings, &mut session);
                decoded.ok().map(|decoded| (decoded.proof, decoded.items))
            };
            let decode = |after: Duration, seed| {
                let surroundings = Surroundings {
                    now: moment.surroundings.now.plus(after),
                    random: Seeded::new(seed),
                    public_url: moment.surroundings.public_url.clone(),
                    channel: moment.surroundings.channel.clone(),
                    tokens: moment.surroundings.tokens.clone(),
                    fetched: moment.surroundings.fetched.clone(),
                    slot: std::cell::RefCell::default(),
                };
                read(&surroundings)
            };
            let Some((proof, items)) = decode(Duration::ZERO, 1) else {
                return;
            };
            normalize(moment, &proof, &items, report);
            let first = keys(&items);
            n_messages += first.len();
            for key in &first {
                let is_keyed = key.0.is_some() || key.1.is_some();
                report.check(is_keyed != moment.step.unkeyed.is_some(), moment.place, || {
                    "a message has neither `dedupe_key` nor `external_id`, or the step says why that is `unkeyed`".to_owned()
                });
            }
            let second = decode(AGAIN_AFTER, 2).map(|(_, items)| keys(&items));
            report.check(second.as_ref() == Some(&first), moment.place, || {
                format!("sent again it has other keys: {first:?}, {second:?}")
            });
        });
    }
    report.check(n_messages > 0, kind.manifest.id, || {
        "no fixture has a message".to_owned()
    });
}

/// What an adapter reads can be normalized. An address of its own kind is kept to the byte: live
/// connections are found by it.
fn normalize(moment: &Moment<'_>, proof: &Verified, items: &[Inbound], report: &mut Report) {
    let Ok(id) = ChannelId::new(&moment.surroundings.channel) else {
        report.fail(moment.place, "`channel` is no channel's id");
        return;
    };
    let cx = NormalizeCx {
        channel: ChannelRef {
            id,
            kind: moment.kind.manifest.id.to_owned(),
        },
        received_at: moment.surroundings.now,
        authenticity: proof.authenticity().clone(),
        traceparent: None,
        region: None,
    };
    for item in items {
        let envelope = match item {
            Inbound::Message(message) => normalize_message(*message.clone(), &cx),
            Inbound::Receipt(receipt) => normalize_receipt(receipt.clone(), &cx),
            Inbound::Signal(_) => continue,
        };
        let address = match item {
            Inbound::Message(message) if message.handles == Handles::Opaque => {
                Some(&message.sender.address)
            }
            _ => None,
        };
        let is_kept = |envelope: &Envelope| {
            let sender = envelope.sender.as_ref().map(|sender| &sender.address);
            address.is_none() || sender == address
        };
        let good = envelope.as_ref().is_ok_and(is_kept);
        report.check(good, moment.place, || {
            format!("cannot be normalized: {envelope:?}")
        });
    }
}

/// Dedupe key and external id of every message.
fn keys(items: &[Inbound]) -> Vec<(Option<String>, Option<String>)> {
    let keys = |item: &Inbound| match item {
        Inbound::Message(message) => {
            Some((message.dedupe_key.clone(), message.external_id.clone()))
        }
        _ => None,
    };
    items.iter().filter_map(keys).collect()
}
