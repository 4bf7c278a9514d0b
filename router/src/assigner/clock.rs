//! What time alone brings about: flapping tickets settle, silent devices become faults, answers are
//! overdue. Looked at as often as the queue is looked at without a nudge.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use patchbay_bus::{Message, Queue};
use patchbay_message::{ThreadId, Time};
use patchbay_store::{Changes, Device, Expect, ReceiptWord, Want, limits};

use super::{Assigner, Move, Stopped};
use crate::{assign, silence};

/// Why a message has no answer, for people.
const OVERDUE: &str = "no answer in time";

/// What is kept between two looks.
pub(super) struct Timers {
    since: Instant,
    looked_at: Option<Instant>,
    /// Silences that were told and not decided yet: until when they are not told again.
    told: HashMap<ThreadId, (Time, Instant)>,
}

impl Timers {
    pub(super) fn new() -> Self {
        Self {
            since: Instant::now(),
            looked_at: None,
            told: HashMap::new(),
        }
    }

    /// Silences that are to be told now. Forgets those that were decided.
    fn untold(&mut self, silent: Vec<Device>, again: Duration) -> Vec<Device> {
        let mut before = std::mem::take(&mut self.told);
        let mut untold = Vec::new();
        for device in silent {
            let Some(silent_at) = device.silent_at else {
                continue;
            };
            let told = before.remove(&device.thread_id);
            match told.filter(|(of, at)| *of == silent_at && at.elapsed() < again) {
                Some(told) => {
                    self.told.insert(device.thread_id, told);
                }
                None => untold.push(device),
            }
        }
        untold
    }
}

impl Assigner {
    /// Answers whether there is more of it than one look takes.
    pub(super) async fn keep_time(&mut self, now: Time) -> Result<bool, Stopped> {
        let options = &self.shared.options;
        let every = options.rescan_every;
        if (self.timers.looked_at).is_some_and(|at| at.elapsed() < every) {
            return Ok(false);
        }
        let judges_silence = self.timers.since.elapsed() >= options.silence_grace;
        let want = Want {
            settled_until: Some(now),
            silent_until: judges_silence.then_some(now),
            overdue_until: Some(now),
            ..Want::default()
        };
        let facts = self.shared.journal.facts(&want).await?;
        let more = facts.settled.len() >= limits::SETTLED_MAX as usize
            || facts.overdue.len() >= limits::OVERDUE_MAX as usize;
        self.timers.looked_at = (!more).then(Instant::now);
        let settled = facts.settled.into_iter();
        let steps = settled.filter_map(|row| assign::settle(row, now)).collect();
        self.carry_out(Move::all(Vec::new(), steps)).await?;
        self.overdue(facts.overdue, now).await?;
        self.silent(facts.silent, now).await;
        Ok(more)
    }

    /// Answers that did not come.
    async fn overdue(&mut self, overdue: Vec<Expect>, now: Time) -> Result<(), Stopped> {
        if overdue.is_empty() {
            return Ok(());
        }
        let n = overdue.len() as u64;
        let words = overdue.into_iter().map(|expect| ReceiptWord {
            channel: expect.channel,
            external_id: Some(expect.external_id),
            message: None,
            state: expect.or_else,
            reason: Some(OVERDUE.to_owned()),
            at: now,
            attempts: None,
            overdue: true,
        });
        let changes = Changes {
            receipts: words.collect(),
            ..Changes::default()
        };
        if self.commit(changes).await? {
            metrics::counter!("patchbay_router_overdue_total").increment(n);
        }
        Ok(())
    }

    /// Devices that were silent for too long: their own partitions decide. Nothing is lost if the bus
    /// does not take it, or if we end before they are decided: they are found again.
    async fn silent(&mut self, silent: Vec<Device>, now: Time) {
        let untold = (self.timers).untold(silent, self.shared.options.silence_again);
        let batch: Vec<(Queue, Message)> = untold
            .iter()
            .filter_map(|device| {
                let envelope = silence::envelope(device, now)?;
                let body = envelope.to_bytes().ok()?;
                let message = Message {
                    id: envelope.id,
                    kind: "message".into(),
                    body: body.into(),
                };
                Some((Queue::Inbound(device.partition), message))
            })
            .collect();
        if batch.is_empty() {
            return;
        }
        let n = batch.len() as u64;
        match self.shared.bus.publish(batch).await {
            Ok(()) => {
                metrics::counter!("patchbay_router_silences_total").increment(n);
                tracing::info!(devices = n, "silent for too long");
                let told = untold.iter().filter_map(|device| {
                    Some((device.thread_id, (device.silent_at?, Instant::now())))
                });
                self.timers.told.extend(told);
            }
            Err(error) => tracing::warn!(%error, "silence is told later"),
        }
    }
}
