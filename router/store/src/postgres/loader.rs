//! Loads facts for many askers at once. What is asked while an answer is on its way is asked in the
//! next go together: one transaction costs the server more than the few rows that it finds, and the
//! busier the server the more are asked together. If a row cannot be read, each is asked by itself,
//! so that only who asked for that row is told so. A go that takes long is not waited for.
//!
//! Questions about many rows gain nothing by that and go their own way, side by side.

use std::{
    collections::{HashMap, HashSet},
    panic::AssertUnwindSafe,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt as _;
use patchbay_message::{ChannelId, ThreadId, TicketId};
use tokio::{
    sync::{Mutex, mpsc, oneshot},
    time::timeout,
};

use super::{Inner, facts};
use crate::{Facts, StoreError, Want};

/// Keys past which a question goes its own way.
const KEYS_MAX: usize = 64;
/// Questions asked together.
const TOGETHER_MAX: usize = 32;
/// Goes on their way at the same time.
const LANES: usize = 3;
/// How long one go is waited for before the next is sent beside it.
const PATIENCE: Duration = Duration::from_millis(50);
/// Questions that wait; past it callers wait for room.
const QUEUE_MAX: usize = 1024;

/// A question and whoever waits for the answer.
struct Ask {
    want: Want,
    reply: oneshot::Sender<Result<Facts, StoreError>>,
}

/// The handle to the loader; it ends when this is dropped.
pub(super) struct Loader {
    asks: mpsc::Sender<Ask>,
    inner: Arc<Inner>,
}

impl Loader {
    pub(super) fn start(inner: &Arc<Inner>) -> Self {
        let (asks, queue) = mpsc::channel(QUEUE_MAX);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..LANES {
            tokio::spawn(run(Arc::clone(inner), Arc::clone(&queue)));
        }
        Self {
            asks,
            inner: Arc::clone(inner),
        }
    }

    pub(super) async fn load(&self, want: &Want) -> Result<Facts, StoreError> {
        if !is_small(want) {
            return Ok(facts::load(&self.inner, want).await?);
        }
        let ended = || StoreError("the loader has ended".to_owned());
        let (reply, answer) = oneshot::channel();
        let want = want.clone();
        let ask = self.asks.send(Ask { want, reply }).await;
        ask.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}

/// Few rows, all of them named: what is asked of lists and numbers has one asker at a time. Whoever
/// adds a field has to say here which it is, and to tell [`together`] and [`All::part`].
fn is_small(want: &Want) -> bool {
    let Want {
        processed,
        dedupe,
        addresses,
        conversations,
        commands,
        desk: _,
        waiting,
        waiting_after: _,
        snoozed_until,
        outbox,
        devices,
        tickets,
        faults,
        waiting_tickets,
        waiting_tickets_after: _,
        settled_until,
        silent_until,
        silent_after: _,
        overdue_until,
    } = want;
    let keys = processed.len()
        + dedupe.len()
        + addresses.len()
        + conversations.len()
        + commands.len()
        + devices.len()
        + tickets.len()
        + faults.len();
    let times = [snoozed_until, settled_until, silent_until, overdue_until];
    let lists = *waiting > 0 || *waiting_tickets > 0 || outbox.is_some();
    keys <= KEYS_MAX && !lists && times.iter().all(|time| time.is_none())
}

/// One lane. Whoever has the queue asks what has come together; the others wait for it as long as
/// that is soon answered.
async fn run(inner: Arc<Inner>, queue: Arc<Mutex<mpsc::Receiver<Ask>>>) {
    let mut asks = Vec::with_capacity(TOGETHER_MAX);
    loop {
        let mut waiting = queue.lock().await;
        if waiting.recv_many(&mut asks, TOGETHER_MAX).await == 0 {
            return;
        }
        // Nobody waits any more.
        asks.retain(|ask| !ask.reply.is_closed());
        // Whoever waits for an answer that panicked is told; the others go on.
        let answered = AssertUnwindSafe(answer(&inner, std::mem::take(&mut asks))).catch_unwind();
        let mut answered = pin!(answered);
        let soon = timeout(PATIENCE, &mut answered).await;
        drop(waiting);
        let answered = match soon {
            Ok(answered) => answered,
            Err(_) => answered.await,
        };
        if answered.is_err() {
            tracing::error!("store: loading facts panicked");
        }
    }
}

async fn answer(inner: &Inner, asks: Vec<Ask>) {
    if asks.len() < 2 {
        return answer_singly(inner, asks).await;
    }
    let found = facts::load(inner, &together(asks.iter().map(|ask| &ask.want))).await;
    // Nobody may be waiting any more.
    match found {
        Ok(found) => {
            let all = All::new(&found);
            for ask in asks {
                let _ = ask.reply.send(Ok(all.part(&ask.want)));
            }
        }
        Err(fail) if fail.blames_one() => answer_singly(inner, asks).await,
        Err(fail) => {
            let error = StoreError::from(fail);
            for ask in asks {
                let _ = ask.reply.send(Err(error.clone()));
            }
        }
    }
}

async fn answer_singly(inner: &Inner, asks: Vec<Ask>) {
    for ask in asks {
        let found = facts::load(inner, &ask.want).await;
        let _ = ask.reply.send(found.map_err(StoreError::from));
    }
}

/// One question for several.
fn together<'a>(wants: impl Iterator<Item = &'a Want>) -> Want {
    let mut all = Want::default();
    for want in wants {
        all.processed.extend_from_slice(&want.processed);
        all.dedupe.extend_from_slice(&want.dedupe);
        all.addresses.extend_from_slice(&want.addresses);
        all.conversations.extend_from_slice(&want.conversations);
        all.commands.extend_from_slice(&want.commands);
        all.devices.extend_from_slice(&want.devices);
        all.tickets.extend_from_slice(&want.tickets);
        all.faults.extend_from_slice(&want.faults);
        all.desk |= want.desk;
    }
    // A row is found once for every time it is asked for.
    all.addresses.sort_unstable();
    all.addresses.dedup();
    all.faults.sort_unstable();
    all.faults.dedup();
    all
}

/// What was found for several, to be told to each.
struct All<'a> {
    facts: &'a Facts,
    processed: HashSet<&'a (String, String)>,
    threads: HashMap<ThreadId, &'a (ChannelId, String)>,
}

