//! A kind of channel whose provider wants an access token in the address, and a strict fake of that
//! provider: it knows which token is good, counts who fetches, and takes no message without one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use parking_lot::Mutex;
use patchbay_message::{Envelope, ReceiptState};
use patchbay_sdk::{
    Answer, Channel, Cx, Decoded, Effect, Exchange, Fetched, HttpOut, Link, Reject, Request,
    Secret, SendError, Sent, Session, Step, Token, TokenName, Wire,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    time::Instant,
};

const ACCESS: TokenName = "access";
/// A picture, as far as its first bytes say.
pub(crate) const PHOTO: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR and so on";

/// The kind.
pub(crate) struct Guarded {
    pub(crate) url: String,
    pub(crate) account: &'static str,
}

impl Guarded {
    fn post(&self, path: &str, body: &Value, effect: Effect) -> Request {
        Request::Http(HttpOut {
            method: Method::POST,
            url: format!("{}{path}", self.url),
            headers: HeaderMap::new(),
            body: Bytes::from(body.to_string()),
            effect,
            // Longer than any test waits: who hangs is not waited for.
            timeout: Duration::from_secs(60),
        })
    }
}

impl Channel for Guarded {
    fn links(&self) -> Vec<Link> {
        vec![Link::Http]
    }

    fn decode(&self, _: &Cx<'_>, _: &mut Session, _: Wire<'_>) -> Result<Decoded, Reject> {
        Err(Reject::NotFound)
    }

    fn send(
        &self,
        cx: &Cx<'_>,
        outbound: &Envelope,
        past: &[Exchange],
    ) -> Result<Step<Vec<Sent>>, SendError> {
        if let Some(exchange) = past.last() {
            answered(exchange)?;
            return Ok(Step::Done(vec![Sent {
                part: 0,
                external_id: None,
                state: ReceiptState::Sent,
                awaits: None,
            }]));
        }
        let Some(token) = (cx.token)(ACCESS) else {
            return Ok(Step::Need(ACCESS));
        };
        let text = outbound.content[0].as_text().expect("a text");
        let to = &outbound.recipient.as_ref().expect("a recipient").address;
        let path = format!("/send?access_token={}", token.expose());
        let effect = Effect::Deliver { part: 0, key: None };
        let body = json!({ "to": to, "text": text });
        Ok(Step::Call(self.post(&path, &body, effect)))
    }

    fn token_account(&self, _: TokenName) -> Option<String> {
        Some(format!("guarded:{}", self.account))
    }

    fn token(
        &self,
        _: &Cx<'_>,
        _: TokenName,
        renew: bool,
        past: &[Exchange],
    ) -> Result<Step<Token>, SendError> {
        let Some(exchange) = past.last() else {
            let body = json!({ "renew": renew });
            return Ok(Step::Call(self.post("/token", &body, Effect::Read)));
        };
        let answer = answered(exchange)?;
        Ok(Step::Done(Token {
            value: Secret::new(answer["token"].as_str().unwrap_or_default()),
            expires_in: Duration::from_millis(answer["expires_in_ms"].as_u64().unwrap_or(0)),
        }))
    }

    fn fetch(
        &self,
        cx: &Cx<'_>,
        handle: &str,
        past: &[Exchange],
    ) -> Result<Step<Fetched>, SendError> {
        if let Some(exchange) = past.last() {
            let bytes = taken(exchange)?.clone();
            return Ok(Step::Done(Fetched {
                bytes,
                mime: Some("text/html".to_owned()),
                name: Some("photo.png".to_owned()),
            }));
        }
        let Some(token) = (cx.token)(ACCESS) else {
            return Ok(Step::Need(ACCESS));
        };
        let path = format!("/media?access_token={}", token.expose());
        Ok(Step::Call(self.post(
            &path,
            &json!({ "handle": handle }),
            Effect::Read,
        )))
    }
}

fn answered(exchange: &Exchange) -> Result<Value, SendError> {
    Ok(serde_json::from_slice(taken(exchange)?).expect("JSON"))
}

