//! One line: looks whether it is to be pulled, and pulls it page by page.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, TryStreamExt, stream};
use patchbay_message::{Attributes, Content, Envelope, Part};
use patchbay_normalizer::{NormalizeCx, normalize_message, normalize_receipt};
use patchbay_sdk::{Inbound, InboundMessage, PullAt, Pulled, Secret, SendError};
use patchbay_sinks::{Backoff, Errands, OpenChannel};
use patchbay_store::{Changes, CommitError, Fence, PullNow, PullSaved, StoreError};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{Ingress, Links, meter};
use crate::{
    ingress::mqtt::Shown,
    pipeline::{NotTaken, traceparent},
};

/// Between two looks at the store: how late a doorbell is heard that rang in another gateway.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Pages of one round; then the line looks again whether it is still wanted.
const PAGES_MAX: usize = 50;
/// Senders of a page whose messages are published side by side.
const PUBLISHES_AT_ONCE: usize = 16;
/// Between two tries.
const BACKOFF: Backoff = Backoff {
    min: Duration::from_secs(1),
    max: Duration::from_secs(300),
    jitter: 0.2,
};
/// The longest pause a provider can ask for.
const PROVIDER_PAUSE_MAX: Duration = Duration::from_secs(3600);

/// One line of a channel.
pub(super) struct Line {
    pub(super) ingress: Arc<Ingress>,
    pub(super) errands: Arc<Errands>,
    pub(super) links: Arc<Links>,
    pub(super) channel: Arc<OpenChannel>,
    /// Its lease, and its row in the store.
    pub(super) name: String,
    pub(super) line: String,
    pub(super) every: Duration,
    pub(super) bell: Arc<Notify>,
}

/// How a round ended.
enum Round {
    /// There is nothing more.
    Rest,
    /// There is more.
    More,
    /// Somebody else pulls.
    Fenced,
}

/// Why a round ended before its time.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("the provider: {0}")]
    Provider(SendError),
    #[error("the provider gives the same page again and again")]
    Stuck,
    #[error(transparent)]
    NotTaken(#[from] NotTaken),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the cursor is not saved: {0}")]
    NotSaved(CommitError),
}

