//! Deletes what is past its retention, in small steps.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::shared::{End, Shared};

/// Steps of one round, at most; the rest waits for the next round.
const STEPS_MAX: u32 = 1000;
/// Between two steps others get at the store.
const STEP_PAUSE: Duration = Duration::from_millis(20);

pub(crate) async fn run(shared: Arc<Shared>, stop: CancellationToken) -> End {
    loop {
        tokio::select! {
            () = stop.cancelled() => return End::Stopped,
            () = round(&shared) => {}
        }
        tokio::select! {
            () = stop.cancelled() => return End::Stopped,
            () = tokio::time::sleep(shared.options.sweep_every) => {}
        }
    }
}

async fn round(shared: &Shared) {
    let limit = shared.options.sweep_rows_max;
    let mut total = 0;
    for _ in 0..STEPS_MAX {
        match shared.journal.sweep(&shared.options.retention, limit).await {
            Ok(rows) => {
                total += rows;
                if rows == 0 {
                    break;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "sweep put off");
                break;
            }
        }
        tokio::time::sleep(STEP_PAUSE).await;
    }
    if total > 0 {
        tracing::info!(rows = total, "swept");
    }
}
