//! Follows the event log and tells every console; overhears typing.
//!
//! One reader per process, whatever the number of consoles. A console that falls behind, or comes
//! back, reads the log itself from its own number.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use moka::future::Cache;
use parking_lot::Mutex;
use patchbay_bus::Mailbox;
use patchbay_message::{
    AgentId, ContactTyping, ConversationId, LogNudge, MessageId, ThreadId, TicketId, Time,
};
use patchbay_store::{Event, StoreError, TicketView};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};
use tokio::sync::{broadcast, mpsc};

use crate::{
    Api,
    commands::problem_of,
    directory::Names,
    view::{AgentShown, ConversationShown, MessageShown, Named, TicketShown},
};

/// Frames a slow console may be behind before it reads the log itself.
const BEHIND_MAX: usize = 1024;
/// The log is read this often even if nobody nudges.
const LOOK: Duration = Duration::from_millis(250);
/// After the store was away.
const PAUSE: Duration = Duration::from_millis(500);
/// Events read at once.
pub(crate) const PAGE: u32 = 500;
/// Who writes a reply is shown for this long after the last sign.
const REPLYING: Duration = Duration::from_secs(8);
/// Threads whose conversation is remembered, for typing.
const THREADS_MAX: u64 = 10_000;

/// A frame for consoles.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    /// Its number; none for what is lossy.
    pub(crate) seq: Option<u64>,
    /// Frame as JSON.
    pub(crate) text: Arc<str>,
}

/// Agents who write, by name, each until it is forgotten.
type Writers = HashMap<AgentId, (String, Instant)>;

pub(crate) struct Feed {
    frames: broadcast::Sender<Frame>,
    replying: Mutex<HashMap<ConversationId, Writers>>,
    threads: Cache<ThreadId, Option<ConversationId>>,
}

impl Default for Feed {
    fn default() -> Self {
        let threads = Cache::builder()
            .max_capacity(THREADS_MAX)
            .time_to_live(REPLYING)
            .build();
        Self {
            frames: broadcast::channel(BEHIND_MAX).0,
            replying: Mutex::default(),
            threads,
        }
    }
}

/// An agent begins to write a reply, or stops. Mailbox: event `replying`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Replying {
    pub(crate) conversation_id: ConversationId,
    pub(crate) agent_id: AgentId,
    pub(crate) name: String,
    pub(crate) on: bool,
}

impl Replying {
    const MAILBOX: &'static str = "replying";
}

impl Feed {
    /// From now on.
    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Frame> {
        self.frames.subscribe()
    }

    /// Who writes a reply in a conversation now.
    pub(crate) fn replying(&self, id: ConversationId) -> Vec<Named> {
        let mut all = self.replying.lock();
        let Some(agents) = all.get_mut(&id) else {
            return Vec::new();
        };
        agents.retain(|_, (_, until)| *until > Instant::now());
        agents
            .iter()
            .map(|(id, (name, _))| Named {
                id: id.to_string(),
                name: name.clone(),
            })
            .collect()
    }

    fn note(&self, sign: &Replying) {
        let mut all = self.replying.lock();
        all.retain(|_, agents| agents.values().any(|(_, until)| *until > Instant::now()));
        let agents = all.entry(sign.conversation_id).or_default();
        if sign.on {
            agents.insert(
                sign.agent_id,
                (sign.name.clone(), Instant::now() + REPLYING),
            );
        } else {
            agents.remove(&sign.agent_id);
        }
    }

    fn tell(&self, kind: &str, data: &Value) {
        let text = json!({ "type": kind, "data": data }).to_string().into();
        let _ = self.frames.send(Frame { seq: None, text });
    }
}

impl Api {
    /// Tells every API process that an agent writes a reply, or has stopped.
    pub(crate) fn nudge_replying(&self, sign: &Replying) {
        if let Ok(body) = serde_json::to_vec(sign) {
            self.bus
                .nudge(&Mailbox::Event(Replying::MAILBOX.to_owned()), body.into());
        }
    }
}

