//! Duties that one process at a time performs, by leases: takes its share of them, renews what it has,
//! hands over what others lack, and ends at once what it has lost.
//!
//! For duties whose commits carry the fence that is tidiness, not safety: whatever a task still tries to
//! commit is refused. For duties without one (a session at a broker, say) the end of the task is all
//! there is; [`Unrenewed`] says which they are.

use std::{collections::HashMap, sync::Arc, time::Duration};

use patchbay_message::InstanceId;
use tokio::{
    sync::watch,
    task::{AbortHandle, Id, JoinError, JoinSet},
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{Fence, Leases, StoreError};

/// A lease is renewed this many times before it would expire.
const RENEWALS: u32 = 5;
/// How long it may take to give a lease up, or to tell the others that we leave.
const GOODBYE_MAX: Duration = Duration::from_secs(2);

/// Who has which duties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Every process as many as the others, handed over as processes come and go.
    Even,
    /// Whoever finds one free keeps it.
    AnyFree,
}

/// What becomes of a duty whose lease could not be renewed within its life, as far as we know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unrenewed {
    /// It counts as lost, whether or not anybody else has taken it.
    Ends,
    /// It goes on until somebody else has taken it: every one of its commits carries the fence.
    GoesOn,
}

/// Which duties, and whose.
#[derive(Debug, Clone)]
pub struct Keeping {
    /// The role under which the processes that share the duties count each other.
    pub role: &'static str,
    /// The leases' names.
    pub names: Vec<String>,
    /// How long a lease is kept without a renewal.
    pub ttl: Duration,
    /// Who has which.
    pub share: Share,
    /// What becomes of them while nobody can renew their leases.
    pub unrenewed: Unrenewed,
}

/// How the duties stand.
#[derive(Debug)]
pub struct Told<'a> {
    /// Those that are ours: their places in [`Keeping::names`], in order.
    pub held: Vec<usize>,
    /// What was wrong in the last round, if anything was.
    pub problem: Option<&'a StoreError>,
}

struct Held {
    fence: Fence,
    /// Without a renewal it is lost then; its task looks at this by itself, however long a round
    /// takes.
    good_until: watch::Sender<Instant>,
    stop: CancellationToken,
    task: AbortHandle,
}

struct Keeper<F> {
    leases: Arc<dyn Leases>,
    instance: InstanceId,
    keeping: Keeping,
    work: F,
    /// By place in `keeping.names`.
    held: HashMap<usize, Held>,
    tasks: JoinSet<()>,
    problem: Option<StoreError>,
    /// Where this process begins to look, so that several do not fight for one.
    first: usize,
}

/// Keeps its share of the duties until `stop`, then ends them in order and gives them up. `work` makes
/// the task of a duty from its place in [`Keeping::names`] and its fence; the task ends soon after its
/// token is cancelled. `tell` is called after every round, and whenever a duty has ended.
pub async fn keep<W>(
    leases: Arc<dyn Leases>,
    instance: InstanceId,
    keeping: Keeping,
    work: impl Fn(usize, Fence, CancellationToken) -> W,
    tell: impl Fn(Told<'_>),
    stop: CancellationToken,
) where
    W: Future<Output = ()> + Send + 'static,
{
    let first = fastrand::usize(..keeping.names.len().max(1));
    let period = keeping.ttl / RENEWALS;
    let mut keeper = Keeper {
        leases,
        instance,
        keeping,
        work,
        held: HashMap::new(),
        tasks: JoinSet::new(),
        problem: None,
        first,
    };
    let mut tick = interval(period);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = tick.tick() => {
                let round = timeout(keeper.keeping.ttl, keeper.round()).await;
                let late = || Err(StoreError("leases were not answered in time".to_owned()));
                keeper.problem = round.unwrap_or_else(|_| late()).err();
                if let Some(error) = &keeper.problem {
                    tracing::warn!(%error, role = keeper.keeping.role, "leases cannot be kept");
                }
            }
            Some(ended) = keeper.tasks.join_next_with_id() => keeper.ended(ended).await,
        }
        tell(keeper.told());
    }
    keeper.leave().await;
    tell(keeper.told());
}

