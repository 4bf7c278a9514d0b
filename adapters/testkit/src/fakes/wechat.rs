//! A strict WeChat: official accounts and mini-programs on one loopback server.
//!
//! It is the API (`/cgi-bin/..`: tokens, customer-service messages, typing, templates, files) and the one
//! who pushes to a callback: signed, sealed if the callback wants that, cut after 5 seconds, three attempts
//! in all. What each user was shown is kept in order, twice if it came twice. What the platform refuses is
//! refused, always with HTTP status 200, and kept in [`WeChat::refusals`]. Its clock can be moved on.
//!
//! Not here: payments, mass messages, customer-service accounts, and third-party platforms.

mod calls;
mod content;
mod crypt;
mod deliver;
mod errcode;
mod faults;
mod media;
mod notice;
mod passive;
mod push;
mod server;
mod state;
mod tokens;
mod window;
mod xml;

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle};

pub use content::TEXT_BYTES_MAX;
pub use crypt::Seal;
pub use deliver::{ANSWER_TIME, ATTEMPTS, Answer, Attempt, Delivery};
pub use errcode::Refused;
pub use faults::Fault;
pub use media::{MEDIA_LIFE_MS, Media};
pub use push::{Envelope, Format, Mode, Push, Standing};
pub use state::{Refusal, Shown, Way};
pub use tokens::{FORCE_GAP_MS, FORCED_PER_DAY, Family, OVERLAP_MS, TOKEN_LIFE_MS};
pub use window::Sign;

use state::{Book, State};

/// What an account is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An official account (service account).
    Official,
    /// A mini-program.
    MiniProgram,
}

/// An account, as its owner would register it.
#[derive(Debug, Clone)]
pub struct Account {
    /// What it is.
    pub kind: Kind,
    /// `wx..`.
    pub appid: String,
    /// Its secret for tokens.
    pub secret: String,
    /// `gh_..`, its name in messages.
    pub original_id: String,
    /// Who is told.
    pub callback: Callback,
}

/// Who is told of what users do.
#[derive(Debug, Clone)]
pub struct Callback {
    /// `http://127.0.0.1:port/path`.
    pub url: String,
    /// Signs what is pushed.
    pub token: String,
    /// Seals what is pushed: 43 characters.
    pub encoding_aes_key: String,
    /// Open, sealed, or both.
    pub mode: Mode,
    /// XML or JSON.
    pub format: Format,
}

/// The server. Ends when dropped.
pub struct WeChat {
    url: String,
    state: Arc<Mutex<State>>,
    server: JoinHandle<()>,
}

impl WeChat {
    /// Starts on a free port of loopback.
    ///
    /// # Panics
    /// If there is none.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a free port");
        let address = listener
            .local_addr()
            .expect("a bound listener has an address");
        let url = format!("http://{address}");
        let state = Arc::new(Mutex::new(State::new(url.clone())));
        let server = tokio::spawn(server::run(listener, Arc::clone(&state)));
        Self { url, state, server }
    }

    /// Where the API is: `http://127.0.0.1:port`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Registers an account, or changes it.
    pub fn open(&self, account: Account) -> App {
        let appid = account.appid.clone();
        let mut state = self.state.lock();
        match state.books.get_mut(&appid) {
            Some(book) => book.account = account,
            None => drop(state.books.insert(appid.clone(), Book::new(account))),
        }
        drop(state);
        App {
            appid,
            state: Arc::clone(&self.state),
        }
    }

    /// Moves its clock on.
    pub fn advance(&self, by: Duration) {
        self.state.lock().advance(by);
    }

    /// Its time now, in milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.state.lock().now_ms()
    }

    /// The next call of this path goes wrong; several wait in line.
    pub fn fault(&self, path: &str, fault: Fault) {
        self.state.lock().faults.add(path, fault);
    }

    /// How often a path was called.
    #[must_use]
    pub fn calls(&self, path: &str) -> usize {
        self.state.lock().calls.get(path).copied().unwrap_or(0)
    }

    /// Everything refused so far.
    #[must_use]
    pub fn refusals(&self) -> Vec<Refusal> {
        self.state.lock().refusals.clone()
    }

    /// How long a callback may take, and how long the platform waits before it tries again; really 5
    /// seconds, and at once.
    pub fn hurry(&self, answer_within: Duration, between: Duration) {
        self.state.lock().patience = (answer_within, between);
    }
}

