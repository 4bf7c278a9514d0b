//! Live events: a ticket, no gap however one reads, and an honest `reset`.

use std::time::Duration;

use futures_util::{SinkExt, Stream, StreamExt, stream};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message},
};

use crate::house::{House, thread, until};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A console's connection for live events.
pub(crate) struct Console {
    socket: Socket,
    /// What `ready` said.
    pub(crate) ready: Value,
}

/// Serves the house on a real port, for WebSockets.
async fn serve(house: &House) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = house.app.clone();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

async fn ticket(house: &House, token: &str) -> String {
    let answer = house.post("/events/ticket", token, &json!({})).await.ok();
    answer["ticket"].as_str().unwrap().to_owned()
}

async fn connect(house: &House, query: &str) -> Result<Socket, Error> {
    let address = serve(house).await;
    let url = format!("ws://{address}/api/v1/events?{query}");
    connect_async(url).await.map(|(socket, _)| socket)
}

async fn next(socket: &mut Socket) -> Option<Value> {
    let frame = tokio::time::timeout(Duration::from_secs(30), socket.next());
    match frame.await.expect("a frame in time")?.ok()? {
        Message::Text(text) => Some(serde_json::from_str(&text).unwrap()),
        Message::Close(_) => None,
        other => panic!("{other:?}"),
    }
}

impl Console {
    pub(crate) async fn open(house: &House, token: &str, after: Option<u64>) -> Self {
        let ticket = ticket(house, token).await;
        let after = after.map_or_else(String::new, |after| format!("&after={after}"));
        let mut socket = connect(house, &format!("ticket={ticket}{after}"))
            .await
            .unwrap();
        let ready = next(&mut socket).await.unwrap();
        assert_eq!(ready["type"], "ready", "{ready}");
        Self { socket, ready }
    }

    pub(crate) async fn next(&mut self) -> Value {
        next(&mut self.socket).await.expect("a frame")
    }

