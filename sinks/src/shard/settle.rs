//! Beginning one message, and what becomes of it afterwards.

use std::time::Duration;

use patchbay_message::{ThreadId, Time};
use patchbay_sdk::SendError;
use serde_json::json;

use super::{End, Shard};
use crate::{
    OnDead, OpenChannel, RetryPolicy,
    item::{Item, Origin},
    lane::After,
    meter,
    perform::{Ending, Job, Outcome, closed, is_live, perform_live},
    record::Unit,
    sending::{Pages, Sending},
    verdict::{ChannelRest, Death, PAUSED_RECHECK, Rest, Verdict, judge},
};

/// How soon a lane held by a dead message notices that a human has dropped or replayed it.
const HOLD_RECHECK: Duration = Duration::from_secs(2);

impl Shard {
    /// Begins a message whose turn in its lane it is.
    pub(super) fn begin(&mut self, mut item: Item) {
        item.room = None;
        let now = self.worker.now();
        let channel = self.worker.channels.get(item.channel().as_str());
        if let Some(why) = item.broken.take() {
            let death = Death::failed("undecodable", why);
            return self.dies(item, channel.as_deref(), &death, &Sending::default());
        }
        let Some(channel) = channel else {
            let why = "the channel is not configured";
            let rest = Rest::new("paused", why, now.plus(PAUSED_RECHECK));
            return self.rests(item, None, rest, Pages::default());
        };
        if now >= expiry(&item, &channel.retry) {
            let death = Death::expired();
            return self.dies(item, Some(&*channel), &death, &Sending::default());
        }
        let gate = self.worker.gates.of(&channel);
        if let Some(rest) = closed(gate.standing(now), now) {
            return self.rests(item, Some(&*channel), rest, Pages::default());
        }
        let journal = self.journals.get(&item.id()).cloned();
        let mut sending = Sending::resume(
            journal.unwrap_or_default(),
            self.worker.options.exchanges_max,
        );
        let gateways = self.gateways.get(&item.lane).cloned().unwrap_or_default();
        if is_live(&channel) {
            let ending = perform_live(&self.worker, &channel, &item, &mut sending, &gateways);
            if let Some(ending) = ending {
                return self.settle(Outcome {
                    item,
                    channel,
                    sending,
                    ending,
                });
            }
        }
        // What waits for a slow channel must leave room for what comes after it.
        let is_from_bus = matches!(item.origin, Origin::Bus(_));
        let pass = if is_from_bus && self.n_from_bus >= self.bus_jobs_max() {
            Err(gate.slot(&channel, now))
        } else {
            gate.enter(&self.worker.total, &channel, now)
        };
        match pass {
            Ok(pass) => {
                self.n_from_bus += usize::from(is_from_bus);
                let job = Job {
                    worker: self.worker.clone(),
                    item,
                    channel,
                    sending,
                    pass,
                    gateways,
                    journal: self.ask.clone(),
                    epoch: self.fence.epoch,
                    stop: self.stop.clone(),
                };
                self.jobs.spawn(job.run());
            }
            Err(due) => {
                let rest = Rest::new("throttled", "the channel has its hands full", due);
                self.rests(item, Some(&*channel), rest, Pages::default());
            }
        }
    }

    /// A job has ended.
    pub(super) fn finished(&mut self, outcome: Outcome) {
        self.n_from_bus -= usize::from(matches!(outcome.item.origin, Origin::Bus(_)));
        self.settle(outcome);
    }

    /// A try has ended.
    fn settle(&mut self, outcome: Outcome) {
        let Outcome {
            mut item,
            channel,
            mut sending,
            ending,
        } = outcome;
        let error = match ending {
            Ending::GivenBack if self.stop.is_cancelled() => return,
            Ending::GivenBack => {
                let due = self.worker.now().plus(channel.retry.delay_min);
                let rest = Rest::new("retry", "its journal could not be written", due);
                return self.rests(item, Some(&*channel), rest, Pages::default());
            }
            Ending::NotNow(rest) => {
                let pages = sending.put_off(item.place(self.fence.epoch));
                return self.rests(item, Some(&*channel), rest, pages);
            }
            Ending::Sent(sent) => {
                item.attempts += 1;
                self.journals.remove(&item.id());
                crash_before_record();
                meter::sent(&channel.id, "sent");
                let lane = item.lane;
                let mut unit = self.recorder().sent(item, sent);
                unit.performed = true;
                return self.goes_on(lane, unit);
            }
            Ending::Failed(error) => error,
        };
        self.journals.remove(&item.id());
        item.attempts += 1;
        let now = self.worker.now();
        let verdict = judge(&error, &channel.retry, item.attempts, now, fastrand::f64());
        match verdict {
            Verdict::Rest(rest) => {
                let pages = sending.fail(item.place(self.fence.epoch));
                self.rests(item, Some(&*channel), rest, pages);
            }
            Verdict::Dead(death) => {
                // What may have arrived counts.
                if error != SendError::Unknown {
                    sending.give_back();
                }
                self.dies(item, Some(&*channel), &death, &sending);
            }
        }
    }

