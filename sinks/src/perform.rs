//! Sends one message: asks its adapter step by step and performs the steps.
//!
//! Live pushes need no waiting and are made on the spot ([`perform_live`]); everything else runs as
//! a task of its own ([`Job::run`]) and passes the channel's gate first.

use std::{sync::Arc, time::Duration};

use patchbay_message::InstanceId;
use patchbay_sdk::{Link, Request, SendError, Sent, TokenName};
use patchbay_store::WindowNow;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    OpenChannel,
    gate::{Pass, Standing},
    item::Item,
    link, meter,
    sending::{Next, Pages, Sending, is_delivery, is_journaled},
    tokens::{Lent, NoToken, Present},
    verdict::{PAUSED_RECHECK, Rest},
    window,
    worker::Worker,
};

/// The longest an adapter may ask to wait between two steps.
const STEP_WAIT_MAX: Duration = Duration::from_secs(30);
/// How long a message waits in memory for the channel's rate before it is parked.
const RATE_WAIT_MAX: Duration = Duration::from_secs(1);
/// Before the store is asked again after it failed: for the right to send, for reply windows.
const STORE_PAUSE: Duration = Duration::from_millis(200);

/// How one try ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// Its parts were handed over.
    Sent(Vec<Sent>),
    /// The adapter's word on what went wrong.
    Failed(SendError),
    /// Nothing was called, or what was called was refused for its token: not now.
    NotNow(Rest),
    /// Nothing was called, or its journal could not be written: the worker stops or has lost the
    /// shard. The message stays where it came from.
    GivenBack,
}

/// A try that has ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) item: Item,
    pub(crate) channel: Arc<OpenChannel>,
    pub(crate) sending: Sending,
    pub(crate) ending: Ending,
}

/// Whether pushes of this channel go by live connections alone, without a limit to wait for.
pub(crate) fn is_live(channel: &OpenChannel) -> bool {
    channel.limits.send_per_second.is_none() && channel.channel.links().iter().any(Link::is_live)
}

/// Sends by live pushes, on the spot. `None` if the adapter asks for anything else.
pub(crate) fn perform_live(
    worker: &Worker,
    channel: &OpenChannel,
    item: &Item,
    sending: &mut Sending,
    gateways: &[InstanceId],
) -> Option<Ending> {
    let cx = worker.cx(channel, &|_| None);
    loop {
        let next = sending.next(
            &*channel.channel,
            &cx,
            &item.envelope,
            channel.retry.on_unknown,
        );
        match next {
            Next::Call(Request::Live(out)) => {
                let bus = &*worker.bus;
                sending.exchanged(link::push(bus, item.lane, &channel.id, gateways, out));
            }
            Next::Call(request @ (Request::Http(_) | Request::Mqtt(_))) => {
                sending.put_back(request);
                return None;
            }
            Next::Wait(pause) if pause.is_zero() => {}
            Next::Wait(_) | Next::Need(_) | Next::Renew(_) => return None,
            Next::End(Ok(sent)) => return Some(Ending::Sent(sent)),
            Next::End(Err(error)) => return Some(Ending::Failed(error)),
        }
    }
}

/// Asks the shard to commit journal pages before a call.
#[derive(Debug)]
pub(crate) struct JournalAsk {
    pub(crate) pages: Pages,
    /// Answered after the commit; dropped if there will be none.
    pub(crate) written: oneshot::Sender<()>,
}

/// A contact's reply windows; none where the kind, or the message, needs none.
type Windows = Option<Vec<WindowNow>>;

/// One message to be sent by a task of its own.
pub(crate) struct Job {
    pub(crate) worker: Arc<Worker>,
    pub(crate) item: Item,
    pub(crate) channel: Arc<OpenChannel>,
    pub(crate) sending: Sending,
    pub(crate) pass: Pass,
    pub(crate) gateways: Vec<InstanceId>,
    pub(crate) journal: mpsc::Sender<JournalAsk>,
    /// The lane's epoch.
    pub(crate) epoch: i64,
    /// No new message is begun after this.
    pub(crate) stop: CancellationToken,
}

impl Job {
    pub(crate) async fn run(mut self) -> Outcome {
        let ending = self.ending().await;
        Outcome {
            item: self.item,
            channel: self.channel,
            sending: self.sending,
            ending,
        }
    }

    async fn ending(&mut self) -> Ending {
        let stop = self.stop.clone();
        let turn = tokio::select! {
            biased;
            () = stop.cancelled() => return Ending::GivenBack,
            turn = self.pass.turn() => turn,
        };
        if let Err(ending) = self.admitted().await {
            return ending;
        }
        if let Some(ending) = self.ride().await {
            return ending;
        }
        let windows = match self.windows().await {
            Ok(windows) => windows,
            Err(ending) => return ending,
        };
        let _in_flight = meter::InFlight::begin(&self.channel.id);
        let begun = Instant::now();
        let ending = self.steps(windows).await;
        let took = begun.elapsed();
        self.pass.gate.took(took);
        meter::took(&self.channel.id, took);
        drop(turn);
        ending
    }

