//! The command line, see docs/cli.md. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 mistakes in the
//! configuration.

mod agent;
mod ask;
mod channel;
mod check;
mod client;
mod dead;
mod print;
mod schema;
mod tap;
mod ticket;
mod token;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use patchbay_config::{Config, Files, Loaded, Loader, Mistakes};
use patchbay_sdk::{Kind, Link};
use patchbay_sinks::OpenChannel;
use tokio_util::sync::CancellationToken;

use self::ask::Ask;
use crate::{bench::Bench, observe, open, roles, roles::Roles};

/// Exit code of mistakes in the configuration.
const CONFIG: u8 = 3;

/// Channel-adapter gateway and message bus for customer service.
#[derive(Debug, Parser)]
#[command(name = "patchbay", version, about, arg_required_else_help = true)]
struct Cli {
    /// Folder with patchbay.toml and channels/.
    #[arg(
        long,
        short,
        env = "PATCHBAY_CONFIG",
        default_value = "config",
        global = true
    )]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Plays every role in one process, by default on the embedded bus and SQLite.
    Up,
    /// Plays the gateway: sockets, API, console.
    Gateway,
    /// Plays the router: conversations, assignment, outbox.
    Router,
    /// Plays the sinks: sending, retry, dead letters.
    Sinks,
    /// Reads every file, prints every mistake with its place, and touches nothing else.
    Check {
        /// Absent secrets are no mistake.
        #[arg(long)]
        offline: bool,
    },
    /// Measures a running system, and the bare limits beside it.
    #[command(subcommand)]
    Bench(Bench),
    /// Prints a JSON Schema.
    Schema {
        /// `envelope`, `config`, `channel`, or a kind for its options.
        #[arg(default_value = "envelope")]
        what: String,
    },
    /// What is asked of a running system.
    #[command(flatten)]
    Ask(Ask),
}

/// The program, with these kinds of channel. A third party links adapters of its own by calling
/// this with a longer list.
#[must_use]
pub fn main(kinds: &'static [Kind]) -> ExitCode {
    let cli = Cli::parse();
    // One TLS provider; others ask for the process's default.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match run(cli, kinds) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli, kinds: &'static [Kind]) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Up => serve(&cli.config, kinds, Roles::ALL),
        Command::Gateway => serve(
            &cli.config,
            kinds,
            Roles {
                gateway: true,
                ..Roles::NONE
            },
        ),
        Command::Router => serve(
            &cli.config,
            kinds,
            Roles {
                router: true,
                ..Roles::NONE
            },
        ),
        Command::Sinks => serve(
            &cli.config,
            kinds,
            Roles {
                sinks: true,
                ..Roles::NONE
            },
        ),
        Command::Check { offline } => Ok(check::check(&cli.config, kinds, offline)),
        Command::Bench(bench) => {
            crate::bench::run(bench)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Schema { what } => schema::print(&what, kinds),
        Command::Ask(ask) => {
            ask::run(&cli.config, ask)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn serve(folder: &PathBuf, kinds: &'static [Kind], roles: Roles) -> anyhow::Result<ExitCode> {
    let loaded = match load(folder) {
        Ok(loaded) => loaded,
        Err(mistakes) => return Ok(report(&mistakes)),
    };
    let devices = match open::channels(&loaded.channels, kinds, &loaded.config.sinks) {
        Ok(channels) => device_listeners(&channels),
        Err(mistakes) => return Ok(report(&mistakes)),
    };
    observe::log_to_stderr(&loaded.config.log)?;
    #[cfg(feature = "failpoints")]
    let _failpoints = fail::FailScenario::setup();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("start the runtime")?;
    runtime.block_on(async {
        let stop = stop_on_signal()?;
        let announce = |config: &Config, first: bool| {
            announce(folder, config, roles, &devices, first);
        };
        roles::run(loaded, kinds, roles, stop, announce).await
    })?;
    Ok(ExitCode::SUCCESS)
}

fn load(folder: &PathBuf) -> Result<Loaded, Mistakes> {
    let files = Files::read(folder)?;
    Loader::from_process(folder).load(&files)
}

fn report(mistakes: &Mistakes) -> ExitCode {
    eprintln!("{}", mistakes.styled());
    ExitCode::from(CONFIG)
}

/// SIGTERM and SIGINT stop gracefully; a second one at once.
fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut term = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut int = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        stopped.cancel();
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        tracing::warn!("stopped at once; what was in flight is redelivered at the next start");
        std::process::exit(130);
    });
    Ok(stop)
}

