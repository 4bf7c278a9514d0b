//! Which rows a commit writes or is guarded by: commits that share none can be merged, since then
//! any order of them gives the same result.

use std::collections::HashSet;

use uuid::Uuid;

use crate::Changes;

/// A row; ids are unique over all tables (a lane's is its thread's).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Row<'a> {
    Id(Uuid),
    External(&'a str, &'a str),
    Partition(&'a str),
    Fault(&'a str, &'a str, &'a str),
}

/// The rows of the commits merged so far.
#[derive(Default)]
pub(in crate::postgres) struct Touched<'a> {
    rows: HashSet<Row<'a>>,
}

impl<'a> Touched<'a> {
    /// How many rows there are so far.
    pub(in crate::postgres) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Adds a commit's rows if none of them is there yet; answers whether it did.
    pub(in crate::postgres) fn add(&mut self, changes: &'a Changes) -> bool {
        let rows: HashSet<Row<'a>> = rows(changes).collect();
        if rows.iter().any(|row| self.rows.contains(row)) {
            return false;
        }
        self.rows.extend(rows);
        true
    }
}

fn rows(changes: &Changes) -> impl Iterator<Item = Row<'_>> {
    let people = changes
        .contacts
        .iter()
        .map(|row| row.id.0)
        .chain(changes.threads.iter().map(|row| row.id.0))
        .chain(changes.thread_updates.iter().map(|row| row.id.0))
        .chain(changes.conversations.iter().map(|row| row.id.0))
        .chain(changes.conversation_updates.iter().map(|u| u.row.id.0))
        .chain(changes.messages.iter().map(|row| row.id.0))
        .chain(changes.loads.iter().map(|load| load.agent.0))
        .chain(changes.windows.iter().map(|window| window.thread.0))
        .chain(changes.fetches.iter().map(|fetch| fetch.message.0))
        .chain(changes.fetched.iter().map(|fetched| fetched.message.0))
        .chain(changes.read.iter().map(|id| id.0));
    let lanes = changes
        .lanes_done
        .iter()
        .map(|done| done.lane.0)
        .chain(changes.park.iter().flat_map(|p| [p.lane.0, p.id.0]))
        .chain(changes.unpark.iter().map(|id| id.0))
        .chain(
            changes
                .attempts
                .iter()
                .flat_map(|a| [a.lane.0, a.message.0]),
        )
        .chain(changes.attempts_done.iter().map(|(id, _, _)| id.0))
        .chain(changes.unspend.iter().map(|(id, _)| id.0))
        .chain(changes.live.iter().map(|change| change.thread.0));
    let receipts = changes
        .sent
        .iter()
        .map(|(_, _, message, _)| message.0)
        .chain(
            changes
                .receipts
                .iter()
                .filter_map(|word| Some(word.message?.0)),
        )
        .chain(changes.seen.iter().map(|seen| seen.thread.0))
        .chain(changes.dead.iter().map(|row| row.id.0))
        .chain(changes.dead_status.iter().map(|(id, _)| id.0));
    let external = changes
        .sent
        .iter()
        .map(|(channel, id, _, _)| Row::External(channel.as_str(), id))
        .chain(changes.receipts.iter().filter_map(|word| {
            let id = word.external_id.as_deref()?;
            Some(Row::External(word.channel.as_str(), id))
        }))
        .chain(changes.expects.iter().map(|row| {
            let id = &row.external_id;
            Row::External(row.channel.as_str(), id)
        }));
    let partitions = changes
        .outbox
        .iter()
        .map(|row| row.partition.as_str())
        .chain(changes.outbox_done.iter().map(|(name, _)| name.as_str()))
        .chain(changes.pulled.iter().map(|saved| saved.pull.as_str()));
    people
        .chain(lanes)
        .chain(receipts)
        .map(Row::Id)
        .chain(work(changes))
        .chain(external)
        .chain(partitions.map(Row::Partition))
}

/// Of tickets and devices. A ticket's fault too: of one fault one ticket is open.
fn work(changes: &Changes) -> impl Iterator<Item = Row<'_>> {
    let tickets = || changes.tickets_written();
    tickets()
        .map(|row| row.id.0)
        .chain(changes.ticket_entries.iter().map(|row| row.ticket_id.0))
        .chain(changes.devices.iter().map(|row| row.thread_id.0))
        .chain(changes.device_acks.iter().map(|(thread, _)| thread.0))
        .map(Row::Id)
        .chain(tickets().map(|row| Row::Fault(row.channel.as_str(), &row.device, &row.code)))
}

#[cfg(test)]
mod tests {
    use patchbay_message::ThreadId;

    use super::Touched;
    use crate::{Changes, LaneDone};

    #[test]
    fn commits_are_kept_apart_by_the_rows_they_share() {
        let (one, other) = (ThreadId::new(), ThreadId::new());
        let done = |lane, out_seq| Changes {
            lanes_done: vec![LaneDone { lane, out_seq }],
            ..Changes::default()
        };
        let (first, second, next) = (done(one, 1), done(other, 1), done(one, 2));
        let mut touched = Touched::default();
        assert!(touched.add(&first));
        assert!(touched.add(&second));
        assert!(!touched.add(&next));
    }
}
