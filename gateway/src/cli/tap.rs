//! `patchbay tap`: live events as lines. Resumes after the last one seen, so that nothing is missed
//! while the connection was down.

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::{connect_async, tungstenite::Message};

use super::{
    client::{Client, Refused},
    print::{self, text},
};

/// Between two tries to connect.
const PAUSE: Duration = Duration::from_secs(1);
/// The server pings far more often.
const SILENCE: Duration = Duration::from_secs(60);
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(super) struct Follow {
    /// Begins after this number instead of now.
    #[arg(long)]
    after: Option<u64>,
    /// Only events of this type: conversation, message, delivery, seen, agent, command, channel,
    /// ticket, typing, replying. May be given several times.
    #[arg(long = "type")]
    types: Vec<String>,
    /// Shows what was said, too.
    #[arg(long)]
    bodies: bool,
    /// Ends after this many events.
    #[arg(long)]
    count: Option<u64>,
}

/// Follows until it is told to stop.
///
/// # Errors
/// The first connection fails, or a ticket is refused; later losses are made good.
pub(super) async fn run(client: &Client, tap: Follow) -> anyhow::Result<()> {
    let mut after = tap.after;
    let mut left = tap.count.unwrap_or(u64::MAX);
    let mut connected = false;
    while left > 0 {
        let lost = match follow(client, &tap, &mut after, &mut left, &mut connected).await {
            Ok(()) => continue,
            Err(error) if !connected || error.is::<Refused>() => return Err(error),
            Err(error) => error,
        };
        eprintln!("{lost:#}; trying again");
        sleep(PAUSE).await;
    }
    Ok(())
}

async fn follow(
    client: &Client,
    tap: &Follow,
    after: &mut Option<u64>,
    left: &mut u64,
    connected: &mut bool,
) -> anyhow::Result<()> {
    let ticket = client.post("/events/ticket", &json!({})).await?;
    let from = after.map_or_else(String::new, |after| format!("&after={after}"));
    let query = format!("/events?ticket={}{from}", text(&ticket, "/ticket"));
    let socket = timeout(CONNECT_TIMEOUT, connect_async(client.socket_url(&query))).await;
    let (mut socket, _) = socket
        .context("no answer")?
        .context("no connection for live events")?;
    *connected = true;
    while *left > 0 {
        let frame = timeout(SILENCE, socket.next()).await;
        let Some(frame) = frame.context("the server is silent")? else {
            bail!("the connection was closed");
        };
        let Message::Text(frame) = frame.context("the connection was lost")? else {
            continue;
        };
        let mut event: Value = serde_json::from_str(&frame).context("read an event")?;
        match event["type"].as_str().unwrap_or_default() {
            "ping" => {
                let pong = Message::text(r#"{"type":"pong"}"#);
                socket.send(pong).await.context("the connection was lost")?;
                continue;
            }
            "ready" => {
                if event["reset"] == true && after.is_some() {
                    eprintln!("some events are too old to be told");
                }
                *after = event["seq"].as_u64();
                continue;
            }
            kind if !tap.types.is_empty() && !tap.types.iter().any(|t| t == kind) => {}
            _ => {
                if !tap.bodies {
                    hide(&mut event);
                }
                show(client, &event)?;
                *left -= 1;
            }
        }
        if let Some(seq) = event["seq"].as_u64() {
            *after = Some(seq);
        }
    }
    Ok(())
}

/// Takes out what people said: of a message only the kinds of its parts are left.
fn hide(event: &mut Value) {
    if let Some(Value::Array(parts)) = event.pointer_mut("/data/message/content") {
        for part in parts {
            *part = json!({ "type": part["type"] });
        }
    }
    if let Some(preview) = event.pointer_mut("/data/last_message/preview") {
        *preview = Value::Null;
    }
    // A ticket's title is what its device said, or what an agent wrote.
    if let Some(title) = event.pointer_mut("/data/title") {
        *title = Value::Null;
    }
}

fn show(client: &Client, event: &Value) -> anyhow::Result<()> {
    if client.json {
        return print::line(&event.to_string());
    }
    let kind = text(event, "/type");
    let data = &event["data"];
    let field = |pointer: &str| text(data, pointer);
    let rest = match kind.as_str() {
        "conversation" => format!(
            "{} {} on {} with {}{}",
            field("/id"),
            field("/state"),
            field("/channel/id"),
            field("/contact/address"),
            match data["agent"].is_null() {
                true => String::new(),
                false => format!(", agent {}", field("/agent/name")),
            }
        ),
        "message" => format!(
            "{} {} {} {}",
            field("/conversation_id"),
            field("/message/from/kind"),
            field("/message/kind"),
            parts(&data["message"]["content"]),
        ),
        "delivery" => format!(
            "{} message {} {} {}",
            field("/conversation_id"),
            field("/message_id"),
            field("/delivery/state"),
            field("/delivery/reason"),
        ),
        "ticket" => format!(
            "{} {} {} {} of {} on {} {}",
            field("/number"),
            field("/state"),
            field("/severity"),
            field("/code"),
            field("/device"),
            field("/channel/id"),
            field("/title"),
        ),
        "agent" => format!(
            "{} {} {}/{}",
            field("/name"),
            field("/presence"),
            field("/load"),
            field("/capacity")
        ),
        "command" => format!(
            "{} {} {}",
            field("/command_id"),
            field("/status"),
            field("/problem/code")
        ),
        "channel" => format!("{} {} {}", field("/id"), field("/state"), field("/reason")),
        _ => print::plain(&data.to_string()),
    };
    let line = format!(
        "{:24} {:>8} {kind:12} {rest}",
        text(event, "/at"),
        text(event, "/seq")
    );
    print::line(line.trim_end())
}

fn parts(content: &Value) -> String {
    let part = |part: &Value| {
        let said = text(part, "/text");
        match said.is_empty() {
            true => format!("[{}]", text(part, "/type")),
            false => said,
        }
    };
    let parts = content.as_array().into_iter().flatten();
    parts.map(part).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_was_said_is_left() {
        let mut event = json!({ "type": "message", "data": { "message": { "content": [
            { "type": "text", "text": "secret" },
            { "type": "image", "url": "/media/secret", "caption": "secret" },
        ] } } });
        hide(&mut event);
        assert!(!event.to_string().contains("secret"), "{event}");
        assert_eq!(
            parts(&event["data"]["message"]["content"]),
            "[text] [image]"
        );
        let mut event =
            json!({ "type": "conversation", "data": { "last_message": { "preview": "secret" } } });
        hide(&mut event);
        assert!(!event.to_string().contains("secret"), "{event}");
        let mut event = json!({ "type": "ticket", "data": { "code": "E1", "title": "secret" } });
        hide(&mut event);
        assert!(!event.to_string().contains("secret"), "{event}");
        assert_eq!(event["data"]["code"], "E1");
    }
}
