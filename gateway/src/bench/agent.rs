//! An agent who says back what it hears.

use std::sync::Arc;

use anyhow::Context as _;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::Instant,
};

use super::{
    Target,
    client::{Client, bearer},
    socket::{Part, Socket},
    visitor::number,
};

/// Replies of one agent under way at once.
const REPLIES_MAX: usize = 512;
/// Conversations of one agent: as many as the API allows.
pub(super) const CAPACITY: usize = 1000;

/// An event, as far as it concerns us.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Said<'a> {
    conversation_id: &'a str,
    #[serde(borrow)]
    message: Message<'a>,
}

#[derive(Deserialize)]
struct Message<'a> {
    id: &'a str,
    direction: &'a str,
    #[serde(borrow)]
    content: &'a RawValue,
}

/// The agent, online.
pub(super) struct Agent {
    url: String,
    token: String,
    events: Socket,
}

impl Agent {
    /// Makes an agent and puts it online.
    pub(super) async fn hire(target: &Target, capacity: usize) -> anyhow::Result<Self> {
        let mut admin = Client::open(&target.admin).await?;
        let mut http = Client::open(&target.url).await?;
        let name = format!("echo {}", rand::random::<u32>());
        let agent = json!({ "name": name, "role": "agent", "capacity": capacity.min(CAPACITY) });
        let agent = admin.json("POST", "/api/v1/agents", None, &agent).await?;
        let ask = json!({ "agent_id": agent["id"], "name": "bench" });
        let token = admin.json("POST", "/api/v1/tokens", None, &ask).await?;
        let token = token["token"].as_str().context("a token")?.to_owned();
        let ticket = http
            .json("POST", "/api/v1/events/ticket", Some(&token), &json!({}))
            .await?;
        let ticket = ticket["ticket"].as_str().context("a ticket")?;
        let path = format!("/api/v1/events?ticket={ticket}");
        let agent = Self {
            events: Socket::open(&target.url, &path).await?,
            url: target.url.clone(),
            token,
        };
        agent.presence("online").await?;
        Ok(agent)
    }

    async fn presence(&self, presence: &str) -> anyhow::Result<()> {
        let mut http = Client::open(&self.url).await?;
        let body = json!({ "presence": presence });
        let token = Some(self.token.as_str());
        let put = http.json("PUT", "/api/v1/me/presence", token, &body);
        put.await.map(drop)
    }

    /// Replies until `stop` is closed, then goes offline. `heard`: when each message came here,
    /// with its number.
    pub(super) async fn echo(
        mut self,
        heard: mpsc::Sender<(u64, Instant)>,
        stop: Arc<Semaphore>,
    ) -> anyhow::Result<()> {
        let places = Arc::new(Semaphore::new(REPLIES_MAX));
        let spare = Arc::new(Mutex::new(Vec::new()));
        let headers: Arc<str> = format!("{}prefer: return=minimal\r\n", bearer(&self.token)).into();
        let mut replies = JoinSet::new();
        loop {
            let frame = tokio::select! {
                _ = stop.acquire() => break,
                frame = self.events.next() => frame?,
            };
            while let Some(reply) = replies.try_join_next() {
                reply??;
            }
            let Some(reply) = Reply::to(&frame, &heard, &headers)? else {
                continue;
            };
            let place = Arc::clone(&places).acquire_owned().await?;
            let (url, spare) = (self.url.clone(), Arc::clone(&spare));
            replies.spawn(async move {
                let free = spare.lock().pop();
                let mut http = match free {
                    Some(http) => http,
                    None => Client::open(&url).await?,
                };
                reply.send(&mut http).await?;
                spare.lock().push(http);
                drop(place);
                anyhow::Ok(())
            });
        }
        self.presence("offline").await
    }
}

/// A reply to be sent.
struct Reply {
    path: String,
    headers: String,
    body: String,
}

impl Reply {
    /// What is said to an event, if it is a contact's message.
    fn to(
        frame: &[u8],
        heard: &mpsc::Sender<(u64, Instant)>,
        headers: &str,
    ) -> anyhow::Result<Option<Self>> {
        let event: Event<'_> = serde_json::from_slice(frame)?;
        let Some(data) = event.data.filter(|_| event.kind == "message") else {
            return Ok(None);
        };
        let said: Said<'_> = serde_json::from_str(data.get())?;
        if said.message.direction != "inbound" {
            return Ok(None);
        }
        let parts: Vec<Part<'_>> = serde_json::from_str(said.message.content.get())?;
        if let Some(number) = parts.first().and_then(|part| number(&part.text)) {
            // A full queue only means that this one is not counted.
            let _ = heard.try_send((number, Instant::now()));
        }
        Ok(Some(Self {
            path: format!("/api/v1/conversations/{}/reply", said.conversation_id),
            headers: format!("{headers}idempotency-key: {}\r\n", said.message.id),
            body: format!(r#"{{"content":{}}}"#, said.message.content.get()),
        }))
    }

    async fn send(&self, http: &mut Client) -> anyhow::Result<()> {
        let body = self.body.as_bytes();
        let (status, text) = http.send("POST", &self.path, &self.headers, body).await?;
        let text = String::from_utf8_lossy(&text);
        anyhow::ensure!((200..300).contains(&status), "reply: {status} {text}");
        Ok(())
    }
}
