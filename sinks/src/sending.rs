//! One message on its way through its adapter, without IO: what to call next, what was exchanged so
//! far, and what of it the journal has to keep.
//!
//! The journal's `part` is the step's place among the exchanges, so that after a crash the adapter
//! is given exactly the past it knew.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use patchbay_message::{Envelope, MessageId, ThreadId};
use patchbay_sdk::{Channel, Cx, Effect, Exchange, Request, SendError, Sent, Step, TokenName};
use patchbay_store::{Attempt, AttemptOpen};
use serde_json::Value;

use crate::{OnUnknown, journal};

/// The journal's `part` of a ride on an answer that was held back: no step of sending has it, for
/// their number is bounded by `exchanges_max` below it.
const RIDE: u16 = u16::MAX;

/// A message on its way.
#[derive(Debug, Default)]
pub(crate) struct Sending {
    past: Vec<Exchange>,
    /// Asked for at once, not yet performed.
    todo: VecDeque<Request>,
    /// Exchanges before this one are from an earlier try and stay.
    kept: usize,
    /// The journal has the exchanges before this one.
    journaled: usize,
    /// This step was begun in the journal and has no end there.
    open: Option<usize>,
    token_again: bool,
    /// The last exchange is the one that the adapter's error speaks of.
    failed: bool,
    /// This step was refused for its token and is to be made again.
    refused: Option<usize>,
    given_back: Option<u16>,
    /// It was handed over as an answer that was held back, and nobody knows what became of it.
    rode: bool,
    /// How often the adapter was asked in this try.
    n_asked: usize,
    /// How often it may be asked.
    asked_max: usize,
}

/// What to do next.
#[derive(Debug)]
pub(crate) enum Next {
    /// Perform it, then call [`Sending::exchanged`].
    Call(Request),
    /// Wait, then ask again.
    Wait(Duration),
    /// Get this token, then ask again.
    Need(TokenName),
    /// The provider refused this token: get the next one, then ask again.
    Renew(TokenName),
    /// That was it.
    End(Result<Vec<Sent>, SendError>),
}

/// Whose pages they are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) message: MessageId,
    pub(crate) lane: ThreadId,
    pub(crate) out_seq: u64,
    /// The lane's epoch.
    pub(crate) epoch: i64,
}

/// What a commit writes into the journal.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Pages {
    pub(crate) begun: Vec<AttemptOpen>,
    pub(crate) ended: Vec<(MessageId, u16, Value)>,
}

impl Sending {
    /// Goes on with what the journal has of a message. A step without an end is unknown: bytes may
    /// have left us before the crash.
    pub(crate) fn resume(mut journal: Vec<Attempt>, exchanges_max: u16) -> Self {
        journal.sort_by_key(|attempt| attempt.part);
        let mut sending = Self {
            asked_max: usize::from(exchanges_max),
            ..Self::default()
        };
        sending.rode = journal
            .last()
            .is_some_and(|last| last.part == RIDE && last.exchange.is_none());
        for (step, attempt) in journal.iter().enumerate() {
            if usize::from(attempt.part) != step {
                break;
            }
            match attempt.exchange.as_ref().map(journal::decode) {
                Some(Some(exchange)) => {
                    sending.past.push(exchange);
                    sending.journaled = sending.past.len();
                }
                Some(None) => break,
                None => {
                    let why = "begun before a restart, and no answer is known";
                    sending.past.push(Exchange::Unknown(why.to_owned()));
                    sending.open = Some(step);
                    break;
                }
            }
        }
        sending.kept = sending.journaled;
        sending
    }

