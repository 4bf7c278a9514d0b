//! Publish with confirm, and two hops (in, relay, out), on both buses.
//!
//! `cargo bench -p patchbay-bus --bench bus -- [embedded|rabbitmq] [publish|spread|relay|latency]`, with
//! PATCHBAY_TEST_AMQP naming a broker, and PATCHBAY_BENCH_BROKER its process, if its processor time is
//! to be shown too. Compare figures of one run with each other only.

#![expect(clippy::unwrap_used, reason = "a panic is how a bench fails")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use hdrhistogram::Histogram;
use nix::sys::resource::{UsageWho, getrusage};
use patchbay_bus::{Bus, EmbeddedBus, EmbeddedOptions, Message, Queue, RabbitBus, RabbitOptions};
use patchbay_message::MessageId;
use tokio::sync::Semaphore;

const IN: Queue = Queue::Inbound(0);
const OUT: Queue = Queue::Outbound(0);
/// As many as an installation has by default.
const N_QUEUES: u16 = 16;
const BODY_BYTES: usize = 600;
const MEASURE: Duration = Duration::from_secs(4);
/// Left out at the beginning.
const WARM_UP: Duration = Duration::from_secs(1);

fn message(body: Vec<u8>) -> Message {
    Message {
        id: MessageId::new(),
        kind: "message".into(),
        body: Bytes::from(body),
    }
}

/// Processor time of this process, all threads.
fn cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let us = |time: nix::sys::time::TimeVal| {
        u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap()
    };
    Duration::from_micros(us(usage.user_time()) + us(usage.system_time()))
}

/// Processor time of the broker's process.
fn broker_cpu() -> Option<Duration> {
    let pid = std::env::var("PATCHBAY_BENCH_BROKER").ok()?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields[11].parse::<u64>().ok()? + fields[12].parse::<u64>().ok()?;
    // The kernel counts hundredths of a second.
    Some(Duration::from_millis(ticks * 10))
}

/// Counts over [`MEASURE`] after [`WARM_UP`] and prints rate and own processor time.
async fn measure(what: &str, count: &AtomicU64) {
    tokio::time::sleep(WARM_UP).await;
    let (began, n_before, cpu_before) = (Instant::now(), count.load(Ordering::Relaxed), cpu());
    let broker_before = broker_cpu();
    tokio::time::sleep(MEASURE).await;
    let n = (count.load(Ordering::Relaxed) - n_before) as f64;
    let rate = n / began.elapsed().as_secs_f64();
    let us = (cpu() - cpu_before).as_secs_f64() * 1e6 / n;
    let broker = match (broker_before, broker_cpu()) {
        (Some(before), Some(after)) => {
            format!(
                ", {:>6.1} us of the broker's",
                (after - before).as_secs_f64() * 1e6 / n
            )
        }
        _ => String::new(),
    };
    println!("{what:<44} {rate:>9.0}/s   {us:>6.1} us of own CPU each{broker}");
}

/// `n_callers` at once, each publishing `batch` messages to one of `n_queues` and waiting for the
/// confirm; consumers keep the queues short.
async fn publish(name: &str, bus: &Arc<dyn Bus>, n_queues: u16, n_callers: usize, batch: usize) {
    let count = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for queue in (0..n_queues).cycle().take(n_callers).map(Queue::Inbound) {
        let (bus, count) = (bus.clone(), count.clone());
        tasks.spawn(async move {
            loop {
                let messages = (0..batch).map(|_| (queue, message(vec![b'x'; BODY_BYTES])));
                bus.publish(messages.collect()).await.unwrap();
                count.fetch_add(batch as u64, Ordering::Relaxed);
            }
        });
    }
    for queue in (0..n_queues).map(Queue::Inbound) {
        let mut consumer = bus.consume(queue, 2000).await.unwrap();
        tasks.spawn(async move {
            loop {
                for delivery in consumer.recv(500).await.unwrap() {
                    delivery.ack();
                }
            }
        });
    }
    let what = format!("{name} publish to {n_queues}, {n_callers} callers x {batch}");
    measure(&what, &count).await;
    tasks.shutdown().await;
    empty(bus).await;
}

/// From `IN` to `OUT`: published and confirmed there before it is acked here.
async fn relay(bus: Arc<dyn Bus>) {
    let mut consumer = bus.consume(IN, 2000).await.unwrap();
    loop {
        let deliveries = consumer.recv(500).await.unwrap();
        let messages = deliveries.iter().map(|d| (OUT, d.message.clone()));
        bus.publish(messages.collect()).await.unwrap();
        for delivery in deliveries {
            delivery.ack();
        }
    }
}

