//! What may not have arrived is never called sent or fetched, and an odd envelope or answer harms nobody.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use patchbay_message::Envelope;
use patchbay_sdk::{Answer, Cx, Exchange, Kind, SendError, Step, TokenName};

use crate::{
    Report,
    fixture::Fixtures,
    play::{self, Moment},
};

/// Calls until an adapter has to have asked for something to be done.
const CALLS_MAX: usize = 10;

pub(crate) fn check(kind: &Kind, fixtures: &Fixtures, report: &mut Report) {
    let mut n_sent = 0;
    for file in &fixtures.files {
        let _ = play::play(kind, &fixtures.setting, file, &mut |moment, found| {
            of_errands(moment, report);
            let Some(send) = &moment.step.send else {
                return;
            };
            let channel = &moment.surroundings.channel;
            if let Ok(envelope) = send.envelope(channel, kind.manifest.id) {
                n_sent += usize::from(found.get("sent").is_some());
                let ask = |cx: &Cx<'_>, past: &[Exchange]| moment.channel.send(cx, &envelope, past);
                of_answers(moment, "sent", ask, report);
                of_envelopes(moment, &envelope, report);
            }
        });
    }
    report.check(n_sent > 0, kind.manifest.id, || {
        "no fixture sends anything".to_owned()
    });
}

/// Tokens and files are not called fetched either.
fn of_errands(moment: &Moment<'_>, report: &mut Report) {
    if let Some(file) = &moment.step.token {
        let name: TokenName = String::leak(file.name.clone());
        let ask = |cx: &Cx<'_>, past: &[Exchange]| moment.channel.token(cx, name, file.renew, past);
        of_answers(moment, "a token", ask, report);
        let is_shared = moment.channel.token_account(name).is_some();
        report.check(is_shared, moment.place, || {
            format!("`token_account` does not say whose token `{name}` is")
        });
    }
    if let Some(file) = &moment.step.fetch {
        let ask = |cx: &Cx<'_>, past: &[Exchange]| moment.channel.fetch(cx, &file.handle, past);
        // The bytes of a file may be anything: an answer of 200 is one.
        of_failures(moment, "a file", &failures(), ask, report);
    }
}

/// The first request ends in each of these ways.
fn failures() -> Vec<Exchange> {
    vec![
        Exchange::NotSent("connection refused".to_owned()),
        Exchange::Unknown("connection reset".to_owned()),
        http(StatusCode::INTERNAL_SERVER_ERROR, b""),
        http(StatusCode::BAD_GATEWAY, b"<html>"),
        // PUBACK: unspecified error, not authorized, quota exceeded.
        Exchange::Answered(Answer::Mqtt { reason: 0x80 }),
        Exchange::Answered(Answer::Mqtt { reason: 0x87 }),
        Exchange::Answered(Answer::Mqtt { reason: 0x97 }),
    ]
}

fn http(status: StatusCode, body: &'static [u8]) -> Exchange {
    Exchange::Answered(Answer::Http {
        status,
        headers: HeaderMap::new(),
        body: Bytes::from_static(body),
    })
}

fn of_answers<T>(
    moment: &Moment<'_>,
    what: &str,
    ask: impl Fn(&Cx<'_>, &[Exchange]) -> Result<Step<T>, SendError>,
    report: &mut Report,
) {
    let mut all = failures();
    all.push(http(StatusCode::OK, b"\xff{"));
    of_failures(moment, what, &all, ask, report);
}

fn of_failures<T>(
    moment: &Moment<'_>,
    what: &str,
    failures: &[Exchange],
    ask: impl Fn(&Cx<'_>, &[Exchange]) -> Result<Step<T>, SendError>,
    report: &mut Report,
) {
    for failure in failures {
        let is_done = matches!(after(moment, failure, &ask), Some(Ok(Step::Done(_))));
        report.check(!is_done, moment.place, || {
            format!("is called {what} after {failure:?}")
        });
    }
}

/// What the adapter makes of this outcome of its first request; none if it makes no request.
fn after<T>(
    moment: &Moment<'_>,
    failure: &Exchange,
    ask: impl Fn(&Cx<'_>, &[Exchange]) -> Result<Step<T>, SendError>,
) -> Option<Result<Step<T>, SendError>> {
    let mut past = Vec::new();
    for _ in 0..CALLS_MAX {
        match moment.surroundings.lend(|cx| ask(cx, &past)) {
            Ok(Step::Call(_)) if past.is_empty() => past.push(failure.clone()),
            Ok(Step::All(requests)) if past.is_empty() => {
                past = vec![failure.clone(); requests.len()];
            }
            Ok(Step::Wait(_)) => {}
            other => return (!past.is_empty()).then_some(other),
        }
    }
    None
}

/// Without one of its fields an envelope may be refused, and makes nobody panic.
fn of_envelopes(moment: &Moment<'_>, envelope: &Envelope, report: &mut Report) {
    let poorer = [
        Envelope {
            recipient: None,
            ..envelope.clone()
        },
        Envelope {
            sender: None,
            ..envelope.clone()
        },
        Envelope {
            thread_seq: None,
            ..envelope.clone()
        },
        Envelope {
            conversation_id: None,
            ..envelope.clone()
        },
        Envelope {
            content: Vec::new(),
            ..envelope.clone()
        },
    ];
    for envelope in poorer {
        let act = || {
            moment
                .surroundings
                .lend(|cx| moment.channel.send(cx, &envelope, &[]))
        };
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
        report.check(outcome.is_ok(), moment.place, || {
            format!("panics when it is to send {envelope:?}")
        });
    }
}