    /// It cannot go now: it waits in the store, and so does what is behind it.
    fn rests(&mut self, item: Item, channel: Option<&OpenChannel>, mut rest: Rest, pages: Pages) {
        meter::parked(item.channel(), rest.reason);
        item.span().in_scope(|| {
            tracing::info!(
                reason = rest.reason,
                detail = rest.detail,
                due = %rest.due,
                attempts = item.attempts,
                "outbound waits"
            );
        });
        if let Some(channel) = channel {
            // The dead letter of one that expires comes when it expires.
            rest.due = rest.due.min(expiry(&item, &channel.retry));
            self.rest_channel(channel, &rest);
        }
        let lane = item.lane;
        let unit = self.recorder().rests(item, &rest, pages);
        self.lane_rests(lane, unit);
    }

    fn rest_channel(&mut self, channel: &OpenChannel, rest: &Rest) {
        let gate = self.worker.gates.of(channel);
        match &rest.channel {
            None => {}
            Some(ChannelRest::Until(until)) => gate.rest(*until),
            Some(ChannelRest::Paused(why)) => {
                tracing::error!(channel = %channel.id, why, "channel paused by an account problem");
                gate.pause(why);
                self.pauses.push((channel.id.clone(), why.clone()));
            }
        }
    }

    /// It will not be sent.
    fn dies(
        &mut self,
        item: Item,
        channel: Option<&OpenChannel>,
        death: &Death,
        sending: &Sending,
    ) {
        meter::dead(item.channel(), death.reason);
        meter::sent(item.channel(), "dead");
        item.span().in_scope(|| {
            tracing::error!(
                reason = death.reason,
                detail = death.detail,
                attempts = item.attempts,
                "outbound is dead"
            );
        });
        let lane = item.lane;
        let recorder = self.recorder();
        let holds = channel.is_some_and(|channel| channel.retry.on_dead == OnDead::Hold);
        if holds {
            let due = recorder.now.plus(HOLD_RECHECK);
            let mut unit = recorder.died_holding(item, death, sending, due);
            unit.performed = sending.has_called();
            self.lane_rests(lane, unit);
        } else {
            let mut unit = recorder.died(item, death, sending);
            unit.performed = sending.has_called();
            self.goes_on(lane, unit);
        }
    }

    /// A dead message still holds its lane.
    pub(super) fn hold_on(&mut self, item: Item) {
        let recorder = self.recorder();
        let due = recorder.now.plus(HOLD_RECHECK);
        let rest = Rest::new("hold", "a dead message holds the lane", due);
        let lane = item.lane;
        let unit = recorder.rests(item, &rest, Pages::default());
        self.lane_rests(lane, unit);
    }

    /// A dead message holds its lane no more.
    pub(super) fn released(&mut self, item: Item) {
        let lane = item.lane;
        let unit = self.recorder().released(item);
        self.goes_on(lane, unit);
    }

    fn lane_rests(&mut self, id: ThreadId, unit: Unit) {
        self.units.push(unit);
        let Some(lane) = self.lanes.get_mut(&id) else {
            return;
        };
        for item in lane.rest() {
            self.park_behind(item);
        }
    }

    fn goes_on(&mut self, id: ThreadId, unit: Unit) {
        self.units.push(unit);
        if let Some(lane) = self.lanes.get_mut(&id) {
            let after = lane.performed();
            self.after(id, after);
        }
    }

    pub(super) fn after(&mut self, id: ThreadId, after: After<Item>) {
        match after {
            After::Start(item) => self.ready.push(item),
            After::Refill => self.units.push(Unit {
                refill: Some(id),
                ..Unit::default()
            }),
            After::Idle(behind) => behind.into_iter().for_each(|item| self.park_behind(item)),
        }
    }

    /// It stands behind one that waits in the store, or behind a missing number. What came from the
    /// store is there already.
    pub(super) fn park_behind(&mut self, mut item: Item) {
        item.room = None;
        if let Origin::Store = item.origin {
            return;
        }
        meter::parked(item.channel(), "behind");
        let recorder = self.recorder();
        let detail = "an earlier message of the lane comes first";
        let rest = Rest::new("behind", detail, recorder.now);
        self.units
            .push(recorder.rests(item, &rest, Pages::default()));
    }

    /// Tells the store, and through it everyone, that a channel's account is wrong.
    pub(super) async fn pause_channels(&mut self) -> Result<(), End> {
        for (channel, why) in std::mem::take(&mut self.pauses) {
            let store = self.worker.store.clone();
            self.patiently(|| store.pause_channel(&channel, Some(&why)))
                .await?;
            let paused = json!({ "channel": channel, "paused": why });
            self.worker.nudge_channel(&paused);
            self.worker.nudge_log(0);
        }
        Ok(())
    }
}

/// When a message is not worth sending any more.
fn expiry(item: &Item, policy: &RetryPolicy) -> Time {
    let by_policy = item.envelope.received_at.plus(policy.expire_after);
    item.envelope
        .expires_at
        .map_or(by_policy, |at| at.min(by_policy))
}

/// Crash tests stop the process here: performed, not recorded.
fn crash_before_record() {
    fail::fail_point!("sinks::sent_recorded", |_| std::process::abort());
}
