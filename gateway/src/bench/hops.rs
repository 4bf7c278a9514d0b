//! Two hops by a client that costs next to nothing: in, a relay that confirms before it acks, out.
//! Each has a thread of its own.

#![expect(
    clippy::disallowed_methods,
    reason = "threads of a load generator: they hold up nobody but themselves"
)]

use std::{
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::sys::resource::UsageWho;
use tokio::sync::mpsc;

use super::{
    amqp::{Amqp, Heard},
    baseline::{ACK_EVERY, Asked, INBOUND, OUTBOUND, PREFETCH, body, read_stamp, stamp},
    meter::{Meter, own_cpu},
    wire::{publish_frames, put_ack},
};

/// Messages written at once.
const BURST_MAX: u64 = 128;
/// What a relay gathers before it writes, bytes.
const WRITE_AT: usize = 128 * 1024;
/// Looks for room in the window this often.
const LOOK: Duration = Duration::from_micros(50);

/// In, a relay that confirms before it acks, out: what every way through a broker has to do.
pub(super) fn two_hops(asked: &Asked) -> anyhow::Result<()> {
    let mut setup = Amqp::open(&asked.amqp)?;
    if !asked.relayed {
        setup.declare(INBOUND)?;
        setup.declare(OUTBOUND)?;
    }
    let begun = Instant::now();
    let stop = Arc::new(AtomicBool::new(false));
    let arrived = Arc::new(AtomicU64::new(0));
    let relayed = Arc::new(AtomicU64::new(0));
    // Bounded by the window, or by what a second of a rate is.
    let (done, mut times) = mpsc::channel(1 << 16);
    let mut threads = Vec::new();
    if !asked.relayed {
        threads.push(relay(asked, Arc::clone(&stop), Arc::clone(&relayed))?);
    }
    threads.push(sink(
        asked,
        begun,
        Arc::clone(&stop),
        Arc::clone(&arrived),
        done,
    )?);
    threads.push(source(asked, begun, Arc::clone(&stop), arrived)?);
    thread::sleep(super::WARM_UP);
    while times.try_recv().is_ok() {}
    let mut meter = Meter::begin(&asked.watch)?;
    let relay_before = relayed.load(Ordering::Relaxed);
    let end = Instant::now() + asked.time();
    while Instant::now() < end {
        thread::sleep(Duration::from_millis(2));
        while let Ok(took) = times.try_recv() {
            meter.record(took);
        }
    }
    let relay_us = relayed.load(Ordering::Relaxed) - relay_before;
    if !asked.relayed {
        meter.add_cpu("relay", Duration::from_micros(relay_us).as_secs_f64());
    }
    meter.report(&format!("bare two hops, {}", asked.pace()))?;
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        thread
            .join()
            .map_err(|_| anyhow::anyhow!("a thread panicked"))??;
    }
    if asked.relayed {
        return Ok(());
    }
    setup.delete(INBOUND)?;
    setup.delete(OUTBOUND)
}

type Running = JoinHandle<anyhow::Result<()>>;

/// Sends at the rate, or as fast as the window allows. Every message carries when it was due.
fn source(
    asked: &Asked,
    begun: Instant,
    stop: Arc<AtomicBool>,
    arrived: Arc<AtomicU64>,
) -> anyhow::Result<Running> {
    let mut amqp = Amqp::open(&asked.amqp)?;
    amqp.select_confirms()?;
    let mut writer = amqp.writer()?;
    // Confirms have to be read, or the broker would wait.
    thread::spawn(move || while amqp.hear().is_ok() {});
    let mut frames = publish_frames(INBOUND, &body());
    let stamp_at = frames.len() - 1 - body().len();
    let (rate, window) = (asked.rate, asked.window);
    Ok(thread::spawn(move || {
        let mut out = Vec::new();
        let mut sent = 0;
        let began = begun.elapsed();
        while !stop.load(Ordering::Relaxed) {
            out.clear();
            let now = begun.elapsed();
            let n = match rate {
                0 => (window - (sent - arrived.load(Ordering::Acquire))).min(BURST_MAX),
                rate => due(now - began, rate).saturating_sub(sent),
            };
            for _ in 0..n {
                let at = match rate {
                    0 => now,
                    rate => began + Duration::from_micros(sent * 1_000_000 / rate),
                };
                stamp(&mut frames[stamp_at..], at);
                out.extend_from_slice(&frames);
                sent += 1;
            }
            if out.is_empty() {
                thread::sleep(LOOK);
            } else {
                writer.write_all(&out)?;
            }
        }
        writer.shutdown(std::net::Shutdown::Both)?;
        Ok(())
    }))
}

