//! What wakes the assigner.

use std::time::Duration;

use bytes::Bytes;
use patchbay_bus::Mailbox;
use tokio::sync::mpsc::Receiver;

use crate::shared::{AGENT, CONVERSATION, Shared};

/// The mailboxes that wake the assigner. Lossy: the regular look makes up for what is missed.
#[derive(Default)]
pub(super) struct Nudges {
    conversation: Option<Receiver<Bytes>>,
    agent: Option<Receiver<Bytes>>,
}

impl Nudges {
    /// Opens what is not open (any more).
    pub(super) async fn open(&mut self, shared: &Shared) {
        let boxes = [
            (&mut self.conversation, CONVERSATION),
            (&mut self.agent, AGENT),
        ];
        for (receiver, kind) in boxes {
            if receiver.is_none() {
                let mailbox = Mailbox::Event(kind.to_owned());
                match shared.bus.mailbox(mailbox).await {
                    Ok(opened) => *receiver = Some(opened),
                    Err(error) => tracing::warn!(%error, "assigner looks only every so often"),
                }
            }
        }
    }

    /// Waits for a nudge or so long, and takes all nudges there are.
    pub(super) async fn wait(&mut self, at_most: Duration) {
        tokio::select! {
            () = next(&mut self.conversation) => {}
            () = next(&mut self.agent) => {}
            () = tokio::time::sleep(at_most) => {}
        }
        for receiver in [&mut self.conversation, &mut self.agent]
            .into_iter()
            .flatten()
        {
            while receiver.try_recv().is_ok() {}
        }
    }
}

/// Waits for a nudge; a mailbox that is closed is forgotten, so that it is opened anew.
async fn next(receiver: &mut Option<Receiver<Bytes>>) {
    match receiver {
        Some(open) => {
            if open.recv().await.is_none() {
                *receiver = None;
            }
        }
        None => std::future::pending().await,
    }
}
