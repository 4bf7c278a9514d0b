//! What is committed of each message, gathered into few commits: one at a time per shard, whatever
//! has come together meanwhile goes with the next.

use patchbay_bus::Delivery;
use patchbay_message::{Direction, ReceiptState, ThreadId, Time};
use patchbay_sdk::Sent;
use patchbay_store::{
    Changes, CommitError, Committed, DeadLetter, Expect, Fence, LaneDone, Park, ReceiptWord,
};
use tokio::sync::oneshot;

use crate::{
    backoff::OWN_HOUSE,
    item::{Item, Origin, nowhere},
    journal,
    sending::{Pages, Sending},
    verdict::{ChannelRest, Death, Rest},
    worker::Worker,
};

/// Units of one commit.
pub(crate) const COMMIT_UNITS_MAX: usize = 512;

/// What belongs together: the changes of one message, and what follows their commit.
#[derive(Debug, Default)]
pub(crate) struct Unit {
    /// Without fences.
    pub(crate) changes: Changes,
    /// Acked after the commit.
    pub(crate) ack: Option<Delivery>,
    /// A lane whose next message is in the store.
    pub(crate) refill: Option<ThreadId>,
    /// When something parked here is due.
    pub(crate) due: Option<Time>,
    /// Whoever waits for the commit before a call.
    pub(crate) written: Option<oneshot::Sender<()>>,
    /// Records a call that was performed.
    pub(crate) performed: bool,
}

/// What the rows of a message need to know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recorder {
    pub(crate) now: Time,
    pub(crate) shard: u16,
}

impl Recorder {
    /// It was handed over.
    pub(crate) fn sent(self, item: Item, sent: Vec<Sent>) -> Unit {
        let mut changes = Changes::default();
        let state = sent
            .iter()
            .map(|part| &part.state)
            .min_by_key(|state| state.rank())
            .cloned();
        let state = state.unwrap_or(ReceiptState::Sent);
        changes.receipts.push(self.word(&item, state, None));
        for part in sent {
            if let Some(external_id) = part.external_id {
                let channel = item.channel().clone();
                if let Some(awaits) = part.awaits {
                    changes.expects.push(Expect {
                        channel: channel.clone(),
                        external_id: external_id.clone(),
                        due: self.now.plus(awaits.within),
                        or_else: awaits.or_else,
                        fallback: awaits.fallback,
                    });
                }
                changes
                    .sent
                    .push((channel, external_id, item.id(), part.part));
            }
        }
        self.performed(item, changes)
    }

    /// It died and leaves a tombstone; the lane goes on.
    pub(crate) fn died(self, item: Item, death: &Death, sending: &Sending) -> Unit {
        let mut changes = Changes::default();
        self.bury(&item, death, sending, &mut changes);
        self.performed(item, changes)
    }

    /// It died and the lane waits for a human.
    pub(crate) fn died_holding(
        self,
        item: Item,
        death: &Death,
        sending: &Sending,
        due: Time,
    ) -> Unit {
        let mut changes = Changes::default();
        self.bury(&item, death, sending, &mut changes);
        let rest = Rest::new("hold", death.detail.clone(), due);
        self.parked(item, &rest, changes)
    }

    /// It cannot go now.
    pub(crate) fn rests(self, item: Item, rest: &Rest, pages: Pages) -> Unit {
        let mut changes = Changes {
            attempts: pages.begun,
            attempts_done: pages.ended,
            ..Changes::default()
        };
        if let Some(channel) = &rest.channel {
            let until = match channel {
                ChannelRest::Until(until) => Some(*until),
                ChannelRest::Paused(_) => None,
            };
            changes
                .channel_errors
                .push((item.channel().clone(), rest.detail.clone(), until));
        }
        self.parked(item, rest, changes)
    }

    /// A human has dropped or replayed it: the lane goes on.
    pub(crate) fn released(self, item: Item) -> Unit {
        self.performed(item, Changes::default())
    }

    /// It does not even say its place in a lane.
    pub(crate) fn lost(self, delivery: Delivery, why: String) -> Unit {
        let dead = DeadLetter {
            id: delivery.message.id,
            direction: Direction::Outbound,
            channel: nowhere().id,
            conversation_id: None,
            lane: None,
            reason: "undecodable".to_owned(),
            detail: why,
            attempts: 0,
            exchange: None,
            envelope: delivery.message.body.clone(),
            at: self.now,
            status: "dead".to_owned(),
        };
        Unit {
            changes: Changes {
                dead: vec![dead],
                ..Changes::default()
            },
            ack: Some(delivery),
            ..Unit::default()
        }
    }

    fn word(self, item: &Item, state: ReceiptState, reason: Option<String>) -> ReceiptWord {
        ReceiptWord {
            channel: item.channel().clone(),
            external_id: None,
            message: Some(item.id()),
            state,
            reason,
            at: self.now,
            attempts: Some(item.attempts),
            overdue: false,
        }
    }

