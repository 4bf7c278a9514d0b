//! What is signed counts to the bit, for one account, for its time.

use patchbay_message::{Authenticity, Time};
use patchbay_sdk::{Channel, Kind, Reject, Session};
use serde_json::Value;

use crate::{
    Report,
    act::Incoming,
    fixture::{Fixtures, merged},
    given::Request,
    pinned::Surroundings,
    play::{self, Moment},
};

/// Bytes changed of one piece at most; of longer ones every n-th is.
const FLIPS_MAX: usize = 512;

pub(crate) fn check(kind: &Kind, fixtures: &Fixtures, report: &mut Report) {
    let setting = &fixtures.setting;
    let (mut n_signed, mut n_stale, mut n_bodies) = (0, 0, 0);
    for file in &fixtures.files {
        let _ = play::play(kind, setting, file, &mut |moment, found| {
            let Ok(Some(Incoming::Http(_) | Incoming::Open(_) | Incoming::Login(_))) =
                Incoming::of(moment.step)
            else {
                return;
            };
            let is_proven = matches!(found["proof"].as_str(), Some("signature" | "token" | "tls"));
            let is_signed = !moment.step.signed.is_empty();
            report.check(is_proven == is_signed, moment.place, || {
                "`signed` names what is signed where a signature or token was found good, and only there".to_owned()
            });
            if is_proven && is_signed {
                n_signed += 1;
                n_bodies += moment
                    .step
                    .signed
                    .iter()
                    .filter(|piece| *piece == "body")
                    .count();
                n_stale += usize::from(moment.step.stale_after.is_some());
                of_step(moment, report);
            }
        });
    }
    let id = kind.manifest.id;
    report.check(n_signed > 0, id, || {
        "no fixture has anything signed".to_owned()
    });
    let can_sign = setting.sign.is_some() != setting.cannot_sign.is_some();
    report.check(n_bodies == 0 || can_sign, id, || {
        "bodies are signed: channel.json says how to `sign` made-up ones, or why that `cannot_sign`".to_owned()
    });
    report.check((n_stale > 0) != setting.never_stale.is_some(), id, || {
        "a step says `stale_after`, or channel.json says why that is `never_stale`".to_owned()
    });
}

fn of_step(moment: &Moment<'_>, report: &mut Report) {
    let again = |incoming: &Incoming, now: Time| {
        decode(
            moment.channel,
            moment.surroundings,
            &moment.surroundings.channel,
            now,
            moment,
            incoming,
        )
    };
    let now = moment.surroundings.now;
    let Ok(Some(incoming)) = Incoming::of(moment.step) else {
        return;
    };
    for piece in &moment.step.signed {
        let changed = changes(&incoming, piece);
        report.check(!changed.is_empty(), moment.place, || {
            format!("`signed`: there is no `{piece}`")
        });
        let taken: Vec<String> = changed
            .into_iter()
            .filter(|(_, incoming)| again(incoming, now).is_ok())
            .map(|(what, _)| what)
            .collect();
        report.check(taken.is_empty(), moment.place, || {
            format!(
                "is taken with {} of `{piece}` ({} such changes)",
                taken[0],
                taken.len()
            )
        });
        // Who shows nothing may be somebody new, but nobody in particular.
        let without = with(&incoming, piece, None).map(|incoming| again(&incoming, now));
        let is_proven = matches!(without, Some(Ok(proof)) if proof != Authenticity::None);
        report.check(!is_proven, moment.place, || {
            format!("is proven without `{piece}`")
        });
    }
    if let Some(after) = moment.step.stale_after {
        let found = again(&incoming, now.plus(after.get()));
        report.check(found == Err(Reject::Stale), moment.place, || {
            format!("must be stale after {after}: {found:?}")
        });
    }
    let options = merged(moment.options, &moment.setting.foreign.options);
    match play::open(moment.kind, &options) {
        Ok(foreign) => {
            let id = moment
                .setting
                .foreign
                .channel
                .as_ref()
                .unwrap_or(&moment.setting.channel);
            let found = decode(
                foreign.as_ref(),
                moment.surroundings,
                id,
                now,
                moment,
                &incoming,
            );
            report.check(found.is_err(), moment.place, || {
                "another account takes it".to_owned()
            });
        }
        Err(sentence) => report.fail(moment.place, format!("`foreign`: {sentence}")),
    }
}

fn decode(
    channel: &dyn Channel,
    surroundings: &Surroundings,
    id: &str,
    now: Time,
    moment: &Moment<'_>,
    incoming: &Incoming,
) -> Result<Authenticity, Reject> {
    let surroundings = Surroundings {
        now,
        random: crate::pinned::Seeded::new(0),
        public_url: surroundings.public_url.clone(),
        channel: id.to_owned(),
        tokens: surroundings.tokens.clone(),
        fetched: surroundings.fetched.clone(),
        slot: std::cell::RefCell::default(),
    };
    let mut session: Session = moment.session.clone();
    incoming
        .decode(channel, &surroundings, &mut session)
        .map(|decoded| decoded.proof.authenticity().clone())
}

