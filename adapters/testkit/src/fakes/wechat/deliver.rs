//! Telling a callback: verification, pushes with their attempts, and what is made of the answer.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, Uri, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};

use super::{
    App, Callback, Kind, Push, Sign,
    passive::{self, Asked, Reply, Said},
    push::{self, Envelope},
    state::{Book, Shown, Way},
};

/// How long a callback may take to answer.
pub const ANSWER_TIME: Duration = Duration::from_secs(5);
/// How often the platform tries, in all.
pub const ATTEMPTS: usize = 3;
/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// One attempt to tell a callback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// It answered.
    Answered {
        /// HTTP status.
        status: u16,
        /// Body.
        body: String,
    },
    /// It did not answer in time, and was cut off.
    TimedOut,
    /// There was no connection, or it broke.
    Broken,
}

/// What became of a push.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// `success`.
    Success,
    /// Nothing, which is as good.
    Empty,
    /// A reply, shown to the user.
    Reply(Shown),
    /// The user is told that the service is unavailable.
    Unavailable {
        /// Why.
        why: String,
    },
}

/// A push and its attempts.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Its `MsgId`, if it has one.
    pub msg_id: Option<i64>,
    /// In order.
    pub attempts: Vec<Attempt>,
    /// The end.
    pub answer: Answer,
}

impl Delivery {
    /// Whether the callback took it.
    #[must_use]
    pub fn taken(&self) -> bool {
        !matches!(self.answer, Answer::Unavailable { .. })
    }
}

impl App {
    /// Asks the callback to prove that it knows the token, as the console does when it is saved. Says why
    /// not.
    ///
    /// # Errors
    /// What it answered instead.
    pub async fn verify(&self) -> Result<(), Attempt> {
        let echo: String = (0..19).map(|_| fastrand::digit(10)).collect();
        let envelope = self.envelope("", &Push::event("", &[]));
        let envelope = Envelope {
            body: String::new(),
            ..envelope
        }
        .without("openid");
        let envelope = envelope
            .without("encrypt_type")
            .without("msg_signature")
            .with("echostr", &echo);
        match self.ask("GET", &envelope).await {
            Attempt::Answered { status: 200, body } if body == echo => Ok(()),
            attempt => Err(attempt),
        }
    }

    /// A user does something: the callback is told, up to three times, and what it answers is shown.
    pub async fn push(&self, openid: &str, push: Push) -> Delivery {
        self.book(|book, now_ms| happen(book, openid, &push, now_ms));
        let msg_id = push.numbered.then(|| self.state.lock().next_msg_id());
        let at_s = self.state.lock().now_ms() / 1000;
        self.tell(openid, &push, msg_id, at_s).await
    }

    /// The same push told once more, as if the platform had lost what the callback answered.
    pub async fn push_again(&self, openid: &str, push: Push, msg_id: i64, at_s: i64) -> Delivery {
        self.tell(openid, &push, Some(msg_id), at_s).await
    }

    async fn tell(&self, openid: &str, push: &Push, msg_id: Option<i64>, at_s: i64) -> Delivery {
        let between = self.state.lock().patience.1;
        let mut attempts = Vec::new();
        for n in 0..ATTEMPTS {
            if n > 0 {
                sleep(between).await;
            }
            let envelope = self.wrapped(openid, push, msg_id, at_s);
            let attempt = self.post(&envelope).await;
            attempts.push(attempt.clone());
            if let Attempt::Answered { status: 200, body } = attempt {
                let answer = self.show(openid, &body);
                return Delivery {
                    msg_id,
                    attempts,
                    answer,
                };
            }
        }
        let why = format!("{ATTEMPTS} attempts");
        Delivery {
            msg_id,
            attempts,
            answer: Answer::Unavailable { why },
        }
    }

    /// A push as it would go over the wire now, to be changed before it goes.
    #[must_use]
    pub fn envelope(&self, openid: &str, push: &Push) -> Envelope {
        let msg_id = push.numbered.then(|| self.state.lock().next_msg_id());
        let at_s = self.state.lock().now_ms() / 1000;
        self.wrapped(openid, push, msg_id, at_s)
    }

