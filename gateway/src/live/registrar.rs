//! Writes in batches what live connections have to tell the store: who came, who went, what was
//! seen.

use std::{collections::HashMap, sync::Arc, time::Duration};

use patchbay_message::ThreadId;
use patchbay_store::{Changes, LiveChange, Seen, Store, StoreError};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Notes waiting to be written; a new connection waits beyond it, a read mark is dropped.
const NOTES_MAX: usize = 4096;
/// Notes in one commit.
const BATCH_MAX: usize = 500;
/// After a failed commit.
const PAUSE: Duration = Duration::from_millis(500);

enum Note {
    Live(LiveChange, Option<oneshot::Sender<Result<(), StoreError>>>),
    Seen(Seen),
}

/// The way to the store for live connections. Cheap to clone.
#[derive(Clone)]
pub struct Registrar(mpsc::Sender<Note>);

impl Registrar {
    /// The registrar and the task that writes for it until `stop`.
    pub fn new(
        store: Arc<dyn Store>,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (tx, rx) = mpsc::channel(NOTES_MAX);
        (Self(tx), write(store, rx, stop))
    }

    /// Writes that a connection came, and waits until it is written.
    pub(super) async fn live(&self, change: LiveChange) -> Result<(), StoreError> {
        let (done, written) = oneshot::channel();
        let closed = || StoreError("the gateway is stopping".to_owned());
        self.0
            .send(Note::Live(change, Some(done)))
            .await
            .map_err(|_| closed())?;
        written.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Writes that the last connection of a thread went. If the queue is full the row stays; a push
    /// for it finds nobody, which harms nobody.
    pub(super) fn gone(&self, change: LiveChange) {
        let _ = self.0.try_send(Note::Live(change, None));
    }

    pub(super) fn seen(&self, seen: Seen) {
        let _ = self.0.try_send(Note::Seen(seen));
    }
}

async fn write(store: Arc<dyn Store>, mut rx: mpsc::Receiver<Note>, stop: CancellationToken) {
    let mut notes = Vec::with_capacity(BATCH_MAX);
    loop {
        tokio::select! {
            n = rx.recv_many(&mut notes, BATCH_MAX) => if n == 0 { return },
            () = stop.cancelled(), if rx.is_empty() => return,
        }
        let (changes, waiting) = gather(&mut notes);
        let outcome = store.commit(changes).await;
        let outcome = outcome
            .map(|_| ())
            .map_err(|error| StoreError(error.to_string()));
        let failed = outcome.is_err();
        for done in waiting {
            let _ = done.send(outcome.clone());
        }
        if failed {
            tracing::warn!(error = ?outcome.err(), "live connections not registered");
            tokio::select! { () = tokio::time::sleep(PAUSE) => {}, () = stop.cancelled() => {} }
        }
    }
}

type Waiting = Vec<oneshot::Sender<Result<(), StoreError>>>;

/// One commit of what has gathered: of several notes on one thread the last connection state and
/// the greatest marks count.
fn gather(notes: &mut Vec<Note>) -> (Changes, Waiting) {
    let mut live: HashMap<ThreadId, LiveChange> = HashMap::new();
    let mut seen: HashMap<ThreadId, Seen> = HashMap::new();
    let mut waiting = Vec::new();
    for note in notes.drain(..) {
        match note {
            Note::Live(change, done) => {
                live.insert(change.thread, change);
                waiting.extend(done);
            }
            Note::Seen(new) => {
                let mark = seen.entry(new.thread).or_insert_with(|| new.clone());
                mark.delivered = mark.delivered.max(new.delivered);
                mark.read = mark.read.max(new.read);
            }
        }
    }
    let changes = Changes {
        live: live.into_values().collect(),
        seen: seen.into_values().collect(),
        ..Changes::default()
    };
    (changes, waiting)
}