impl<'a> All<'a> {
    fn new(facts: &'a Facts) -> Self {
        let threads = facts.threads.iter();
        Self {
            processed: facts.processed.iter().collect(),
            threads: threads.map(|(key, thread)| (thread.id, key)).collect(),
            facts,
        }
    }

    /// What was asked for, as if nobody else had asked.
    fn part(&self, want: &Want) -> Facts {
        let all = self.facts;
        let mut part = Facts::default();
        let processed = want.processed.iter();
        part.processed = processed
            .filter(|mark| self.processed.contains(mark))
            .cloned()
            .collect();
        for key in &want.dedupe {
            let found = all.dedupe.get_key_value(key);
            part.dedupe
                .extend(found.map(|(key, id)| (key.clone(), *id)));
        }
        for id in &want.commands {
            let found = all.outcomes.get(id);
            part.outcomes
                .extend(found.map(|found| (*id, found.clone())));
        }
        for key in &want.addresses {
            self.add_thread(&mut part, key);
        }
        for id in &want.conversations {
            let Some(conversation) = all.conversations.get(id) else {
                continue;
            };
            part.conversations.insert(*id, conversation.clone());
            let contact = all.contacts.get(&conversation.contact_id);
            part.contacts
                .extend(contact.map(|contact| (contact.id, contact.clone())));
            if let Some(key) = self.threads.get(&conversation.thread_id) {
                self.add_thread(&mut part, key);
            }
        }
        self.add_work(&mut part, want);
        if want.desk {
            part.agents.clone_from(&all.agents);
            part.groups.clone_from(&all.groups);
        }
        part
    }

    /// Devices and tickets.
    fn add_work(&self, part: &mut Facts, want: &Want) {
        let all = self.facts;
        for id in &want.devices {
            let found = all.devices.get(id);
            part.devices.extend(found.map(|found| (*id, found.clone())));
        }
        for key in &want.faults {
            let found = all.ticket_of.get(key);
            part.ticket_of.extend(found.map(|id| (key.clone(), *id)));
        }
        let of_faults = part.ticket_of.values();
        let ids: Vec<TicketId> = want.tickets.iter().chain(of_faults).copied().collect();
        for id in ids {
            let found = all.tickets.get(&id);
            part.tickets.extend(found.map(|found| (id, found.clone())));
        }
    }

    /// A thread, its contact, and its newest conversation that is not closed.
    fn add_thread(&self, part: &mut Facts, key: &(ChannelId, String)) {
        let all = self.facts;
        let Some(thread) = all.threads.get(key) else {
            return;
        };
        let contact = all.contacts.get(&thread.contact_id);
        part.contacts
            .extend(contact.map(|contact| (contact.id, contact.clone())));
        if let Some(current) = all.current.get(&thread.id) {
            part.current.insert(thread.id, *current);
            let conversation = all.conversations.get(current);
            part.conversations
                .extend(conversation.map(|found| (*current, found.clone())));
        }
        part.threads.insert(key.clone(), thread.clone());
    }
}