    /// With a new time and nonce, as of every attempt.
    fn wrapped(&self, openid: &str, push: &Push, msg_id: Option<i64>, at_s: i64) -> Envelope {
        let nonce: String = (0..10).map(|_| fastrand::digit(10)).collect();
        self.book(|book, now_ms| {
            let fields = push::fields(push, &book.account.original_id, openid, at_s, msg_id);
            let callback = &book.account.callback;
            let how = (callback.mode, callback.format);
            push::wrap(&fields, how, &book.seal(), (now_ms / 1000, &nonce))
        })
    }

    /// Posts an envelope once, as it is; nothing is made of the answer.
    pub async fn post(&self, envelope: &Envelope) -> Attempt {
        self.ask("POST", envelope).await
    }

    async fn ask(&self, method: &str, envelope: &Envelope) -> Attempt {
        let callback: Callback = self.book(|book, _| book.account.callback.clone());
        let patience = self.state.lock().patience.0;
        match timeout(patience, exchange(&callback.url, method, envelope)).await {
            Ok(Some((status, body))) => Attempt::Answered { status, body },
            Ok(None) => Attempt::Broken,
            Err(_) => Attempt::TimedOut,
        }
    }

    /// Shows the user what a callback answered.
    fn show(&self, openid: &str, body: &str) -> Answer {
        self.book(|book, now_ms| {
            let seal = book.seal();
            let asked = Asked {
                kind: book.account.kind,
                mode: book.account.callback.mode,
                seal: &seal,
                account: &book.account.original_id,
                user: openid,
            };
            let said = passive::read(body, &asked);
            match said.and_then(|said| settle(book, openid, said, now_ms)) {
                Ok(answer) => answer,
                Err(why) => Answer::Unavailable { why },
            }
        })
    }
}

fn settle(book: &mut Book, openid: &str, said: Said, now_ms: i64) -> Result<Answer, String> {
    let Reply {
        msg_type,
        content,
        files,
    } = match said {
        Said::Success => return Ok(Answer::Success),
        Said::Empty => return Ok(Answer::Empty),
        Said::Reply(reply) => reply,
    };
    for (id, allowed) in &files {
        book.files
            .usable(id, allowed, now_ms)
            .map_err(|refused| refused.errmsg)?;
    }
    let shown = Shown {
        way: Way::Passive,
        msg_type,
        content,
        at_ms: now_ms,
    };
    book.user(openid).shown.push(shown.clone());
    Ok(Answer::Reply(shown))
}

/// What a user's doing changes, whether the callback hears of it or not.
fn happen(book: &mut Book, openid: &str, push: &Push, now_ms: i64) {
    if let Some(standing) = push.standing {
        book.user(openid).standing = Some(standing);
    }
    if let Some(sign) = push.sign {
        book.sign(openid, sign, now_ms);
        // Whoever writes to a mini-program uses it.
        if sign == Sign::Enter || book.account.kind == Kind::MiniProgram {
            book.user(openid).standing = Some(super::Standing::Follows);
        }
    }
}

/// Path and query of a request.
fn target(uri: &Uri, envelope: &Envelope) -> String {
    let mut query = form_urlencoded::Serializer::new(uri.query().unwrap_or_default().to_owned());
    for (name, value) in &envelope.query {
        query.append_pair(name, value);
    }
    format!("{}?{}", uri.path(), query.finish())
}

/// One request on a connection of its own.
async fn exchange(url: &str, method: &str, envelope: &Envelope) -> Option<(u16, String)> {
    let uri: Uri = url.parse().ok()?;
    let authority = uri.authority()?.clone();
    let stream = TcpStream::connect((authority.host(), authority.port_u16()?))
        .await
        .ok()?;
    let (mut sender, line) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    let request = Request::builder()
        .method(method)
        .uri(target(&uri, envelope))
        .header("host", authority.as_str())
        .header("user-agent", "Mozilla/4.0")
        .header("accept", "*/*")
        .header("pragma", "no-cache")
        .header("content-type", envelope.content_type)
        .body(Full::new(Bytes::from(envelope.body.clone())))
        .ok()?;
    let answer = async move {
        let answer = sender.send_request(request).await.ok()?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX);
        let body = body.collect().await.ok()?.to_bytes();
        Some((status, String::from_utf8_lossy(&body).into_owned()))
    };
    // The connection ends by itself once its sender is gone.
    tokio::join!(answer, line).0
}
