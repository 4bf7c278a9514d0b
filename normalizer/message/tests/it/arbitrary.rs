//! Envelopes of every shape the schema allows, including words and fields no version knows yet.

use patchbay_message::{
    Attributes, Authenticity, ChannelId, ChannelRef, Choice, Command, CommandId, CommandName,
    Content, ConversationId, Direction, Envelope, EnvelopeType, Fault, FaultState, Location, Media,
    MessageId, Part, Party, Receipt, ReceiptState, ReplyHandle, Severity, TicketId, Time,
};
use proptest::{collection::vec, option, prelude::*};
use serde_json::{Number, Value};
use uuid::Uuid;

pub(crate) fn envelope() -> BoxedStrategy<Envelope> {
    (route(), people(), keys(), bodies(), times())
        .prop_map(|(route, people, keys, bodies, times)| {
            let (kind, direction, id, channel, authenticity, conversation_id) = route;
            let (sender, recipient, reply) = people;
            let (partition_key, external_id, dedupe_key, in_reply_to, lane_key) = keys;
            let (content, receipt, command, attributes, thread_hints, extra) = bodies;
            let (received_at, sent_at, expires_at, thread_seq, hop) = times;
            Envelope {
                schema: 1,
                kind: EnvelopeType::from(kind.as_str()),
                id,
                direction: Direction::from(direction.as_str()),
                channel,
                partition_key,
                thread_hints,
                conversation_id,
                thread_seq,
                lane_key,
                out_seq: thread_seq,
                hop,
                sender,
                recipient,
                external_id,
                dedupe_key,
                in_reply_to,
                sent_at,
                received_at,
                content,
                receipt,
                command,
                reply,
                authenticity: Authenticity::from(authenticity.as_str()),
                attributes,
                expires_at,
                traceparent: None,
                extra,
            }
        })
        .boxed()
}

type Route = (
    String,
    String,
    MessageId,
    ChannelRef,
    String,
    Option<ConversationId>,
);

fn route() -> BoxedStrategy<Route> {
    let channel = ("[a-z][a-z0-9-]{0,39}", text()).prop_map(|(id, kind)| ChannelRef {
        id: ChannelId::new(&id).expect("matches the pattern"),
        kind,
    });
    let id = || any::<u128>().prop_map(Uuid::from_u128);
    (
        word(EnvelopeType::WORDS),
        word(Direction::WORDS),
        id().prop_map(MessageId),
        channel,
        word(Authenticity::WORDS),
        option::of(id().prop_map(ConversationId)),
    )
        .boxed()
}

fn people() -> BoxedStrategy<(Option<Party>, Option<Party>, Option<ReplyHandle>)> {
    let reply = (text(), option::of(time()), option::of(any::<u32>())).prop_map(
        |(handle, expires_at, quota)| ReplyHandle {
            handle,
            expires_at,
            quota,
        },
    );
    (option::of(party()), option::of(party()), option::of(reply)).boxed()
}

fn party() -> BoxedStrategy<Party> {
    (
        text(),
        option::of(text()),
        option::of(text()),
        any::<bool>(),
        attributes(),
    )
        .prop_map(|(address, name, locale, verified, attributes)| Party {
            address,
            name,
            locale,
            verified,
            attributes,
        })
        .boxed()
}

type Keys = (
    String,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
);

fn keys() -> BoxedStrategy<Keys> {
    let key = || option::of(text());
    (text(), key(), key(), key(), key()).boxed()
}

type Times = (Time, Option<Time>, Option<Time>, Option<u64>, Option<u8>);

fn times() -> BoxedStrategy<Times> {
    (
        time(),
        option::of(time()),
        option::of(time()),
        any::<Option<u64>>(),
        any::<Option<u8>>(),
    )
        .boxed()
}

type Bodies = (
    Vec<Content>,
    Option<Receipt>,
    Option<Command>,
    Attributes,
    Attributes,
    Attributes,
);

