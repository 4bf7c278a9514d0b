//! How fast one address may send on a channel with live connections.

use std::{num::NonZeroU32, time::Duration};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock as _};
use moka::sync::Cache;
use patchbay_message::{ChannelId, Envelope};
use patchbay_sdk::Link;
use patchbay_sinks::OpenChannel;

use crate::pipeline::NotTaken;

/// Channels whose limiters are kept.
const CHANNELS_MAX: u64 = 1000;
/// Addresses kept per channel before idle ones are forgotten.
const ADDRESSES_MAX: usize = 100_000;

type Limiter = std::sync::Arc<DefaultKeyedRateLimiter<String>>;

/// The limiters of every channel.
pub struct Rates(Cache<ChannelId, Limiter>);

impl Default for Rates {
    fn default() -> Self {
        Self(Cache::new(CHANNELS_MAX))
    }
}

impl Rates {
    /// Counts the messages; providers' pushes are never limited, visitors are.
    pub(crate) fn check(
        &self,
        channel: &OpenChannel,
        envelopes: &[Envelope],
    ) -> Result<(), NotTaken> {
        if envelopes.is_empty() || !channel.channel.links().contains(&Link::Socket) {
            return Ok(());
        }
        let limiter = self.0.get_with(channel.id.clone(), || limiter(channel));
        if limiter.len() > ADDRESSES_MAX {
            limiter.retain_recent();
        }
        for envelope in envelopes {
            let Some(sender) = &envelope.sender else {
                continue;
            };
            if let Err(not_until) = limiter.check_key(&sender.address) {
                let after =
                    not_until.wait_time_from(governor::clock::DefaultClock::default().now());
                metrics::counter!("patchbay_ingress_rejected_total",
                    "channel" => channel.id.to_string(), "reason" => "rate_limited")
                .increment(1);
                return Err(NotTaken::TooFast {
                    after: after.max(Duration::from_millis(1)),
                    external_id: envelope.external_id.clone(),
                });
            }
        }
        Ok(())
    }
}

fn limiter(channel: &OpenChannel) -> Limiter {
    let policy = channel.channel.policy();
    let rate = NonZeroU32::new(policy.messages_per_minute).unwrap_or(NonZeroU32::MIN);
    let burst = NonZeroU32::new(policy.messages_burst).unwrap_or(NonZeroU32::MIN);
    std::sync::Arc::new(RateLimiter::keyed(
        Quota::per_minute(rate).allow_burst(burst),
    ))
}