    /// Asks the adapter, unless it asked for several calls before.
    pub(crate) fn next(
        &mut self,
        channel: &dyn Channel,
        cx: &Cx<'_>,
        envelope: &Envelope,
        on_unknown: OnUnknown,
    ) -> Next {
        if let Some(request) = self.todo.pop_front() {
            return Next::Call(request);
        }
        self.n_asked += 1;
        if self.n_asked.max(self.past.len()) > self.asked_max {
            return Next::End(Err(SendError::Payload(
                "the adapter asks for too many steps".to_owned(),
            )));
        }
        let asked = catch_unwind(AssertUnwindSafe(|| channel.send(cx, envelope, &self.past)));
        let Ok(step) = asked else {
            return Next::End(Err(SendError::Payload("the adapter panicked".to_owned())));
        };
        match step {
            Ok(Step::Call(request)) => self.call(VecDeque::from([request]), on_unknown),
            Ok(Step::All(requests)) => self.call(requests.into(), on_unknown),
            Ok(Step::Wait(pause)) => Next::Wait(pause),
            Ok(Step::Done(sent)) => Next::End(Ok(sent)),
            Ok(Step::Need(name)) => Next::Need(name),
            Err(SendError::TokenExpired(name)) if !self.token_again => {
                self.token_again = true;
                self.failed = self.has_called();
                self.drop_failed();
                self.refused = Some(self.past.len());
                Next::Renew(name)
            }
            Err(error) => {
                self.failed = self.has_called();
                Next::End(Err(error))
            }
        }
    }

    fn call(&mut self, requests: VecDeque<Request>, on_unknown: OnUnknown) -> Next {
        self.todo = requests;
        let Some(request) = self.todo.pop_front() else {
            return Next::End(Err(SendError::Payload(
                "the adapter asks for no step".to_owned(),
            )));
        };
        // Whatever the adapter thinks: what may have arrived is not delivered again unasked.
        let may_repeat = matches!(self.past.last(), Some(Exchange::Unknown(_)))
            && is_journaled(&request)
            && on_unknown == OnUnknown::Hold;
        if may_repeat {
            self.failed = self.has_called();
            return Next::End(Err(SendError::Unknown));
        }
        Next::Call(request)
    }

    /// The call is not made by whoever asked; the next one to ask gets it.
    pub(crate) fn put_back(&mut self, request: Request) {
        self.todo.push_front(request);
    }

    /// What became of the last call.
    pub(crate) fn exchanged(&mut self, exchange: Exchange) {
        if !matches!(exchange, Exchange::Answered(_)) {
            self.todo.clear();
        }
        self.failed = false;
        self.past.push(exchange);
    }

    /// The last exchange.
    pub(crate) fn last(&self) -> Option<&Exchange> {
        self.past.last()
    }

    /// Something was called in this try.
    pub(crate) fn has_called(&self) -> bool {
        self.past.len() > self.kept
    }

    /// The next call's place among the exchanges: the journal's `part`.
    pub(crate) fn step(&self) -> u16 {
        part(self.past.len())
    }

    /// Nothing is known of it: no call of it was begun, now or before.
    pub(crate) fn is_fresh(&self) -> bool {
        self.past.is_empty()
    }

    /// It was handed over as an answer before a restart, and may have arrived.
    pub(crate) fn may_have_ridden(&self) -> bool {
        self.rode
    }

    /// Begins a ride in the journal: to be committed before the answer is handed over.
    pub(crate) fn begin_ride(place: Place) -> Pages {
        Pages {
            begun: vec![AttemptOpen {
                part: RIDE,
                ..place.open(0)
            }],
            ended: Vec::new(),
        }
    }

    /// Ends a ride of which nothing left us: to be committed before anything else is tried.
    pub(crate) fn ride_failed(place: Place) -> Pages {
        Pages {
            begun: Vec::new(),
            ended: vec![(place.message, RIDE, journal::dropped())],
        }
    }

    /// Nobody knows what became of the ride.
    pub(crate) fn ride_unknown(&mut self, why: &str) {
        self.exchanged(Exchange::Unknown(why.to_owned()));
        self.failed = true;
    }

    /// Begins the next step in the journal, spending the window that this message opened: to be
    /// committed before the call.
    pub(crate) fn begin(&mut self, place: Place, spends: Option<MessageId>) -> Pages {
        let mut pages = self.unwritten(place);
        let step = self.past.len();
        pages.begun.push(AttemptOpen {
            spends,
            ..place.open(step)
        });
        self.open = Some(step);
        pages
    }