fn bodies() -> BoxedStrategy<Bodies> {
    let receipt = (
        text(),
        word(ReceiptState::WORDS),
        option::of(time()),
        option::of(text()),
    )
        .prop_map(|(external_id, state, at, code)| Receipt {
            external_id,
            state: ReceiptState::from(state.as_str()),
            at,
            code,
            text: None,
        });
    let command = (
        any::<u128>(),
        word(CommandName::WORDS),
        text(),
        vec(content(), 0..3),
        (
            option::of(any::<u128>()),
            option::of(time()),
            option::of(word(Severity::WORDS)),
        ),
    )
        .prop_map(
            |(id, name, idempotency_key, content, (ticket, until, severity))| Command {
                id: CommandId(Uuid::from_u128(id)),
                name: CommandName::from(name.as_str()),
                conversation_id: ConversationId(Uuid::from_u128(id)),
                agent_id: None,
                expected_version: Some(-1),
                idempotency_key,
                content,
                assignee: None,
                group: None,
                until,
                ticket_id: ticket.map(|id| TicketId(Uuid::from_u128(id))),
                expires_at: until,
                category: severity.clone(),
                severity: severity.as_deref().map(Severity::from),
                title: None,
            },
        );
    (
        vec(content(), 0..5),
        option::of(receipt),
        option::of(command),
        attributes(),
        attributes(),
        unknown_fields(),
    )
        .boxed()
}

pub(crate) fn content() -> BoxedStrategy<Content> {
    let other = ("x-[a-z]{1,8}", attributes()).prop_map(|(kind, mut map)| {
        map.insert("type".to_owned(), Value::String(kind));
        Content::Other(Value::Object(map))
    });
    prop_oneof![4 => part().prop_map(Content::Known), 1 => other].boxed()
}

pub(crate) fn part() -> BoxedStrategy<Part> {
    prop_oneof![said(), files(), shown(), devices(), changes()].boxed()
}

fn said() -> BoxedStrategy<Part> {
    prop_oneof![
        (text(), unknown_fields()).prop_map(|(text, extra)| Part::Text { text, extra }),
        (text(), unknown_fields()).prop_map(|(html, extra)| Part::Html { html, extra }),
        (text(), option::of(value()), unknown_fields()).prop_map(|(name, value, extra)| {
            Part::Event {
                name,
                value: not_null(value),
                extra,
            }
        }),
        (text(), option::of(text()), unknown_fields())
            .prop_map(|(what, raw, extra)| Part::Unsupported { what, raw, extra }),
    ]
    .boxed()
}

fn files() -> BoxedStrategy<Part> {
    let media = || {
        (
            text(),
            text(),
            any::<u64>(),
            option::of(text()),
            any::<Option<u32>>(),
        )
            .prop_map(|(url, mime, size, name, width)| Media {
                url,
                mime,
                size,
                caption: name.clone(),
                name,
                width,
                height: width,
            })
    };
    prop_oneof![
        (media(), unknown_fields()).prop_map(|(media, extra)| Part::Image { media, extra }),
        (media(), unknown_fields()).prop_map(|(media, extra)| Part::Video { media, extra }),
        (media(), unknown_fields()).prop_map(|(media, extra)| Part::File { media, extra }),
        (media(), option::of(text()), unknown_fields()).prop_map(|(media, transcript, extra)| {
            Part::Audio {
                media,
                transcript,
                extra,
            }
        }),
    ]
    .boxed()
}

fn shown() -> BoxedStrategy<Part> {
    let choice = (text(), text()).prop_map(|(id, label)| Choice { id, label });
    prop_oneof![
        (location(), option::of(text()), unknown_fields()).prop_map(|(location, label, extra)| {
            Part::Location {
                location,
                label,
                extra,
            }
        }),
        (text(), vec(text(), 0..3), unknown_fields()).prop_map(|(name, addresses, extra)| {
            Part::Contact {
                name,
                addresses,
                extra,
            }
        }),
        (
            option::of(text()),
            vec(choice, 0..3),
            option::of(text()),
            unknown_fields()
        )
            .prop_map(|(text, options, chosen, extra)| Part::Choice {
                text,
                options,
                chosen,
                extra
            }),
        (
            text(),
            option::of(text()),
            option::of(text()),
            unknown_fields()
        )
            .prop_map(|(title, text, url, extra)| Part::Card {
                title,
                text,
                image: url.clone(),
                url,
                extra
            }),
        (text(), attributes(), unknown_fields()).prop_map(|(template, values, extra)| {
            Part::Template {
                template,
                values,
                extra,
            }
        }),
    ]
    .boxed()
}