/// Reads the log for ever.
pub(crate) async fn follow(api: &Api) {
    let mut cursor = None;
    loop {
        let mailbox = api
            .bus
            .mailbox(Mailbox::Event(LogNudge::MAILBOX.to_owned()))
            .await;
        let Ok(mut nudges) = mailbox else {
            // Without nudges the log is still read, only less promptly.
            read_on(api, &mut cursor).await;
            tokio::time::sleep(LOOK).await;
            continue;
        };
        loop {
            read_on(api, &mut cursor).await;
            match tokio::time::timeout(LOOK, nudges.recv()).await {
                Ok(None) => break,
                Ok(Some(_)) | Err(_) => while nudges.try_recv().is_ok() {},
            }
        }
    }
}

/// Reads until there is nothing more.
async fn read_on(api: &Api, cursor: &mut Option<u64>) {
    loop {
        match read_page(api, cursor).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(%error, "event log not read");
                tokio::time::sleep(PAUSE).await;
                return;
            }
        }
    }
}

async fn read_page(api: &Api, cursor: &mut Option<u64>) -> Result<bool, StoreError> {
    let after = match *cursor {
        Some(after) => after,
        None => *cursor.insert(api.store.event_bounds().await?.0),
    };
    let events = api.store.events(after, PAGE).await?;
    let Some(last) = events.last() else {
        return Ok(false);
    };
    let (last, full) = (last.seq, events.len() >= PAGE as usize);
    for event in &events {
        notice(api, event);
    }
    if api.feed.frames.receiver_count() > 0 {
        for frame in frames_of(api, events).await? {
            let _ = api.feed.frames.send(frame);
        }
    }
    *cursor = Some(last);
    Ok(full)
}

/// What this process itself does about an event.
fn notice(api: &Api, event: &Event) {
    match event.kind.as_str() {
        "command" => api.waiters.ended(&event.data),
        "agent" => api.directory.forget(),
        _ => {}
    }
}

/// Events as frames: the log has ids, consoles get what they name.
pub(crate) async fn frames_of(api: &Api, events: Vec<Event>) -> Result<Vec<Frame>, StoreError> {
    let of_kind = |kind: &'static str| events.iter().filter(move |event| event.kind == kind);
    let conversations: HashSet<_> = of_kind("conversation")
        .filter_map(|event| event.conversation_id)
        .collect();
    let messages: HashSet<MessageId> = of_kind("message")
        .filter_map(|event| event.data["message_id"].as_str()?.parse().ok())
        .collect();
    if of_kind("agent").next().is_some() {
        // Older names would show the agent as before the event.
        api.directory.forget();
    }
    let names = api.directory.names().await?;
    let mut channels: HashMap<String, Box<RawValue>> = HashMap::new();
    if of_kind("channel").next().is_some() {
        for channel in crate::rest::channels(api).await? {
            channels.insert(channel.id.to_string(), raw(&channel));
        }
    }
    let conversations: Vec<_> = conversations.into_iter().collect();
    let mut shown: HashMap<ConversationId, Box<RawValue>> = HashMap::new();
    for view in api.store.conversation_views(&conversations).await? {
        let id = view.conversation.id;
        let replying = api.feed.replying(id);
        shown.insert(id, raw(&ConversationShown::new(view, &names, replying)));
    }
    let messages: Vec<_> = messages.into_iter().collect();
    let mut said: HashMap<MessageId, Box<RawValue>> = HashMap::new();
    for row in api.store.message_rows(&messages).await? {
        said.insert(row.id, raw(&MessageShown::from(row)));
    }
    let tickets = tickets_of(api, &events, &names).await?;
    let mut frames = Vec::with_capacity(events.len());
    for event in events {
        let data = match event.kind.as_str() {
            "conversation" => event.conversation_id.and_then(|id| shown.get(&id).cloned()),
            "message" => message_data(&event, &said),
            "ticket" => ticket_of(&event).and_then(|id| tickets.get(&id).cloned()),
            "agent" => event
                .agent_id
                .and_then(|id| names.agents.get(&id))
                .map(|agent| raw(&AgentShown::new(agent.clone(), &names))),
            "command" => Some(raw(&command_data(&event))),
            "channel" => (event.data["channel"].as_str()).and_then(|id| channels.get(id).cloned()),
            _ => Some(raw(&event.data)),
        };
        // What is gone by now (swept, deleted) is told no more; its number is skipped.
        frames.extend(data.map(|data| frame(&event.kind, event.seq, event.at, data)));
    }
    Ok(frames)
}

