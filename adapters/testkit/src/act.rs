//! Gives one step to an adapter.

use patchbay_sdk::{Channel, Cx, Decoded, Exchange, Kind, Reject, Session, Step, Wire};
use serde_json::{Map, Value, json};

use crate::{
    fixture::StepFile,
    given::{Request, SendFile},
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
}

impl Incoming {
    /// None for a step that goes out.
    pub(crate) fn of(step: &StepFile) -> Result<Option<Self>, String> {
        match (&step.http, &step.open, &step.frame, &step.send) {
            (Some(file), None, None, None) => file.request().map(Self::Http).map(Some),
            (None, Some(file), None, None) => file.request().map(Self::Open).map(Some),
            (None, None, Some(Value::String(text)), None) => {
                Ok(Some(Self::Frame(text.as_bytes().to_vec())))
            }
            (None, None, Some(json), None) => Ok(Some(Self::Frame(json.to_string().into_bytes()))),
            (None, None, None, Some(_)) => Ok(None),
            _ => Err("a step is one of `http`, `open`, `frame`, `send`".to_owned()),
        }
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
    match (Incoming::of(step)?, &step.send) {
        (Some(incoming), _) => Ok(show::outcome(&incoming.decode(
            channel,
            surroundings,
            session,
        ))),
        (None, Some(file)) => send(kind, channel, surroundings, file),
        (None, None) => Err("nothing to do".to_owned()),
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