fn devices() -> BoxedStrategy<Part> {
    let fault = (
        (text(), text(), option::of(text())),
        (word(Severity::WORDS), word(FaultState::WORDS)),
        (time(), option::of(any::<u64>())),
        (option::of(location()), attributes()),
    )
        .prop_map(
            |(
                (device, code, text),
                (severity, state),
                (occurred_at, sequence),
                (location, readings),
            )| Fault {
                device,
                code,
                severity: Severity::from(severity.as_str()),
                state: FaultState::from(state.as_str()),
                occurred_at,
                sequence,
                text,
                location,
                readings,
            },
        );
    prop_oneof![
        (fault, unknown_fields()).prop_map(|(fault, extra)| Part::Fault { fault, extra }),
        (attributes(), option::of(time()), unknown_fields()).prop_map(
            |(readings, taken_at, extra)| Part::Telemetry {
                readings,
                taken_at,
                extra
            }
        ),
        (text(), option::of(value()), unknown_fields()).prop_map(|(name, arguments, extra)| {
            Part::Command {
                name,
                arguments: not_null(arguments),
                extra,
            }
        }),
    ]
    .boxed()
}

fn changes() -> BoxedStrategy<Part> {
    prop_oneof![
        (text(), text(), unknown_fields()).prop_map(|(emoji, to, extra)| Part::Reaction {
            emoji,
            to,
            extra
        }),
        (text(), text(), unknown_fields()).prop_map(|(of, text, extra)| Part::Edit {
            of,
            text,
            extra
        }),
        (text(), unknown_fields()).prop_map(|(of, extra)| Part::Recall { of, extra }),
    ]
    .boxed()
}

fn location() -> BoxedStrategy<Location> {
    (-90.0..=90.0, -180.0..=180.0)
        .prop_map(|(lat, lon)| Location { lat, lon })
        .boxed()
}

/// A word of the list, or one that no version knows.
fn word(known: &'static [&'static str]) -> BoxedStrategy<String> {
    prop_oneof![3 => proptest::sample::select(known).prop_map(str::to_owned), 1 => "x-[a-z]{1,9}"]
        .boxed()
}

fn text() -> BoxedStrategy<String> {
    prop_oneof![3 => "[a-zA-Z0-9 :@+._-]{0,20}", 1 => any::<String>()].boxed()
}

fn time() -> BoxedStrategy<Time> {
    any::<i64>().prop_map(Time::from_ms).boxed()
}

fn attributes() -> BoxedStrategy<Attributes> {
    vec((text(), value()), 0..3)
        .prop_map(|pairs| pairs.into_iter().collect())
        .boxed()
}

/// Names that no version of the schema uses.
fn unknown_fields() -> BoxedStrategy<Attributes> {
    vec(("x_[a-z]{1,6}", value()), 0..3)
        .prop_map(|pairs| pairs.into_iter().collect())
        .boxed()
}

/// Absent and null are the same in JSON of this schema.
fn not_null(value: Option<Value>) -> Option<Value> {
    value.filter(|value| !value.is_null())
}

fn value() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<u64>().prop_map(|n| Value::Number(n.into())),
        any::<i64>().prop_map(|n| Value::Number(n.into())),
        (-1e9..1e9).prop_map(|n: f64| Number::from_f64(n).map_or(Value::Null, Value::Number)),
        text().prop_map(Value::String),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::Array),
            vec((text(), inner), 0..4).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
    .boxed()
}
