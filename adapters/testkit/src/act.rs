//! Gives one step to an adapter.

use patchbay_sdk::{Channel, Cx, Decoded, Exchange, Kind, Reject, Session, Step, Wire};
use serde_json::{Map, Value, json};

use crate::{
    fixture::StepFile,
    given::{Request, SendFile},
    mqtt::{Login, Publish},
    pinned::Surroundings,
    show,
};

/// Calls of one send at most: an adapter that never ends is wrong.
const CALLS_MAX: usize = 50;

/// Something that comes in, with all its bytes.
#[derive(Debug, Clone)]
pub(crate) enum Incoming {
    Http(Request),
    Open(Request),
    Frame(Vec<u8>),
    Login(Login),
    Publish(Publish),
}

impl Incoming {
    /// None for a step that goes out.
    pub(crate) fn of(step: &StepFile) -> Result<Option<Self>, String> {
        let mut found = Vec::new();
        let http = step
            .http
            .as_ref()
            .map(|file| file.request().map(Self::Http));
        found.extend(http);
        let open = step
            .open
            .as_ref()
            .map(|file| file.request().map(Self::Open));
        found.extend(open);
        found.extend(step.frame.as_ref().map(|frame| {
            Ok(Self::Frame(match frame {
                Value::String(text) => text.as_bytes().to_vec(),
                json => json.to_string().into_bytes(),
            }))
        }));
        found.extend(step.mqtt_login.clone().map(|login| Ok(Self::Login(login))));
        let publish = step
            .mqtt
            .as_ref()
            .map(|file| file.publish().map(Self::Publish));
        found.extend(publish);
        let n_out = usize::from(step.send.is_some()) + usize::from(step.downlink.is_some());
        if found.len() + n_out != 1 {
            let steps = "`http`, `open`, `frame`, `mqtt_login`, `mqtt`, `downlink`, `send`";
            return Err(format!("a step is one of {steps}"));
        }
        found.pop().transpose()
    }

    pub(crate) fn decode(
        &self,
        channel: &dyn Channel,
        surroundings: &Surroundings,
        session: &mut Session,
    ) -> Result<Decoded, Reject> {
        let wire = match self {
            Self::Http(request) => Wire::Http(request.lend()),
            Self::Open(request) => Wire::Open(request.lend()),
            Self::Frame(frame) => Wire::Frame(frame),
            Self::Login(login) => Wire::MqttLogin(login.lend()),
            Self::Publish(publish) => Wire::Mqtt(publish.lend(session)),
        };
        surroundings.lend(|cx| channel.decode(cx, session, wire))
    }
}

/// Takes the step and tells what came of it.
pub(crate) fn take(
    kind: &Kind,
    channel: &dyn Channel,
    surroundings: &Surroundings,
    session: &mut Session,
    step: &StepFile,
) -> Result<Value, String> {
    match (Incoming::of(step)?, &step.send, &step.downlink) {
        (Some(incoming), ..) => Ok(show::outcome(&incoming.decode(
            channel,
            surroundings,
            session,
        ))),
        (None, Some(file), _) => send(kind, channel, surroundings, file),
        (None, None, Some(file)) => surroundings.lend(|cx| file.take(channel, cx)),
        (None, None, None) => Err("nothing to do".to_owned()),
    }
}

fn send(
    kind: &Kind,
    channel: &dyn Channel,
    surroundings: &Surroundings,
    file: &SendFile,
) -> Result<Value, String> {
    let envelope = file.envelope(&surroundings.channel, kind.manifest.id)?;
    let mut answers = file.answers()?.into_iter();
    let (mut past, mut log) = (Vec::<Exchange>::new(), Vec::new());
    let mut outcome = Map::new();
    for _ in 0..CALLS_MAX {
        let next = surroundings.lend(|cx: &Cx<'_>| channel.send(cx, &envelope, &past));
        let requests = match next {
            Ok(Step::Need(name)) if !surroundings.fetched.borrow().contains(&name) => {
                surroundings.fetched.borrow_mut().push(name);
                log.push(json!({ "token": name }));
                continue;
            }
            Ok(Step::Need(name)) => return Err(format!("`tokens` has no `{name}`")),
            Ok(Step::Wait(span)) => {
                log.push(json!({ "wait_ms": u64::try_from(span.as_millis()).unwrap_or(u64::MAX) }));
                continue;
            }
            Ok(Step::Done(sent)) => {
                outcome.insert("sent".to_owned(), sent.iter().map(show::sent).collect());
                break;
            }
            Err(error) => {
                outcome.insert("error".to_owned(), show::send_error(&error));
                break;
            }
            Ok(Step::Call(request)) => vec![request],
            Ok(Step::All(requests)) => requests,
        };
        for request in &requests {
            log.push(show::request(request));
            let answer = answers.next();
            past.push(answer.ok_or_else(|| format!("`answers` has none for {request:?}"))?);
        }
    }
    if outcome.is_empty() {
        return Err(format!("sending did not end after {CALLS_MAX} calls"));
    }
    if answers.next().is_some() {
        return Err("`answers` has more than were asked for".to_owned());
    }
    let mut shown = Map::from_iter([("requests".to_owned(), Value::Array(log))]);
    shown.append(&mut outcome);
    Ok(Value::Object(shown))
}
