//! What an adapter is asked step by step beside sending: to fetch a token, or a file that came in.
//! Nothing of it is journaled: it reaches no contact and may be made again.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use patchbay_message::{Clock, InstanceId};
use patchbay_sdk::{Cx, Exchange, PullAt, Pulled, Request, Secret, SendError, Step, TokenName};
use patchbay_store::Store;

use crate::{
    Files, HttpOptions, HttpSetupError, OpenChannel, TokenOptions,
    http::Http,
    sending::is_delivery,
    tokens::{Lent, NoToken, Present, Tokens},
    worker::SystemRandom,
};

/// The longest an adapter may ask to wait between two steps.
const STEP_WAIT_MAX: Duration = Duration::from_secs(10);
/// Times an adapter is asked for the next step without getting further.
const ASKED_MAX: usize = 16;

/// What it takes to run errands: tokens are shared with every other process by the store.
pub struct Errands {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) instance: InstanceId,
    pub(crate) public_url: String,
    pub(crate) http: Http,
    pub(crate) tokens: Tokens,
    /// Where files that are uploaded on the way are.
    pub(crate) files: Files,
}

impl Errands {
    /// Ready to run.
    ///
    /// # Errors
    /// [`HttpSetupError`].
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        instance: InstanceId,
        public_url: String,
        http: HttpOptions,
        tokens: TokenOptions,
    ) -> Result<Self, HttpSetupError> {
        Ok(Self {
            store,
            clock,
            instance,
            public_url,
            http: Http::new(http)?,
            tokens: Tokens::new(tokens),
            files: Files::default(),
        })
    }

    /// With the place where files of ours are.
    pub(crate) fn with_files(self, files: Files) -> Self {
        Self { files, ..self }
    }

    /// Pulls one page.
    ///
    /// # Errors
    /// [`SendError`]: what is to be done about it.
    pub async fn pull(&self, channel: &OpenChannel, at: &PullAt<'_>) -> Result<Pulled, SendError> {
        let ask = |cx: &Cx<'_>, past: &[Exchange]| channel.channel.pull(cx, at, past);
        match self.run(channel, &self.http, &ask).await {
            Ok(pulled) => Ok(pulled),
            Err(NoToken::NotNow { retry_in, .. }) => Err(SendError::Retry(Some(retry_in))),
            Err(NoToken::Failed(error)) => Err(error),
        }
    }

    /// Asks the adapter to the end, with the tokens it needs; one that is refused is renewed once.
    pub(crate) async fn run<T>(
        &self,
        channel: &OpenChannel,
        http: &Http,
        ask: Ask<'_, T>,
    ) -> Result<T, NoToken> {
        let mut errand = Errand::new(self, channel, http);
        let mut has_renewed = false;
        loop {
            let (name, refused) = match errand.go(ask).await {
                Ok(Came::Done(done)) => return Ok(done),
                Ok(Came::Need(name)) => (name, None),
                Err(SendError::TokenExpired(name)) if !has_renewed => {
                    has_renewed = true;
                    errand.past.pop();
                    (name, errand.lent.generation(name))
                }
                Err(error) => return Err(error.into()),
            };
            let present = self.token(channel, name, refused).await?;
            errand.lent.put(name, present);
        }
    }

    /// The present token; the next one if one was refused.
    pub(crate) async fn token(
        &self,
        channel: &OpenChannel,
        name: TokenName,
        refused: Option<u64>,
    ) -> Result<Present, NoToken> {
        self.tokens.get(self, channel, name, refused).await
    }

    /// What an adapter may know of its surroundings, and the tokens it is lent.
    pub(crate) fn cx<'a>(
        &'a self,
        channel: &'a OpenChannel,
        token: &'a dyn Fn(TokenName) -> Option<Secret>,
    ) -> Cx<'a> {
        Cx {
            now: self.clock.now(),
            random: &SystemRandom,
            public_url: &self.public_url,
            channel: channel.id.as_str(),
            peer: None,
            token,
        }
    }
}

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
    pub(crate) errands: &'a Errands,
    pub(crate) channel: &'a OpenChannel,
    pub(crate) http: &'a Http,
    pub(crate) past: Vec<Exchange>,
    pub(crate) lent: Lent,
}

impl<'a> Errand<'a> {
    pub(crate) fn new(errands: &'a Errands, channel: &'a OpenChannel, http: &'a Http) -> Self {
        Self {
            errands,
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
                if is_delivery(&request) {
                    return Err(wrong("nothing of an errand reaches a contact"));
                }
                let Request::Http(out) = self.errands.files.filled(request).await? else {
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
        let cx = self.errands.cx(self.channel, &token);
        let asked = catch_unwind(AssertUnwindSafe(|| ask(&cx, &self.past)));
        asked.unwrap_or_else(|_| Err(wrong("the adapter panicked")))
    }
}

pub(crate) fn wrong(sentence: &str) -> SendError {
    SendError::Payload(sentence.to_owned())
}
