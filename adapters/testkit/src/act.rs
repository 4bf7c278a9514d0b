//! Gives one step to an adapter: what comes in, or what is asked of it until it is done.

use patchbay_sdk::{
    Channel, Cx, Decoded, Exchange, Fetched, Kind, Pulled, Reject, Reply, Secret, SendError, Sent,
    Session, Step, Token, TokenName, Wire,
};
use serde_json::{Map, Value, json};

use crate::{
    fixture::StepFile,
    given::{PullFile, Request},
    mqtt::{Login, Publish},
    pinned::Surroundings,
    show,
};

/// Calls of one step at most: an adapter that never ends is wrong.
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
        let out = [
            step.send.is_some(),
            step.downlink.is_some(),
            step.token.is_some(),
            step.fetch.is_some(),
            step.pull.is_some(),
            step.ride.is_some(),
        ];
        let n_out = out.into_iter().filter(|is_there| *is_there).count();
        if found.len() + n_out != 1 {
            let come = "`http`, `open`, `frame`, `mqtt_login`, `mqtt`";
            let go = "`downlink`, `send`, `ride`, `token`, `fetch`, `pull`";
            return Err(format!("a step is one of {come}, {go}"));
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
    if let Some(incoming) = Incoming::of(step)? {
        let found = incoming.decode(channel, surroundings, session);
        if let Ok(decoded) = &found {
            surroundings.slot.replace(decoded.slot.clone());
        }
        return Ok(show::outcome(&found));
    }
    if let Some(file) = &step.downlink {
        return surroundings.lend(|cx| file.take(channel, cx));
    }
    if let Some(file) = &step.send {
        let envelope = file.envelope(&surroundings.channel, kind.manifest.id)?;
        let ask = |cx: &Cx<'_>, past: &[Exchange]| channel.send(cx, &envelope, past);
        let show = |sent: &Vec<Sent>| ("sent", sent.iter().map(show::sent).collect());
        return drive(surroundings, file.answers()?, ask, show);
    }
    if let Some(file) = &step.ride {
        let envelope = file.envelope(&surroundings.channel, kind.manifest.id)?;
        let slot = surroundings.slot.borrow().clone();
        let slot = slot.ok_or("no answer is held back")?;
        let ask = |cx: &Cx<'_>, past: &[Exchange]| channel.ride(cx, &slot, &envelope, past);
        let show = |reply: &Reply| ("reply", show::reply(reply));
        return drive(surroundings, file.answers()?, ask, show);
    }
    if let Some(file) = &step.token {
        // Names of tokens are written into the adapter; a test may well keep one for ever.
        let name: TokenName = String::leak(file.name.clone());
        let ask = |cx: &Cx<'_>, past: &[Exchange]| channel.token(cx, name, file.renew, past);
        let account = channel.token_account(name);
        let show = |token: &Token| ("token", show::token(account.as_deref(), token));
        return drive(surroundings, file.answers()?, ask, show);
    }
    if let Some(file) = &step.fetch {
        let ask = |cx: &Cx<'_>, past: &[Exchange]| channel.fetch(cx, &file.handle, past);
        let show = |fetched: &Fetched| ("fetched", show::fetched(fetched));
        return drive(surroundings, file.answers()?, ask, show);
    }
    if let Some(file) = &step.pull {
        let hint = file.hint.clone().map(Secret::new);
        let at = file.at(hint.as_ref());
        let ask = |cx: &Cx<'_>, past: &[Exchange]| channel.pull(cx, &at, past);
        let show = |pulled: &Pulled| ("pulled", show::pulled(pulled));
        return drive(surroundings, file.answers()?, ask, show);
    }
    Err("nothing to do".to_owned())
}

/// The page of a step, if one comes of it.
pub(crate) fn pulled(
    file: &PullFile,
    channel: &dyn Channel,
    surroundings: &Surroundings,
) -> Option<Pulled> {
    let hint = file.hint.clone().map(Secret::new);
    let at = file.at(hint.as_ref());
    let answers = file.answers().ok()?;
    (0..=answers.len()).find_map(|n| {
        match surroundings.lend(|cx| channel.pull(cx, &at, &answers[..n])) {
            Ok(Step::Done(pulled)) => Some(pulled),
            _ => None,
        }
    })
}

/// Asks step by step, as a driver does, and gives the answers of the fixture.
fn drive<T>(
    surroundings: &Surroundings,
    answers: Vec<Exchange>,
    ask: impl Fn(&Cx<'_>, &[Exchange]) -> Result<Step<T>, SendError>,
    show: impl Fn(&T) -> (&'static str, Value),
) -> Result<Value, String> {
    let mut answers = answers.into_iter();
    let (mut past, mut log) = (Vec::<Exchange>::new(), Vec::new());
    let mut outcome = Map::new();
    for _ in 0..CALLS_MAX {
        let requests = match surroundings.lend(|cx| ask(cx, &past)) {
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
            Ok(Step::Done(done)) => {
                let (what, shown) = show(&done);
                outcome.insert(what.to_owned(), shown);
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
        return Err(format!("it did not end after {CALLS_MAX} calls"));
    }
    if answers.next().is_some() {
        return Err("`answers` has more than were asked for".to_owned());
    }
    let mut shown = Map::from_iter([("requests".to_owned(), Value::Array(log))]);
    shown.append(&mut outcome);
    Ok(Value::Object(shown))
}
