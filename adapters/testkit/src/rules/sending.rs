//! What may not have arrived is never called sent, and an odd envelope or answer harms nobody.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use patchbay_message::Envelope;
use patchbay_sdk::{Answer, Exchange, Kind, Step};

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
            let Some(send) = &moment.step.send else {
                return;
            };
            let channel = &moment.surroundings.channel;
            if let Ok(envelope) = send.envelope(channel, kind.manifest.id) {
                n_sent += usize::from(found.get("sent").is_some());
                of_answers(moment, &envelope, report);
                of_envelopes(moment, &envelope, report);
            }
        });
    }
    report.check(n_sent > 0, kind.manifest.id, || {
        "no fixture sends anything".to_owned()
    });
}

/// The first request ends in each of these ways.
fn of_answers(moment: &Moment<'_>, envelope: &Envelope, report: &mut Report) {
    let http = |status, body: &'static [u8]| {
        Exchange::Answered(Answer::Http {
            status,
            headers: HeaderMap::new(),
            body: Bytes::from_static(body),
        })
    };
    let failures = [
        Exchange::NotSent("connection refused".to_owned()),
        Exchange::Unknown("connection reset".to_owned()),
        http(StatusCode::INTERNAL_SERVER_ERROR, b""),
        http(StatusCode::BAD_GATEWAY, b"<html>"),
        http(StatusCode::OK, b"\xff{"),
        // PUBACK: unspecified error, not authorized, quota exceeded.
        Exchange::Answered(Answer::Mqtt { reason: 0x80 }),
        Exchange::Answered(Answer::Mqtt { reason: 0x87 }),
        Exchange::Answered(Answer::Mqtt { reason: 0x97 }),
    ];
    for failure in failures {
        let is_done = matches!(send(moment, envelope, &failure), Some(Ok(Step::Done(_))));
        report.check(!is_done, moment.place, || {
            format!("is called sent after {failure:?}")
        });
    }
}

type Outcome = Result<Step<Vec<patchbay_sdk::Sent>>, patchbay_sdk::SendError>;

/// What the adapter makes of this outcome of its first request; none if it makes no request.
fn send(moment: &Moment<'_>, envelope: &Envelope, failure: &Exchange) -> Option<Outcome> {
    let mut past = Vec::new();
    for _ in 0..CALLS_MAX {
        let next = moment
            .surroundings
            .lend(|cx| moment.channel.send(cx, envelope, &past));
        match next {
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
