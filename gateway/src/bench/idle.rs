//! Silent sockets: what each costs in memory.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::{sync::Semaphore, task::JoinSet};

use super::{Target, frames, meter::Watched};

/// Sockets opened at once.
const AT_ONCE: usize = 64;
/// What the openings borrowed is given back after so long.
const SETTLED: Duration = Duration::from_secs(2);

/// Opens them, waits until each is `ready`, and reads the memory of the watched processes.
pub(super) async fn run(target: &Target, sockets: usize, bare: bool) -> anyhow::Result<()> {
    let pids = &target.watch.pids;
    anyhow::ensure!(!pids.is_empty(), "whose memory? --pids gateway:PID");
    let before: Vec<u64> = pids.iter().map(Watched::memory).collect();
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut opening = JoinSet::new();
    for _ in 0..sockets {
        let place = Arc::clone(&places).acquire_owned().await?;
        let target = target.clone();
        opening.spawn(async move {
            let _place = place;
            frames::open(&target, bare).await
        });
    }
    let mut open = Vec::with_capacity(sockets);
    while let Some(socket) = opening.join_next().await {
        open.push(socket?.context("open a socket")?);
    }
    tokio::time::sleep(SETTLED).await;
    for (watched, before) in pids.iter().zip(before) {
        let grown = watched.memory().saturating_sub(before);
        let each = grown / u64::try_from(sockets.max(1))?;
        println!(
            "idle sockets: {} open, {} grew by {} KiB = {each} bytes each (from {} KiB)",
            open.len(),
            watched.name(),
            grown / 1024,
            before / 1024,
        );
        let name = format!("bytes.{}", watched.name());
        target
            .watch
            .figure(&name, f64::from(u32::try_from(each)?))?;
    }
    Ok(())
}
