//! What every end-to-end test needs: private services, the real binary, and clients that keep
//! their own ledger.

pub mod agent;
pub mod config;
pub mod device;
pub mod process;
pub mod services;
pub mod visitor;

use std::{future::Future, time::Duration};

use tokio::time::{Instant, sleep};

/// Asks again every 20 ms until there is an answer.
///
/// # Panics
/// If there is none within `patience`; `what` says what was waited for.
pub async fn eventually<T, F, Fut>(what: &str, patience: Duration, mut ask: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(
            Instant::now() < deadline,
            "waited {patience:?} in vain for {what}"
        );
        sleep(Duration::from_millis(20)).await;
    }
}

/// A client for HTTP; the process's one TLS provider is set by the first call.
pub fn http() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(8))
        .build();
    client.expect("a client without special wishes")
}
