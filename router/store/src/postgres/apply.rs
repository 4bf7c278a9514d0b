//! Works out the statements of a group of commits: whole sets, in the order fences, inserts, guarded
//! updates. Pure: nothing is sent here.
//!
//! The group is written as if it were one commit, so its members must not touch the same rows; see
//! [`super::committer`], which also writes the event log.

mod lanes;
mod marks;
mod people;
mod tickets;
mod touched;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    hash::Hash,
};

pub(super) use people::folded;
pub(super) use touched::Touched;
use uuid::Uuid;

use super::{
    error::Fail,
    sql::{Answer, Param, Step},
};
use crate::{Changes, CommitError};

/// Commits that are written together.
#[derive(Clone, Copy)]
pub(super) struct Group<'a>(pub(super) &'a [&'a Changes]);

impl<'a> Group<'a> {
    /// The rows of one kind, of all members in their order.
    pub(super) fn all<T>(self, of: impl Fn(&'a Changes) -> &'a Vec<T>) -> Vec<&'a T> {
        self.0.iter().flat_map(|changes| of(changes)).collect()
    }
}

/// Judges a statement's answer.
type Check<'a> = Box<dyn Fn(&Answer) -> Result<(), Fail> + Send + Sync + 'a>;

/// Statements to be sent together, and what their answers must be.
#[derive(Default)]
pub(super) struct Plan<'a> {
    steps: Vec<Step<'a>>,
    checks: Vec<Option<Check<'a>>>,
}

impl<'a> Plan<'a> {
    /// Adds a statement; answers its place.
    pub(super) fn add(&mut self, sql: &'static str, params: Vec<Param<'a>>) -> usize {
        self.steps.push(Step::new(sql, params));
        self.checks.push(None);
        self.steps.len() - 1
    }

    /// Adds a statement whose answer decides about the commit.
    fn guard(
        &mut self,
        sql: &'static str,
        params: Vec<Param<'a>>,
        check: impl Fn(&Answer) -> Result<(), Fail> + Send + Sync + 'a,
    ) {
        let place = self.add(sql, params);
        self.checks[place] = Some(Box::new(check));
    }

    /// Adds a guarded update that answers the ids it changed: somebody else was first where one is
    /// missing.
    pub(super) fn guard_ids(
        &mut self,
        sql: &'static str,
        params: Vec<Param<'a>>,
        ids: Vec<Uuid>,
        what: &'static str,
    ) {
        self.guard(sql, params, move |answer| {
            let changed: HashSet<Uuid> = answer.all(|c| c.get())?.into_iter().collect();
            match ids.iter().find(|id| !changed.contains(id)) {
                Some(id) => Err(Fail::conflict(format!("{what} {id}"))),
                None => Ok(()),
            }
        });
    }

    pub(super) fn steps(&self) -> &[Step<'a>] {
        &self.steps
    }

    /// Every answer, or the first thing that is wrong, in the order of the statements.
    pub(super) fn judge(
        &self,
        answers: VecDeque<Result<Answer, Fail>>,
    ) -> Result<Vec<Answer>, Fail> {
        let mut good = Vec::with_capacity(answers.len());
        for (answer, check) in answers.into_iter().zip(&self.checks) {
            let answer = answer?;
            if let Some(check) = check {
                check(&answer)?;
            }
            good.push(answer);
        }
        Ok(good)
    }
}

/// Everything but receipts and events.
pub(super) fn plan<'a>(group: Group<'a>, plan: &mut Plan<'a>) -> Result<(), Fail> {
    fences(group, plan);
    marks::processed(group, plan);
    people::write(group, plan)?;
    marks::outbox(group, plan);
    lanes::write(group, plan)?;
    tickets::write(group, plan)?;
    marks::dead(group, plan)?;
    marks::audit(group, plan)
}

/// Locks the leases against take-over until the commit. A free lease has no owner: whoever gave it
/// up acts for it no more, though its epoch stands.
fn fences<'a>(group: Group<'a>, plan: &mut Plan<'a>) {
    let fences = group.all(|changes| &changes.fences);
    if fences.is_empty() {
        return;
    }
    let mut names: Vec<&str> = fences.iter().map(|fence| fence.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    plan.guard(
        "SELECT name, epoch FROM lease WHERE name = ANY($1) AND owner IS NOT NULL
         ORDER BY name FOR SHARE",
        super::sql::params![names],
        move |answer| {
            let held: HashMap<String, i64> = answer
                .all(|c| Ok((c.get()?, c.get()?)))?
                .into_iter()
                .collect();
            match fences
                .iter()
                .find(|fence| held.get(&fence.name) != Some(&fence.epoch))
            {
                Some(fence) => Err(CommitError::Fenced(fence.name.clone()).into()),
                None => Ok(()),
            }
        },
    );
}

/// The last row of each key, sorted by it: one statement must not write a row twice, and statements
/// that lock their rows in the same order do not deadlock.
pub(super) fn last_of_each<'a, T, K: Ord>(
    rows: Vec<&'a T>,
    key: impl Fn(&'a T) -> K,
) -> Vec<&'a T> {
    let mut rows = rows;
    rows.reverse();
    rows.sort_by_key(|row| key(row));
    rows.dedup_by_key(|row| key(row));
    rows
}

/// Rows of the same key one after the other, in as many rounds as it takes; usually one.
fn rounds<'a, T, K: Hash + Eq + Ord>(
    rows: Vec<&'a T>,
    key: impl Fn(&'a T) -> K,
) -> Vec<Vec<&'a T>> {
    let mut seen: HashMap<K, usize> = HashMap::new();
    let mut rounds: Vec<Vec<&'a T>> = Vec::new();
    for row in rows {
        let round = seen.entry(key(row)).or_insert(0);
        if *round == rounds.len() {
            rounds.push(Vec::new());
        }
        rounds[*round].push(row);
        *round += 1;
    }
    for round in &mut rounds {
        round.sort_by_key(|row| key(row));
    }
    rounds
}

#[cfg(test)]
mod tests {
    use super::{last_of_each, rounds};

    #[test]
    fn the_last_of_each_key_is_kept() {
        let rows = [(2, 'a'), (1, 'b'), (2, 'c'), (1, 'd'), (3, 'e')];
        let kept = last_of_each(rows.iter().collect(), |row| row.0);
        assert_eq!(kept, [&(1, 'd'), &(2, 'c'), &(3, 'e')]);
    }

    #[test]
    fn rows_of_a_key_keep_their_order_over_the_rounds() {
        let rows = [(2, 'a'), (1, 'b'), (2, 'c'), (2, 'd')];
        let found = rounds(rows.iter().collect(), |row| row.0);
        assert_eq!(
            found,
            [vec![&(1, 'b'), &(2, 'a')], vec![&(2, 'c')], vec![&(2, 'd')]]
        );
    }
}