/// Where devices connect to us, for people: address and channel.
fn device_listeners(channels: &[OpenChannel]) -> Vec<String> {
    let of = |channel: &OpenChannel| {
        let listeners = channel
            .channel
            .links()
            .into_iter()
            .filter_map(|link| match link {
                Link::MqttListener(listener) => {
                    let scheme = if listener.tls.is_some() {
                        "mqtts"
                    } else {
                        "mqtt"
                    };
                    Some(format!("{scheme}://{} ({})", listener.listen, channel.id))
                }
                _ => None,
            });
        listeners.collect::<Vec<_>>()
    };
    channels.iter().flat_map(of).collect()
}

/// Tells a person who started this by hand where to look, and at the first start what to do next.
fn announce(folder: &Path, config: &Config, roles: Roles, devices: &[String], first: bool) {
    if roles.gateway {
        let url = open::public_url(config);
        println!("demo     {url}/demo");
        println!("console  {url}/console/");
        println!("widget   {url}/widget.js");
        println!("api      {url}/api/v1/openapi.json");
        for listener in devices {
            println!("devices  {listener}");
        }
    }
    println!("admin    http://{}/readyz", config.admin.listen);
    if first {
        let program = std::env::args().next();
        let program = program.unwrap_or_else(|| "patchbay".to_owned());
        let folder = folder.display();
        println!("There is no agent yet. This makes one, with a token to sign in to the console:");
        println!("         {program} --config {folder} agent add Ada --token");
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// Every command with its line of arguments, below the program.
    fn leaves(command: &clap::Command, name: &str, found: &mut Vec<(String, Vec<String>)>) {
        let mut below = command
            .get_subcommands()
            .filter(|sub| sub.get_name() != "help")
            .peekable();
        if below.peek().is_none() {
            let arguments = command.get_arguments().filter(|a| !a.is_global_set());
            let long = arguments.filter_map(|argument| argument.get_long().map(str::to_owned));
            found.push((name.to_owned(), long.filter(|l| l != "help").collect()));
        }
        for sub in below {
            leaves(sub, &format!("{name} {}", sub.get_name()), found);
        }
    }

    #[test]
    fn every_command_and_flag_is_in_the_manual_and_nothing_else() {
        Cli::command().debug_assert();
        let manual = include_str!("../../docs/cli.md");
        let mut commands = Vec::new();
        leaves(&Cli::command(), "patchbay", &mut commands);
        for (name, flags) in &commands {
            let lines = manual
                .lines()
                .filter(|line| line.starts_with(&format!("| `{name}")));
            let line: String = lines.collect();
            assert!(!line.is_empty(), "docs/cli.md has no row for `{name}`");
            // Those of the benchmarks are explained where the measurements are.
            let flags = flags.iter().filter(|_| !name.starts_with("patchbay bench"));
            for flag in flags {
                assert!(
                    line.contains(&format!("--{flag}")),
                    "`{name}` lacks --{flag}"
                );
            }
        }
        for line in manual
            .lines()
            .filter(|line| line.starts_with("| `patchbay"))
        {
            let known = |(name, _): &(String, _)| {
                line.starts_with(&format!("| `{name}`")) || line.starts_with(&format!("| `{name} "))
            };
            assert!(
                commands.iter().any(known),
                "there is no such command: {line}"
            );
        }
    }
}