/// The same with one bit of the piece changed, for every byte of it; and cut short.
fn changes(incoming: &Incoming, piece: &str) -> Vec<(String, Incoming)> {
    let bytes = match incoming {
        Incoming::Http(request) | Incoming::Open(request) => get(request, piece),
        Incoming::Login(login) => login.get(piece),
        Incoming::Frame(_) | Incoming::Publish(_) => None,
    };
    let Some(bytes) = bytes else {
        return Vec::new();
    };
    let with = |bytes: Vec<u8>| with(incoming, piece, Some(bytes));
    let step = bytes.len().div_ceil(FLIPS_MAX).max(1);
    let flipped = (0..bytes.len()).step_by(step).filter_map(|i| {
        let mut bytes = bytes.clone();
        // The lowest bit: letters stay letters, so that the change reaches the check.
        bytes[i] ^= 1;
        Some((format!("a changed byte {i}"), with(bytes)?))
    });
    let shorter = [bytes.len().saturating_sub(1), bytes.len() / 2, 0];
    let cut = shorter
        .into_iter()
        .filter_map(|n| Some((format!("only {n} bytes"), with(bytes[..n].to_vec())?)));
    flipped.chain(cut).collect()
}

/// The same with other bytes of the piece, or without it.
fn with(incoming: &Incoming, piece: &str, bytes: Option<Vec<u8>>) -> Option<Incoming> {
    match incoming {
        Incoming::Http(request) => set(request.clone(), piece, bytes).map(Incoming::Http),
        Incoming::Open(request) => set(request.clone(), piece, bytes).map(Incoming::Open),
        Incoming::Login(login) => login.clone().set(piece, bytes).map(Incoming::Login),
        Incoming::Frame(_) | Incoming::Publish(_) => None,
    }
}

fn get(request: &Request, piece: &str) -> Option<Vec<u8>> {
    match piece.split_once(':') {
        None if piece == "body" => Some(request.body.clone()),
        Some(("header", name)) => Some(request.headers.get(name)?.as_bytes().to_vec()),
        Some(("query", name)) => Some(query_value(&request.query, name)?.as_bytes().to_vec()),
        Some(("json", pointer)) => {
            let json: Value = serde_json::from_slice(&request.body).ok()?;
            let text = match json.pointer(pointer)? {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            Some(text.into_bytes())
        }
        Some(("xml", name)) => {
            let xml = std::str::from_utf8(&request.body).ok()?;
            Some(xml[within(xml, name)?].as_bytes().to_vec())
        }
        _ => None,
    }
}

/// Where the text of the first element of this name stands, without its CDATA.
fn within(xml: &str, name: &str) -> Option<std::ops::Range<usize>> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let start = xml.find(&open)? + open.len();
    let end = start + xml[start..].find(&close)?;
    let (cdata, cdata_end) = ("<![CDATA[", "]]>");
    let inner = xml[start..end].strip_prefix(cdata);
    Some(match inner.and_then(|rest| rest.strip_suffix(cdata_end)) {
        Some(_) => start + cdata.len()..end - cdata_end.len(),
        None => start..end,
    })
}

fn set(mut request: Request, piece: &str, bytes: Option<Vec<u8>>) -> Option<Request> {
    match piece.split_once(':') {
        None => request.body = bytes.unwrap_or_default(),
        Some(("header", name)) => match bytes {
            Some(bytes) => *request.headers.get_mut(name)? = bytes.try_into().ok()?,
            None => {
                request.headers.remove(name);
            }
        },
        Some(("query", name)) => {
            let old = format!("{name}={}", query_value(&request.query, name)?);
            let new = bytes.map_or(Ok(String::new()), |bytes| {
                String::from_utf8(bytes).map(|value| format!("{name}={value}"))
            });
            request.query = request.query.replacen(&old, &new.ok()?, 1);
        }
        Some(("xml", name)) => {
            let mut xml = String::from_utf8(request.body).ok()?;
            let range = within(&xml, name)?;
            xml.replace_range(range, std::str::from_utf8(&bytes.unwrap_or_default()).ok()?);
            request.body = xml.into_bytes();
        }
        Some((_, pointer)) => {
            let mut json: Value = serde_json::from_slice(&request.body).ok()?;
            let place = json.pointer_mut(pointer)?;
            *place = match bytes {
                None => Value::Null,
                Some(bytes) => {
                    let text = String::from_utf8(bytes).ok()?;
                    let number = || {
                        serde_json::from_str::<Value>(&text)
                            .ok()
                            .filter(Value::is_number)
                    };
                    let keeps_number = place.is_number().then(number).flatten();
                    keeps_number.unwrap_or(Value::String(text))
                }
            };
            request.body = json.to_string().into_bytes();
        }
    }
    Some(request)
}

fn query_value<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let pair = |pair: &'a str| pair.split_once('=').filter(|(key, _)| *key == name);
    query.split('&').find_map(pair).map(|(_, value)| value)
}