    fn bury(self, item: &Item, death: &Death, sending: &Sending, changes: &mut Changes) {
        let reason = Some(death.detail.clone());
        changes
            .receipts
            .push(self.word(item, death.state.clone(), reason));
        let given_back = sending.given_back();
        changes
            .unspend
            .extend(given_back.map(|step| (item.id(), step)));
        changes.dead.push(DeadLetter {
            id: item.id(),
            direction: Direction::Outbound,
            channel: item.channel().clone(),
            conversation_id: item.envelope.conversation_id,
            lane: Some(item.lane),
            reason: death.reason.to_owned(),
            detail: death.detail.clone(),
            attempts: item.attempts,
            exchange: sending.last().map(journal::redacted),
            envelope: item.raw.clone(),
            at: self.now,
            status: "dead".to_owned(),
        });
    }

    /// Done with: the lane moves on.
    fn performed(self, item: Item, mut changes: Changes) -> Unit {
        changes.lanes_done.push(LaneDone {
            lane: item.lane,
            out_seq: item.seq,
        });
        // What is parked up to this number goes with it.
        let ack = match item.origin {
            Origin::Bus(delivery) => Some(delivery),
            Origin::Store => None,
        };
        Unit {
            changes,
            ack,
            ..Unit::default()
        }
    }

    fn parked(self, item: Item, rest: &Rest, mut changes: Changes) -> Unit {
        changes.park.push(Park {
            id: item.id(),
            lane: item.lane,
            out_seq: item.seq,
            shard: self.shard,
            channel: item.channel().clone(),
            due: rest.due,
            reason: rest.reason,
            detail: Some(rest.detail.clone()),
            attempts: item.attempts,
            envelope: item.raw.clone(),
        });
        let ack = match item.origin {
            Origin::Bus(delivery) => Some(delivery),
            Origin::Store => None,
        };
        Unit {
            changes,
            ack,
            due: Some(rest.due),
            ..Unit::default()
        }
    }
}

/// A commit that has ended: its units with what came of them.
pub(crate) type Recorded = (Vec<Unit>, Result<Committed, CommitError>);

/// Commits units under the shard's fence. Waits as long as the store is away; finds the one that can
/// never be written and replaces it by a dead letter.
pub(crate) async fn commit(worker: &Worker, fence: &Fence, units: Vec<Unit>) -> Recorded {
    match attempt(worker, fence, &units).await {
        Err(CommitError::Refused(why)) if units.len() > 1 => {
            tracing::warn!(%why, n_units = units.len(), "commit refused, looking for the one to blame");
            one_by_one(worker, fence, units).await
        }
        Err(CommitError::Refused(why)) => {
            tracing::error!(%why, "outcome cannot be written");
            let mut units = units;
            for unit in &mut units {
                strip(unit, &why);
            }
            let result = attempt(worker, fence, &units).await;
            (units, result)
        }
        result => (units, result),
    }
}

async fn one_by_one(worker: &Worker, fence: &Fence, units: Vec<Unit>) -> Recorded {
    let mut all = Committed::default();
    let mut recorded = Vec::with_capacity(units.len());
    for unit in units {
        let (mut unit, result) = Box::pin(commit(worker, fence, vec![unit])).await;
        recorded.append(&mut unit);
        match result {
            Ok(committed) => all.last_event = all.last_event.max(committed.last_event),
            Err(error) => return (recorded, Err(error)),
        }
    }
    (recorded, Ok(all))
}

/// Leaves of an outcome that cannot be written only what keeps the lane going and tells a human.
fn strip(unit: &mut Unit, why: &str) {
    // Without its journal page a call must not be made.
    unit.written = None;
    let changes = std::mem::take(&mut unit.changes);
    unit.changes = Changes {
        lanes_done: changes.lanes_done,
        unpark: changes.unpark,
        park: changes.park,
        dead: changes
            .dead
            .into_iter()
            .map(|dead| DeadLetter {
                detail: format!("{}; its outcome could not be written: {why}", dead.detail),
                exchange: None,
                ..dead
            })
            .collect(),
        ..Changes::default()
    };
}

async fn attempt(worker: &Worker, fence: &Fence, units: &[Unit]) -> Result<Committed, CommitError> {
    let mut tries = 0;
    loop {
        let mut changes = Changes {
            fences: vec![fence.clone()],
            ..Changes::default()
        };
        for unit in units {
            append(&mut changes, unit.changes.clone());
        }
        match worker.store.commit(changes).await {
            Err(CommitError::Store(error)) => {
                tries += 1;
                let problem = format!("the store does not take outcomes: {error}");
                tracing::warn!(%error, "store unavailable, outcomes wait");
                worker
                    .options
                    .status
                    .change(|now| now.problem = Some(problem));
                tokio::time::sleep(OWN_HOUSE.delay(tries, fastrand::f64())).await;
            }
            result => {
                if tries > 0 {
                    worker.options.status.change(|now| now.problem = None);
                }
                return result;
            }
        }
    }
}

fn append(all: &mut Changes, one: Changes) {
    all.lanes_done.extend(one.lanes_done);
    all.park.extend(one.park);
    all.unpark.extend(one.unpark);
    all.attempts.extend(one.attempts);
    all.attempts_done.extend(one.attempts_done);
    all.unspend.extend(one.unspend);
    all.sent.extend(one.sent);
    all.receipts.extend(one.receipts);
    all.expects.extend(one.expects);
    all.dead.extend(one.dead);
    all.channel_errors.extend(one.channel_errors);
}
