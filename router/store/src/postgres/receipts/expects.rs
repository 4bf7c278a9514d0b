//! Answers that are waited for, beside the words that may be them.

use std::collections::BTreeMap;

use patchbay_message::{MessageId, ReceiptState, Time};

use super::model::{Message, Part};
use crate::{
    Expect, ReceiptWord,
    changes::is_last,
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
    /// Until when an answer was waited for, of what a word says to be overdue.
    due: BTreeMap<Key, Time>,
    /// What is waited for from now on, and what is no more.
    changed: BTreeMap<Key, Option<(Time, ReceiptState)>>,
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
        "SELECT e.channel, e.external_id, e.due
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
        let found = answer.all(|c| Ok(((c.get()?, c.get()?), c.time()?)))?;
        self.due = found.into_iter().collect();
        Ok(())
    }

    /// Waits, unless the answer was faster.
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
        if !said.into_iter().flatten().any(is_last) {
            self.changed
                .insert(key, Some((row.due, row.or_else.clone())));
        }
    }

    /// Whether the word says that an answer did not come which by now has until later.
    pub(super) fn is_early(&self, word: &ReceiptWord) -> bool {
        let Some(external_id) = word.external_id.as_ref().filter(|_| word.overdue) else {
            return false;
        };
        let key = (word.channel.to_string(), external_id.clone());
        let due = match self.changed.get(&key) {
            Some(changed) => changed.as_ref().map(|(due, _)| *due),
            None => self.due.get(&key).copied(),
        };
        due.is_some_and(|due| due > word.at)
    }

    /// Waits no more for what the word is on: a part, or every part of a message.
    pub(super) fn end(&mut self, word: &ReceiptWord, parts: &BTreeMap<Key, Part>) {
        if let Some(external_id) = &word.external_id {
            let key = (word.channel.to_string(), external_id.clone());
            self.changed.insert(key, None);
        }
        if let Some(message) = word.message {
            let of_it = parts.iter().filter(|(_, p)| p.message == Some(message));
            self.changed
                .extend(of_it.map(|(key, _)| (key.clone(), None)));
        }
    }

    pub(super) fn write(&self, steps: &mut Vec<Step<'static>>) {
        let ended = || self.changed.iter().filter(|(_, wait)| wait.is_none());
        if ended().next().is_some() {
            steps.push(Step::new(
                "DELETE FROM expect e USING unnest($1::text[], $2::text[]) w(channel, external_id)
                 WHERE e.channel = w.channel AND e.external_id = w.external_id",
                params![
                    ended()
                        .map(|((channel, _), _)| channel.clone())
                        .collect::<Vec<_>>(),
                    ended().map(|((_, id), _)| id.clone()).collect::<Vec<_>>(),
                ],
            ));
        }
        let begun: Vec<_> = self
            .changed
            .iter()
            .filter_map(|(key, wait)| Some((key, wait.as_ref()?)))
            .collect();
        if !begun.is_empty() {
            steps.push(Step::new(
                "INSERT INTO expect (channel, external_id, due, or_else)
                 SELECT * FROM unnest($1::text[], $2::text[], $3::int8[], $4::text[])
                 ON CONFLICT (channel, external_id) DO UPDATE SET due = excluded.due,
                     or_else = excluded.or_else",
                params![
                    column(&begun, |((channel, _), _)| channel.clone()),
                    column(&begun, |((_, id), _)| id.clone()),
                    column(&begun, |(_, (due, _))| due.as_ms()),
                    column(&begun, |(_, (_, or_else))| or_else.as_str().to_owned()),
                ],
            ));
        }
    }
}
