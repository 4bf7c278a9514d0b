//! What stands between a message and its channel: pause, rest, rate, and how many are on their way.
//!
//! One gate per channel for the whole process. Nobody waits at a gate for long: past its bounds it
//! answers when to come back, and the message is parked until then.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use patchbay_message::{ChannelId, Time};
use patchbay_store::{ChannelState, Lanes, StoreError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::OpenChannel;

/// Messages that may wait in memory for their turn on a channel, as a share of those on their way:
/// enough that a channel is never idle while there is work for it.
const WAITING_SHARE: f64 = 0.5;
/// How far into the future a place in a channel's queue is given.
const SLOT_MAX: Duration = Duration::from_secs(15);
/// Places are at least this far apart.
const SPACING_MIN: Duration = Duration::from_millis(1);
/// Tokens are taken from the shared bucket for this much time at once.
const CHUNK_TIME: Duration = Duration::from_millis(100);
/// Tokens taken at once, at most.
const CHUNK_MAX: u32 = 64;
/// Tokens taken and not used are forgotten after this.
const RESERVE_KEPT: Duration = Duration::from_secs(1);

/// How a channel stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Messages may go.
    Open,
    /// A human, or an account problem, has paused it: why.
    Paused(String),
    /// It rests until then.
    Rests(Time),
}

/// The gate of one channel.
#[derive(Debug)]
pub(crate) struct Gate {
    channel: ChannelId,
    /// On their way at once.
    bound: u32,
    permits: Arc<Semaphore>,
    /// On their way or waiting in memory for it.
    places: Arc<Semaphore>,
    state: Mutex<State>,
    /// One look into the shared bucket at a time.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State {
    paused: Option<String>,
    rests_until: Option<Time>,
    /// Tokens of the shared bucket taken and not yet used, and until when they count.
    reserve: u32,
    reserve_until: Option<Instant>,
    /// The bucket is known to be empty until then.
    empty_until: Option<Instant>,
    /// The next free place in the queue of those that were sent away.
    slot: Time,
    /// How long one message takes, smoothed.
    took: Duration,
}

/// The right to be on the way to a channel. Dropping it lets another one in.
#[derive(Debug)]
pub(crate) struct Pass {
    pub(crate) gate: Arc<Gate>,
    _place: OwnedSemaphorePermit,
    _total: OwnedSemaphorePermit,
}

impl Gate {
    fn new(channel: ChannelId, bound: u32) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a positive count of at most 1.5 times a u32 that fits"
        )]
        let waiting = (f64::from(bound) * WAITING_SHARE).ceil() as u32;
        let places = bound.saturating_add(waiting);
        Self {
            channel,
            bound,
            permits: Arc::new(Semaphore::new(bound as usize)),
            places: Arc::new(Semaphore::new(places as usize)),
            state: Mutex::new(State {
                paused: None,
                rests_until: None,
                reserve: 0,
                reserve_until: None,
                empty_until: None,
                slot: Time::from_ms(0),
                took: Duration::from_millis(50),
            }),
            asking: tokio::sync::Mutex::new(()),
        }
    }

    pub(crate) fn standing(&self, now: Time) -> Standing {
        let state = self.state.lock();
        match (&state.paused, state.rests_until) {
            (Some(why), _) => Standing::Paused(why.clone()),
            (None, Some(until)) if until > now => Standing::Rests(until),
            _ => Standing::Open,
        }
    }

    /// Nothing is tried on the channel until then.
    pub(crate) fn rest(&self, until: Time) {
        let mut state = self.state.lock();
        state.rests_until = state.rests_until.max(Some(until));
    }

    /// Nothing is tried on the channel until a human has resumed it.
    pub(crate) fn pause(&self, why: &str) {
        self.state.lock().paused = Some(why.to_owned());
    }

    /// Lets one more be on its way, or says when there will be room.
    pub(crate) fn enter(
        self: &Arc<Self>,
        total: &Arc<Semaphore>,
        channel: &OpenChannel,
        now: Time,
    ) -> Result<Pass, Time> {
        let place = self.places.clone().try_acquire_owned();
        let total = total.clone().try_acquire_owned();
        match (place, total) {
            (Ok(place), Ok(total)) => Ok(Pass {
                gate: self.clone(),
                _place: place,
                _total: total,
            }),
            _ => Err(self.slot(channel, now)),
        }
    }

    /// The next place in the queue of those that come back later.
    pub(crate) fn slot(&self, channel: &OpenChannel, now: Time) -> Time {
        let mut state = self.state.lock();
        let by_time = state.took / self.bound.max(1);
        let by_rate = channel
            .limits
            .send_per_second
            .map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate));
        let spacing = by_time.max(by_rate).max(SPACING_MIN);
        let slot = state.slot.max(now).plus(spacing).min(now.plus(SLOT_MAX));
        state.slot = slot;
        slot
    }

    /// One message took this long.
    pub(crate) fn took(&self, time: Duration) {
        let mut state = self.state.lock();
        state.took = (state.took * 7 + time) / 8;
    }

    /// Takes one token of the channel's rate; answers how long to wait if there is none.
    pub(crate) async fn token(
        &self,
        lanes: &(impl Lanes + ?Sized),
        rate: f64,
    ) -> Result<Result<(), Duration>, StoreError> {
        if let Some(answer) = self.token_at_hand() {
            return Ok(answer);
        }
        let _asking = self.asking.lock().await;
        if let Some(answer) = self.token_at_hand() {
            return Ok(answer);
        }
        let chunk = chunk(rate);
        let (granted, wait) = lanes.take(&self.channel, rate, burst(rate), chunk).await?;
        let mut state = self.state.lock();
        let now = Instant::now();
        if granted == 0 {
            state.empty_until = Some(now + wait);
            return Ok(Err(wait));
        }
        state.reserve = granted - 1;
        state.reserve_until = Some(now + RESERVE_KEPT);
        Ok(Ok(()))
    }

    fn token_at_hand(&self) -> Option<Result<(), Duration>> {
        let mut state = self.state.lock();
        let now = Instant::now();
        if state.reserve > 0 && state.reserve_until.is_some_and(|until| until > now) {
            state.reserve -= 1;
            return Some(Ok(()));
        }
        let empty_for = state.empty_until?.saturating_duration_since(now);
        (!empty_for.is_zero()).then_some(Err(empty_for))
    }
}

