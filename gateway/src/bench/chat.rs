//! There and back: a visitor's message, an echo agent's reply.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use anyhow::Context as _;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    sync::{Semaphore, mpsc},
    time::{Instant, interval},
};
use tokio_tungstenite::{connect_async, tungstenite::Message};

use super::{Load, Target, meter::Meter, visitor};

/// Before the figures count.
const WARM_UP: Duration = Duration::from_secs(2);
/// Replies of the echo agent under way at once.
const REPLIES_MAX: usize = 512;

/// Opens the conversations, then sends at the rate (or as fast as replies come).
pub(super) async fn run(target: &Target, load: Load) -> anyhow::Result<()> {
    let http = reqwest::Client::new();
    let agent = Echo::hire(&http, target, load.connections).await?;
    let echo = tokio::spawn(agent.echo());
    let (done, mut times) = mpsc::channel(4096);
    let turn = Arc::new(Semaphore::new(0));
    for _ in 0..load.connections {
        let visitor = visitor::Visitor::new(&http, target).await?;
        let socket = visitor.socket(target).await?;
        tokio::spawn(converse(
            socket,
            Arc::clone(&turn),
            load.rate == 0,
            done.clone(),
        ));
    }
    drop(done);
    let pace = tokio::spawn(pace(Arc::clone(&turn), load));
    let begun = Instant::now();
    let mut meter = Meter::begin(&target.pids)?;
    let mut warm = false;
    while let Ok(Some(took)) = tokio::time::timeout_at(
        begun + WARM_UP + Duration::from_secs(load.seconds),
        times.recv(),
    )
    .await
    {
        if !warm && begun.elapsed() > WARM_UP {
            meter = Meter::begin(&target.pids)?;
            warm = true;
        }
        meter.record(took);
    }
    pace.abort();
    echo.abort();
    let rate = if load.rate == 0 {
        "as fast as it goes".to_owned()
    } else {
        format!("{}/s asked", load.rate)
    };
    meter.report(&format!(
        "there and back, {} conversations, {rate}",
        load.connections
    ));
    Ok(())
}

/// Lets visitors speak: each permit is one message.
async fn pace(turn: Arc<Semaphore>, load: Load) {
    if load.rate == 0 {
        turn.add_permits(load.connections);
        return;
    }
    // Ten times a second would be bursts; a thousand times is as fine as the timer.
    let mut ticks = interval(Duration::from_millis(1));
    let mut sent = 0;
    let begun = Instant::now();
    loop {
        ticks.tick().await;
        let due =
            u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX) * load.rate / 1_000_000;
        let more = due - sent;
        sent = due;
        turn.add_permits(usize::try_from(more).unwrap_or(0));
    }
}

/// One visitor: speaks when it has a permit; reports the time until the echo came.
async fn converse(
    mut socket: visitor::Socket,
    turn: Arc<Semaphore>,
    closed: bool,
    done: mpsc::Sender<Duration>,
) -> anyhow::Result<()> {
    let mut n = 0_u64;
    let mut waiting: VecDeque<Instant> = VecDeque::new();
    loop {
        tokio::select! {
            permit = turn.acquire() => {
                permit?.forget();
                n += 1;
                waiting.push_back(Instant::now());
                socket.send(Message::text(visitor::message(&format!("c{n}"), "how are you today?"))).await?;
            }
            frame = visitor::next(&mut socket) => {
                let frame = frame?;
                if frame["type"] == "message" && frame["from"] == "agent" {
                    let Some(begun) = waiting.pop_front() else { continue };
                    done.send(begun.elapsed()).await?;
                    if closed {
                        turn.add_permits(1);
                    }
                }
                anyhow::ensure!(frame["type"] != "refused", "refused: {frame}");
            }
        }
    }
}

/// An agent who says back what it hears.
struct Echo {
    http: reqwest::Client,
    base: String,
    token: String,
    events: String,
}

impl Echo {
    async fn hire(
        http: &reqwest::Client,
        target: &Target,
        capacity: usize,
    ) -> anyhow::Result<Self> {
        let post = async |url: String, token: Option<&str>, body: Value| -> anyhow::Result<Value> {
            let mut request = http.post(url.clone()).json(&body);
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            let answer = request.send().await?;
            let (status, text) = (answer.status(), answer.text().await?);
            anyhow::ensure!(status.is_success(), "{url}: {status} {text}");
            Ok(serde_json::from_str(&text)?)
        };
        let admin = format!("{}/api/v1", target.admin);
        let name = format!("echo {}", rand::random::<u32>());
        let agent = json!({ "name": name, "role": "agent", "capacity": capacity.min(1000) });
        let agent = post(format!("{admin}/agents"), None, agent).await?;
        let ask = json!({ "agent_id": agent["id"], "name": "bench" });
        let token = post(format!("{admin}/tokens"), None, ask).await?;
        let token = token["token"].as_str().context("a token")?.to_owned();
        let base = format!("{}/api/v1", target.url);
        let online = http.put(format!("{base}/me/presence")).bearer_auth(&token);
        online
            .json(&json!({ "presence": "online" }))
            .send()
            .await?
            .error_for_status()?;
        let ticket = post(format!("{base}/events/ticket"), Some(&token), json!({})).await?;
        let ticket = ticket["ticket"].as_str().context("a ticket")?;
        let events = format!("{}/events?ticket={ticket}", base.replacen("http", "ws", 1));
        Ok(Self {
            http: http.clone(),
            base,
            token,
            events,
        })
    }

    async fn echo(self) -> anyhow::Result<()> {
        let (mut socket, _) = connect_async(&self.events).await?;
        let places = Arc::new(Semaphore::new(REPLIES_MAX));
        let agent = Arc::new(self);
        while let Some(frame) = socket.next().await {
            let Message::Text(text) = frame? else {
                continue;
            };
            let event: Value = serde_json::from_str(&text)?;
            if event["type"] == "ping" {
                socket.send(Message::text(r#"{"type":"pong"}"#)).await?;
            }
            let message = &event["data"]["message"];
            if event["type"] != "message" || message["direction"] != "inbound" {
                continue;
            }
            let place = Arc::clone(&places).acquire_owned().await?;
            let (agent, event) = (Arc::clone(&agent), event.clone());
            tokio::spawn(async move {
                if let Err(error) = agent.reply(&event).await {
                    eprintln!("reply: {error:#}");
                }
                drop(place);
            });
        }
        Ok(())
    }

    async fn reply(&self, event: &Value) -> anyhow::Result<()> {
        let conversation = event["data"]["conversation_id"].as_str().context("an id")?;
        let id = event["data"]["message"]["id"].as_str().context("an id")?;
        let url = format!("{}/conversations/{conversation}/reply", self.base);
        let body = json!({ "content": event["data"]["message"]["content"] });
        let request = self
            .http
            .post(url)
            .bearer_auth(&self.token)
            .header("idempotency-key", id);
        let answer = request
            .header("prefer", "return=minimal")
            .json(&body)
            .send()
            .await?;
        let (status, text) = (answer.status(), answer.text().await?);
        anyhow::ensure!(status.is_success(), "{status} {text}");
        Ok(())
    }
}
