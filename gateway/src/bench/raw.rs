//! What the broker can do: publish with confirm, by a client that costs next to nothing.

use std::{collections::VecDeque, time::Instant};

use anyhow::Context as _;

use super::{
    amqp::{Amqp, Heard},
    baseline::{Asked, PUBLISHED, body},
    meter::Meter,
    wire::publish_frames,
};

/// Messages written at once.
const BURST_MAX: u64 = 128;

/// Publishes with confirm, closed by the window.
pub(super) fn publish(asked: &Asked) -> anyhow::Result<()> {
    let mut amqp = Amqp::open(&asked.amqp)?;
    amqp.declare(PUBLISHED)?;
    amqp.select_confirms()?;
    let frames = publish_frames(PUBLISHED, &body());
    let mut meter = Meter::begin(&asked.watch)?;
    let begun = Instant::now();
    let (mut sent, mut confirmed) = (0_u64, 0_u64);
    // When each unconfirmed burst was written, with the number of its last message.
    let mut written = VecDeque::new();
    while begun.elapsed() < asked.time() {
        let n = (asked.window - (sent - confirmed)).min(BURST_MAX);
        amqp.write(&frames.repeat(usize::try_from(n)?))?;
        sent += n;
        written.push_back((sent, Instant::now()));
        // Everything that has come by now, so that the next burst is as large as it can be.
        while sent - confirmed >= asked.window || !amqp.is_drained() {
            let Heard::Confirmed(tag) = amqp.hear()? else {
                continue;
            };
            for n in confirmed + 1..=tag {
                while written.front().is_some_and(|(last, _)| *last < n) {
                    written.pop_front();
                }
                let (_, at) = written.front().context("a confirm of nothing")?;
                meter.record(at.elapsed());
            }
            confirmed = tag;
        }
    }
    meter.report(&format!("bare publisher, window {}", asked.window))?;
    amqp.delete(PUBLISHED)
}
