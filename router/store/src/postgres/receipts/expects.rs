//! Answers that are waited for, beside the words that may be them.

use std::collections::BTreeMap;

use patchbay_message::{MessageId, ReceiptState, Time};

use super::model::{Message, Part};
use crate::{
    Expect, ReceiptWord,
    changes::Ends,
    postgres::{
        apply::{Group, Plan},
        error::Fail,
        sql::{Answer, Step, column, params},
    },
};

type Key = (String, String);

/// What is waited for after a commit.
#[derive(Default)]
pub(super) struct Expects {
    /// Until when an answer was waited for, of what a word says to be overdue; and whether that was
    /// a fallback.
    due: BTreeMap<Key, (Time, bool)>,
    /// What was waited for before and is no more.
    ended: BTreeMap<Key, Ends>,
    /// What is waited for from now on.
    begun: BTreeMap<Key, Wait>,
}

struct Wait {
    due: Time,
    or_else: ReceiptState,
    fallback: bool,
}

/// Loads until when answers are waited for, if a word says that they are overdue.
pub(super) fn load<'a>(group: Group<'a>, plan: &mut Plan<'a>) -> Option<usize> {
    let words = group.0.iter().flat_map(|changes| &changes.receipts);
    let keys: Vec<(&str, &str)> = words
        .filter(|word| word.overdue)
        .filter_map(|word| Some((word.channel.as_str(), word.external_id.as_deref()?)))
        .collect();
    if keys.is_empty() {
        return None;
    }
    Some(plan.add(
        "SELECT e.channel, e.external_id, e.due, e.fallback
         FROM unnest($1::text[], $2::text[]) w(channel, external_id)
         JOIN expect e ON e.channel = w.channel AND e.external_id = w.external_id",
        params![
            column(&keys, |(channel, _)| *channel),
            column(&keys, |(_, id)| *id),
        ],
    ))
}

impl Expects {
    pub(super) fn take(&mut self, answer: &Answer) -> Result<(), Fail> {
        let found = answer.all(|c| Ok(((c.get()?, c.get()?), (c.time()?, c.get()?))))?;
        self.due = found.into_iter().collect();
        Ok(())
    }

    /// Waits, unless the answer was faster, or somebody who knows better waits.
    pub(super) fn wait(
        &mut self,
        row: &Expect,
        parts: &BTreeMap<Key, Part>,
        messages: &BTreeMap<MessageId, Message>,
    ) {
        let key = (row.channel.to_string(), row.external_id.clone());
        let part = parts.get(&key);
        let message = part.and_then(|part| messages.get(&part.message?));
        let said = [
            part.and_then(|part| part.state.as_ref()),
            message.and_then(|message| message.state.as_ref()),
        ];
        let ends = said.into_iter().flatten().filter_map(Ends::by).max();
        let is_over = ends.is_some_and(|which| which.is_for(row.fallback));
        let gives_way = row.fallback && self.begun.get(&key).is_some_and(|wait| !wait.fallback);
        if !is_over && !gives_way {
            let wait = Wait {
                due: row.due,
                or_else: row.or_else.clone(),
                fallback: row.fallback,
            };
            self.begun.insert(key, wait);
        }
    }

    /// Whether the word says that an answer did not come which by now is not waited for, or has
    /// until later.
    pub(super) fn is_void(&self, word: &ReceiptWord) -> bool {
        if !word.overdue {
            return false;
        }
        let Some(external_id) = &word.external_id else {
            return true;
        };
        let key = (word.channel.to_string(), external_id.clone());
        let ended = self.ended.get(&key);
        let before = (self.due.get(&key))
            .filter(|(_, fallback)| !ended.is_some_and(|which| which.is_for(*fallback)));
        let waits = match (self.begun.get(&key), before) {
            // It gives way when it is written.
            (Some(begun), Some((due, false))) if begun.fallback => Some(*due),
            (Some(begun), _) => Some(begun.due),
            (None, before) => before.map(|(due, _)| *due),
        };
        waits.is_none_or(|due| due > word.at)
    }

    /// Waits no more for what the word is on: a part, or every part of a message.
    pub(super) fn end(&mut self, word: &ReceiptWord, which: Ends, parts: &BTreeMap<Key, Part>) {
        if let Some(external_id) = &word.external_id {
            self.end_one((word.channel.to_string(), external_id.clone()), which);
        }
        if let Some(message) = word.message {
            let of_it = parts.iter().filter(|(_, p)| p.message == Some(message));
            for (key, _) in of_it {
                self.end_one(key.clone(), which);
            }
        }
    }

    fn end_one(&mut self, key: Key, which: Ends) {
        let begun = self.begun.get(&key);
        if begun.is_some_and(|wait| which.is_for(wait.fallback)) {
            self.begun.remove(&key);
        }
        let ended = self.ended.entry(key).or_insert(which);
        *ended = which.max(*ended);
    }

    /// First what ended, so that what began after it is left.
    pub(super) fn write(&self, steps: &mut Vec<Step<'static>>) {
        let ended: Vec<_> = self.ended.iter().collect();
        if !ended.is_empty() {
            steps.push(Step::new(
                "DELETE FROM expect e
                 USING unnest($1::text[], $2::text[], $3::bool[]) w(channel, external_id, every)
                 WHERE e.channel = w.channel AND e.external_id = w.external_id
                     AND (w.every OR e.fallback)",
                params![
                    column(&ended, |((channel, _), _)| channel.clone()),
                    column(&ended, |((_, id), _)| id.clone()),
                    column(&ended, |(_, which)| **which == Ends::All),
                ],
            ));
        }
        let begun: Vec<_> = self.begun.iter().collect();
        if !begun.is_empty() {
            steps.push(Step::new(
                "INSERT INTO expect AS e (channel, external_id, due, or_else, fallback)
                 SELECT * FROM unnest($1::text[], $2::text[], $3::int8[], $4::text[], $5::bool[])
                 ON CONFLICT (channel, external_id) DO UPDATE SET due = excluded.due,
                     or_else = excluded.or_else, fallback = excluded.fallback
                 WHERE e.fallback OR NOT excluded.fallback",
                params![
                    column(&begun, |((channel, _), _)| channel.clone()),
                    column(&begun, |((_, id), _)| id.clone()),
                    column(&begun, |(_, wait)| wait.due.as_ms()),
                    column(&begun, |(_, wait)| wait.or_else.as_str().to_owned()),
                    column(&begun, |(_, wait)| wait.fallback),
                ],
            ));
        }
    }
}
