//! Webhook-style ingest: one POST, one confirmed message. The same load on a bare server.

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, interval, timeout_at},
};

use super::{
    Load, Target, WARM_UP,
    client::{Client, bearer},
    meter::Meter,
    visitor,
};

/// Measured times on their way to the histogram.
const TIMES_MAX: usize = 4096;

/// One connection's requests, one after the other.
struct Poster {
    http: Client,
    path: String,
    /// For whom, in turn: what each sends as headers.
    headers: Vec<String>,
    /// Between two requests; none: as soon as there is an answer.
    every: Option<Duration>,
    /// Once for everyone, and no more.
    once: bool,
    done: mpsc::Sender<Duration>,
}

impl Poster {
    async fn post(mut self) -> anyhow::Result<()> {
        let mut ticks = self.every.map(interval);
        for n in 0.. {
            let at = n % self.headers.len();
            if self.once && n > at {
                return Ok(());
            }
            if let Some(ticks) = &mut ticks {
                ticks.tick().await;
            }
            let begun = Instant::now();
            let body = visitor::message(n as u64, n as u64);
            let (path, headers) = (&self.path, &self.headers[at]);
            let answer = self.http.send("POST", path, headers, body.as_bytes()).await;
            let (status, text) = answer.context("post a message")?;
            let text = String::from_utf8_lossy(&text);
            anyhow::ensure!((200..300).contains(&status), "{status}: {text}");
            self.done.send(begun.elapsed()).await?;
        }
        Ok(())
    }
}

/// How the visitors post.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Posting {
    /// The address is a bare server's.
    #[arg(long)]
    bare: bool,
    /// Visitors, shared among the connections; 0 is one for each connection.
    #[arg(long, default_value_t = 0)]
    visitors: usize,
    /// Everyone posts once, however long it takes.
    #[arg(long)]
    once: bool,
}

/// Every connection posts again as soon as it has its answer, or at the rate.
pub(super) async fn run(target: &Target, load: Load, posting: Posting) -> anyhow::Result<()> {
    let (done, times) = mpsc::channel(TIMES_MAX);
    let mut posters = JoinSet::new();
    let each = posting.visitors.div_ceil(load.connections).max(1);
    for _ in 0..load.connections {
        let mut http = Client::open(&target.url).await?;
        let mut headers = Vec::with_capacity(each);
        for _ in 0..each {
            headers.push(match posting.bare {
                true => bearer("nobody reads this"),
                false => bearer(&visitor::Visitor::new(&mut http, target).await?.token),
            });
        }
        let poster = Poster {
            http,
            path: format!("/channels/{}/messages", target.channel),
            headers,
            every: load.every(),
            once: posting.once,
            done: done.clone(),
        };
        posters.spawn(poster.post());
    }
    drop(done);
    if posting.once {
        return all(times, posters).await;
    }
    measure(target, load, times, posters).await
}

/// Waits until everyone has posted.
async fn all(
    mut times: mpsc::Receiver<Duration>,
    mut posters: JoinSet<anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let mut n = 0_u64;
    while times.recv().await.is_some() {
        n += 1;
    }
    while let Some(ended) = posters.join_next().await {
        ended??;
    }
    println!("{n} posted");
    Ok(())
}

async fn measure(
    target: &Target,
    load: Load,
    mut times: mpsc::Receiver<Duration>,
    mut posters: JoinSet<anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let warm = Instant::now() + WARM_UP;
    while let Ok(Some(_)) = timeout_at(warm, times.recv()).await {}
    let mut meter = Meter::begin(&target.watch)?;
    let end = warm + Duration::from_secs(load.seconds);
    while let Ok(Some(took)) = timeout_at(end, times.recv()).await {
        meter.record(took);
    }
    while let Some(ended) = posters.try_join_next() {
        ended?.context("a connection ended early")?;
    }
    meter.report(&format!("ingest, {} connections", load.connections))?;
    for watched in &target.watch.pids {
        let bytes = watched.memory();
        let mib = Duration::from_micros(bytes).as_secs_f64() / 1.048_576;
        println!("  {}: {mib:.1} MiB resident", watched.name());
        let name = format!("memory.{}", watched.name());
        target.watch.figure(&name, mib)?;
    }
    Ok(())
}
