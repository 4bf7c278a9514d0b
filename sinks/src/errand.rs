//! What an adapter is asked step by step beside sending: to fetch a token, or a file that came in.
//! Nothing of it is journaled: it reaches no contact and may be made again.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use patchbay_sdk::{Cx, Exchange, Request, SendError, Step, TokenName};

use crate::{OpenChannel, http::Http, tokens::Lent, worker::Worker};

/// The longest an adapter may ask to wait between two steps.
const STEP_WAIT_MAX: Duration = Duration::from_secs(10);
/// Times an adapter is asked for the next step without getting further.
const ASKED_MAX: usize = 16;

/// What the adapter is asked, given its surroundings and the exchanges so far.
pub(crate) type Ask<'a, T> =
    &'a (dyn Fn(&Cx<'_>, &[Exchange]) -> Result<Step<T>, SendError> + Sync);

/// How far an errand got.
#[derive(Debug)]
pub(crate) enum Came<T> {
    /// To its end.
    Done(T),
    /// It needs this token to go on.
    Need(TokenName),
}

/// An errand on its way.
pub(crate) struct Errand<'a> {
    pub(crate) worker: &'a Worker,
    pub(crate) channel: &'a OpenChannel,
    pub(crate) http: &'a Http,
    pub(crate) past: Vec<Exchange>,
    pub(crate) lent: Lent,
}

impl<'a> Errand<'a> {
    pub(crate) fn new(worker: &'a Worker, channel: &'a OpenChannel, http: &'a Http) -> Self {
        Self {
            worker,
            channel,
            http,
            past: Vec::new(),
            lent: Lent::default(),
        }
    }

    /// Asks until it is done, needs a token, or fails.
    pub(crate) async fn go<T>(&mut self, ask: Ask<'_, T>) -> Result<Came<T>, SendError> {
        for _ in 0..ASKED_MAX {
            let requests = match self.ask(ask)? {
                Step::Done(done) => return Ok(Came::Done(done)),
                Step::Need(name) if self.lent.has(name) => {
                    return Err(wrong("the adapter asks for a token it has"));
                }
                Step::Need(name) => return Ok(Came::Need(name)),
                Step::Wait(pause) => {
                    tokio::time::sleep(pause.min(STEP_WAIT_MAX)).await;
                    continue;
                }
                Step::Call(request) => vec![request],
                Step::All(requests) => requests,
            };
            for request in requests {
                let Request::Http(out) = request else {
                    return Err(wrong("nothing but HTTP fetches anything"));
                };
                let exchange = self.http.perform(out).await;
                let is_answered = matches!(exchange, Exchange::Answered(_));
                self.past.push(exchange);
                if !is_answered {
                    break;
                }
            }
        }
        Err(wrong("the adapter asks for too many steps"))
    }

    fn ask<T>(&self, ask: Ask<'_, T>) -> Result<Step<T>, SendError> {
        let token = |name: TokenName| self.lent.value(name);
        let cx = self.worker.cx(self.channel, &token);
        let asked = catch_unwind(AssertUnwindSafe(|| ask(&cx, &self.past)));
        asked.unwrap_or_else(|_| Err(wrong("the adapter panicked")))
    }
}

pub(crate) fn wrong(sentence: &str) -> SendError {
    SendError::Payload(sentence.to_owned())
}
