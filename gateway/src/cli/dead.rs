//! `patchbay dead`: what could not be delivered; look, edit, replay, drop.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    ask::segment,
    client::{Client, Refused},
    print::{self, text},
};

/// Letters replayed by one `--all`, at most: as many again by the next.
const REPLAY_MAX: usize = 10_000;

#[derive(Debug, Subcommand)]
pub(super) enum Dead {
    /// Lists dead letters, newest first.
    List {
        /// Of this channel only.
        #[arg(long)]
        channel: Option<String>,
        /// `dead`, `replayed` or `dropped`.
        #[arg(long)]
        status: Option<String>,
        /// At most this many.
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Shows one with its envelope and the last exchange with the provider.
    Show {
        /// The letter.
        id: String,
    },
    /// Changes the envelope before a replay, in $VISUAL or $EDITOR.
    Edit {
        /// The letter.
        id: String,
        /// Takes the envelope from this file instead; `-` is the standard input.
        #[arg(long)]
        file: Option<PathBuf>,
    },
    /// Sends again, each under a new identity.
    Replay(Replay),
    /// Drops letters: they are shown no more and deleted later.
    Drop {
        /// The letters.
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
}

#[derive(Debug, Args)]
pub(super) struct Replay {
    /// The letters.
    #[arg(
        required_unless_present = "all",
        conflicts_with = "all",
        value_name = "ID"
    )]
    ids: Vec<String>,
    /// All that are dead; says how many, and does it only with --yes.
    #[arg(long)]
    all: bool,
    /// With --all: of this channel only.
    #[arg(long, requires = "all")]
    channel: Option<String>,
    /// With --all: does it.
    #[arg(long, requires = "all")]
    yes: bool,
}

pub(super) async fn run(client: &Client, what: Dead) -> anyhow::Result<()> {
    match what {
        Dead::List {
            channel,
            status,
            limit,
        } => list(client, channel.as_deref(), status.as_deref(), limit).await,
        Dead::Show { id } => print::json(&client.get(&path(&id)).await?),
        Dead::Edit { id, file } => edit(client, &id, file.as_deref()).await,
        Dead::Replay(replay) => again(client, replay).await,
        Dead::Drop { ids } => {
            for id in ids {
                let done = client.call(Method::DELETE, &path(&id), None).await;
                done.with_context(|| format!("letter {id}"))?;
                print::line(&format!("{id} is dropped"))?;
            }
            Ok(())
        }
    }
}

fn path(id: &str) -> String {
    format!("/dead/{}", segment(id))
}

async fn list(
    client: &Client,
    channel: Option<&str>,
    status: Option<&str>,
    limit: usize,
) -> anyhow::Result<()> {
    let query = [("channel", channel), ("status", status)];
    let letters = client.list("/dead", &query, limit.max(1)).await?;
    if client.json {
        return print::json(&Value::Array(letters));
    }
    let row = |letter: &Value| {
        vec![
            text(letter, "/id"),
            text(letter, "/at"),
            text(letter, "/channel/id"),
            text(letter, "/direction"),
            text(letter, "/attempts"),
            text(letter, "/reason"),
            text(letter, "/detail"),
        ]
    };
    let rows: Vec<_> = letters.iter().map(row).collect();
    let heads = [
        "id",
        "at",
        "channel",
        "direction",
        "tries",
        "reason",
        "detail",
    ];
    print::table(&heads, &rows)
}

