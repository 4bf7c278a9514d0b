//! Notices that channels were paused or resumed: at once when told so, else by asking.

use std::{sync::Arc, time::Duration};

use patchbay_bus::Mailbox;
use tokio::{sync::mpsc, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::worker::{CHANNEL_MAILBOX, Worker};

/// How often the store is asked, told or not.
const ASK_EVERY: Duration = Duration::from_secs(3);
/// Words that come together are answered with one question.
const GATHER: Duration = Duration::from_millis(20);

/// Watches until `stop`.
pub(crate) async fn run(worker: Arc<Worker>, stop: CancellationToken) {
    let watching = async {
        let mut mailbox = None;
        loop {
            if mailbox.is_none() {
                let event = Mailbox::Event(CHANNEL_MAILBOX.to_owned());
                mailbox = worker.bus.mailbox(event).await.ok();
            }
            look(&worker).await;
            tokio::select! {
                open = told(&mut mailbox) => {
                    if !open {
                        mailbox = None;
                        sleep(ASK_EVERY).await;
                    }
                }
                () = sleep(ASK_EVERY) => {}
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = watching => {}
    }
}

/// Waits for a word; false if there will be none.
async fn told(mailbox: &mut Option<mpsc::Receiver<bytes::Bytes>>) -> bool {
    let Some(mailbox) = mailbox else {
        return std::future::pending().await;
    };
    if mailbox.recv().await.is_none() {
        return false;
    }
    sleep(GATHER).await;
    while mailbox.try_recv().is_ok() {}
    true
}

/// Asks the store how every channel stands.
pub(crate) async fn look(worker: &Worker) {
    match worker.store.channel_states().await {
        Ok(states) => {
            if worker.gates.learn(states) {
                worker.resumed.send_replace(());
            }
        }
        Err(error) => tracing::warn!(%error, "channel states not known"),
    }
}
