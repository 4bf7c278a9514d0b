//! What becomes of a message that could not be sent: the one table from [`SendError`] to a decision.

use std::time::Duration;

use patchbay_message::{ReceiptState, Time};
use patchbay_sdk::{Scope, SendError};

use crate::{OnUnknown, RetryPolicy, backoff::Backoff};

/// By which share a pause may be longer, so that many do not come back at once.
const JITTER: f64 = 0.2;
/// The longest pause a provider can ask for.
const PROVIDER_PAUSE_MAX: Duration = Duration::from_secs(24 * 3600);
/// When a message of a paused channel looks again by itself, should the resume be missed.
pub(crate) const PAUSED_RECHECK: Duration = Duration::from_secs(30);

/// What becomes of a message that could not be sent now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It waits in the store.
    Rest(Rest),
    /// It is a dead letter.
    Dead(Death),
}

/// It waits in the store, first in its lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rest {
    /// One of the reasons of [`patchbay_store::Park`].
    pub(crate) reason: &'static str,
    /// A sentence.
    pub(crate) detail: String,
    /// Until when.
    pub(crate) due: Time,
    /// What this means for the rest of the channel.
    pub(crate) channel: Option<ChannelRest>,
}

/// The whole channel is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ChannelRest {
    /// Nothing is tried on it until then.
    Until(Time),
    /// Nothing is tried until a human has resumed it.
    Paused(String),
}

/// It will not be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Death {
    /// One of the reasons of [`patchbay_store::DeadLetter`].
    pub(crate) reason: &'static str,
    /// A sentence for agents.
    pub(crate) detail: String,
    /// What the message's state becomes.
    pub(crate) state: ReceiptState,
}

impl Rest {
    pub(crate) fn new(reason: &'static str, detail: impl Into<String>, due: Time) -> Self {
        Self {
            reason,
            detail: detail.into(),
            due,
            channel: None,
        }
    }
}

impl Death {
    pub(crate) fn failed(reason: &'static str, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
            state: ReceiptState::Failed,
        }
    }

    pub(crate) fn expired() -> Self {
        Self {
            reason: "expired",
            detail: "its time ran out before it could be sent".to_owned(),
            state: ReceiptState::Expired,
        }
    }
}

/// The table. `attempts` counts the try that failed; `random` is between 0 and 1.
pub(crate) fn judge(
    error: &SendError,
    policy: &RetryPolicy,
    attempts: u32,
    now: Time,
    random: f64,
) -> Verdict {
    let backoff = Backoff {
        min: policy.delay_min,
        max: policy.delay_max,
        jitter: JITTER,
    };
    let by_backoff = || now.plus(backoff.delay(attempts, random));
    let asked = |pause: Duration| {
        let pause = pause.min(PROVIDER_PAUSE_MAX);
        now.plus(pause + backoff.min.mul_f64(JITTER * random))
    };
    let rest = |reason, due| Verdict::Rest(Rest::new(reason, error.to_string(), due));
    let dead = |reason| Verdict::Dead(Death::failed(reason, error.to_string()));
    let is_last_try = policy.attempts_max.is_some_and(|max| attempts >= max);
    match error {
        SendError::Retry(_) | SendError::TokenExpired(_) if is_last_try => Verdict::Dead(
            Death::failed("expired", format!("given up after {attempts} tries")),
        ),
        SendError::Retry(None) | SendError::TokenExpired(_) => rest("retry", by_backoff()),
        SendError::Retry(Some(pause)) => rest("retry", asked(*pause)),
        SendError::Throttled(Scope::Contact, pause) => rest("throttled", asked(*pause)),
        SendError::Throttled(Scope::Channel, pause) => {
            let until = now.plus((*pause).min(PROVIDER_PAUSE_MAX));
            Verdict::Rest(Rest {
                channel: Some(ChannelRest::Until(until)),
                ..Rest::new("throttled", error.to_string(), asked(*pause))
            })
        }
        SendError::Account(why) => Verdict::Rest(Rest {
            channel: Some(ChannelRest::Paused(why.clone())),
            ..Rest::new("paused", error.to_string(), now.plus(PAUSED_RECHECK))
        }),
        SendError::Unknown => match policy.on_unknown {
            OnUnknown::Resend if !is_last_try => rest("retry", by_backoff()),
            OnUnknown::Resend | OnUnknown::Hold => Verdict::Dead(Death {
                reason: "unknown",
                detail: "it left us and no answer came: it may or may not have arrived".to_owned(),
                state: ReceiptState::Unknown,
            }),
        },
        SendError::WindowClosed => Verdict::Dead(Death::failed(
            "window_closed",
            "the contact's reply window is closed; they have to write first",
        )),
        SendError::QuotaUsed => Verdict::Dead(Death::failed(
            "window_closed",
            "the contact's reply quota is used up; they have to write again first",
        )),
        SendError::Gone(_) => {
            Verdict::Dead(Death::failed("gone", "the address does not exist any more"))
        }
        SendError::Blocked => dead("blocked"),
        SendError::Payload(_) => dead("payload"),
        SendError::Unsupported => dead("unsupported"),
    }
}

#[cfg(test)]
mod tests;