impl Drop for WeChat {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// One account: its users, and its owner's console.
#[derive(Clone)]
pub struct App {
    appid: String,
    state: Arc<Mutex<State>>,
}

impl App {
    fn book<T>(&self, read: impl FnOnce(&mut Book, i64) -> T) -> T {
        let mut state = self.state.lock();
        let now_ms = state.now_ms();
        read(
            state.books.get_mut(&self.appid).expect("accounts stay"),
            now_ms,
        )
    }

    /// How a user stands to the account; users are strangers until said otherwise. Whoever pushes a
    /// message is a follower anyhow.
    pub fn stand(&self, openid: &str, standing: Standing) {
        self.book(|book, _| book.user(openid).standing = Some(standing));
    }

    /// A user gives a sign of life without a push.
    pub fn sign(&self, openid: &str, sign: Sign) {
        self.book(|book, now_ms| book.sign(openid, sign, now_ms));
    }

    /// The user wants these many messages of a subscription template.
    pub fn subscribe(&self, openid: &str, template: &str, times: u32) {
        self.book(|book, _| {
            let subscriptions = &mut book.user(openid).subscriptions;
            subscriptions.insert(template.to_owned(), times);
        });
    }

    /// Registers a template with the keywords it wants.
    pub fn template(&self, id: &str, keywords: &[&str]) {
        let keywords = keywords
            .iter()
            .map(|keyword| (*keyword).to_owned())
            .collect();
        self.book(|book, _| drop(book.templates.insert(id.to_owned(), keywords)));
    }

    /// What a user was shown, in order; twice what came twice.
    #[must_use]
    pub fn shown(&self, openid: &str) -> Vec<Shown> {
        self.book(|book, _| book.user(openid).shown.clone())
    }

    /// How many customer-service messages the user may still be sent.
    #[must_use]
    pub fn left(&self, openid: &str) -> u32 {
        self.book(|book, now_ms| book.user(openid).window.left(now_ms))
    }

    /// Whether the user sees that somebody types.
    #[must_use]
    pub fn sees_typing(&self, openid: &str) -> bool {
        self.book(|book, now_ms| book.user(openid).typing_until_ms > now_ms)
    }

    /// A file of a user, to be pushed by its id.
    ///
    /// # Panics
    /// If the platform would not take it.
    #[must_use]
    pub fn attach(&self, media: Media, bytes: &[u8]) -> String {
        self.book(|book, now_ms| book.files.take(media, bytes.to_vec(), now_ms))
            .expect("a file of this kind")
    }

    /// The bytes of a file that was uploaded; nothing once it is gone.
    #[must_use]
    pub fn file(&self, media_id: &str) -> Option<Vec<u8>> {
        self.book(|book, now_ms| {
            book.files
                .get(media_id, now_ms)
                .ok()
                .map(|file| file.bytes.clone())
        })
    }

    /// Ends every access token now: 42001 from here on.
    pub fn expire_tokens(&self) {
        self.book(|book, now_ms| book.tokens.expire(now_ms));
    }

    /// How many tokens a family has been given.
    #[must_use]
    pub fn tokens_issued(&self, family: Family) -> usize {
        self.book(|book, _| book.tokens.issued(family))
    }

    /// How many refreshes of the stable token were forced; those that did nothing do not count.
    #[must_use]
    pub fn tokens_forced(&self) -> usize {
        self.book(|book, _| book.tokens.forced())
    }

    /// Customer-service messages in a minute (45011) and in a day (45009).
    pub fn limit_sends(&self, per_minute: usize, per_day: usize) {
        self.book(|book, _| book.limits = Some((per_minute, per_day)));
    }

    /// What is signed and sealed with.
    #[must_use]
    pub fn seal(&self) -> Seal {
        self.book(|book, _| book.seal())
    }

    /// What was sent and has no result yet gets this one: pushes `TEMPLATESENDJOBFINISH`, or of a
    /// mini-program `subscribe_msg_sent_event`.
    pub async fn finish(&self, status: &str) -> Vec<Delivery> {
        let jobs: Vec<(String, Push)> = self.book(|book, _| book.finish(status));
        let mut deliveries = Vec::new();
        for (openid, push) in jobs {
            deliveries.push(self.push(&openid, push).await);
        }
        deliveries
    }
}

/// A value's text, for short.
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