impl Pass {
    /// Waits for one's turn among those in memory.
    pub(crate) async fn turn(&self) -> OwnedSemaphorePermit {
        let permits = self.gate.permits.clone();
        permits
            .acquire_owned()
            .await
            .expect("the semaphore of a gate is never closed")
    }
}

/// Tokens asked for at once: a tenth of a second's worth.
fn chunk(rate: f64) -> u32 {
    whole(rate * CHUNK_TIME.as_secs_f64()).clamp(1, CHUNK_MAX)
}

/// What may go at once after a quiet time: a second's worth.
fn burst(rate: f64) -> u32 {
    whole(rate.ceil()).max(1)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, which is what is wanted"
)]
fn whole(number: f64) -> u32 {
    number as u32
}

/// Every channel's gate.
#[derive(Debug, Default)]
pub(crate) struct Gates {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    gates: HashMap<ChannelId, Arc<Gate>>,
    states: HashMap<ChannelId, ChannelState>,
}

impl Gates {
    /// The gate of a channel; made anew when its bound has changed.
    pub(crate) fn of(&self, channel: &OpenChannel) -> Arc<Gate> {
        let bound = channel.limits.in_flight_max.max(1);
        let mut known = self.known.lock();
        if let Some(gate) = known.gates.get(&channel.id)
            && gate.bound == bound
        {
            return gate.clone();
        }
        let gate = Arc::new(Gate::new(channel.id.clone(), bound));
        if let Some(state) = known.states.get(&channel.id) {
            gate.learn(state);
        }
        known.gates.insert(channel.id.clone(), gate.clone());
        gate
    }

    /// What the store says of every channel. Answers whether one that was paused is so no more.
    pub(crate) fn learn(&self, states: Vec<ChannelState>) -> bool {
        let mut known = self.known.lock();
        known.states = states
            .into_iter()
            .map(|state| (state.channel.clone(), state))
            .collect();
        let mut resumed = false;
        for (id, gate) in &known.gates {
            match known.states.get(id) {
                Some(state) => resumed |= gate.learn(state),
                None => resumed |= gate.state.lock().paused.take().is_some(),
            }
        }
        resumed
    }
}

impl Gate {
    fn learn(&self, found: &ChannelState) -> bool {
        let mut state = self.state.lock();
        let resumed = state.paused.is_some() && found.paused.is_none();
        state.paused.clone_from(&found.paused);
        state.rests_until = state.rests_until.max(found.until);
        resumed
    }
}