    /// The next frame of this type.
    pub(crate) async fn next_of(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next().await;
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    async fn send(&mut self, frame: Value) {
        let frame = Message::text(frame.to_string());
        self.socket.send(frame).await.unwrap();
    }

    pub(crate) fn events(self) -> impl Stream<Item = Value> {
        stream::unfold(self, async |mut console| {
            let frame = next(&mut console.socket).await?;
            Some((frame, console))
        })
    }
}

async fn refused(house: &House, query: &str) -> u16 {
    match connect(house, query).await {
        Err(Error::Http(answer)) => answer.status().as_u16(),
        other => panic!("{:?}", other.map(|_| "a connection")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_ticket_is_needed_and_it_ages() {
    let house = House::new().await;
    let (_, token) = house.agent("Ann", "agent").await;
    let good = ticket(&house, &token).await;
    assert_eq!(refused(&house, "ticket=").await, 401);
    assert_eq!(refused(&house, "ticket=a.b").await, 401);
    assert_eq!(refused(&house, &format!("ticket={token}")).await, 401);
    let (body, mac) = good.split_once('.').unwrap();
    assert_eq!(refused(&house, &format!("ticket={mac}.{body}")).await, 401);
    let forged = format!("{}A.{mac}", &body[..body.len() - 1]);
    assert_eq!(refused(&house, &format!("ticket={forged}")).await, 401);
    assert_eq!(refused(&house, "").await, 400);
    connect(&house, &format!("ticket={good}")).await.unwrap();
    house.clock.advance(Duration::from_secs(31));
    assert_eq!(refused(&house, &format!("ticket={good}")).await, 401);
    let plain = house.call(
        "GET",
        &format!("/events?ticket={}", ticket(&house, &token).await),
    );
    plain.send().await.problem(426, "upgrade");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_told_as_it_happens() {
    let house = House::new().await;
    let (ann, token) = house.agent("Ann", "agent").await;
    let mut console = Console::open(&house, &token, None).await;
    assert_eq!(console.ready["reset"], false);
    let id = house.say("v1", "Hello?").await;
    let message = console.next_of("message").await;
    assert_eq!(message["data"]["conversation_id"], id.as_str());
    assert_eq!(message["data"]["message"]["content"][0]["text"], "Hello?");
    assert!(message["seq"].as_u64() > console.ready["seq"].as_u64());
    assert!(message["at"].is_string());
    let outcome = house.reply(&id, &token, "Hi!", "k1").await.ok();
    let command = console.next_of("command").await;
    assert_eq!(command["data"]["command_id"], outcome["command_id"]);
    assert_eq!(command["data"]["status"], "done");
    let reopen = format!("/conversations/{id}/reopen");
    let refused = house.post(&reopen, &token, &json!({})).await;
    refused.problem(409, "bad_transition");
    let command = console.next_of("command").await;
    assert_eq!(command["data"]["status"], "failed");
    assert_eq!(command["data"]["problem"]["code"], "bad_transition");
    let call = house.call("PUT", "/me/presence").token(&token);
    call.json(&json!({ "presence": "away" })).send().await.ok();
    loop {
        let agent = console.next_of("agent").await;
        if agent["data"]["presence"] == "away" {
            assert_eq!(agent["data"]["id"], ann.as_str());
            break;
        }
    }
    let pause = house.operate("POST", "/channels/sms-main/pause");
    pause.json(&json!({ "reason": "test" })).send().await.ok();
    let channel = console.next_of("channel").await;
    assert_eq!(channel["data"]["id"], "sms-main");
    assert_eq!(channel["data"]["state"], "paused");
    assert_eq!(channel["data"]["reason"], "test");
}

#[tokio::test(flavor = "multi_thread")]
async fn seen_and_delivered_are_told() {
    let house = House::new().await;
    let (_, token) = house.agent("Ann", "agent").await;
    let id = house.say("v1", "Hello?").await;
    house.reply(&id, &token, "Hi!", "k1").await.ok();
    let mut console = Console::open(&house, &token, None).await;
    let seen = patchbay_store::Seen {
        thread: thread("v1"),
        delivered: Some(2),
        read: Some(2),
    };
    let changes = patchbay_store::Changes {
        seen: vec![seen],
        ..Default::default()
    };
    house.store.commit(changes).await.unwrap();
    let delivery = console.next_of("delivery").await;
    assert_eq!(delivery["data"]["conversation_id"], id.as_str());
    assert_eq!(delivery["data"]["delivery"]["state"], "read");
    let seen = console.next_of("seen").await;
    assert_eq!(
        seen["data"],
        json!({ "conversation_id": id, "delivered": 2, "read": 2 })
    );
}

/// Every number of the log that a console is told, while many write at once: whoever reads from the
/// beginning, whoever resumes again and again, and whoever does not read for a long time, is told
/// the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_misses_anything_however_they_read() {
    let house = House::new().await;
    let (_, token) = house.agent("Ann", "agent").await;
    let id = house.say("v0", "Hello?").await;
    let mut steady = Console::open(&house, &token, None).await;
    let start = steady.ready["seq"].as_u64().unwrap();
    // Not read at all until everything has happened.
    let lagging = Console::open(&house, &token, Some(start)).await;
    let writers = (0..8).map(|writer| {
        let (house, token, id) = (&house, &token, &id);
        async move {
            for n in 0..100 {
                let key = format!("{writer}-{n}");
                house.reply(id, token, &key, &key).await.ok();
            }
        }
    });
    let resuming = async {
        let mut told = Vec::new();
        let mut after = start;
        while count(&told) < 800 {
            let mut console = Console::open(&house, &token, Some(after)).await;
            assert_eq!(console.ready["reset"], false);
            for _ in 0..20 {
                let frame = console.next().await;
                let Some(seq) = frame["seq"].as_u64() else {
                    continue;
                };
                after = seq;
                told.push(frame);
                if count(&told) == 800 {
                    break;
                }
            }
        }
        told
    };
    let reading = collect(&mut steady);
    let ((), resumed, steady) = tokio::join!(
        async {
            futures_util::future::join_all(writers).await;
        },
        resuming,
        reading
    );
    let mut lagging = lagging;
    let lagging = collect(&mut lagging).await;
    let numbers = |frames: &[Value]| {
        let messages = frames.iter().filter(|frame| is_reply(frame));
        messages
            .map(|frame| frame["seq"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    assert!(numbers(&steady).is_sorted());
    assert!(numbers(&resumed).is_sorted());
    assert_eq!(numbers(&resumed), numbers(&steady));
    assert_eq!(numbers(&lagging), numbers(&steady));
    assert_eq!(numbers(&steady).len(), 800);
}

/// Messages among the frames, notices aside.
fn count(frames: &[Value]) -> usize {
    frames.iter().filter(|frame| is_reply(frame)).count()
}

fn is_reply(frame: &Value) -> bool {
    frame["type"] == "message" && frame["data"]["message"]["kind"] == "message"
}

async fn collect(console: &mut Console) -> Vec<Value> {
    let mut told = Vec::new();
    while count(&told) < 800 {
        let frame = console.next().await;
        if frame["seq"].is_u64() {
            told.push(frame);
        }
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_too_late_is_told_to_begin_anew() {
    let house = House::new().await;
    let (_, token) = house.agent("Ann", "agent").await;
    for n in 0..5 {
        house.say("v1", &n.to_string()).await;
    }
    let (newest, _) = house.store.event_bounds().await.unwrap();
    let future = Console::open(&house, &token, Some(newest + 1000)).await;
    assert_eq!(future.ready["reset"], true, "numbers of another store");
    house.clock.advance(Duration::from_secs(40 * 24 * 3600));
    let retention = patchbay_router::RouterOptions::default().retention;
    while house.store.sweep(&retention, 1000).await.unwrap() > 0 {}
    let (_, token) = house.agent("Bob", "agent").await;
    let late = Console::open(&house, &token, Some(1)).await;
    assert_eq!(late.ready["reset"], true);
    let (newest, _) = house.store.event_bounds().await.unwrap();
    assert_eq!(late.ready["seq"], newest);
    let on_time = Console::open(&house, &token, Some(newest)).await;
    assert_eq!(on_time.ready["reset"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_writes_and_who_types_is_told_and_forgotten() {
    let house = House::new().await;
    let (ann, token) = house.agent("Ann", "agent").await;
    let (_, bob) = house.agent("Bob", "agent").await;
    let id = house.say("v1", "Hello?").await;
    let mut console = Console::open(&house, &bob, None).await;
    let mut writing = Console::open(&house, &token, None).await;
    writing.send(json!({ "type": "nonsense" })).await;
    writing
        .send(json!({ "type": "replying", "conversation_id": id, "on": true }))
        .await;
    let sign = console.next_of("replying").await;
    assert_eq!(
        sign["data"],
        json!({ "conversation_id": id, "agent": { "id": ann, "name": "Ann" }, "on": true })
    );
    assert!(sign.get("seq").is_none(), "lossy ones have no number");
    let path = format!("/conversations/{id}");
    let shown = house.get(&path, &bob).await.ok();
    assert_eq!(shown["replying"], json!([{ "id": ann, "name": "Ann" }]));
    writing
        .send(json!({ "type": "replying", "conversation_id": id, "on": false }))
        .await;
    assert_eq!(console.next_of("replying").await["data"]["on"], false);
    let shown = house.get(&path, &bob).await.ok();
    assert_eq!(shown["replying"], json!([]));
    // The contact types: a gateway says so on the bus.
    let body = json!({ "thread_id": thread("v1"), "on": true }).to_string();
    let mailbox = patchbay_bus::Mailbox::Event("typing".into());
    patchbay_bus::Bus::nudge(&*house.bus, &mailbox, body.into());
    let typing = console.next_of("typing").await;
    assert_eq!(
        typing["data"],
        json!({ "conversation_id": id, "from": "contact", "name": null, "on": true })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn typing_and_reading_reach_the_contact() {
    let house = House::new().await;
    let (_, token) = house.agent("Ann", "agent").await;
    let id = house.say("v1", "Hello?").await;
    let mailbox = patchbay_bus::Mailbox::Event("signal".into());
    let mut signals = patchbay_bus::Bus::mailbox(&*house.bus, mailbox)
        .await
        .unwrap();
    let path = format!("/conversations/{id}");
    let typing = house
        .post(&format!("{path}/typing"), &token, &json!({ "on": true }))
        .await;
    assert_eq!(typing.status, 204);
    let mut heard =
        async || -> Value { serde_json::from_slice(&signals.recv().await.unwrap()).unwrap() };
    let typing =
        json!({ "thread_id": thread("v1"), "signal": "typing", "name": "Ann", "on": true });
    until("the typing", async || {
        (heard().await == typing).then_some(())
    })
    .await;
    // Further than there is, is as far as there is.
    let read = house
        .post(&format!("{path}/read"), &token, &json!({ "seq": 99 }))
        .await;
    assert_eq!(read.status, 204);
    let seen = json!({ "thread_id": thread("v1"), "signal": "seen", "read": 1 });
    until("the mark", async || (heard().await == seen).then_some(())).await;
    assert_eq!(house.get(&path, &token).await.ok()["unread"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_a_bound_on_connections() {
    let house = House::new().await;
    let (_, token) = house.agent("Ann", "agent").await;
    let mut consoles = Vec::new();
    for _ in 0..16 {
        consoles.push(Console::open(&house, &token, None).await);
    }
    let ticket = ticket(&house, &token).await;
    let mut socket = connect(&house, &format!("ticket={ticket}")).await.unwrap();
    assert_eq!(next(&mut socket).await, None, "closed at once");
    consoles.pop();
    until("a free place", async || {
        let mut socket = connect(&house, &format!("ticket={ticket}")).await.ok()?;
        next(&mut socket).await.map(|_| ())
    })
    .await;
}