fn taken(exchange: &Exchange) -> Result<&Bytes, SendError> {
    let (status, body) = match exchange {
        Exchange::Answered(Answer::Http { status, body, .. }) => (*status, body),
        Exchange::NotSent(_) => return Err(SendError::Retry(None)),
        _ => return Err(SendError::Unknown),
    };
    match status {
        StatusCode::OK => Ok(body),
        StatusCode::GONE => Err(SendError::Gone("a file".to_owned())),
        StatusCode::UNAUTHORIZED => Err(SendError::TokenExpired(ACCESS)),
        StatusCode::FORBIDDEN => Err(SendError::Account("the secret is wrong".to_owned())),
        StatusCode::BAD_REQUEST => Err(SendError::Payload("the provider says no".to_owned())),
        _ => Err(SendError::Retry(None)),
    }
}

/// The fake.
pub(crate) struct Guard {
    pub(crate) url: String,
    pub(crate) state: Arc<State>,
    _serving: tokio::task::JoinSet<()>,
}

pub(crate) struct State {
    /// The token that is good, and until when.
    good: Mutex<Option<(String, Instant)>>,
    issued: AtomicUsize,
    /// How long a token is good, in milliseconds.
    pub(crate) life_ms: AtomicU32,
    /// Fetches are answered so late.
    pub(crate) slow_ms: AtomicU32,
    /// So many fetches are answered with this status first.
    pub(crate) failing: AtomicU32,
    pub(crate) status: AtomicU32,
    /// The next fetch is never answered.
    pub(crate) hangs: AtomicBool,
    /// So many fetches of files are answered with 503 first.
    pub(crate) files_failing: AtomicU32,
    /// The next fetch of a file is never answered.
    pub(crate) files_hang: AtomicBool,
    files: AtomicUsize,
    /// So many messages are answered with 503, and the token is worth nothing from then on.
    pub(crate) breaks: AtomicU32,
    /// After so many messages the token is worth nothing any more.
    pub(crate) revoke_after: AtomicUsize,
    /// When fetches came, and whether they were renewals.
    fetches: Mutex<Vec<(Instant, bool)>>,
    texts: Mutex<Vec<String>>,
    refused: AtomicUsize,
}

impl Guard {
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let state = Arc::new(State {
            good: Mutex::default(),
            issued: AtomicUsize::new(0),
            life_ms: AtomicU32::new(7_200_000),
            slow_ms: AtomicU32::new(0),
            failing: AtomicU32::new(0),
            status: AtomicU32::new(503),
            hangs: AtomicBool::new(false),
            files_failing: AtomicU32::new(0),
            files_hang: AtomicBool::new(false),
            files: AtomicUsize::new(0),
            breaks: AtomicU32::new(0),
            revoke_after: AtomicUsize::new(usize::MAX),
            fetches: Mutex::default(),
            texts: Mutex::default(),
            refused: AtomicUsize::new(0),
        });
        let mut serving = tokio::task::JoinSet::new();
        let accepting = state.clone();
        serving.spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                connections.spawn(serve(socket, accepting.clone()));
            }
        });
        Self {
            url,
            state,
            _serving: serving,
        }
    }

    /// The kind of channel that sends to it.
    pub(crate) fn channel(&self, account: &'static str) -> Box<Guarded> {
        Box::new(Guarded {
            url: self.url.clone(),
            account,
        })
    }

    /// Fetches so far, and how many of them were renewals.
    pub(crate) fn fetches(&self) -> (usize, usize) {
        let fetches = self.state.fetches.lock();
        let renewals = fetches.iter().filter(|(_, renew)| *renew).count();
        (fetches.len(), renewals)
    }

    /// Fetches of files so far.
    pub(crate) fn files(&self) -> usize {
        self.state.files.load(Ordering::SeqCst)
    }

    /// How far apart fetches were.
    pub(crate) fn pauses(&self) -> Vec<Duration> {
        let fetches = self.state.fetches.lock();
        fetches
            .windows(2)
            .map(|pair| pair[1].0 - pair[0].0)
            .collect()
    }

    /// Texts that were taken, sorted.
    pub(crate) fn texts(&self) -> Vec<String> {
        let mut texts = self.state.texts.lock().clone();
        texts.sort_unstable();
        texts
    }

    /// Messages refused for their token.
    pub(crate) fn refused(&self) -> usize {
        self.state.refused.load(Ordering::SeqCst)
    }

    /// The token is worth nothing any more, without anybody being told.
    pub(crate) fn revoke(&self) {
        *self.state.good.lock() = None;
    }
}

