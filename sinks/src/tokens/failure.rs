//! A fetch that failed: how it is told to the other processes, and how long everybody waits.

use std::time::Duration;

use patchbay_sdk::{SendError, Token};
use serde::{Deserialize, Serialize};

use super::NoToken;
use crate::Backoff;

/// Pauses between fetches that fail.
const BACKOFF: Backoff = Backoff {
    min: Duration::from_secs(1),
    max: Duration::from_secs(120),
    jitter: 0.2,
};
/// After an account problem the channels are paused; who resumes one must not wait for long.
const ACCOUNT_PAUSE: Duration = Duration::from_secs(2);
/// The longest pause a provider can ask for.
const PROVIDER_PAUSE_MAX: Duration = Duration::from_secs(3600);

/// A failure as it stands in the store.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Failure {
    /// Comes right by itself.
    Retry,
    /// Our account is wrong.
    Account(String),
    /// The adapter and the provider do not understand each other.
    Refused(String),
}

/// The word in the metrics.
pub(super) fn outcome(fetched: &Result<Token, SendError>) -> &'static str {
    match fetched.as_ref().err().map(classify) {
        None => "ok",
        Some(Failure::Retry) => "retry",
        Some(Failure::Account(_)) => "account",
        Some(Failure::Refused(_)) => "refused",
    }
}

fn classify(error: &SendError) -> Failure {
    match error {
        SendError::Retry(_)
        | SendError::Throttled(..)
        | SendError::TokenExpired(_)
        | SendError::Unknown => Failure::Retry,
        SendError::Account(why) => Failure::Account(why.clone()),
        other => Failure::Refused(other.to_string()),
    }
}

pub(super) fn write(error: &SendError) -> String {
    serde_json::to_string(&classify(error)).expect("a word and a sentence are JSON")
}

/// What a failure means for the message that met it.
pub(super) fn told(error: SendError, retry_in: Duration) -> NoToken {
    match error {
        SendError::Account(why) => SendError::Account(format!("its token: {why}")).into(),
        other => told_by(&write(&other), retry_in),
    }
}

/// What a failure that somebody else met means for a message that needs the token. It waits,
/// whatever the failure: by the time it comes back a human may have put the account right.
pub(super) fn told_by(failure: &str, retry_in: Duration) -> NoToken {
    let why = match serde_json::from_str(failure) {
        Ok(Failure::Account(why) | Failure::Refused(why)) => {
            format!("its token is not fetched: {why}")
        }
        Ok(Failure::Retry) | Err(_) => "its token cannot be fetched now".to_owned(),
    };
    NoToken::NotNow { why, retry_in }
}

/// How long nobody fetches after so many failures.
pub(super) fn pause(error: &SendError, failures: u32) -> Duration {
    let by_backoff = BACKOFF.delay(failures, fastrand::f64());
    match error {
        SendError::Account(_) => ACCOUNT_PAUSE,
        SendError::Retry(Some(asked)) | SendError::Throttled(_, asked) => {
            by_backoff.max((*asked).min(PROVIDER_PAUSE_MAX))
        }
        _ => by_backoff,
    }
}