impl Line {
    /// Pulls until `stop`, or until somebody else does.
    pub(super) async fn run(self: Arc<Self>, fence: Fence, stop: CancellationToken) {
        let _shown = Shown {
            links: &self.links,
            link: &self.name,
        };
        let mut failures = 0;
        let mut pulled_at = None;
        loop {
            let pause = match self.round(&fence, &mut pulled_at, &stop).await {
                Ok(Round::Fenced) => {
                    tracing::warn!(line = self.name, "somebody else pulls");
                    return;
                }
                Ok(round) => {
                    failures = 0;
                    self.links.good(&self.name);
                    match round {
                        Round::More => Duration::ZERO,
                        _ => LOOK_EVERY,
                    }
                }
                Err(trouble) => {
                    failures += 1;
                    self.links.bad(&self.name, &trouble);
                    tracing::warn!(channel = %self.channel.id, line = self.name, error = %trouble, "not pulled");
                    trouble.pause(failures)
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                // Who rings does not shorten the pause after a failure.
                () = self.bell.notified(), if failures == 0 => {}
                () = sleep(pause) => {}
            }
        }
    }

    async fn round(
        &self,
        fence: &Fence,
        pulled_at: &mut Option<Instant>,
        stop: &CancellationToken,
    ) -> Result<Round, Trouble> {
        let mut now = self.ingress.store.pull(&self.name).await?;
        let is_due = pulled_at.is_none_or(|at| at.elapsed() >= self.every);
        if now.rung <= now.served && !is_due {
            return Ok(Round::Rest);
        }
        for _ in 0..PAGES_MAX {
            if stop.is_cancelled() {
                return Ok(Round::Rest);
            }
            let begun = Instant::now();
            let pulled = self.page(&now).await?;
            let is_new = now.cursor.as_deref() != Some(&pulled.cursor);
            if pulled.more && !is_new {
                return Err(Trouble::Stuck);
            }
            self.publish(&pulled).await?;
            let served = (!pulled.more).then_some(now.rung);
            if is_new || now.rung > now.served {
                let saved = PullSaved {
                    pull: self.name.clone(),
                    cursor: pulled.cursor.clone(),
                    served,
                };
                if !self.save(fence, saved).await? {
                    return Ok(Round::Fenced);
                }
            }
            meter::page(&self.channel.id, "ok");
            meter::took(&self.channel.id, begun.elapsed());
            if !pulled.more {
                *pulled_at = Some(Instant::now());
                return Ok(Round::Rest);
            }
            now.cursor = Some(pulled.cursor);
        }
        Ok(Round::More)
    }

    async fn page(&self, now: &PullNow) -> Result<Pulled, Trouble> {
        let hint = now.hint.clone().map(Secret::new);
        let at = PullAt {
            line: &self.line,
            cursor: now.cursor.as_deref(),
            hint: hint.as_ref(),
            rung_ago: now.rung_ago.unwrap_or(Duration::MAX),
        };
        let pulled = self.errands.pull(&self.channel, &at).await;
        pulled.map_err(|error| {
            meter::page(&self.channel.id, meter::outcome(&error));
            Trouble::Provider(error)
        })
    }

    /// Makes all of it durable: in order by sender, senders side by side.
    async fn publish(&self, pulled: &Pulled) -> Result<(), Trouble> {
        let pipeline = &self.ingress.pipeline;
        let cx = NormalizeCx {
            channel: self.channel.channel_ref(),
            received_at: pipeline.clock.now(),
            authenticity: pulled.proof.authenticity().clone(),
            traceparent: Some(traceparent(None, pipeline.random.as_ref())),
            region: pipeline.region.clone(),
        };
        let mut by_sender: Vec<Vec<Envelope>> = Vec::new();
        for item in &pulled.items {
            if let Inbound::Signal(signal) = item {
                self.ingress.pass_on(&self.channel, signal);
            }
            let Some(envelope) = self.envelope(item, &cx) else {
                continue;
            };
            let is_same = |some: &&mut Vec<Envelope>| {
                some.first().map(|first| &first.partition_key) == Some(&envelope.partition_key)
            };
            match by_sender.iter_mut().find(is_same) {
                Some(some) => some.push(envelope),
                None => by_sender.push(vec![envelope]),
            }
        }
        let publishes: Vec<_> = (by_sender.iter())
            .map(|some| pipeline.publish(some))
            .collect();
        let published = stream::iter(publishes).buffer_unordered(PUBLISHES_AT_ONCE);
        published.try_collect::<()>().await.inspect_err(|_| {
            meter::page(&self.channel.id, "unavailable");
        })?;
        fail::fail_point!("gateway::pulled_page", |_| std::process::abort());
        Ok(())
    }

    /// What is past a bound of ours must not stop the line: agents see that it was there.
    fn envelope(&self, item: &Inbound, cx: &NormalizeCx) -> Option<Envelope> {
        let made = match item {
            Inbound::Signal(_) => return None,
            Inbound::Receipt(receipt) => normalize_receipt(receipt.clone(), cx),
            Inbound::Message(message) => normalize_message((**message).clone(), cx)
                .or_else(|_| normalize_message(without_content(message), cx)),
        };
        made.inspect_err(|error| {
            meter::refused(&self.channel.id);
            tracing::error!(channel = %self.channel.id, %error, "pulled and not taken");
        })
        .ok()
    }

    /// Whether it was saved; else somebody else pulls.
    async fn save(&self, fence: &Fence, saved: PullSaved) -> Result<bool, Trouble> {
        let changes = Changes {
            fences: vec![fence.clone()],
            pulled: vec![saved],
            ..Changes::default()
        };
        match self.ingress.store.commit(changes).await {
            Ok(_) => Ok(true),
            Err(CommitError::Fenced(_)) => Ok(false),
            Err(error) => Err(Trouble::NotSaved(error)),
        }
    }
}

impl Trouble {
    fn pause(&self, failures: u32) -> Duration {
        let by_backoff = BACKOFF.delay(failures, fastrand::f64());
        match self {
            Self::Provider(SendError::Retry(Some(asked)) | SendError::Throttled(_, asked)) => {
                by_backoff.max((*asked).min(PROVIDER_PAUSE_MAX))
            }
            _ => by_backoff,
        }
    }
}

fn without_content(message: &InboundMessage) -> InboundMessage {
    let part = Part::Unsupported {
        what: "message past a bound".to_owned(),
        raw: None,
        extra: Attributes::new(),
    };
    InboundMessage {
        sender: patchbay_message::Party {
            address: message.sender.address.clone(),
            ..Default::default()
        },
        external_id: message.external_id.clone(),
        dedupe_key: message.dedupe_key.clone(),
        sent_at: message.sent_at,
        content: vec![Content::Known(part)],
        ..InboundMessage::default()
    }
}
