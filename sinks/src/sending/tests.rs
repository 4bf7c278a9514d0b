use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use patchbay_message::{ReceiptState, Time};
use patchbay_sdk::{Answer, Decoded, HttpOut, Link, Random, Reject, Session, TokenName, Wire};
use serde_json::json;

use super::*;

/// Uploads, then delivers two parts; says what it is asked.
struct Steps;

impl Channel for Steps {
    fn links(&self) -> Vec<Link> {
        Vec::new()
    }
    fn decode(&self, _: &Cx<'_>, _: &mut Session, _: Wire<'_>) -> Result<Decoded, Reject> {
        Err(Reject::NotFound)
    }
    fn send(
        &self,
        _: &Cx<'_>,
        _: &Envelope,
        past: &[Exchange],
    ) -> Result<Step<Vec<Sent>>, SendError> {
        let effects = [
            Effect::Upload(Box::default()),
            Effect::Deliver { part: 0, key: None },
            Effect::Deliver { part: 1, key: None },
        ];
        match past.last() {
            Some(Exchange::NotSent(_)) => return Err(SendError::Retry(None)),
            Some(Exchange::Unknown(_)) => return Err(SendError::Unknown),
            _ => {}
        }
        Ok(match effects.get(past.len()) {
            Some(effect) => Step::Call(request(effect.clone())),
            None => Step::Done(vec![Sent {
                part: 0,
                external_id: None,
                state: ReceiptState::Accepted,
                awaits: None,
            }]),
        })
    }
}

fn request(effect: Effect) -> Request {
    Request::Http(HttpOut {
        method: Method::POST,
        url: "https://api.example/".to_owned(),
        headers: HeaderMap::new(),
        body: Bytes::new(),
        effect,
        timeout: Duration::from_secs(1),
    })
}

fn answer(body: &'static str) -> Exchange {
    Exchange::Answered(Answer::Http {
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        body: Bytes::from_static(body.as_bytes()),
    })
}

struct NoRandom;
impl Random for NoRandom {
    fn fill(&self, _: &mut [u8]) {}
}

fn next(sending: &mut Sending, on_unknown: OnUnknown) -> Next {
    let token = |_: TokenName| None;
    let cx = Cx {
        now: Time::from_ms(0),
        random: &NoRandom,
        public_url: "",
        channel: "steps",
        peer: None,
        token: &token,
    };
    sending.next(&Steps, &cx, &envelope(), on_unknown)
}

fn envelope() -> Envelope {
    serde_json::from_value(json!({
        "schema": 1, "type": "message", "id": MessageId::new(), "direction": "outbound",
        "channel": { "id": "steps", "kind": "steps" }, "partition_key": "k",
        "received_at": "2026-01-01T00:00:00.000Z", "authenticity": "none",
    }))
    .expect("an envelope")
}

fn effect(next: &Next) -> &Effect {
    match next {
        Next::Call(Request::Http(out)) => &out.effect,
        other => panic!("not a call: {other:?}"),
    }
}

fn place() -> Place {
    Place {
        message: MessageId::new(),
        lane: ThreadId::new(),
        out_seq: 1,
        epoch: 1,
    }
}

/// What the store would have after these pages.
fn keep(journal: &mut Vec<Attempt>, pages: Pages) {
    for begun in pages.begun {
        journal.retain(|attempt| attempt.part != begun.part);
        journal.push(Attempt {
            message: begun.message,
            part: begun.part,
            exchange: None,
        });
    }
    for (_, part, exchange) in pages.ended {
        let attempt = journal.iter_mut().find(|attempt| attempt.part == part);
        attempt.expect("begun before").exchange = Some(exchange);
    }
}

/// Uploaded, part 0 delivered, part 1 begun: what the journal has then.
fn up_to_part_one(journal: &mut Vec<Attempt>, place: Place) -> Sending {
    let mut sending = Sending::resume(Vec::new(), 32);
    assert!(matches!(
        effect(&next(&mut sending, OnUnknown::Hold)),
        Effect::Upload { .. }
    ));
    sending.exchanged(answer("uploaded"));
    for (part, body) in [(0, "sent 0"), (1, "sent 1")] {
        let call = next(&mut sending, OnUnknown::Hold);
        assert_eq!(effect(&call), &Effect::Deliver { part, key: None });
        keep(journal, sending.begin(place, None));
        if part == 0 {
            sending.exchanged(answer(body));
        }
    }
    sending
}