    /// The same for a call that the provider knows again by its key: after a crash it is made again.
    pub(crate) fn reserve(&mut self, place: Place, spends: MessageId) -> Pages {
        let mut pages = self.begin(place, Some(spends));
        let step = part(self.past.len());
        pages.ended.push((place.message, step, journal::dropped()));
        pages
    }

    /// What is known to have failed gives back what it spent. A part that was delivered stays
    /// counted, whatever became of those after it.
    pub(crate) fn give_back(&mut self) {
        let next = self.past.len();
        let step = if self.failed {
            next.checked_sub(1)
        } else {
            self.refused.filter(|step| *step == next)
        };
        self.given_back = step.map(part);
    }

    /// The step that spends nothing after all.
    pub(crate) fn given_back(&self) -> Option<u16> {
        self.given_back
    }

    /// The try failed and there will be another: the failed step, if it was a step that failed, is
    /// made again, the others are kept.
    pub(crate) fn fail(&mut self, place: Place) -> Pages {
        let last = self.past.len().checked_sub(1);
        let is_unknown = matches!(self.past.last(), Some(Exchange::Unknown(_)));
        if !self.failed && is_unknown && self.open == last {
            // The adapter has not judged it yet: it stays open, as the crash left it.
            self.past.pop();
            return self.unwritten(place);
        }
        self.drop_failed();
        let mut pages = self.unwritten(place);
        pages.ended.extend(self.put_off(place).ended);
        pages
    }

    /// Nothing of this try is left to keep, but a step refused for its token may stand open in the
    /// journal, where a restart would take it for one whose answer is not known.
    pub(crate) fn put_off(&mut self, place: Place) -> Pages {
        let mut pages = Pages::default();
        if let Some(step) = self.open
            && step >= self.past.len()
        {
            self.open = None;
            pages
                .ended
                .push((place.message, part(step), journal::dropped()));
        }
        pages
    }

    /// Takes back the exchange that failed: the last one of this try, or the one that a crash left
    /// open.
    fn drop_failed(&mut self) {
        if std::mem::take(&mut self.failed) {
            self.past.pop();
        }
    }

    /// Finished steps the journal does not have yet.
    fn unwritten(&mut self, place: Place) -> Pages {
        let mut pages = Pages::default();
        for (step, exchange) in self.past.iter().enumerate().skip(self.journaled) {
            if self.open != Some(step) {
                pages.begun.push(place.open(step));
            }
            pages
                .ended
                .push((place.message, part(step), journal::encode(exchange)));
        }
        self.journaled = self.past.len();
        pages
    }
}

/// Whether a call reaches the contact, and so counts against a reply window.
pub(crate) fn is_delivery(request: &Request) -> bool {
    match request {
        Request::Http(out) => matches!(out.effect, Effect::Deliver { .. }),
        Request::Mqtt(out) => matches!(out.effect, Effect::Deliver { .. }),
        Request::Live(_) => false,
    }
}

/// Whether a call has to be in the journal before it is made: it reaches the contact and the
/// provider would not notice a repeat.
pub(crate) fn is_journaled(request: &Request) -> bool {
    match request {
        Request::Http(out) => matches!(out.effect, Effect::Deliver { key: None, .. }),
        Request::Mqtt(out) => matches!(out.effect, Effect::Deliver { key: None, .. }),
        Request::Live(_) => false,
    }
}

impl Place {
    fn open(self, step: usize) -> AttemptOpen {
        AttemptOpen {
            message: self.message,
            lane: self.lane,
            out_seq: self.out_seq,
            part: part(step),
            epoch: self.epoch,
            spends: None,
        }
    }
}

fn part(step: usize) -> u16 {
    u16::try_from(step).expect("steps are bounded by `exchanges_max`, a u16")
}

#[cfg(test)]
mod tests;
