//! Lines that are pulled: each by the gateway that has its lease, when a doorbell rings and now and
//! then without. The cursor is saved, under the lease's fence, once the bus has confirmed everything of
//! a page; who dies before that leaves the page to the next, and its keys tell the repeats.

mod line;
mod meter;

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use patchbay_message::{ChannelId, InstanceId};
use patchbay_sdk::{Link, Poll, Secret};
use patchbay_sinks::{Errands, OpenChannel};
use patchbay_store::{
    Fence, Keeping, Leases, Share, StoreError, Told, Unrenewed, keep as keep_leases,
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::line::Line;
use super::{Ingress, Links};

/// The role under which gateways that could pull count each other.
const ROLE: &str = "pull";
/// Bytes of one page.
pub const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Wakes whoever pulls a line in this process; the others look at the store.
#[derive(Debug, Default)]
pub struct Bells(Mutex<HashMap<String, Arc<Notify>>>);

impl Bells {
    fn of(&self, name: &str) -> Arc<Notify> {
        Arc::clone(self.0.lock().entry(name.to_owned()).or_default())
    }
}

/// A line's lease, and its row in the store.
fn name_of(channel: &ChannelId, line: &str) -> String {
    format!("pull.{channel}.{line}")
}

/// Writes down that there is something to be pulled. From then on it is pulled whatever happens: the
/// line's owner wakes up at once if it is in this process, else within [`line::LOOK_EVERY`].
pub(super) async fn ring(
    ingress: &Ingress,
    channel: &OpenChannel,
    line: &str,
    hint: Option<&Secret>,
) -> Result<(), StoreError> {
    let name = name_of(&channel.id, line);
    let hint = hint.map(Secret::expose);
    ingress.store.ring(&name, hint).await?;
    meter::rung(&channel.id);
    ingress.bells.of(&name).notify_one();
    Ok(())
}

/// Pulls this gateway's share of all lines.
pub struct Puller {
    /// What the transports share.
    pub ingress: Arc<Ingress>,
    /// Runs the requests.
    pub errands: Arc<Errands>,
    /// Whose leases.
    pub instance: InstanceId,
    /// How long a line stays ours without a renewal of its lease.
    pub lease_ttl: Duration,
    /// How the lines are, for `/readyz`.
    pub links: Arc<Links>,
    /// Ends after the page under way.
    pub stop: CancellationToken,
}

impl Puller {
    /// Pulls until the stop.
    pub async fn run(self) {
        let all = self.lines();
        if all.is_empty() {
            return;
        }
        let keeping = Keeping {
            role: ROLE,
            names: all.iter().map(|line| line.name.clone()).collect(),
            ttl: self.lease_ttl,
            share: Share::Even,
            // Every cursor is saved under the fence.
            unrenewed: Unrenewed::GoesOn,
        };
        let work = |at: usize, fence: Fence, stop: CancellationToken| {
            Arc::clone(&all[at]).run(fence, stop)
        };
        let links = Arc::clone(&self.links);
        let tell = |told: Told<'_>| match told.problem {
            Some(error) => links.bad("leases", error),
            None => links.good("leases"),
        };
        let store: Arc<dyn Leases> = Arc::clone(&self.ingress.store) as _;
        keep_leases(store, self.instance, keeping, work, tell, self.stop).await;
    }

    fn lines(&self) -> Vec<Arc<Line>> {
        let channels = self.ingress.channels.all();
        let polls = channels.iter().flat_map(|channel| {
            let links = channel.channel.links().into_iter();
            links.filter_map(move |link| match link {
                Link::Poll(poll) => Some((channel, poll)),
                _ => None,
            })
        });
        polls
            .map(|(channel, Poll { line, every })| {
                let name = name_of(&channel.id, &line);
                Arc::new(Line {
                    bell: self.ingress.bells.of(&name),
                    ingress: Arc::clone(&self.ingress),
                    errands: Arc::clone(&self.errands),
                    links: Arc::clone(&self.links),
                    channel: Arc::clone(channel),
                    name,
                    line,
                    every,
                })
            })
            .collect()
    }
}
