//! `patchbay ticket`: what devices have raised, and who works on it.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    ask::segment,
    client::Client,
    print::{self, text},
};

/// Lines of a history shown, at most.
const HISTORY_MAX: usize = 10_000;

#[derive(Debug, Subcommand)]
pub(super) enum Ticket {
    /// Lists tickets, newest activity first.
    List(List),
    /// Shows one with its device as it stands and its whole history, as JSON.
    Show {
        /// The ticket: its id, or its number as `T-2026-000123`.
        id: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// `waiting`, `open`, `closed` or `all`.
    #[arg(long, default_value = "open")]
    view: String,
    /// Only in these states, separated by commas.
    #[arg(long)]
    state: Option<String>,
    /// Only of these severities, separated by commas.
    #[arg(long)]
    severity: Option<String>,
    /// Only of this channel.
    #[arg(long)]
    channel: Option<String>,
    /// Only of this device.
    #[arg(long)]
    device: Option<String>,
    /// At most this many.
    #[arg(long, default_value_t = 50)]
    limit: usize,
}

pub(super) async fn run(client: &Client, what: Ticket) -> anyhow::Result<()> {
    match what {
        Ticket::List(list) => table(client, &list).await,
        Ticket::Show { id } => {
            let path = format!("/tickets/{}", segment(&id));
            let mut ticket = client.get(&path).await?;
            ticket["history"] = json!(history(client, &path).await?);
            print::json(&ticket)
        }
    }
}

/// The whole history, page by page.
async fn history(client: &Client, path: &str) -> anyhow::Result<Vec<Value>> {
    let (mut all, mut after) = (Vec::new(), "0".to_owned());
    while all.len() < HISTORY_MAX {
        let path = format!("{path}/history?limit=200&after={after}");
        let mut page = client.get(&path).await?;
        if let Value::Array(items) = page["items"].take() {
            all.extend(items);
        }
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut after),
            None => break,
        }
    }
    Ok(all)
}

async fn table(client: &Client, list: &List) -> anyhow::Result<()> {
    let query = [
        ("view", Some(list.view.as_str())),
        ("state", list.state.as_deref()),
        ("severity", list.severity.as_deref()),
        ("channel", list.channel.as_deref()),
        ("device", list.device.as_deref()),
    ];
    let tickets = client.list("/tickets", &query, list.limit.max(1)).await?;
    if client.json {
        return print::json(&Value::Array(tickets));
    }
    let row = |ticket: &Value| {
        vec![
            text(ticket, "/number"),
            text(ticket, "/state"),
            text(ticket, "/severity"),
            text(ticket, "/channel/id"),
            text(ticket, "/device"),
            text(ticket, "/code"),
            text(ticket, "/n_raised"),
            text(ticket, "/raised_at"),
            text(ticket, "/agent/name"),
        ]
    };
    let rows: Vec<_> = tickets.iter().map(row).collect();
    let heads = [
        "number", "state", "severity", "channel", "device", "code", "raised", "last at", "agent",
    ];
    print::table(&heads, &rows)
}
