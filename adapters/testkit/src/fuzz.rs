//! Bytes that nobody promised: cut short, far too long, changed at random, made up. An adapter may
//! refuse them; it never panics.

mod odd;

use std::panic::{AssertUnwindSafe, catch_unwind};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use patchbay_sdk::{Kind, Session};
use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
    test_runner::{Config, TestError, TestRunner},
};

use crate::{
    Report,
    act::Incoming,
    fixture::Fixtures,
    given::Request,
    mqtt::{Login, Publish},
    play::{self, Moment},
};

/// Changed forms of every step of every story.
const CASES: u32 = 48;
/// Made-up requests per kind.
const CASES_MADE_UP: u32 = 512;
/// Places at which a body is cut.
const CUTS_MAX: usize = 128;
/// A body far past every bound.
const LONG_BYTES: usize = 256 * 1024;

/// Runs everything below for one kind.
pub(crate) fn run(kind: &Kind, fixtures: &Fixtures, report: &mut Report) {
    for file in &fixtures.files {
        let _ = play::play(kind, &fixtures.setting, file, &mut |moment, _| {
            if let Ok(Some(incoming)) = Incoming::of(moment.step) {
                cut_and_stretched(moment, &incoming, report);
                odd::values(moment, &incoming, report);
                changed(moment, &incoming, report);
            }
        });
    }
    made_up(kind, fixtures, report);
}

/// Decodes it as it is, and signed anew. Either answer is fine.
fn decode(moment: &Moment<'_>, incoming: &Incoming) {
    let decode = |incoming: &Incoming| {
        let mut session: Session = moment.session.clone();
        let _ = incoming.decode(moment.channel, moment.surroundings, &mut session);
    };
    decode(incoming);
    if let (Some(recipe), Incoming::Http(request)) = (&moment.setting.sign, incoming) {
        decode(&Incoming::Http(recipe.sign(request.clone())));
    }
}

fn cut_and_stretched(moment: &Moment<'_>, incoming: &Incoming, report: &mut Report) {
    let body = body(incoming);
    let step = body.len().div_ceil(CUTS_MAX).max(1);
    let cut = (0..body.len()).step_by(step).map(|n| body[..n].to_vec());
    let repeated = body
        .iter()
        .copied()
        .cycle()
        .take(LONG_BYTES.min(body.len() * LONG_BYTES));
    let stretched = [
        repeated.collect(),
        vec![b'['; LONG_BYTES],
        vec![b' '; LONG_BYTES],
    ];
    for body in cut.chain(stretched) {
        let n = body.len();
        let incoming = with_body(incoming.clone(), body);
        let outcome = catch_unwind(AssertUnwindSafe(|| decode(moment, &incoming)));
        report.check(outcome.is_ok(), moment.place, || {
            format!("panics with a body of {n} bytes")
        });
    }
}

/// Pieces of the body are replaced, doubled and swapped; what is signed elsewhere stays good, so that
/// the change reaches the parser.
fn changed(moment: &Moment<'_>, incoming: &Incoming, report: &mut Report) {
    let odd = select(
        &[
            "\"",
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            "null",
            "-1",
            "1e999",
            "\\u0000",
            "\\ud800",
            "\u{0}",
            "é",
            "99999999999999999999",
            "true",
            "&",
            "=",
            "%",
            "<![CDATA[",
        ][..],
    );
    let edit = (
        any::<Index>(),
        0_usize..8,
        prop_oneof![odd.prop_map(str::to_owned), any::<String>()],
    );
    let strategy = (vec(edit, 1..4), any::<bool>());
    let outcome = runner(CASES).run(&strategy, |(edits, in_query)| {
        let mut incoming = incoming.clone();
        for (index, length, text) in edits {
            incoming = edited(incoming, &index, length, &text, in_query);
        }
        decode(moment, &incoming);
        Ok(())
    });
    tell(outcome, moment.place, report);
}

fn edited(
    mut incoming: Incoming,
    index: &Index,
    length: usize,
    text: &str,
    in_query: bool,
) -> Incoming {
    match &mut incoming {
        Incoming::Http(request) | Incoming::Open(request) if in_query => {
            let at = index.index(request.query.len() + 1);
            if request.query.is_char_boundary(at) {
                request.query.insert_str(at, text);
            }
            incoming
        }
        Incoming::Publish(publish) if in_query => {
            let at = index.index(publish.topic.len() + 1);
            if publish.topic.is_char_boundary(at) {
                publish.topic.insert_str(at, text);
            }
            incoming
        }
        Incoming::Login(login) if in_query => {
            let name = login.username.get_or_insert_default();
            let at = index.index(name.len() + 1);
            if name.is_char_boundary(at) {
                name.insert_str(at, text);
            }
            incoming
        }
        _ => {
            let mut bytes = body(&incoming).to_vec();
            let at = index.index(bytes.len() + 1);
            let end = bytes.len().min(at + length);
            bytes.splice(at..end, text.bytes());
            with_body(incoming, bytes)
        }
    }
}