impl<F, W> Keeper<F>
where
    F: Fn(usize, Fence, CancellationToken) -> W,
    W: Future<Output = ()> + Send + 'static,
{
    fn told(&self) -> Told<'_> {
        let mut held: Vec<usize> = self.held.keys().copied().collect();
        held.sort_unstable();
        let problem = self.problem.as_ref();
        Told { held, problem }
    }

    async fn round(&mut self) -> Result<(), StoreError> {
        let Keeping { role, ttl, .. } = self.keeping;
        let n = self.keeping.names.len();
        let alive = match self.keeping.share {
            Share::Even => self.leases.beat(&self.instance, role, ttl).await?,
            Share::AnyFree => 1,
        };
        self.renew().await?;
        let share = n.div_ceil(alive.max(1) as usize);
        let mine: Vec<usize> = (self.held.iter())
            .filter(|(_, held)| !held.stop.is_cancelled())
            .map(|(at, _)| *at)
            .collect();
        for at in mine.iter().skip(share) {
            tracing::info!(duty = self.keeping.names[*at], alive, share, "handing over");
            self.held[at].stop.cancel();
        }
        let mut room = share.saturating_sub(mine.len());
        for offset in 0..n {
            if room == 0 {
                break;
            }
            room -= usize::from(self.take((self.first + offset) % n).await?);
        }
        Ok(())
    }

    async fn renew(&mut self) -> Result<(), StoreError> {
        if self.held.is_empty() {
            return Ok(());
        }
        let asked = Instant::now();
        let fences: Vec<Fence> = self.held.values().map(|held| held.fence.clone()).collect();
        let kept = self.leases.renew(&fences, self.keeping.ttl).await?;
        let good_until = asked + self.keeping.ttl;
        self.held.retain(|_, held| {
            let keep = kept.contains(&held.fence);
            if keep {
                held.good_until.send_replace(good_until);
            } else {
                tracing::warn!(
                    duty = held.fence.name,
                    epoch = held.fence.epoch,
                    "lease lost"
                );
                held.task.abort();
            }
            keep
        });
        Ok(())
    }

    /// Takes a duty if nobody has it; answers whether we have it now and had not before.
    async fn take(&mut self, at: usize) -> Result<bool, StoreError> {
        if self.held.contains_key(&at) {
            return Ok(false);
        }
        let asked = Instant::now();
        let name = &self.keeping.names[at];
        let lease = self.leases.lease(name, &self.instance, self.keeping.ttl);
        let Some(fence) = lease.await? else {
            return Ok(false);
        };
        tracing::info!(duty = name, epoch = fence.epoch, "lease taken");
        let stop = CancellationToken::new();
        let (good_until, renewed) = watch::channel(asked + self.keeping.ttl);
        let work = (self.work)(at, fence.clone(), stop.clone());
        let ends = self.keeping.unrenewed == Unrenewed::Ends;
        let task = self.tasks.spawn(async move {
            tokio::select! {
                () = work => {}
                () = expired(renewed), if ends => {}
            }
        });
        self.held.insert(
            at,
            Held {
                fence,
                good_until,
                stop,
                task,
            },
        );
        Ok(true)
    }

    /// A task is over: its lease is given up, unless it was lost.
    async fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => {
                if error.is_panic() {
                    tracing::error!(%error, "a duty's task failed; the duty is taken up anew");
                }
                error.id()
            }
        };
        let at = (self.held.iter())
            .find(|(_, held)| held.task.id() == id)
            .map(|(at, _)| *at);
        let Some(held) = at.and_then(|at| self.held.remove(&at)) else {
            return;
        };
        let fences = [held.fence];
        if !is_in_time(self.leases.release(&fences)).await {
            tracing::warn!(duty = fences[0].name, "lease not given up; it expires");
        }
    }

    /// Every task ends in its own order; then the leases go, and we count no longer.
    async fn leave(&mut self) {
        for held in self.held.values() {
            held.stop.cancel();
        }
        while let Some(ended) = self.tasks.join_next_with_id().await {
            self.ended(ended).await;
        }
        let role = self.keeping.role;
        let goodbye = self.leases.beat(&self.instance, role, Duration::ZERO);
        if self.keeping.share == Share::Even && !is_in_time(goodbye).await {
            tracing::warn!(
                role,
                "others count this process until its heartbeat expires"
            );
        }
    }
}

/// Whether it was done within the time for a goodbye.
async fn is_in_time<T>(goodbye: impl Future<Output = Result<T, StoreError>>) -> bool {
    matches!(timeout(GOODBYE_MAX, goodbye).await, Ok(Ok(_)))
}

/// Nobody could renew the lease in time: by the store's clock it is free, or will be soon.
async fn expired(renewed: watch::Receiver<Instant>) {
    loop {
        let good_until = *renewed.borrow();
        sleep_until(good_until).await;
        if *renewed.borrow() <= good_until {
            tracing::warn!("a lease was not renewed in time and counts as lost");
            return;
        }
    }
}