/// How many messages have to be out by now.
fn due(elapsed: Duration, rate: u64) -> u64 {
    u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX) * rate / 1_000_000
}

/// The n-th delivery is the n-th publish, so that the number of a confirm is the tag to ack. Tells
/// its own CPU, microseconds.
fn relay(asked: &Asked, stop: Arc<AtomicBool>, cpu: Arc<AtomicU64>) -> anyhow::Result<Running> {
    let mut amqp = Amqp::open(&asked.amqp)?;
    amqp.select_confirms()?;
    amqp.consume(INBOUND, PREFETCH)?;
    let frames = publish_frames(OUTBOUND, &body());
    let head = frames.len() - 1 - body().len();
    Ok(thread::spawn(move || {
        let mut out = Vec::new();
        let (mut confirmed, mut acked, mut last) = (0, 0, Instant::now());
        while !stop.load(Ordering::Relaxed) {
            match amqp.hear() {
                Ok(Heard::Delivered(_, body)) => {
                    out.extend_from_slice(&frames[..head]);
                    out.extend_from_slice(body);
                    out.push(frames[frames.len() - 1]);
                }
                Ok(Heard::Confirmed(tag)) => confirmed = tag,
                Ok(Heard::Other) => continue,
                Err(_) if stop.load(Ordering::Relaxed) => break,
                Err(error) => return Err(error),
            }
            if !amqp.is_drained() && out.len() < WRITE_AT {
                continue;
            }
            if confirmed > acked && (last.elapsed() > ACK_EVERY || confirmed - acked > 100) {
                put_ack(&mut out, confirmed);
                (acked, last) = (confirmed, Instant::now());
            }
            amqp.write(&out)?;
            out.clear();
            let micros = Duration::from_secs_f64(own_cpu(UsageWho::RUSAGE_THREAD)).as_micros();
            cpu.store(u64::try_from(micros)?, Ordering::Relaxed);
        }
        Ok(())
    }))
}

fn sink(
    asked: &Asked,
    begun: Instant,
    stop: Arc<AtomicBool>,
    arrived: Arc<AtomicU64>,
    done: mpsc::Sender<Duration>,
) -> anyhow::Result<Running> {
    let mut amqp = Amqp::open(&asked.amqp)?;
    amqp.consume(OUTBOUND, PREFETCH)?;
    Ok(thread::spawn(move || {
        let (mut acked, mut last, mut out) = (0, Instant::now(), Vec::new());
        while !stop.load(Ordering::Relaxed) {
            let tag = match amqp.hear() {
                Ok(Heard::Delivered(tag, body)) => {
                    let at = read_stamp(body)?;
                    done.blocking_send(begun.elapsed().saturating_sub(at))?;
                    arrived.fetch_add(1, Ordering::Release);
                    tag
                }
                Ok(_) => continue,
                Err(_) if stop.load(Ordering::Relaxed) => break,
                Err(error) => return Err(error),
            };
            if last.elapsed() > ACK_EVERY || amqp.is_drained() && tag - acked > 100 {
                put_ack(&mut out, tag);
                amqp.write(&out)?;
                out.clear();
                (acked, last) = (tag, Instant::now());
            }
        }
        Ok(())
    }))
}
