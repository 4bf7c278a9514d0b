//! Commands to a running system: by its API, never by its files.

use std::path::Path;

use anyhow::Context as _;
use clap::Subcommand;

use super::{
    agent::{self, Agent},
    channel::{self, Channel},
    client::{Client, Remote},
    dead::{self, Dead},
    tap::{self, Follow},
    ticket::{self, Ticket},
    token::{self, Token},
};

#[derive(Debug, Subcommand)]
pub(super) enum Ask {
    /// Agents of a running system: who answers.
    Agent {
        #[command(flatten)]
        remote: Remote,
        #[command(subcommand)]
        what: Agent,
    },
    /// Tokens of a running system: what its API lets in.
    Token {
        #[command(flatten)]
        remote: Remote,
        #[command(subcommand)]
        what: Token,
    },
    /// Channels of a running system.
    Channel {
        #[command(flatten)]
        remote: Remote,
        #[command(subcommand)]
        what: Channel,
    },
    /// Tickets of a running system: what devices have raised.
    Ticket {
        #[command(flatten)]
        remote: Remote,
        #[command(subcommand)]
        what: Ticket,
    },
    /// What a running system could not deliver.
    Dead {
        #[command(flatten)]
        remote: Remote,
        #[command(subcommand)]
        what: Dead,
    },
    /// Follows what happens in a running system, a line each; without what was said.
    Tap {
        #[command(flatten)]
        remote: Remote,
        #[command(flatten)]
        what: Follow,
    },
}

/// Asks; `folder` is the configuration's.
pub(super) fn run(folder: &Path, ask: Ask) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    let reach = |remote: &Remote| Client::new(remote, folder);
    runtime.block_on(async {
        match ask {
            Ask::Agent { remote, what } => agent::run(&reach(&remote)?, what).await,
            Ask::Token { remote, what } => token::run(&reach(&remote)?, what).await,
            Ask::Channel { remote, what } => channel::run(&reach(&remote)?, what).await,
            Ask::Ticket { remote, what } => ticket::run(&reach(&remote)?, what).await,
            Ask::Dead { remote, what } => dead::run(&reach(&remote)?, what).await,
            Ask::Tap { remote, what } => tap::run(&reach(&remote)?, what).await,
        }
    })
}

/// Text as one segment of a path.
pub(super) fn segment(text: &str) -> String {
    let mut url = reqwest::Url::parse("http://localhost").expect("a URL");
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.push(text);
    }
    url.path().trim_start_matches('/').to_owned()
}
