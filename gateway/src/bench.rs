//! `patchbay bench`: load from outside, against a running system, and the bare limits beside it.
//!
//! Every command prints what it measured and nothing it did not. Absolute figures drift with the
//! machine: compare the ratios of one run. The load is made by clients by hand, because on a machine
//! that it shares with what it measures a dear load would be measured too.

mod agent;
mod amqp;
mod bare;
mod baseline;
mod chat;
mod client;
mod devices;
mod frames;
mod hops;
mod hostile;
mod idle;
mod ingest;
mod lapin;
mod meter;
mod mqtt;
mod raw;
mod socket;
mod visitor;
mod wire;

use std::{net::SocketAddr, time::Duration};

use clap::{Args, Subcommand};

/// Before the figures count.
const WARM_UP: Duration = Duration::from_secs(2);

/// Where the system under load is.
#[derive(Debug, Clone, Args)]
pub(crate) struct Target {
    /// Address of a gateway's public listener.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Address of an admin listener; needed to make an agent.
    #[arg(long, default_value = "http://127.0.0.1:8081")]
    admin: String,
    /// The web chat channel.
    #[arg(long, default_value = "web")]
    channel: String,
    #[command(flatten)]
    watch: meter::Watch,
}

/// How much and how long.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Load {
    /// Seconds that count, after two that do not.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Messages a second; 0 sends as fast as answers come.
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// Connections, or conversations.
    #[arg(long, default_value_t = 256)]
    connections: usize,
}

impl Load {
    /// Between two messages of one connection, if there is a rate.
    fn every(&self) -> Option<Duration> {
        let each = u32::try_from(self.connections).unwrap_or(u32::MAX);
        let second = Duration::from_secs(1);
        let rate = u32::try_from(self.rate).unwrap_or(u32::MAX);
        (rate > 0).then(|| second * each / rate)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// POSTs that are verified, normalized and confirmed by the bus before the answer.
    Ingest {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        load: Load,
        #[command(flatten)]
        posting: ingest::Posting,
    },
    /// Visitor's message, assigned conversation, an echo agent's reply, visitor: there and back.
    Chat {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        load: Load,
        /// Messages under way at once, without a rate.
        #[arg(long, default_value_t = 1024)]
        window: usize,
    },
    /// Frames there and back on open sockets, with nothing to keep.
    Frames {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        load: Load,
        /// The address is a bare server's.
        #[arg(long)]
        bare: bool,
    },
    /// Sockets that are open, verified and silent: memory of each.
    Idle {
        #[command(flatten)]
        target: Target,
        /// How many.
        #[arg(long, default_value_t = 10_000)]
        sockets: usize,
        /// The address is a bare server's.
        #[arg(long)]
        bare: bool,
    },
    /// MQTT devices that publish at QoS 1, or hold their connections in silence.
    Devices(devices::Asked),
    /// A control visitor's 99th percentile beside bad input, and alone.
    Hostile {
        #[command(flatten)]
        target: Target,
        /// Seconds of each stretch.
        #[arg(long, default_value_t = 5)]
        seconds: u64,
        /// Stretches alone and beside, in turn, of every kind of bad input.
        #[arg(long, default_value_t = 3)]
        rounds: usize,
    },
    /// A bare AMQP client on the same broker: publish with confirm, or two hops with a relay.
    Baseline(baseline::Asked),
    /// A bare server that answers or echoes; prints its address and serves until it is stopped.
    Serve {
        /// What is served.
        #[arg(value_enum)]
        what: bare::Server,
        /// Where.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
    },
}

/// Runs one benchmark and prints its figures.
pub(crate) fn run(bench: Bench) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match bench {
            Bench::Ingest {
                target,
                load,
                posting,
            } => ingest::run(&target, load, posting).await,
            Bench::Chat {
                target,
                load,
                window,
            } => chat::run(&target, load, window).await,
            Bench::Frames { target, load, bare } => frames::run(&target, load, bare).await,
            Bench::Idle {
                target,
                sockets,
                bare,
            } => idle::run(&target, sockets, bare).await,
            Bench::Devices(asked) => devices::run(asked).await,
            Bench::Hostile {
                target,
                seconds,
                rounds,
            } => hostile::run(&target, seconds, rounds).await,
            Bench::Baseline(asked) => baseline::run(asked).await,
            Bench::Serve { what, listen } => bare::serve(what, listen).await,
        }
    })
}
