//! A visitor for load: a token, and a socket.

use anyhow::Context as _;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};

use super::Target;

pub(super) struct Visitor {
    pub(super) token: String,
}

pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

impl Visitor {
    pub(super) async fn new(http: &reqwest::Client, target: &Target) -> anyhow::Result<Self> {
        let url = format!("{}/channels/{}/visitor", target.url, target.channel);
        let answer = http
            .post(url)
            .json(&json!({}))
            .send()
            .await
            .context("ask for a token")?;
        let answer: Value = answer.error_for_status()?.json().await?;
        let token = answer["token"]
            .as_str()
            .context("an answer without a token")?;
        Ok(Self {
            token: token.to_owned(),
        })
    }

    pub(super) async fn socket(&self, target: &Target) -> anyhow::Result<Socket> {
        let base = target.url.replacen("http", "ws", 1);
        let url = format!(
            "{base}/channels/{}/socket?token={}&after=0",
            target.channel, self.token
        );
        // The load must not be dearer than what it loads.
        let config = WebSocketConfig::default().read_buffer_size(4096);
        let (socket, _) = connect_async_with_config(url, Some(config), true)
            .await
            .context("open a socket")?;
        Ok(socket)
    }
}

/// A text message as a frame.
pub(super) fn message(client_id: &str, text: &str) -> String {
    let content = [json!({ "type": "text", "text": text })];
    json!({ "type": "message", "client_id": client_id, "content": content }).to_string()
}

/// The next frame of a socket; heartbeats are answered on the way.
pub(super) async fn next(socket: &mut Socket) -> anyhow::Result<Value> {
    loop {
        let frame = socket.next().await.context("the socket closed")??;
        let Message::Text(text) = frame else { continue };
        let frame: Value = serde_json::from_str(&text)?;
        if frame["type"] == "ping" {
            socket.send(Message::text(r#"{"type":"pong"}"#)).await?;
            continue;
        }
        return Ok(frame);
    }
}
