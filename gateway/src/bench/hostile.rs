//! Whether bad input disturbs anybody else: a control visitor's time until `accepted`, alone and
//! beside each kind of bad input, in turn.

use std::time::Duration;

use anyhow::Context as _;
use hdrhistogram::Histogram;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    task::JoinSet,
    time::{Instant, interval, sleep},
};

use super::{
    Target,
    client::{Client, authority, bearer},
    visitor::{Visitor, message},
};

/// The control says something this often: well below what keeps a processor busy.
const EVERY: Duration = Duration::from_millis(10);
/// Between two bad requests of one client. Hostile clients have machines of their own; here they
/// share the processors with what they attack, and would measure themselves without a pause.
const PAUSE: Duration = Duration::from_millis(5);
/// Bad clients of each kind.
const CLIENTS: usize = 8;
/// Before a stretch counts.
const SETTLE: Duration = Duration::from_millis(500);

/// The kinds of bad input.
const KINDS: [Kind; 6] = [
    Kind::Garbage,
    Kind::WrongToken,
    Kind::TooLarge,
    Kind::SlowHeaders,
    Kind::Flood,
    Kind::NeverReads,
];

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Frames that are no JSON.
    Garbage,
    /// Messages under a token nobody made.
    WrongToken,
    /// Bodies past the bound.
    TooLarge,
    /// Headers that never end.
    SlowHeaders,
    /// One visitor far past its rate.
    Flood,
    /// Sockets that are written to and not read.
    NeverReads,
}

/// Alone, then beside each kind, `rounds` times; prints the ratio of the medians' p99.
pub(super) async fn run(target: &Target, seconds: u64, rounds: usize) -> anyhow::Result<()> {
    let stretch = Duration::from_secs(seconds);
    for kind in KINDS {
        let mut ratios = Vec::new();
        let (mut alone_us, mut beside_us) = (0, 0);
        for _ in 0..rounds.max(1) {
            alone_us = p99(target, stretch).await?;
            let mut bad = JoinSet::new();
            for n in 0..CLIENTS {
                bad.spawn(misbehave(kind, target.clone(), n));
            }
            sleep(SETTLE).await;
            beside_us = p99(target, stretch).await?;
            bad.shutdown().await;
            ratios.push(f64::from(beside_us) / f64::from(alone_us.max(1)));
        }
        ratios.sort_by(f64::total_cmp);
        let median = ratios[ratios.len() / 2];
        println!(
            "{kind:?}: control's p99 {beside_us} us beside it, {alone_us} us alone (last round), ratio {median:.2}"
        );
        target.watch.figure(&format!("{kind:?}"), median)?;
    }
    Ok(())
}

/// The control's 99th percentile, microseconds.
async fn p99(target: &Target, stretch: Duration) -> anyhow::Result<u32> {
    let mut http = Client::open(&target.url).await?;
    let visitor = Visitor::new(&mut http, target).await?;
    let mut socket = visitor.socket(target).await?;
    while !socket.next().await?.starts_with(br#"{"type":"ready""#) {}
    let mut times = Histogram::<u64>::new(3)?;
    let mut ticks = interval(EVERY);
    let end = Instant::now() + stretch;
    let mut n = 0;
    while Instant::now() < end {
        ticks.tick().await;
        let begun = Instant::now();
        socket.send(&message(n, n)).await?;
        n += 1;
        while !socket.next().await?.starts_with(br#"{"type":"accepted""#) {}
        times.saturating_record(u64::try_from(begun.elapsed().as_micros())?);
    }
    Ok(u32::try_from(times.value_at_quantile(0.99))?)
}

/// Goes on until it is stopped; what it is told is of no interest.
async fn misbehave(kind: Kind, target: Target, n: usize) {
    loop {
        let _ = match kind {
            Kind::Garbage => garbage(&target).await,
            Kind::WrongToken => posts(&target, "v1.nobody.made.it", b"{}").await,
            Kind::TooLarge => posts(&target, "v1.nobody.made.it", &vec![b'x'; 2 << 20]).await,
            Kind::SlowHeaders => slow_headers(&target).await,
            Kind::Flood => flood(&target).await,
            Kind::NeverReads => never_reads(&target).await,
        };
        sleep(PAUSE * u32::try_from(n + 1).unwrap_or(1)).await;
    }
}

async fn garbage(target: &Target) -> anyhow::Result<()> {
    let mut http = Client::open(&target.url).await?;
    let visitor = Visitor::new(&mut http, target).await?;
    let mut socket = visitor.socket(target).await?;
    loop {
        socket.send("{\"type\":\"message\",\"content\":[{").await?;
        socket.next().await?;
        sleep(PAUSE).await;
    }
}

async fn posts(target: &Target, token: &str, body: &[u8]) -> anyhow::Result<()> {
    let path = format!("/channels/{}/messages", target.channel);
    let mut http = Client::open(&target.url).await?;
    loop {
        http.send("POST", &path, &bearer(token), body).await?;
        sleep(PAUSE).await;
    }
}

async fn slow_headers(target: &Target) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(authority(&target.url)?).await?;
    stream.write_all(b"GET /widget.js HTTP/1.1\r\n").await?;
    loop {
        stream.write_all(b"x-slow: a\r\n").await?;
        sleep(PAUSE).await;
    }
}

async fn flood(target: &Target) -> anyhow::Result<()> {
    let mut http = Client::open(&target.url).await?;
    let visitor = Visitor::new(&mut http, target).await?;
    let path = format!("/channels/{}/messages", target.channel);
    for n in 0.. {
        let body = message(n, n);
        let headers = bearer(&visitor.token);
        http.send("POST", &path, &headers, body.as_bytes()).await?;
        sleep(PAUSE).await;
    }
    Ok(())
}

async fn never_reads(target: &Target) -> anyhow::Result<()> {
    let mut http = Client::open(&target.url).await?;
    let visitor = Visitor::new(&mut http, target).await?;
    let _deaf = visitor.socket(target).await.context("a socket")?;
    let mut talks = visitor.socket(target).await.context("a socket")?;
    for n in 0.. {
        talks.send(&message(n, n)).await?;
        talks.next().await?;
        sleep(PAUSE).await;
    }
    Ok(())
}