/// Requests, sockets and frames out of nothing, on the paths and by the methods that exist.
fn made_up(kind: &Kind, fixtures: &Fixtures, report: &mut Report) {
    let Ok(channel) = play::open(kind, &fixtures.setting.options) else {
        return;
    };
    let surroundings = play::surroundings(&fixtures.setting);
    let paths = paths(kind, fixtures);
    let path = prop_oneof![select(paths), any::<String>()];
    let method = select(vec![
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::OPTIONS,
    ]);
    let headers = vec(
        ("(authorization|content-type|x-[a-z]{1,8})", "[ -~]{0,40}"),
        0..3,
    );
    let body = prop_oneof![
        vec(any::<u8>(), 0..200),
        "[\\[{\"a-z:,0-9}\\]]{0,60}".prop_map(String::into_bytes)
    ];
    let strategy = (path, method, headers, "[ -~]{0,60}", body, 0..5_u8);
    let outcome =
        runner(CASES_MADE_UP).run(&strategy, |(path, method, headers, query, body, way)| {
            let pairs = headers.into_iter().filter_map(|(name, value)| {
                Some((
                    name.parse::<HeaderName>().ok()?,
                    HeaderValue::from_str(&value).ok()?,
                ))
            });
            let headers = HeaderMap::from_iter(pairs);
            let request = Request {
                method,
                path,
                query,
                headers,
                body,
            };
            let incoming = match way {
                0 => Incoming::Http(request),
                1 => Incoming::Open(request),
                2 => Incoming::Frame(request.body),
                3 => Incoming::Login(Login {
                    client_id: request.query,
                    username: Some(request.path),
                    password: Some(request.body),
                    certificate: None,
                }),
                _ => Incoming::Publish(Publish::of(request.path, request.body, false)),
            };
            let _ = incoming.decode(channel.as_ref(), &surroundings, &mut Session::default());
            Ok(())
        });
    tell(outcome, kind.manifest.id, report);
}

fn paths(kind: &Kind, fixtures: &Fixtures) -> Vec<String> {
    let mut paths = vec![String::new()];
    for file in &fixtures.files {
        let _ = play::play(
            kind,
            &fixtures.setting,
            file,
            &mut |moment, _| match Incoming::of(moment.step) {
                Ok(Some(Incoming::Http(request) | Incoming::Open(request))) => {
                    paths.push(request.path);
                }
                Ok(Some(Incoming::Publish(publish))) => paths.push(publish.topic),
                _ => {}
            },
        );
    }
    paths
}

/// The same cases in every run; a rare find is reproduced by running again.
fn runner(cases: u32) -> TestRunner {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = proptest::test_runner::TestRng::deterministic_rng(config.rng_algorithm);
    TestRunner::new_with_rng(config, rng)
}

fn tell<T: std::fmt::Debug>(outcome: Result<(), TestError<T>>, place: &str, report: &mut Report) {
    match outcome {
        Ok(()) => report.check(true, place, String::new),
        Err(error) => report.fail(place, format!("panics: {error}")),
    }
}

fn body(incoming: &Incoming) -> &[u8] {
    match incoming {
        Incoming::Http(request) | Incoming::Open(request) => &request.body,
        Incoming::Frame(frame) => frame,
        Incoming::Login(login) => login.password.as_deref().unwrap_or_default(),
        Incoming::Publish(publish) => &publish.payload,
    }
}

fn with_body(incoming: Incoming, body: Vec<u8>) -> Incoming {
    match incoming {
        Incoming::Http(request) => Incoming::Http(Request { body, ..request }),
        Incoming::Open(request) => Incoming::Open(Request { body, ..request }),
        Incoming::Frame(_) => Incoming::Frame(body),
        Incoming::Login(login) => Incoming::Login(Login {
            password: Some(body),
            ..login
        }),
        Incoming::Publish(mut publish) => {
            publish.payload = body;
            Incoming::Publish(publish)
        }
    }
}
