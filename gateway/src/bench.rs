//! `patchbay bench`: load from outside, against a running system, and the bare limits beside it.
//!
//! Every command prints what it measured and nothing it did not. Absolute figures drift with the
//! machine: compare the ratios of one run.

mod baseline;
mod chat;
mod idle;
mod ingest;
mod meter;
mod visitor;

use clap::{Args, Subcommand};

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
    /// Processes whose CPU time and memory are read: `name:pid`, separated by commas.
    #[arg(long, value_delimiter = ',')]
    pids: Vec<meter::Watched>,
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

#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// POSTs that are verified, normalized and confirmed by the bus before the answer.
    Ingest {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        load: Load,
    },
    /// Visitor's message, assigned conversation, an echo agent's reply, visitor: there and back.
    Chat {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        load: Load,
    },
    /// Sockets that are open, verified and silent: memory of each.
    Idle {
        #[command(flatten)]
        target: Target,
        /// How many.
        #[arg(long, default_value_t = 10_000)]
        sockets: usize,
    },
    /// A bare AMQP client on the same broker: publish with confirm, and two hops with a relay.
    Baseline {
        /// The broker.
        #[arg(long, env = "PATCHBAY_BUS__URL")]
        amqp: String,
        /// Unconfirmed publishes at once.
        #[arg(long, default_value_t = 256)]
        window: usize,
        #[command(flatten)]
        load: Load,
    },
}

/// Runs one benchmark and prints its figures.
pub(crate) fn run(bench: Bench) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match bench {
            Bench::Ingest { target, load } => ingest::run(&target, load).await,
            Bench::Chat { target, load } => chat::run(&target, load).await,
            Bench::Idle { target, sockets } => idle::run(&target, sockets).await,
            Bench::Baseline { amqp, window, load } => baseline::run(&amqp, window, load).await,
        }
    })
}
