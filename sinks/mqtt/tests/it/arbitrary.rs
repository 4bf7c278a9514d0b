//! Packets as anybody could send them.

use bytes::Bytes;
use patchbay_mqtt::{Bounds, ConnAck, Connect, Packet, Properties, Publish, Will};
use patchbay_sdk::MqttVersion;
use proptest::{collection::vec, option, prelude::*};

pub(crate) fn version() -> impl Strategy<Value = MqttVersion> {
    prop_oneof![Just(MqttVersion::V4), Just(MqttVersion::V5)]
}

fn topic() -> impl Strategy<Value = String> {
    "[a-z0-9/.$冷柜é]{1,40}"
}

fn text() -> impl Strategy<Value = String> {
    "[ -~冷é]{1,20}"
}

fn payload() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..300).prop_map(Bytes::from)
}

fn properties() -> impl Strategy<Value = Properties> {
    (
        option::of(topic()),
        option::of(payload()),
        option::of(text()),
        option::of(1_u32..),
        vec((text(), text()), 0..4),
    )
        .prop_map(
            |(response_topic, correlation, content_type, expiry, user)| Properties {
                response_topic,
                correlation,
                content_type,
                expiry,
                topic_alias: None,
                user,
            },
        )
}

fn publish(version: MqttVersion) -> impl Strategy<Value = Publish> {
    let properties = match version {
        MqttVersion::V4 => Just(None).boxed(),
        // Properties that are all empty come back as none at all.
        MqttVersion::V5 => option::of(properties())
            .prop_map(|all| {
                all.filter(|all| *all != Properties::default())
                    .map(Box::new)
            })
            .boxed(),
    };
    (
        topic(),
        payload(),
        0_u8..=1,
        1_u16..,
        any::<(bool, bool)>(),
        properties,
    )
        .prop_map(
            |(topic, payload, qos, id, (dup, retain), properties)| Publish {
                topic,
                payload,
                qos,
                id: if qos == 0 { 0 } else { id },
                dup,
                retain,
                properties,
            },
        )
}

fn connect(version: MqttVersion) -> impl Strategy<Value = Connect> {
    let is_v5 = version == MqttVersion::V5;
    let will = (topic(), payload(), 0_u8..=1, any::<bool>(), 0_u32..100).prop_map(
        move |(topic, payload, qos, retain, delay)| {
            let delay = if is_v5 { delay } else { 0 };
            Will {
                delay,
                publish: Publish {
                    topic,
                    payload,
                    qos,
                    retain,
                    properties: (delay > 0).then(Box::default),
                    ..Publish::default()
                },
            }
        },
    );
    let bounds = (option::of(1_u16..), option::of(1_u32..));
    (
        "[a-z0-9冷-]{0,30}",
        any::<bool>(),
        any::<u16>(),
        option::of(text()),
        option::of(text()),
        option::of(will),
        option::of(any::<u32>()),
        bounds,
    )
        .prop_map(
            move |(id, clean, keep_alive, username, password, will, expiry, bounds)| {
                let (receive_max, packet_bytes_max) = bounds;
                Connect {
                    version,
                    client_id: id,
                    clean,
                    keep_alive,
                    username,
                    password,
                    will,
                    session_expiry: expiry.filter(|_| is_v5),
                    bounds: Bounds {
                        receive_max: receive_max.filter(|_| is_v5),
                        packet_bytes_max: packet_bytes_max.filter(|_| is_v5),
                    },
                    auth_method: false,
                }
            },
        )
}

/// Any packet but those with reasons, of which the two versions know different ones.
pub(crate) fn packet(version: MqttVersion) -> impl Strategy<Value = Packet> {
    let filters = vec((topic(), 0_u8..=1), 1..5);
    prop_oneof![
        connect(version).prop_map(|connect| Packet::Connect(Box::new(connect))),
        publish(version).prop_map(Packet::Publish),
        (1_u16..).prop_map(|id| Packet::PubAck { id, reason: 0 }),
        (1_u16.., filters).prop_map(|(id, filters)| Packet::Subscribe { id, filters }),
        (
            1_u16..,
            vec(prop_oneof![Just(0_u8), Just(1), Just(0x80)], 1..5)
        )
            .prop_map(|(id, codes)| Packet::SubAck { id, codes }),
        (1_u16.., vec(topic(), 1..5)).prop_map(|(id, filters)| Packet::Unsubscribe { id, filters }),
        any::<bool>().prop_map(|session_present| Packet::ConnAck(Box::new(ConnAck {
            session_present,
            ..ConnAck::default()
        }))),
        Just(Packet::PingReq),
        Just(Packet::PingResp),
        Just(Packet::Disconnect { reason: 0 }),
    ]
}