/// The tickets that events name, as they are now.
async fn tickets_of(
    api: &Api,
    events: &[Event],
    names: &Names,
) -> Result<HashMap<TicketId, Box<RawValue>>, StoreError> {
    let of_tickets = events.iter().filter(|event| event.kind == "ticket");
    let ids: HashSet<TicketId> = of_tickets.filter_map(ticket_of).collect();
    let ids: Vec<TicketId> = ids.into_iter().collect();
    let views = api.store.ticket_views(&ids).await?;
    let shown = |view: TicketView| {
        let kind = api.kind_of(&view);
        (view.ticket.id, raw(&TicketShown::new(&view, names, kind)))
    };
    Ok(views.into_iter().map(shown).collect())
}

fn ticket_of(event: &Event) -> Option<TicketId> {
    event.data["ticket_id"].as_str()?.parse().ok()
}

fn message_data(event: &Event, said: &HashMap<MessageId, Box<RawValue>>) -> Option<Box<RawValue>> {
    #[derive(Serialize)]
    struct Data<'a> {
        conversation_id: Option<ConversationId>,
        message: &'a RawValue,
    }
    let id: MessageId = event.data["message_id"].as_str()?.parse().ok()?;
    let message = said.get(&id)?;
    Some(raw(&Data {
        conversation_id: event.conversation_id,
        message,
    }))
}

fn command_data(event: &Event) -> Value {
    let done = event.data["status"] == "done";
    let problem = (!done).then(|| problem_of(event.data["code"].as_str(), None));
    json!({
        "command_id": event.data["command_id"],
        "status": if done { "done" } else { "failed" },
        "problem": problem,
    })
}

fn frame(kind: &str, seq: u64, at: Time, data: Box<RawValue>) -> Frame {
    #[derive(Serialize)]
    struct Event<'a> {
        seq: u64,
        #[serde(rename = "type")]
        kind: &'a str,
        at: Time,
        data: Box<RawValue>,
    }
    let text = serde_json::to_string(&Event {
        seq,
        kind,
        at,
        data,
    })
    .unwrap_or_default();
    Frame {
        seq: Some(seq),
        text: text.into(),
    }
}

fn raw(value: &impl Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).expect("views are trees with text keys")
}

/// Passes on what is lossy: contacts who type, agents who write.
pub(crate) async fn overhear(api: &Api) {
    let mut typing = Ear::new(api, ContactTyping::MAILBOX);
    let mut replying = Ear::new(api, Replying::MAILBOX);
    loop {
        tokio::select! {
            body = typing.hear() => contact_types(api, &body).await,
            body = replying.hear() => agent_replies(api, &body),
        }
    }
}

async fn contact_types(api: &Api, body: &[u8]) {
    let Ok(sign) = serde_json::from_slice::<ContactTyping>(body) else {
        return;
    };
    let look = async {
        let standing = api.store.standing(sign.thread_id).await;
        standing
            .ok()
            .flatten()
            .map(|(conversation, _)| conversation.id)
    };
    if let Some(id) = api.feed.threads.get_with(sign.thread_id, look).await {
        let data = json!({ "conversation_id": id, "from": "contact", "name": null, "on": sign.on });
        api.feed.tell("typing", &data);
    }
}

fn agent_replies(api: &Api, body: &[u8]) {
    let Ok(sign) = serde_json::from_slice::<Replying>(body) else {
        return;
    };
    api.feed.note(&sign);
    let agent = json!({ "id": sign.agent_id, "name": sign.name });
    let data = json!({ "conversation_id": sign.conversation_id, "agent": agent, "on": sign.on });
    api.feed.tell("replying", &data);
}

/// Listens to a mailbox for ever; opens it again when it is lost.
struct Ear<'a> {
    api: &'a Api,
    mailbox: Mailbox,
    bodies: Option<mpsc::Receiver<Bytes>>,
}

impl<'a> Ear<'a> {
    fn new(api: &'a Api, mailbox: &str) -> Self {
        Self {
            api,
            mailbox: Mailbox::Event(mailbox.to_owned()),
            bodies: None,
        }
    }

    async fn hear(&mut self) -> Bytes {
        loop {
            if let Some(bodies) = &mut self.bodies {
                if let Some(body) = bodies.recv().await {
                    return body;
                }
                self.bodies = None;
                tokio::time::sleep(PAUSE).await;
            }
            match self.api.bus.mailbox(self.mailbox.clone()).await {
                Ok(bodies) => self.bodies = Some(bodies),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}
