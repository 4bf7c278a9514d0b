//! A message that rides on an answer which a gateway holds back: claimed, written by the adapter,
//! journaled, handed over. Where that is not possible, it is sent as any other.

use patchbay_message::ReceiptState;
use patchbay_sdk::{Cx, Exchange, RideAnswer, SendError, Sent};
use tokio::time::timeout_at;

use crate::{
    OnUnknown,
    ask::{Claimed, Handed, claim},
    meter,
    perform::{Ending, Job},
    sending::Sending,
};

impl Job {
    /// How the message ended on an answer; `None` if it is to be sent.
    pub(crate) async fn ride(&mut self) -> Option<Ending> {
        if self.sending.may_have_ridden() {
            // The answer is long over. Whether it arrived, nobody will ever say.
            let is_held = self.channel.retry.on_unknown == OnUnknown::Hold;
            return is_held.then(|| {
                self.sending
                    .ride_unknown("handed over before a restart, and no word of it");
                Ending::Failed(SendError::Unknown)
            });
        }
        if self.gateways.is_empty() || !self.channel.channel.rides() || !self.sending.is_fresh() {
            return None;
        }
        let (worker, message) = (self.worker.clone(), self.item.id());
        let claimed = claim(&worker, self.item.lane, message, &self.gateways).await;
        let Some(claimed) = claimed else {
            meter::ride(&self.channel.id, "not_held");
            return None;
        };
        let Some(answer) = self.written(&claimed).await else {
            meter::ride(&self.channel.id, "unfit");
            claimed.release(&worker);
            return None;
        };
        let place = self.item.place(self.epoch);
        if let Err(ending) = self.write(Sending::begin_ride(place)).await {
            claimed.release(&worker);
            return Some(ending);
        }
        crash_before_hand();
        let handed = claimed.hand(&worker, answer).await;
        meter::ride(&self.channel.id, handed.word());
        match handed {
            Handed::Written => Some(Ending::Sent(vec![Sent {
                part: 0,
                external_id: None,
                state: ReceiptState::Sent,
                awaits: None,
            }])),
            Handed::NotWritten => self.write(Sending::ride_failed(place)).await.err(),
            Handed::Unknown => {
                self.sending
                    .ride_unknown("handed over as an answer, and no word of it");
                Some(Ending::Failed(SendError::Unknown))
            }
        }
    }

    /// The answer, as the adapter writes it while the claim holds; `None` if the message cannot be said
    /// in this way. Whatever else is wrong with it will be found when it is sent.
    async fn written(&self, claimed: &Claimed) -> Option<RideAnswer> {
        let (channel, envelope) = (&self.channel, &self.item.envelope);
        let ask = |cx: &Cx<'_>, past: &[Exchange]| {
            let slot = &claimed.slot;
            channel.channel.ride(cx, slot, envelope, past)
        };
        let writing = self.worker.errands.run(channel, &self.worker.http, &ask);
        let reply = timeout_at(claimed.until, writing).await.ok()?.ok()?;
        RideAnswer::of(reply)
    }
}

impl Handed {
    fn word(&self) -> &'static str {
        match self {
            Self::Written => "sent",
            Self::NotWritten => "not_sent",
            Self::Unknown => "unknown",
        }
    }
}

/// Crash tests stop the process here: journaled, not handed over.
fn crash_before_hand() {
    fail::fail_point!("sinks::ride_hand", |_| std::process::abort());
}
