//! Devices that publish at QoS 1 as fast as they are acknowledged, or hold their connections in
//! silence.

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use lapin::{
    Connection, ConnectionProperties,
    options::{QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions},
    types::{AMQPValue, FieldTable},
};
use serde_json::json;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep, timeout_at},
};

use super::{
    Load, WARM_UP,
    client::Client,
    meter::{Meter, Watch, Watched},
    mqtt::{Broker, Device, Logins},
};

/// The queue behind a broker of somebody else's.
const QUEUE: &str = "patchbay.bench.devices";
/// Where its MQTT plugin publishes to, and what of it is bound.
const EXCHANGE: &str = "amq.topic";
const KEY: &str = "bench.#";
/// Times on their way to the histogram.
const TIMES_MAX: usize = 4096;
/// A broker in between acknowledges at once: no more than this is on its way to the bus.
const AHEAD_MAX: u64 = 10_000;
/// How often it is asked how much has arrived.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// What the openings borrowed is given back after so long.
const SETTLED: Duration = Duration::from_secs(2);

/// What devices do.
#[derive(Debug, Clone, Args)]
pub(crate) struct Asked {
    #[command(flatten)]
    broker: Broker,
    #[command(flatten)]
    load: Load,
    #[command(flatten)]
    watch: Watch,
    /// Messages of all devices not yet acknowledged.
    #[arg(long, default_value_t = 512)]
    window: usize,
    /// This broker's MQTT plugin is measured: a quorum queue is bound for what is published.
    #[arg(long)]
    bind: Option<String>,
    /// A broker stands in between: what counts is what this channel's messages say at the admin
    /// listener, `http://127.0.0.1:8081/channel`.
    #[arg(long)]
    through: Option<String>,
    /// Only connect, and tell the memory of each.
    #[arg(long)]
    idle: bool,
}

/// Runs it.
pub(super) async fn run(asked: Asked) -> anyhow::Result<()> {
    let logins = asked.broker.logins()?;
    if asked.idle {
        return idle(&asked, &logins).await;
    }
    let bound = match &asked.bind {
        Some(amqp) => Some(bind(amqp).await?),
        None => None,
    };
    let measured = match &asked.through {
        Some(through) => arrivals(&asked, &logins, through).await,
        None => acknowledgements(&asked, &logins).await,
    };
    if let Some(connection) = bound {
        let channel = connection.create_channel().await?;
        let all = QueueDeleteOptions::default();
        channel.queue_delete(QUEUE.into(), all).await?;
    }
    measured
}

/// Every device keeps its share of the window under way.
async fn acknowledgements(asked: &Asked, logins: &Logins) -> anyhow::Result<()> {
    let (done, mut times) = mpsc::channel(TIMES_MAX);
    let mut talking = open_all(asked, logins, &done).await?;
    drop(done);
    let warm = Instant::now() + WARM_UP;
    while let Ok(Some(_)) = timeout_at(warm, times.recv()).await {}
    let mut meter = Meter::begin(&asked.watch)?;
    let end = warm + Duration::from_secs(asked.load.seconds);
    while let Ok(Some((took, n))) = timeout_at(end, times.recv()).await {
        for _ in 0..n {
            meter.record(took);
        }
    }
    while let Some(ended) = talking.try_join_next() {
        ended?.context("a device ended early")?;
    }
    let connections = asked.load.connections;
    let window = asked.window;
    meter.report(&format!("devices, {connections}, window {window}"))
}

type Times = mpsc::Sender<(Duration, usize)>;

async fn open_all(
    asked: &Asked,
    logins: &Logins,
    done: &Times,
) -> anyhow::Result<JoinSet<anyhow::Result<()>>> {
    let connections = asked.load.connections.max(1);
    let share = (asked.window / connections).max(1);
    let mut talking = JoinSet::new();
    for n in 0..connections {
        let name = format!("bench-{n}");
        let device = Device::open(logins, &name).await.context("connect")?;
        talking.spawn(talk(device, name, share, done.clone()));
    }
    Ok(talking)
}

async fn talk(mut device: Device, name: String, share: usize, done: Times) -> anyhow::Result<()> {
    let topic = format!("bench/{name}/readings");
    let mut n = 0_u64;
    let mut room = share;
    loop {
        let begun = Instant::now();
        for _ in 0..room {
            n += 1;
            device.publish(&topic, reading(n).as_bytes())?;
        }
        device.flush().await?;
        room = device.acknowledged().await?;
        if done.send((begun.elapsed(), room)).await.is_err() {
            return Ok(());
        }
    }
}

