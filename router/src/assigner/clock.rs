//! What time alone brings about: flapping tickets settle, answers are overdue. Looked at as often as
//! the queue is looked at without a nudge.

use std::time::Instant;

use patchbay_message::Time;
use patchbay_store::{Changes, Expect, ReceiptWord, Want, limits};

use super::{Assigner, Move, Stopped};
use crate::assign;

/// Why a message has no answer, for people.
const OVERDUE: &str = "no answer in time";

impl Assigner {
    /// Answers whether there is more of it than one look takes.
    pub(super) async fn keep_time(&mut self, now: Time) -> Result<bool, Stopped> {
        let every = self.shared.options.rescan_every;
        if self.timed_at.is_some_and(|at| at.elapsed() < every) {
            return Ok(false);
        }
        let want = Want {
            settled_until: Some(now),
            overdue_until: Some(now),
            ..Want::default()
        };
        let facts = self.shared.journal.facts(&want).await?;
        let more = facts.settled.len() >= limits::SETTLED_MAX as usize
            || facts.overdue.len() >= limits::OVERDUE_MAX as usize;
        self.timed_at = (!more).then(Instant::now);
        let settled = facts.settled.into_iter();
        let steps = settled.filter_map(|row| assign::settle(row, now)).collect();
        self.carry_out(Move::all(Vec::new(), steps)).await?;
        self.overdue(facts.overdue, now).await?;
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
}
