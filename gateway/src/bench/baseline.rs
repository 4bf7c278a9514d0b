//! The bare limits beside which Patchbay is measured: what a broker can do when there
//! is nothing else.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{hops, lapin, meter::Watch, raw};

/// Bytes of a message: about an envelope.
const BODY: usize = 600;
/// Acks are gathered for this long.
pub(super) const ACK_EVERY: Duration = Duration::from_millis(5);
/// Deliveries without an ack.
pub(super) const PREFETCH: u16 = 2000;
/// The queues.
pub(super) const PUBLISHED: &str = "patchbay.bench.publish";
pub(super) const INBOUND: &str = "patchbay.bench.in";
pub(super) const OUTBOUND: &str = "patchbay.bench.out";

/// Which limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    /// Publish with confirm, closed by the window.
    Publish,
    /// In, a relay that confirms before it acks, out.
    Hops,
    /// Only the relay, until it is stopped: then its process is watched by `hops --relayed`.
    Relay,
}

/// By whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// A client by hand that costs next to nothing.
    Raw,
    /// The library that most would use.
    Lapin,
}

/// How the broker is measured.
#[derive(Debug, Clone, Args)]
pub(crate) struct Asked {
    /// What is measured.
    #[arg(value_enum)]
    what: What,
    /// The client.
    #[arg(long, value_enum, default_value = "raw")]
    by: By,
    /// The broker.
    #[arg(long, env = "PATCHBAY_BUS__URL")]
    pub(super) amqp: String,
    /// Messages under way at once, without a rate.
    #[arg(long, default_value_t = 256)]
    pub(super) window: u64,
    /// Messages a second; 0 sends as fast as the window allows.
    #[arg(long, default_value_t = 0)]
    pub(super) rate: u64,
    /// Another process relays.
    #[arg(long)]
    pub(super) relayed: bool,
    /// Seconds that count.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    #[command(flatten)]
    pub(super) watch: Watch,
}

impl Asked {
    pub(super) fn time(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// How it is paced, in words.
    pub(super) fn pace(&self) -> String {
        match self.rate {
            0 => format!("window {}", self.window),
            rate => format!("{rate}/s asked"),
        }
    }
}

/// Measures the broker.
pub(super) async fn run(asked: Asked) -> anyhow::Result<()> {
    match (asked.by, asked.what) {
        (By::Lapin, What::Publish) => lapin::publish(&asked).await,
        (By::Lapin, What::Hops) => lapin::two_hops(&asked).await,
        (By::Raw, What::Publish) => raw::publish(&asked),
        (By::Raw, What::Hops) => hops::two_hops(&asked),
        (By::Lapin, What::Relay) => lapin::relay(&asked).await,
        (By::Raw, What::Relay) => anyhow::bail!("only lapin relays in a process of its own"),
    }
}

/// A message's body.
pub(super) fn body() -> Vec<u8> {
    vec![b'x'; BODY]
}

/// Writes into a body when it was due.
pub(super) fn stamp(body: &mut [u8], at: Duration) {
    let micros = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
    body[..8].copy_from_slice(&micros.to_be_bytes());
}

/// When a body was due.
pub(super) fn read_stamp(body: &[u8]) -> anyhow::Result<Duration> {
    let bytes = body.get(..8).unwrap_or_default().try_into()?;
    Ok(Duration::from_micros(u64::from_be_bytes(bytes)))
}
