//! A strict fake provider on a real socket: records what reached it, answers as the test says, and
//! can cut the connection off without an answer.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

/// What the fake does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Does {
    /// Answers with a status and headers.
    Answers(u16, Vec<(&'static str, String)>),
    /// Waits, then answers 200.
    Takes(Duration),
    /// Closes the connection after the whole request has come, without an answer.
    CutsOff,
    /// Never answers.
    Hangs,
}

type Script = dyn Fn(&Seen, usize) -> Does + Send + Sync;

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) to: String,
    pub(crate) text: String,
    pub(crate) at: tokio::time::Instant,
}

/// The fake.
pub(crate) struct Provider {
    pub(crate) url: String,
    state: Arc<State>,
    _serving: tokio::task::JoinSet<()>,
}

struct State {
    script: Box<Script>,
    seen: Mutex<Vec<Seen>>,
    tries: Mutex<HashMap<(String, String), usize>>,
    news: Notify,
}

impl Provider {
    /// Answers everything with 200.
    pub(crate) async fn willing() -> Self {
        Self::new(|_, _| Does::Answers(200, vec![])).await
    }

    /// `script` is given the request and how often the same text came to the same address before.
    pub(crate) async fn new(script: impl Fn(&Seen, usize) -> Does + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/send", listener.local_addr().expect("bound"));
        let state = Arc::new(State {
            script: Box::new(script),
            seen: Mutex::default(),
            tries: Mutex::default(),
            news: Notify::new(),
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

    /// What came so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().clone()
    }

    /// The texts that came for an address, in order.
    pub(crate) fn texts(&self, to: &str) -> Vec<String> {
        let seen = self.state.seen.lock();
        let own = seen.iter().filter(|seen| seen.to == to);
        own.map(|seen| seen.text.clone()).collect()
    }

    /// Waits until so many requests have come.
    pub(crate) async fn wait(&self, n: usize) -> Vec<Seen> {
        let waiting = async {
            loop {
                let news = self.state.news.notified();
                let seen = self.seen();
                if seen.len() >= n {
                    return seen;
                }
                news.await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(30), waiting).await;
        waited.unwrap_or_else(|_| panic!("{} of {n} requests came", self.seen().len()))
    }
}

async fn serve(socket: TcpStream, state: Arc<State>) {
    let mut socket = BufReader::new(socket);
    while let Some(body) = request(&mut socket).await {
        let body: Value = serde_json::from_slice(&body).expect("the adapter sends JSON");
        let word = |key: &str| body[key].as_str().expect("a text").to_owned();
        let seen = Seen {
            to: word("to"),
            text: word("text"),
            at: tokio::time::Instant::now(),
        };
        let tries = {
            let mut tries = state.tries.lock();
            let tries = tries
                .entry((seen.to.clone(), seen.text.clone()))
                .or_default();
            *tries += 1;
            *tries - 1
        };
        let does = (state.script)(&seen, tries);
        let id = format!("{}:{}", seen.to, seen.text);
        state.seen.lock().push(seen);
        state.news.notify_waiters();
        let (status, headers, body) = match does {
            Does::Answers(status, headers) => (status, headers, format!("{{\"id\":\"{id}\"}}")),
            Does::Takes(time) => {
                tokio::time::sleep(time).await;
                (200, vec![], format!("{{\"id\":\"{id}\"}}"))
            }
            Does::CutsOff => return,
            Does::Hangs => std::future::pending().await,
        };
        let mut answer = format!("HTTP/1.1 {status} -\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            answer.push_str(&format!("{name}: {value}\r\n"));
        }
        let answer = format!("{answer}\r\n{body}");
        if socket.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Reads one request; its body.
async fn request(socket: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut length = 0;
    let mut line = String::new();
    let mut n_lines = 0;
    loop {
        line.clear();
        if socket.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        n_lines += 1;
        if n_lines == 1 {
            assert_eq!(line, "POST /send HTTP/1.1\r\n");
        }
        let (name, value) = line.split_once(':').unwrap_or_default();
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().expect("a length");
        }
    }
    let mut body = vec![0; length];
    socket.read_exact(&mut body).await.ok()?;
    Some(body)
}