/// Two hops as fast as they go, with `window` messages on the way.
async fn two_hops(name: &str, bus: &Arc<dyn Bus>, window: usize) {
    let (count, room) = (
        Arc::new(AtomicU64::new(0)),
        Arc::new(Semaphore::new(window)),
    );
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(relay(bus.clone()));
    let mut sink = bus.consume(OUT, 2000).await.unwrap();
    let (freed, counted) = (room.clone(), count.clone());
    tasks.spawn(async move {
        loop {
            let deliveries = sink.recv(500).await.unwrap();
            counted.fetch_add(deliveries.len() as u64, Ordering::Relaxed);
            freed.add_permits(deliveries.len());
            for delivery in deliveries {
                delivery.ack();
            }
        }
    });
    for _ in 0..8 {
        let (bus, room) = (bus.clone(), room.clone());
        tasks.spawn(async move {
            loop {
                room.acquire().await.unwrap().forget();
                let mut n = 1;
                while n < 64 && room.try_acquire().map(|permit| permit.forget()).is_ok() {
                    n += 1;
                }
                let messages = (0..n).map(|_| (IN, message(vec![b'x'; BODY_BYTES])));
                bus.publish(messages.collect()).await.unwrap();
            }
        });
    }
    measure(&format!("{name} two hops, window {window}"), &count).await;
    tasks.shutdown().await;
    empty(bus).await;
}

/// Two hops at a fixed rate; how long each message takes, from when it was due.
async fn latency(name: &str, bus: &Arc<dyn Bus>, per_second: u64) {
    let began = Instant::now();
    let ns = move || u64::try_from(began.elapsed().as_nanos()).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(relay(bus.clone()));
    let mut sink = bus.consume(OUT, 2000).await.unwrap();
    let (sender, mut times) = tokio::sync::mpsc::channel::<u64>(100_000);
    tasks.spawn(async move {
        loop {
            for delivery in sink.recv(500).await.unwrap() {
                let due = u64::from_le_bytes(delivery.message.body[..8].try_into().unwrap());
                if due > u64::try_from(WARM_UP.as_nanos()).unwrap() {
                    let _ = sender.try_send(ns() - due);
                }
                delivery.ack();
            }
        }
    });
    let gap = Duration::from_secs(1) / u32::try_from(per_second).unwrap();
    let mut due = Duration::ZERO;
    let cpu_before = cpu();
    while due < WARM_UP + MEASURE {
        tokio::time::sleep_until((began + due).into()).await;
        let mut messages = Vec::new();
        while due <= began.elapsed() {
            let mut body = vec![b'x'; BODY_BYTES];
            body[..8].copy_from_slice(&u64::try_from(due.as_nanos()).unwrap().to_le_bytes());
            messages.push((IN, message(body)));
            due += gap;
        }
        let bus = bus.clone();
        tasks.spawn(async move { bus.publish(messages).await.unwrap() });
    }
    let us = (cpu() - cpu_before).as_secs_f64() * 1e6 / (due.as_secs_f64() * per_second as f64);
    let mut histogram = Histogram::<u64>::new(3).unwrap();
    let expected = (MEASURE.as_secs() * per_second).saturating_sub(1);
    while histogram.len() < expected {
        histogram
            .record(times.recv().await.unwrap() / 1000)
            .unwrap();
    }
    println!(
        "{:<44} p50 {:>6} us, p99 {:>6} us   {us:>6.1} us of own CPU each",
        format!("{name} two hops at {per_second}/s"),
        histogram.value_at_quantile(0.5),
        histogram.value_at_quantile(0.99)
    );
    tasks.shutdown().await;
    empty(bus).await;
}

async fn empty(bus: &Arc<dyn Bus>) {
    for queue in (0..N_QUEUES).map(Queue::Inbound).chain([OUT]) {
        let mut consumer = bus.consume(queue, 2000).await.unwrap();
        let wait = Duration::from_millis(100);
        while let Ok(deliveries) = tokio::time::timeout(wait, consumer.recv(500)).await {
            for delivery in deliveries.unwrap() {
                delivery.ack();
            }
        }
    }
}

async fn all(name: &str, bus: Arc<dyn Bus>, wanted: impl Fn(&str) -> bool) {
    if wanted("publish") {
        for n_callers in [1, 64, 512] {
            publish(name, &bus, 1, n_callers, 1).await;
        }
        publish(name, &bus, 1, 16, 32).await;
    }
    if wanted("spread") {
        publish(name, &bus, N_QUEUES, 256, 1).await;
        publish(name, &bus, N_QUEUES, 16, 32).await;
    }
    if wanted("relay") {
        two_hops(name, &bus, 1024).await;
    }
    if wanted("latency") {
        for per_second in [1000, 5000] {
            latency(name, &bus, per_second).await;
        }
    }
    bus.close().await;
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let among = |names: &[&str], name: &str| {
        let given = |a: &String| names.contains(&a.as_str());
        !arguments.iter().any(given) || arguments.iter().any(|a| a == name)
    };
    let wanted = |what: &str| among(&["publish", "spread", "relay", "latency"], what);
    let bus_wanted = |bus: &str| among(&["embedded", "rabbitmq"], bus);
    if bus_wanted("embedded") {
        let dir = tempfile::tempdir().unwrap();
        let bus = EmbeddedBus::open(dir.path().join("bus.db"), EmbeddedOptions::default()).unwrap();
        all("embedded", bus, wanted).await;
    }
    if bus_wanted("rabbitmq") {
        let Ok(url) = std::env::var("PATCHBAY_TEST_AMQP") else {
            println!("rabbitmq: left out, PATCHBAY_TEST_AMQP is not set");
            return;
        };
        let options = RabbitOptions {
            namespace: "bench".to_owned(),
            partitions: N_QUEUES,
            shards: 1,
            ..RabbitOptions::default()
        };
        let bus = RabbitBus::connect(&url, options).await.unwrap();
        all("rabbitmq", bus, wanted).await;
    }
}
