//! A visitor for load: a token, and a socket.

use anyhow::Context as _;
use serde_json::json;

use super::{Target, client::Client, socket::Socket};

/// What a visitor says, filled up so that its envelope is about as long as a baseline's message.
const WORDS: &str = "how are you today? I have a question about an order.";

pub(super) struct Visitor {
    pub(super) token: String,
}

impl Visitor {
    /// Asks for a token.
    pub(super) async fn new(http: &mut Client, target: &Target) -> anyhow::Result<Self> {
        let path = format!("/channels/{}/visitor", target.channel);
        let answer = http.json("POST", &path, None, &json!({})).await;
        let answer = answer.context("ask for a token")?;
        let token = answer["token"].as_str();
        Ok(Self {
            token: token.context("an answer without a token")?.to_owned(),
        })
    }

    /// Opens a socket; the first frame is `ready`, unless there is a history.
    pub(super) async fn socket(&self, target: &Target) -> anyhow::Result<Socket> {
        let channel = &target.channel;
        let path = format!("/channels/{channel}/socket?token={}&after=0", self.token);
        let opened = Socket::open(&target.url, &path).await;
        opened.context("open a socket")
    }
}

/// A text message as a frame, with a number at its beginning.
pub(super) fn message(client_id: u64, number: u64) -> String {
    let text = format!("{number:012} {WORDS}");
    let content = [json!({ "type": "text", "text": text })];
    json!({ "type": "message", "client_id": format!("c{client_id}"), "content": content })
        .to_string()
}

/// The number at a text's beginning.
pub(super) fn number(text: &str) -> Option<u64> {
    text.get(..12)?.parse().ok()
}
