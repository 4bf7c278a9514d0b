//! Frames there and back on open sockets: what a socket costs when nothing has to be kept. Against
//! the gateway a `ping` with its `pong`, against a bare server the same text sent back.

use std::time::Duration;

use anyhow::Context as _;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, timeout_at},
};

use super::{
    Load, Target, WARM_UP, client::Client, meter::Meter, socket::Socket, visitor::Visitor,
};

/// What a client wants back with its `pong`, bytes: as much as the gateway allows, nearly.
const AT: usize = 240;
/// Times on their way to the histogram.
const TIMES_MAX: usize = 4096;

/// Every socket sends again as soon as it has its answer. `bare`: against a bare server.
pub(super) async fn run(target: &Target, load: Load, bare: bool) -> anyhow::Result<()> {
    let (done, mut times) = mpsc::channel(TIMES_MAX);
    let mut talking = JoinSet::new();
    for _ in 0..load.connections {
        let socket = open(target, bare).await?;
        talking.spawn(talk(socket, bare, done.clone()));
    }
    drop(done);
    let warm = Instant::now() + WARM_UP;
    while let Ok(Some(_)) = timeout_at(warm, times.recv()).await {}
    let mut meter = Meter::begin(&target.watch)?;
    let end = warm + Duration::from_secs(load.seconds);
    while let Ok(Some(took)) = timeout_at(end, times.recv()).await {
        meter.record(took);
    }
    while let Some(ended) = talking.try_join_next() {
        ended?.context("a socket ended early")?;
    }
    meter.report(&format!("frames, {} sockets", load.connections))
}

/// An open socket that has nothing more to say by itself.
pub(super) async fn open(target: &Target, bare: bool) -> anyhow::Result<Socket> {
    if bare {
        return Socket::open(&target.url, "/").await;
    }
    let mut http = Client::open(&target.url).await?;
    let visitor = Visitor::new(&mut http, target).await?;
    drop(http);
    let mut socket = visitor.socket(target).await?;
    while !socket.next().await?.starts_with(br#"{"type":"ready""#) {}
    Ok(socket)
}

async fn talk(mut socket: Socket, bare: bool, done: mpsc::Sender<Duration>) -> anyhow::Result<()> {
    let at = "x".repeat(AT);
    let frame = format!(r#"{{"type":"ping","at":"{at}"}}"#);
    loop {
        let begun = Instant::now();
        socket.send(&frame).await?;
        // A gateway's own `ping` on the way is answered, a bare server sends ours back.
        match bare {
            true => socket.next_raw().await?,
            false => socket.next().await?,
        };
        done.send(begun.elapsed()).await?;
    }
}