/// As long as a usual report.
fn reading(n: u64) -> String {
    let text = "a reading as long as the usual report of a machine, and a bit more besides";
    json!({ "n": n, "temperature": 71.5, "pressure": 2.1, "text": text }).to_string()
}

/// What arrives at the bus behind a broker, which is never far ahead of it.
async fn arrivals(asked: &Asked, logins: &Logins, through: &str) -> anyhow::Result<()> {
    let (admin, channel) = through.rsplit_once('/').context("write ADMIN/CHANNEL")?;
    let mut http = Client::open(admin).await?;
    let first = confirmed(&mut http, channel).await?;
    let (done, mut times) = mpsc::channel(1);
    let _talking = open_all(asked, logins, &done).await?;
    let (mut sent, mut seen) = (0_u64, 0_u64);
    let mut meter: Option<Meter<'_>> = None;
    let begun = Instant::now();
    let warm = begun + WARM_UP;
    let end = warm + Duration::from_secs(asked.load.seconds);
    let mut ask = begun + ASK_EVERY;
    while Instant::now() < end {
        // Not taken from the queue, no device sends more.
        while sent < seen + AHEAD_MAX {
            match timeout_at(ask, times.recv()).await {
                Ok(Some((_, n))) => sent += n as u64,
                _ => break,
            }
        }
        tokio::time::sleep_until(ask).await;
        let begun_asking = Instant::now();
        let now = confirmed(&mut http, channel).await? - first;
        if let Some(meter) = &mut meter {
            for _ in seen..now {
                meter.record(begun_asking.elapsed());
            }
        } else if Instant::now() > warm {
            meter = Some(Meter::begin(&asked.watch)?);
        }
        seen = now;
        ask = Instant::now() + ASK_EVERY;
    }
    let meter = meter.context("nothing was measured")?;
    println!("(no latency: arrivals are counted at the gateway)");
    meter.report("devices through a broker")
}

/// Messages of the channel that the bus has confirmed.
async fn confirmed(http: &mut Client, channel: &str) -> anyhow::Result<u64> {
    let (_, body) = http.send("GET", "/metrics", "", b"").await?;
    let text = String::from_utf8_lossy(&body);
    let label = format!("channel=\"{channel}\"");
    let line = text.lines().find(|line| {
        line.starts_with("patchbay_ingress_messages_total")
            && line.contains(&label)
            && line.contains("confirmed")
    });
    let number = line.and_then(|line| line.rsplit(' ').next());
    Ok(number.and_then(|n| n.parse().ok()).unwrap_or(0))
}

async fn bind(amqp: &str) -> anyhow::Result<Connection> {
    let connection = Connection::connect(amqp, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let mut arguments = FieldTable::default();
    let quorum = AMQPValue::LongString("quorum".into());
    arguments.insert("x-queue-type".into(), quorum);
    let durable = QueueDeclareOptions::durable();
    channel
        .queue_declare(QUEUE.into(), durable, arguments)
        .await?;
    let bind = QueueBindOptions::default();
    let none = FieldTable::default();
    channel
        .queue_bind(QUEUE.into(), EXCHANGE.into(), KEY.into(), bind, none)
        .await?;
    Ok(connection)
}

/// Connects so many and reads the memory of the watched processes.
async fn idle(asked: &Asked, logins: &Logins) -> anyhow::Result<()> {
    let pids = &asked.watch.pids;
    anyhow::ensure!(!pids.is_empty(), "whose memory? --pids gateway:PID");
    let before: Vec<u64> = pids.iter().map(Watched::memory).collect();
    let n = asked.load.connections.max(1);
    let mut open = Vec::with_capacity(n);
    for number in 0..n {
        let device = Device::open(logins, &format!("bench-{number}")).await;
        open.push(device.context("connect")?);
    }
    sleep(SETTLED).await;
    for (watched, before) in pids.iter().zip(before) {
        let grown = watched.memory().saturating_sub(before);
        let each = grown / u64::try_from(n)?;
        println!(
            "idle devices: {n} connected, {} grew by {} KiB = {each} bytes each",
            watched.name(),
            grown / 1024
        );
        let name = format!("bytes.{}", watched.name());
        let each = f64::from(u32::try_from(each)?);
        asked.watch.figure(&name, each)?;
    }
    Ok(())
}