#[test]
fn after_a_crash_the_adapter_knows_its_whole_past() {
    let mut journal = Vec::new();
    drop(up_to_part_one(&mut journal, place()));
    let mut sending = Sending::resume(journal, 32);
    assert_eq!(sending.past[..2], [answer("uploaded"), answer("sent 0")]);
    assert!(matches!(sending.past[2], Exchange::Unknown(_)));
    let end = next(&mut sending, OnUnknown::Hold);
    assert!(matches!(end, Next::End(Err(SendError::Unknown))));
}

#[test]
fn a_failed_step_is_made_again_and_the_others_are_not() {
    let mut journal = Vec::new();
    let place = place();
    let mut sending = up_to_part_one(&mut journal, place);
    sending.exchanged(Exchange::NotSent("refused".to_owned()));
    let end = next(&mut sending, OnUnknown::Hold);
    assert!(matches!(end, Next::End(Err(SendError::Retry(None)))));
    keep(&mut journal, sending.fail(place));
    let mut sending = Sending::resume(journal, 32);
    assert_eq!(sending.past, [answer("uploaded"), answer("sent 0")]);
    let call = next(&mut sending, OnUnknown::Hold);
    assert_eq!(effect(&call), &Effect::Deliver { part: 1, key: None });
}

#[test]
fn an_unknown_step_is_made_again_after_it_was_given_up() {
    let mut journal = Vec::new();
    let place = place();
    drop(up_to_part_one(&mut journal, place));
    let mut sending = Sending::resume(journal.clone(), 32);
    let end = next(&mut sending, OnUnknown::Resend);
    assert!(matches!(end, Next::End(Err(SendError::Unknown))));
    keep(&mut journal, sending.fail(place));
    let mut sending = Sending::resume(journal, 32);
    let call = next(&mut sending, OnUnknown::Resend);
    assert_eq!(effect(&call), &Effect::Deliver { part: 1, key: None });
}

#[test]
fn a_step_that_was_never_begun_is_no_crash() {
    let mut sending = Sending::resume(Vec::new(), 32);
    assert!(!sending.has_called());
    assert!(matches!(
        effect(&next(&mut sending, OnUnknown::Hold)),
        Effect::Upload { .. }
    ));
}

/// Says that its token was refused whenever it was.
struct Wants;

impl Channel for Wants {
    fn links(&self) -> Vec<Link> {
        Vec::new()
    }
    fn decode(&self, _: &Cx<'_>, _: &mut Session, _: Wire<'_>) -> Result<Decoded, Reject> {
        Err(Reject::NotFound)
    }
    fn send(
        &self,
        _: &Cx<'_>,
        _: &Envelope,
        past: &[Exchange],
    ) -> Result<Step<Vec<Sent>>, SendError> {
        if past.last() == Some(&answer("refused")) {
            return Err(SendError::TokenExpired("access"));
        }
        let effect = Effect::Deliver { part: 0, key: None };
        Ok(Step::Call(request(effect)))
    }
}

#[test]
fn a_refused_token_is_renewed_once_and_the_step_made_again() {
    let token = |_: TokenName| None;
    let cx = Cx {
        now: Time::from_ms(0),
        random: &NoRandom,
        public_url: "",
        channel: "wants",
        peer: None,
        token: &token,
    };
    let envelope = envelope();
    let mut sending = Sending::resume(Vec::new(), 32);
    let call = sending.next(&Wants, &cx, &envelope, OnUnknown::Hold);
    assert!(matches!(call, Next::Call(_)));
    sending.exchanged(answer("refused"));
    let renew = sending.next(&Wants, &cx, &envelope, OnUnknown::Hold);
    assert!(matches!(renew, Next::Renew("access")));
    assert_eq!(sending.past, [], "the refusal is no past");
    let again = sending.next(&Wants, &cx, &envelope, OnUnknown::Hold);
    assert!(matches!(again, Next::Call(_)));
    sending.exchanged(answer("refused"));
    let end = sending.next(&Wants, &cx, &envelope, OnUnknown::Hold);
    assert!(matches!(
        end,
        Next::End(Err(SendError::TokenExpired("access")))
    ));
}

#[test]
fn a_reserved_call_is_made_again_after_a_crash_and_keeps_what_it_spends() {
    let (place, opener) = (place(), MessageId::new());
    let mut journal = Vec::new();
    let mut sending = Sending::resume(Vec::new(), 32);
    let pages = sending.reserve(place, opener);
    assert_eq!(pages.begun[0].spends, Some(opener));
    keep(&mut journal, pages);
    let crashed = Sending::resume(journal.clone(), 32);
    assert!(crashed.is_fresh(), "nothing is unknown about it");

    sending.exchanged(answer("sent 0"));
    let pages = sending.reserve(place, opener);
    let parts: Vec<u16> = pages.begun.iter().map(|begun| begun.part).collect();
    assert_eq!(
        parts,
        [1],
        "the first row is not begun anew: it would spend nothing"
    );
    keep(&mut journal, pages);
    let resumed = Sending::resume(journal, 32);
    assert_eq!(resumed.past, [answer("sent 0")]);
}