impl State {
    async fn token(&self, renew: bool) -> (u16, Value) {
        self.fetches.lock().push((Instant::now(), renew));
        if self.hangs.swap(false, Ordering::SeqCst) {
            return std::future::pending().await;
        }
        // A provider that takes its time, as a test asks it to.
        tokio::time::sleep(Duration::from_millis(
            self.slow_ms.load(Ordering::SeqCst).into(),
        ))
        .await;
        if is_left(&self.failing) {
            let status = self.status.load(Ordering::SeqCst);
            return (u16::try_from(status).expect("a status"), json!({}));
        }
        let life = self.life_ms.load(Ordering::SeqCst);
        let n = self.issued.fetch_add(1, Ordering::SeqCst) + 1;
        let token = format!("token-number-{n}");
        let until = Instant::now() + Duration::from_millis(life.into());
        *self.good.lock() = Some((token.clone(), until));
        (200, json!({ "token": token, "expires_in_ms": life }))
    }

    async fn file(&self, path: &str, body: &Value) -> (u16, &'static [u8]) {
        self.files.fetch_add(1, Ordering::SeqCst);
        if self.files_hang.swap(false, Ordering::SeqCst) {
            return std::future::pending().await;
        }
        let token = path.strip_prefix("/media?access_token=");
        if !self.is_good(token.expect("the token is in the address")) {
            return (401, b"");
        }
        match body["handle"].as_str() {
            Some("gone") => (410, b""),
            Some("later") if is_left(&self.files_failing) => (503, b""),
            _ => (200, PHOTO),
        }
    }

    fn is_good(&self, token: &str) -> bool {
        let good = self.good.lock();
        let is_good =
            |(known, until): &(String, Instant)| known == token && Instant::now() < *until;
        good.as_ref().is_some_and(is_good)
    }

    fn send(&self, path: &str, body: &Value) -> u16 {
        let token = path.strip_prefix("/send?access_token=");
        let token = token.expect("the token is in the address");
        let mut texts = self.texts.lock();
        if texts.len() >= self.revoke_after.load(Ordering::SeqCst) {
            self.revoke_after.store(usize::MAX, Ordering::SeqCst);
            *self.good.lock() = None;
        }
        if !self.is_good(token) {
            self.refused.fetch_add(1, Ordering::SeqCst);
            return 401;
        }
        let text = body["text"].as_str().expect("a text");
        if is_left(&self.breaks) {
            *self.good.lock() = None;
            return 503;
        }
        if text == "no" {
            return 400;
        }
        texts.push(text.to_owned());
        200
    }
}

/// Counts down; false at the end.
fn is_left(count: &AtomicU32) -> bool {
    let down = |left: u32| left.checked_sub(1);
    count
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, down)
        .is_ok()
}

async fn serve(socket: TcpStream, state: Arc<State>) {
    let mut socket = BufReader::new(socket);
    while let Some((path, body)) = request(&mut socket).await {
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        let (status, answer) = if path == "/token" {
            let (status, answer) = state.token(body["renew"] == true).await;
            (status, answer.to_string().into_bytes())
        } else if path.starts_with("/media") {
            let (status, file) = state.file(&path, &body).await;
            (status, file.to_vec())
        } else {
            (state.send(&path, &body), b"{}".to_vec())
        };
        let head = format!(
            "HTTP/1.1 {status} -\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        let answer = [head.into_bytes(), answer].concat();
        if socket.write_all(&answer).await.is_err() {
            return;
        }
    }
}

/// Reads one request: its path and body.
async fn request(socket: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let (mut path, mut length, mut line) = (String::new(), 0, String::new());
    loop {
        line.clear();
        if socket.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        if path.is_empty() {
            path = line.split(' ').nth(1)?.to_owned();
        }
        let (name, value) = line.split_once(':').unwrap_or_default();
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().expect("a length");
        }
    }
    let mut body = vec![0; length];
    socket.read_exact(&mut body).await.ok()?;
    Some((path, body))
}
