//! Silent sockets: what each costs in memory.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::{sync::Semaphore, task::JoinSet};

use super::{Target, visitor};

/// Sockets opened at once.
const AT_ONCE: usize = 64;

/// Opens them, waits until each is `ready`, and reads the memory of the watched processes.
pub(super) async fn run(target: &Target, sockets: usize) -> anyhow::Result<()> {
    anyhow::ensure!(!target.pids.is_empty(), "whose memory? --pids gateway:PID");
    let http = reqwest::Client::new();
    let before: Vec<u64> = target
        .pids
        .iter()
        .map(super::meter::Watched::memory)
        .collect();
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut opening = JoinSet::new();
    for _ in 0..sockets {
        let place = Arc::clone(&places).acquire_owned().await?;
        let (http, target) = (http.clone(), target.clone());
        opening.spawn(async move {
            let _place = place;
            let visitor = visitor::Visitor::new(&http, &target).await?;
            let mut socket = visitor.socket(&target).await?;
            while visitor::next(&mut socket).await?["type"] != "ready" {}
            anyhow::Ok(socket)
        });
    }
    let mut open = Vec::with_capacity(sockets);
    while let Some(socket) = opening.join_next().await {
        open.push(socket?.context("open a socket")?);
    }
    // What the openings borrowed is given back by now.
    tokio::time::sleep(Duration::from_secs(2)).await;
    for (watched, before) in target.pids.iter().zip(before) {
        let grown = watched.memory().saturating_sub(before);
        let each = grown / u64::try_from(sockets.max(1))?;
        println!(
            "idle sockets: {} open, {} grew by {} KiB = {each} bytes each (from {} KiB)",
            open.len(),
            watched.name(),
            grown / 1024,
            before / 1024,
        );
    }
    Ok(())
}