#[test]
fn only_a_call_of_this_try_is_given_back() {
    let mut sending = Sending::resume(Vec::new(), 32);
    sending.give_back();
    assert_eq!(sending.given_back(), None);
    sending.exchanged(answer("sent"));
    assert!(matches!(next(&mut sending, OnUnknown::Hold), Next::Call(_)));
    sending.exchanged(Exchange::NotSent("refused".to_owned()));
    let end = next(&mut sending, OnUnknown::Hold);
    assert!(matches!(end, Next::End(Err(_))));
    sending.give_back();
    assert_eq!(sending.given_back(), Some(1));
}

#[test]
fn what_ends_before_a_call_leaves_delivered_parts_alone() {
    let mut journal = Vec::new();
    let place = place();
    let mut sending = Sending::resume(Vec::new(), 32);
    sending.exchanged(answer("uploaded"));
    let call = next(&mut sending, OnUnknown::Hold);
    assert_eq!(effect(&call), &Effect::Deliver { part: 0, key: None });
    keep(&mut journal, sending.begin(place, None));
    sending.exchanged(answer("sent 0"));
    let call = next(&mut sending, OnUnknown::Hold);
    assert_eq!(effect(&call), &Effect::Deliver { part: 1, key: None });
    // Its file cannot be read now, or it has no place in the reply window: it is never made.
    sending.give_back();
    assert_eq!(sending.given_back(), None, "part 0 has arrived and counts");
    keep(&mut journal, sending.fail(place));
    let mut sending = Sending::resume(journal, 32);
    assert_eq!(sending.past, [answer("uploaded"), answer("sent 0")]);
    let call = next(&mut sending, OnUnknown::Hold);
    assert_eq!(effect(&call), &Effect::Deliver { part: 1, key: None });
}

/// Asks [`Wants`] for the next step.
fn wants(sending: &mut Sending) -> Next {
    let token = |_: TokenName| None;
    let cx = Cx {
        now: Time::from_ms(0),
        random: &NoRandom,
        public_url: "",
        channel: "wants",
        peer: None,
        token: &token,
    };
    sending.next(&Wants, &cx, &envelope(), OnUnknown::Hold)
}

#[test]
fn a_token_that_cannot_be_renewed_leaves_delivered_parts_alone() {
    let mut journal = Vec::new();
    let place = place();
    let mut sending = Sending::resume(Vec::new(), 32);
    for body in ["sent 0", "refused"] {
        assert!(matches!(wants(&mut sending), Next::Call(_)));
        keep(&mut journal, sending.begin(place, None));
        sending.exchanged(answer(body));
    }
    assert!(matches!(wants(&mut sending), Next::Renew(_)));
    sending.give_back();
    assert_eq!(sending.given_back(), Some(1), "only what was refused");
    keep(&mut journal, sending.fail(place));
    let sending = Sending::resume(journal, 32);
    assert_eq!(sending.past, [answer("sent 0")]);
}

#[test]
fn a_step_refused_for_its_token_is_not_unknown_after_a_restart() {
    let mut journal = Vec::new();
    let place = place();
    let mut sending = Sending::resume(Vec::new(), 32);
    assert!(matches!(wants(&mut sending), Next::Call(_)));
    keep(&mut journal, sending.begin(place, None));
    sending.exchanged(answer("refused"));
    assert!(matches!(wants(&mut sending), Next::Renew(_)));
    keep(&mut journal, sending.put_off(place));
    let mut sending = Sending::resume(journal, 32);
    assert!(sending.is_fresh());
    assert!(matches!(wants(&mut sending), Next::Call(_)));
}

#[test]
fn a_message_put_off_keeps_what_a_crash_left_open() {
    let mut journal = Vec::new();
    let place = place();
    drop(up_to_part_one(&mut journal, place));
    let mut sending = Sending::resume(journal.clone(), 32);
    assert_eq!(sending.put_off(place), Pages::default());
    // The same if the try ends before the adapter has judged it.
    keep(&mut journal, sending.fail(place));
    let mut sending = Sending::resume(journal, 32);
    let end = next(&mut sending, OnUnknown::Hold);
    assert!(matches!(end, Next::End(Err(SendError::Unknown))));
}
