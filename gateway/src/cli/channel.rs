//! `patchbay channel`: how channels are doing; pause and resume.

use clap::Subcommand;
use serde_json::{Value, json};

use super::{
    ask::segment,
    client::Client,
    print::{self, text},
};

/// Channels listed, at most.
const LIST_MAX: usize = 10_000;

#[derive(Debug, Subcommand)]
pub(super) enum Channel {
    /// Lists channels: state, what waits, the last error.
    List,
    /// Sends nothing on a channel until it is resumed; what waits keeps its order.
    Pause {
        /// The channel.
        id: String,
        /// Why, for whoever asks later.
        #[arg(long)]
        reason: String,
    },
    /// Sends again on a channel.
    Resume {
        /// The channel.
        id: String,
    },
}

pub(super) async fn run(client: &Client, what: Channel) -> anyhow::Result<()> {
    match what {
        Channel::List => {
            let channels = client.list("/channels", &[], LIST_MAX).await?;
            if client.json {
                return print::json(&Value::Array(channels));
            }
            table(&channels)
        }
        Channel::Pause { id, reason } => {
            let path = format!("/channels/{}/pause", segment(&id));
            let channel = client.post(&path, &json!({ "reason": reason })).await?;
            said(client, &channel)
        }
        Channel::Resume { id } => {
            let path = format!("/channels/{}/resume", segment(&id));
            said(client, &client.post(&path, &json!({})).await?)
        }
    }
}

fn said(client: &Client, channel: &Value) -> anyhow::Result<()> {
    if client.json {
        return print::json(channel);
    }
    table(std::slice::from_ref(channel))
}

fn table(channels: &[Value]) -> anyhow::Result<()> {
    let row = |channel: &Value| {
        vec![
            text(channel, "/id"),
            text(channel, "/kind"),
            text(channel, "/state"),
            text(channel, "/backlog"),
            text(channel, "/reason"),
            text(channel, "/last_error/detail"),
        ]
    };
    let rows: Vec<_> = channels.iter().map(row).collect();
    let heads = ["id", "kind", "state", "waiting", "reason", "last error"];
    print::table(&heads, &rows)
}
