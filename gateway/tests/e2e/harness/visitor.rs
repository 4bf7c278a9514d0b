//! A visitor's client: it keeps what was accepted and what it was shown, and trusts nobody.

use std::{collections::VecDeque, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// One visitor with a ledger. Survives any loss of its connection.
pub struct Visitor {
    /// `http://127.0.0.1:port` of the gateways; one is tried after the other.
    pub gateways: Vec<String>,
    /// The visitor's token.
    pub token: String,
    /// The visitor's address.
    pub address: String,
    /// Every frame with a number, in the order it was shown: gapless from 1.
    pub shown: Vec<Value>,
    /// Client ids accepted, in order.
    pub accepted: Vec<String>,
    /// Messages not yet accepted, in order: client id and text.
    pub outbox: VecDeque<(String, String)>,
    /// How many of the outbox are on the wire of the present connection.
    on_wire: usize,
    /// Other frames: queue, typing, seen, refused.
    pub other: Vec<Value>,
    socket: Option<Socket>,
    turn: usize,
}

impl Visitor {
    /// A new visitor with a token of the first gateway that answers.
    pub async fn new(gateways: &[String]) -> Self {
        let answer = super::eventually("a visitor's token", Duration::from_secs(30), || async {
            for gateway in gateways {
                let url = format!("{gateway}/channels/web/visitor");
                let answer = super::http().post(url).json(&json!({})).send().await;
                if let Ok(answer) = answer
                    && answer.status().is_success()
                {
                    return answer.json::<Value>().await.ok();
                }
            }
            None
        })
        .await;
        let text = |key: &str| answer[key].as_str().expect("a text").to_owned();
        Self {
            gateways: gateways.to_vec(),
            token: text("token"),
            address: text("visitor"),
            shown: Vec::new(),
            accepted: Vec::new(),
            outbox: VecDeque::new(),
            on_wire: 0,
            other: Vec::new(),
            socket: None,
            turn: 0,
        }
    }

    /// The last number shown.
    pub fn seq(&self) -> u64 {
        self.shown.len() as u64
    }

    /// Texts of what agents said, in the order shown.
    pub fn replies(&self) -> Vec<&str> {
        self.texts("agent")
    }

    /// Texts of what this visitor said, in the order shown.
    pub fn own(&self) -> Vec<&str> {
        self.texts("visitor")
    }

    fn texts(&self, from: &str) -> Vec<&str> {
        let frames = self.shown.iter().filter(|frame| frame["from"] == from);
        frames
            .filter_map(|frame| frame["content"][0]["text"].as_str())
            .collect()
    }

    /// Wants to say something; it goes with the next [`Visitor::work`].
    pub fn say(&mut self, client_id: impl Into<String>, text: impl Into<String>) {
        self.outbox.push_back((client_id.into(), text.into()));
    }

    /// Sends what waits and reads what comes, for at most `patience`. A lost connection is opened
    /// anew, what was not accepted is sent again from its beginning.
    pub async fn work(&mut self, patience: Duration) {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            // Never cut short: a connection half opened would be opened for ever.
            if self.socket.is_none() && !self.connect().await {
                sleep(Duration::from_millis(50)).await;
                continue;
            }
            match timeout_at(deadline, self.exchange()).await {
                Ok(Some(())) => {}
                Ok(None) => self.socket = None,
                Err(_) => return,
            }
        }
    }

    /// Works until `done` says so.
    ///
    /// # Panics
    /// If it does not within `patience`.
    pub async fn until(&mut self, what: &str, patience: Duration, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + patience;
        while !done(self) {
            assert!(
                Instant::now() < deadline,
                "{}: waited in vain for {what}; accepted {:?}, shown {:?}, waiting {:?}",
                self.address,
                self.accepted,
                self.shown,
                self.outbox,
            );
            self.work(Duration::from_millis(50)).await;
        }
    }

    /// Loses the connection without a word.
    pub fn cut(&mut self) {
        self.socket = None;
    }

    async fn connect(&mut self) -> bool {
        self.turn += 1;
        let gateway = self.gateways[self.turn % self.gateways.len()].replace("http://", "ws://");
        let (token, after) = (&self.token, self.seq());
        let url = format!("{gateway}/channels/web/socket?token={token}&after={after}");
        let opened = timeout(Duration::from_secs(5), connect_async(url)).await;
        let Ok(Ok((socket, _))) = opened else {
            return false;
        };
        self.socket = Some(socket);
        self.on_wire = 0;
        true
    }

    /// Sends at most a few messages ahead of their acceptance, and reads one frame.
    async fn exchange(&mut self) -> Option<()> {
        const AHEAD: usize = 4;
        while self.on_wire < self.outbox.len().min(AHEAD) {
            let (client_id, text) = &self.outbox[self.on_wire];
            let content = [json!({ "type": "text", "text": text })];
            let frame = json!({ "type": "message", "client_id": client_id, "content": content });
            // Counted first: a send that is cancelled has its frame buffered already.
            self.on_wire += 1;
            self.socket
                .as_mut()?
                .send(Message::text(frame.to_string()))
                .await
                .ok()?;
        }
        match self.socket.as_mut()?.next().await?.ok()? {
            Message::Text(text) => self.read(&serde_json::from_str(&text).expect("JSON")).await,
            Message::Close(_) => None,
            _ => Some(()),
        }
    }

    async fn read(&mut self, frame: &Value) -> Option<()> {
        match frame["type"].as_str() {
            Some("message") => self.show(frame),
            Some("accepted") => {
                let client_id = frame["client_id"].as_str().expect("a client id");
                // Acceptance comes in the order of sending, and once.
                let (first, _) = self.outbox.pop_front().expect("something was sent");
                assert_eq!(first, client_id, "{}: accepted out of order", self.address);
                self.on_wire -= 1;
                self.accepted.push(first);
            }
            Some("refused") => {
                assert_eq!(
                    frame["retry"], true,
                    "{}: refused for good: {frame}",
                    self.address
                );
                self.other.push(frame.clone());
                // All over again from the first one not accepted.
                self.socket = None;
                sleep(Duration::from_millis(100)).await;
                return None;
            }
            Some("ping") => {
                let pong = Message::text(r#"{"type":"pong"}"#);
                self.socket.as_mut()?.send(pong).await.ok()?;
            }
            Some("bye") => return None,
            _ => self.other.push(frame.clone()),
        }
        Some(())
    }

    fn show(&mut self, frame: &Value) {
        let seq = frame["seq"].as_u64().expect("a number");
        if seq <= self.seq() {
            return; // a repeat
        }
        assert_eq!(
            seq,
            self.seq() + 1,
            "{}: a gap before {frame}",
            self.address
        );
        self.shown.push(frame.clone());
    }
}