    /// Passes the gate: not paused, not resting, within the channel's rate.
    async fn admitted(&self) -> Result<(), Ending> {
        let give_up = Instant::now() + RATE_WAIT_MAX;
        loop {
            if self.stop.is_cancelled() {
                return Err(Ending::GivenBack);
            }
            let now = self.worker.now();
            if let Some(rest) = closed(self.pass.gate.standing(now), now) {
                return Err(Ending::NotNow(rest));
            }
            let Some(rate) = self.channel.limits.send_per_second else {
                return Ok(());
            };
            let gate = &self.pass.gate;
            let wait = match gate.token(&*self.worker.store, rate).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(wait)) => wait,
                Err(_) => STORE_PAUSE,
            };
            if Instant::now() + wait > give_up {
                let due = gate.slot(&self.channel, now.plus(wait));
                let why = "the channel's rate is used up";
                return Err(Ending::NotNow(Rest::new("throttled", why, due)));
            }
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// The contact's reply windows, where the kind has any. A message that finds no place for its
    /// first call is not even begun; one of several parts may still meet the end of the quota midway.
    async fn windows(&self) -> Result<Windows, Ending> {
        if !window::needs(self.channel.kind, &self.item.envelope) {
            return Ok(None);
        }
        let now = self.worker.now();
        let windows = match self.worker.store.windows(self.item.lane).await {
            Ok(windows) => windows,
            Err(error) => {
                tracing::warn!(%error, "store unavailable, reply windows not known");
                let why = "its reply window cannot be looked up";
                return Err(Ending::NotNow(Rest::new(
                    "retry",
                    why,
                    now.plus(STORE_PAUSE),
                )));
            }
        };
        if self.sending.is_fresh() {
            window::choose(&windows, now, self.item.id(), 0).map_err(Ending::Failed)?;
        }
        Ok(Some(windows))
    }

    async fn steps(&mut self, mut windows: Windows) -> Ending {
        let mut lent = Lent::default();
        loop {
            let next = {
                let token = |name: TokenName| lent.value(name);
                let cx = self.worker.cx(&self.channel, &token);
                self.sending.next(
                    &*self.channel.channel,
                    &cx,
                    &self.item.envelope,
                    self.channel.retry.on_unknown,
                )
            };
            match next {
                Next::Call(request) => {
                    if let Err(ending) = self.call(request, &mut windows).await {
                        return ending;
                    }
                }
                Next::Wait(pause) => tokio::time::sleep(pause.min(STEP_WAIT_MAX)).await,
                Next::Need(name) if lent.has(name) => {
                    let sentence = "the adapter asks for a token it has";
                    return Ending::Failed(SendError::Payload(sentence.to_owned()));
                }
                Next::Need(name) | Next::Renew(name) => match self.token(name, &lent).await {
                    Ok(present) => lent.put(name, present),
                    Err(no_token) => return self.without(no_token),
                },
                Next::End(Ok(sent)) => return Ending::Sent(sent),
                Next::End(Err(error)) => return Ending::Failed(error),
            }
        }
    }

    /// The present token; the next one if it was lent one already.
    async fn token(&self, name: TokenName, lent: &Lent) -> Result<Present, NoToken> {
        let refused = lent.generation(name);
        let errands = &self.worker.errands;
        errands.token(&self.channel, name, refused).await
    }

    /// There is no token. What was called before in this try is kept by counting it as one.
    fn without(&self, no_token: NoToken) -> Ending {
        match no_token {
            NoToken::Failed(error) => Ending::Failed(error),
            NoToken::NotNow { retry_in, .. } if self.sending.has_called() => {
                Ending::Failed(SendError::Retry(Some(retry_in)))
            }
            NoToken::NotNow { why, retry_in } => {
                let due = self.worker.now().plus(retry_in);
                Ending::NotNow(Rest::new("retry", why, due))
            }
        }
    }

    async fn call(&mut self, request: Request, windows: &mut Windows) -> Result<(), Ending> {
        let files = &self.worker.options.files;
        let request = files.filled(request).await.map_err(Ending::Failed)?;
        let place = self.item.place(self.epoch);
        let mut spends = None;
        if is_delivery(&request)
            && let Some(windows) = windows
        {
            let (now, step) = (self.worker.now(), self.sending.step());
            spends = window::choose(windows, now, place.message, step).map_err(Ending::Failed)?;
            let spent = windows
                .iter_mut()
                .find(|one| Some(one.window.message) == spends);
            if let Some(window) = spent
                && !window.spent.contains(&(place.message, step))
            {
                window.spent.push((place.message, step));
            }
        }
        if is_journaled(&request) {
            let pages = self.sending.begin(place, spends);
            self.write(pages).await?;
        } else if let Some(spends) = spends {
            let pages = self.sending.reserve(place, spends);
            self.write(pages).await?;
        }
        let exchange = match request {
            Request::Http(out) => self.worker.http.perform(out).await,
            Request::Mqtt(out) => self.worker.mqtt.perform(&self.channel, out).await,
            Request::Live(out) => {
                let bus = &*self.worker.bus;
                link::push(bus, self.item.lane, &self.channel.id, &self.gateways, out)
            }
        };
        self.sending.exchanged(exchange);
        Ok(())
    }

    /// Waits until the pages are committed under the lane's epoch.
    pub(crate) async fn write(&self, pages: Pages) -> Result<(), Ending> {
        let (written, waiting) = oneshot::channel();
        let ask = JournalAsk { pages, written };
        if self.journal.send(ask).await.is_err() {
            return Err(Ending::GivenBack);
        }
        waiting.await.map_err(|_| Ending::GivenBack)
    }
}

/// What a gate that is closed means for a message.
pub(crate) fn closed(standing: Standing, now: patchbay_message::Time) -> Option<Rest> {
    match standing {
        Standing::Open => None,
        Standing::Paused(why) => {
            let detail = format!("the channel is paused: {why}");
            Some(Rest::new("paused", detail, now.plus(PAUSED_RECHECK)))
        }
        Standing::Rests(until) => {
            let spread = Duration::from_millis(fastrand::u64(0..=SPREAD_MS));
            let detail = "the channel rests";
            Some(Rest::new("throttled", detail, until.plus(spread)))
        }
    }
}

/// Those that wait for a resting channel come back within this time after it.
const SPREAD_MS: u64 = 500;
