//! There and back: a visitor's message, an echo agent's reply.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::{Instant, interval, timeout, timeout_at},
};

use super::{
    Load, Target, WARM_UP,
    agent::{Agent, CAPACITY},
    client::Client,
    meter::Meter,
    socket::{Frame, Socket},
    visitor::{Visitor, message, number},
};

/// Measured times on their way to the histogram; and messages due that a visitor has not sent.
const QUEUE_MAX: usize = 4096;
/// Until every conversation has an agent and has had an answer.
const OPEN_MAX: Duration = Duration::from_secs(120);

/// Opens the conversations, then sends at the rate (or as fast as replies come).
pub(super) async fn run(target: &Target, load: Load, window: usize) -> anyhow::Result<()> {
    let (hear, mut heard) = mpsc::channel(QUEUE_MAX);
    let stop = Arc::new(Semaphore::new(0));
    let mut agents = JoinSet::new();
    for first in (0..load.connections).step_by(CAPACITY) {
        let agent = Agent::hire(target, load.connections - first).await?;
        agents.spawn(agent.echo(hear.clone(), Arc::clone(&stop)));
    }
    let base = Instant::now();
    let (done, mut times) = mpsc::channel(QUEUE_MAX);
    let mut talks = Talks::open(target, load, base, done).await?;
    talks.wait(&mut times, &mut heard).await?;
    let tell = talks.tell.clone();
    let closed = window / load.connections.max(1);
    let pace = tokio::spawn(async move { pace(&tell, base, load.rate, closed).await });
    let warm = Instant::now() + WARM_UP;
    let end = warm + Duration::from_secs(load.seconds);
    let mut meter = None;
    loop {
        let now = Instant::now();
        if meter.is_none() && now >= warm {
            meter = Some(Meter::begin(&target.watch)?);
        }
        let until = if meter.is_none() { warm } else { end };
        let next = async {
            tokio::select! {
                took = times.recv() => (took, None),
                came = heard.recv() => (None, came),
            }
        };
        match timeout_at(until, next).await {
            Ok((took, came)) => {
                let Some(meter) = &mut meter else { continue };
                if let Some(took) = took {
                    meter.record(took);
                }
                if let Some((number, at)) = came {
                    meter.record_half((at - base).saturating_sub(Duration::from_micros(number)));
                }
            }
            Err(_) if now >= end => break,
            Err(_) => talks.check(&mut agents)?,
        }
        if now >= end {
            break;
        }
    }
    talks.check(&mut agents)?;
    pace.abort();
    let rate = match load.rate {
        0 => format!("{window} under way"),
        rate => format!("{rate}/s asked"),
    };
    let what = format!("there and back, {} conversations, {rate}", load.connections);
    meter.context("nothing was measured")?.report(&what)?;
    stop.close();
    while let Some(agent) = agents.join_next().await {
        agent??;
    }
    Ok(())
}

/// Lets visitors speak, in turn: what is sent is when it was due, so that waiting counts.
async fn pace(tell: &[mpsc::Sender<u64>], base: Instant, rate: u64, closed: usize) {
    let micros = |at: Instant| u64::try_from((at - base).as_micros()).unwrap_or(u64::MAX);
    if rate == 0 {
        for _ in 0..closed {
            for tell in tell {
                let _ = tell.send(micros(Instant::now())).await;
            }
        }
        return;
    }
    // As fine as the timer is.
    let mut ticks = interval(Duration::from_millis(1));
    let begun = micros(Instant::now());
    for (sent, tell) in (0..).zip(tell.iter().cycle()) {
        let due = begun + sent * 1_000_000 / rate;
        while micros(Instant::now()) < due {
            ticks.tick().await;
        }
        let _ = tell.send(due).await;
    }
}

/// The visitors, each with a conversation.
struct Talks {
    tell: Vec<mpsc::Sender<u64>>,
    talking: JoinSet<anyhow::Result<()>>,
}

impl Talks {
    /// Opens the sockets; everyone says something.
    async fn open(
        target: &Target,
        load: Load,
        base: Instant,
        done: mpsc::Sender<Duration>,
    ) -> anyhow::Result<Self> {
        let mut http = Client::open(&target.url).await?;
        let mut this = Self {
            tell: Vec::with_capacity(load.connections),
            talking: JoinSet::new(),
        };
        for _ in 0..load.connections {
            let visitor = Visitor::new(&mut http, target).await?;
            let socket = visitor.socket(target).await?;
            let (tell, due) = mpsc::channel(QUEUE_MAX);
            tell.send(u64::try_from(base.elapsed().as_micros())?)
                .await?;
            this.tell.push(tell);
            let talk = converse(socket, base, due, load.rate == 0, done.clone());
            this.talking.spawn(talk);
        }
        Ok(this)
    }

    /// Waits until everyone had an answer.
    async fn wait(
        &mut self,
        times: &mut mpsc::Receiver<Duration>,
        heard: &mut mpsc::Receiver<(u64, Instant)>,
    ) -> anyhow::Result<()> {
        for n in 0..self.tell.len() {
            let first = timeout(OPEN_MAX, times.recv()).await;
            first.with_context(|| format!("only {n} visitors were answered"))?;
            while heard.try_recv().is_ok() {}
        }
        Ok(())
    }

    /// Nobody may have given up.
    fn check(&mut self, agents: &mut JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
        while let Some(talk) = self.talking.try_join_next() {
            talk?.context("a visitor gave up")?;
        }
        while let Some(agent) = agents.try_join_next() {
            agent?.context("an agent gave up")?;
        }
        Ok(())
    }
}

/// One visitor: speaks when it is told to; tells the time until the echo came. `closed`: and then
/// speaks again.
async fn converse(
    mut socket: Socket,
    base: Instant,
    mut due: mpsc::Receiver<u64>,
    closed: bool,
    done: mpsc::Sender<Duration>,
) -> anyhow::Result<()> {
    let mut opening = true;
    for n in 0.. {
        let number = tokio::select! {
            due = due.recv() => due.context("the measurement is over")?,
            frame = socket.next() => {
                let Some(said) = heard(&frame?)? else { continue };
                let took = base.elapsed().saturating_sub(Duration::from_micros(said));
                done.send(took).await?;
                if !closed || std::mem::take(&mut opening) {
                    continue;
                }
                u64::try_from(base.elapsed().as_micros())?
            }
        };
        socket.send(&message(n, number)).await?;
    }
    Ok(())
}

/// The number an agent said back, if the frame is an agent's message.
fn heard(frame: &[u8]) -> anyhow::Result<Option<u64>> {
    let frame = Frame::read(frame)?;
    anyhow::ensure!(frame.kind != "refused", "a message was refused");
    if frame.kind != "message" || frame.from.as_deref() != Some("agent") {
        return Ok(None);
    }
    Ok(frame.content.first().and_then(|part| number(&part.text)))
}