async fn again(client: &Client, replay: Replay) -> anyhow::Result<()> {
    let ids = if replay.all {
        let query = [("channel", replay.channel.as_deref())];
        let letters = client.list("/dead", &query, REPLAY_MAX).await?;
        letters.iter().map(|letter| text(letter, "/id")).collect()
    } else {
        replay.ids
    };
    if replay.all && !replay.yes {
        let n = print::count(ids.len(), "dead letter");
        let of = replay.channel.map(|channel| format!(" of {channel}"));
        let of = of.unwrap_or_default();
        return print::line(&format!("{n}{of} would be replayed; --yes does it"));
    }
    let mut failed = 0;
    for id in &ids {
        match client
            .post(&format!("{}/replay", path(id)), &json!({}))
            .await
        {
            Ok(new) => print::line(&format!("{id} is replayed as {}", text(&new, "/id")))?,
            // One that is refused is no reason to leave the others.
            Err(error) if error.is::<Refused>() => {
                failed += 1;
                eprintln!("{id} is not replayed: {error}");
            }
            Err(error) => return Err(error.context(format!("letter {id}"))),
        }
    }
    if failed > 0 {
        bail!(
            "{failed} of {} not replayed",
            print::count(ids.len(), "letter")
        );
    }
    Ok(())
}

async fn edit(client: &Client, id: &str, file: Option<&Path>) -> anyhow::Result<()> {
    let envelope = match file {
        Some(file) if file == Path::new("-") => {
            serde_json::from_reader(std::io::stdin().lock()).context("read the envelope")?
        }
        Some(file) => {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("read {}", file.display()))?;
            serde_json::from_str(&text).with_context(|| format!("{} is no JSON", file.display()))?
        }
        None => {
            let letter = client.get(&path(id)).await?;
            match by_hand(id, &letter["envelope"])? {
                Some(edited) => return keep(client, id, &edited).await,
                None => return print::line("nothing was changed"),
            }
        }
    };
    change(client, id, &envelope).await
}

/// The same as `change`, but what was written by hand is not lost if it is refused.
async fn keep(client: &Client, id: &str, edited: &Edited) -> anyhow::Result<()> {
    let kept = edited.file.display();
    let envelope = serde_json::from_str(&edited.text)
        .with_context(|| format!("that is no JSON; it is kept in {kept}, see --file"))?;
    change(client, id, &envelope)
        .await
        .with_context(|| format!("it is kept in {kept}, see --file"))?;
    std::fs::remove_file(&edited.file).with_context(|| format!("remove {kept}"))
}

async fn change(client: &Client, id: &str, envelope: &Value) -> anyhow::Result<()> {
    let body = json!({ "envelope": envelope });
    let letter = client.call(Method::PATCH, &path(id), Some(&body)).await?;
    if client.json {
        return print::json(&letter);
    }
    print::line(&format!(
        "{id} is changed; `patchbay dead replay {id}` sends it"
    ))
}

struct Edited {
    text: String,
    file: PathBuf,
}

/// Opens the editor on a file only this user can read; none if nothing was changed.
fn by_hand(id: &str, envelope: &Value) -> anyhow::Result<Option<Edited>> {
    let editor = ["VISUAL", "EDITOR"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|text| !text.is_empty()))
        .context("set EDITOR, or give the envelope with --file")?;
    let before = match envelope {
        // What never was an envelope is edited as it came.
        Value::String(raw) => raw.clone(),
        envelope => serde_json::to_string_pretty(envelope)? + "\n",
    };
    let file = tempfile::Builder::new()
        .prefix(&format!("patchbay-{id}-"))
        .suffix(".json")
        .tempfile()
        .context("make a file for the editor")?;
    std::fs::write(file.path(), &before).context("write the envelope")?;
    // EDITOR may hold arguments, so a shell reads it, as git and others do.
    let status = std::process::Command::new("sh")
        .arg("-c")
        .arg(format!("{editor} \"$0\""))
        .arg(file.path())
        .status()
        .with_context(|| format!("start {editor}"))?;
    if !status.success() {
        bail!("{editor} ended with {status}; nothing was changed");
    }
    let text = std::fs::read_to_string(file.path()).context("read what was edited")?;
    if text == before {
        return Ok(None);
    }
    let (_, file) = file.keep().context("keep what was edited")?;
    Ok(Some(Edited { text, file }))
}
