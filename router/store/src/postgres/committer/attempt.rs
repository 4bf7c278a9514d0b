//! One try to write a group: merged, or one by one.

use std::ops::Deref;

use deadpool_postgres::{ClientWrapper, Object};

use super::Results;
use crate::{
    Changes, CommitError, Committed, NewEvent,
    postgres::{
        Inner,
        apply::{self, Group, Plan},
        error::Fail,
        events, pool,
        receipts::{self, Places, Rose},
        sql::{self, Step, all},
    },
};

/// A connection in a transaction: it goes back to the pool only when the transaction has ended. If
/// an attempt is given up, it is closed.
struct Open(Option<Object>);

impl Open {
    fn ended(mut self) {
        drop(self.0.take());
    }

    /// Takes everything back.
    async fn rolled_back(self) {
        if self.batch_execute("ROLLBACK").await.is_ok() {
            self.ended();
        }
    }
}

impl Deref for Open {
    type Target = ClientWrapper;
    fn deref(&self) -> &ClientWrapper {
        self.0.as_ref().expect("it is taken only at the end")
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            pool::discard(connection);
        }
    }
}

/// Takes one member back. As text: nothing else can be prepared in a transaction that has failed.
const BACK: &str = "ROLLBACK TO SAVEPOINT member; RELEASE SAVEPOINT member";

/// The statements of a group, after `begin`.
fn plan<'a>(begin: &'static str, group: &'a [&'a Changes]) -> Result<(Plan<'a>, Places), Fail> {
    let mut plan = Plan::default();
    plan.add(begin, Vec::new());
    apply::plan(Group(group), &mut plan)?;
    let places = receipts::load(Group(group), &mut plan);
    Ok((plan, places))
}

/// The whole group as one. An error means that nothing of it happened, unless the connection broke
/// while it was being committed.
pub(super) async fn merged(inner: &Inner, group: &[&Changes]) -> Result<Vec<Committed>, Fail> {
    let (plan, places) = plan("BEGIN", group)?;
    let open = Open(Some(inner.connection(&inner.pools.work).await?));
    match merged_on(&open, group, &plan, &places).await {
        Ok(committed) => {
            open.ended();
            Ok(committed)
        }
        Err(fail) => {
            if fail.answered() && !fail.is_stale() {
                open.rolled_back().await;
            }
            Err(fail)
        }
    }
}

async fn merged_on(
    open: &Open,
    group: &[&Changes],
    plan: &Plan<'_>,
    places: &Places,
) -> Result<Vec<Committed>, Fail> {
    let answers = plan.judge(sql::pipeline(open, plan.steps()).await?)?;
    let (rose, writes) = receipts::work_out(group, places, &answers)?;
    finish(open, group, rose, writes).await
}

/// Each member behind a savepoint of its own, then the events of those that succeeded.
pub(super) async fn singly(inner: &Inner, group: &[&Changes]) -> Result<Results, Fail> {
    let open = Open(Some(inner.connection(&inner.pools.work).await?));
    all(&open, &[Step::bare("BEGIN")]).await?;
    let mut failed = Vec::with_capacity(group.len());
    let (mut good, mut rose) = (Vec::new(), Vec::new());
    for changes in group {
        match one(&open, changes).await {
            Ok(risen) => {
                good.push(*changes);
                rose.push(risen);
                failed.push(None);
            }
            Err(fail) if fail.answered() => {
                open.batch_execute(BACK).await?;
                failed.push(Some(CommitError::from(fail)));
            }
            Err(fail) => return Err(fail),
        }
    }
    if good.is_empty() {
        open.rolled_back().await;
        return Ok(failed.into_iter().flatten().map(Err).collect());
    }
    let mut committed = finish(&open, &good, rose, Vec::new()).await?.into_iter();
    open.ended();
    let result = |failed: Option<CommitError>| match failed {
        Some(error) => Err(error),
        None => Ok(committed.next().expect("one for each that succeeded")),
    };
    Ok(failed.into_iter().map(result).collect())
}

async fn one(open: &Open, changes: &Changes) -> Result<Rose, Fail> {
    let group = [changes];
    let (plan, places) = match plan("SAVEPOINT member", &group) {
        Ok(plan) => plan,
        Err(fail) => {
            // The caller goes back to the savepoint, so there has to be one.
            all(open, &[Step::bare("SAVEPOINT member")]).await?;
            return Err(fail);
        }
    };
    let answers = plan.judge(sql::pipeline(open, plan.steps()).await?)?;
    let (mut rose, mut writes) = receipts::work_out(&group, &places, &answers)?;
    writes.push(Step::bare("RELEASE SAVEPOINT member"));
    all(open, &writes).await?;
    Ok(rose.pop().expect("one for each member"))
}

/// Writes what receipts changed, the events, and commits: in one round trip, so that the event log
/// is held for no longer than the disk needs.
async fn finish(
    open: &Open,
    group: &[&Changes],
    rose: Vec<Rose>,
    mut steps: Vec<Step<'static>>,
) -> Result<Vec<Committed>, Fail> {
    let written: Vec<&NewEvent> = group
        .iter()
        .zip(&rose)
        .flat_map(|(changes, rose)| of(changes, rose))
        .collect();
    let log = steps.len();
    let total = written.len() as u64;
    if total > 0 {
        steps.push(events::append(&written)?);
    }
    steps.push(Step::bare("COMMIT"));
    let answers = all(open, &steps).await?;
    let mut number = match total {
        0 => 0,
        _ => events::last(&answers[log])? - total,
    };
    let mut committed = Vec::with_capacity(group.len());
    for (changes, rose) in group.iter().zip(rose) {
        let events = of(changes, &rose).count() as u64;
        number += events;
        committed.push(Committed {
            last_event: if events == 0 { 0 } else { number },
            delivered: rose.delivered,
        });
    }
    Ok(committed)
}

/// The events of one member, in order.
fn of<'a>(changes: &'a Changes, rose: &'a Rose) -> impl Iterator<Item = &'a NewEvent> {
    let risen = rose.deliveries.iter().chain(&rose.seen);
    changes.events.iter().chain(risen)
}
