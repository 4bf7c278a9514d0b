//! MQTT 5.

use bytes::{Bytes, BytesMut};
use patchbay_sdk::MqttVersion;
use rumqttc::v5::mqttbytes::{QoS, qos, v5};

use super::{Malformed, some};
use crate::{Bounds, ConnAck, Connect, Packet, Properties, Publish, Will, topic};

pub(super) fn decode(frame: Bytes) -> Result<Packet, Malformed> {
    let mut stream = BytesMut::from(frame);
    let packet = v5::Packet::read(&mut stream, None).map_err(Malformed::form)?;
    Ok(match packet {
        v5::Packet::Connect(connect, will, login) => {
            Packet::Connect(Box::new(read_connect(connect, will, login)?))
        }
        v5::Packet::ConnAck(connack) => Packet::ConnAck(Box::new(read_connack(connack))),
        v5::Packet::Publish(publish) => Packet::Publish(read_publish(publish)?),
        v5::Packet::PubAck(puback) => Packet::PubAck {
            id: puback.pkid,
            reason: code_of(&PUBACK, &puback.reason),
        },
        v5::Packet::Subscribe(subscribe) => Packet::Subscribe {
            id: subscribe.pkid,
            filters: (subscribe.filters.into_iter())
                .map(|filter| (filter.path, filter.qos as u8))
                .collect(),
        },
        v5::Packet::SubAck(suback) => Packet::SubAck {
            id: suback.pkid,
            codes: suback.return_codes.iter().map(read_granted).collect(),
        },
        v5::Packet::Unsubscribe(unsubscribe) => Packet::Unsubscribe {
            id: unsubscribe.pkid,
            filters: unsubscribe.filters,
        },
        v5::Packet::UnsubAck(unsuback) => Packet::UnsubAck {
            id: unsuback.pkid,
            n: unsuback.reasons.len(),
        },
        v5::Packet::PubRec(_) | v5::Packet::PubRel(_) | v5::Packet::PubComp(_) => Packet::Qos2,
        v5::Packet::PingReq(_) => Packet::PingReq,
        v5::Packet::PingResp(_) => Packet::PingResp,
        v5::Packet::Disconnect(disconnect) => Packet::Disconnect {
            reason: disconnect.reason_code as u8,
        },
        v5::Packet::Auth(_) => return Err(Malformed::form("AUTH is not spoken")),
    })
}

fn read_connect(
    connect: v5::Connect,
    will: Option<v5::LastWill>,
    login: Option<v5::Login>,
) -> Result<Connect, Malformed> {
    let properties = connect.properties;
    let of = |get: fn(&v5::ConnectProperties) -> Option<u32>| properties.as_ref().and_then(get);
    Ok(Connect {
        version: MqttVersion::V5,
        client_id: connect.client_id,
        clean: connect.clean_start,
        keep_alive: connect.keep_alive,
        username: login
            .as_ref()
            .and_then(|login| some(login.username.clone())),
        password: login.and_then(|login| some(login.password)),
        will: will.map(read_will).transpose()?,
        session_expiry: of(|all| all.session_expiry_interval),
        bounds: Bounds {
            receive_max: properties.as_ref().and_then(|all| all.receive_maximum),
            packet_bytes_max: of(|all| all.max_packet_size),
        },
        auth_method: (properties.as_ref()).is_some_and(|all| all.authentication_method.is_some()),
    })
}

fn read_will(will: v5::LastWill) -> Result<Will, Malformed> {
    let topic = String::from_utf8(will.topic.into()).map_err(|_| Malformed::form(NOT_UTF8))?;
    if !topic::is_name(&topic) {
        return Err(Malformed::form("the will's topic is no topic"));
    }
    let properties = will.properties;
    let delay = (properties.as_ref()).and_then(|all| all.delay_interval);
    Ok(Will {
        delay: delay.unwrap_or_default(),
        publish: Publish {
            topic,
            payload: will.message,
            qos: will.qos as u8,
            retain: will.retain,
            properties: properties.map(|all| {
                Box::new(Properties {
                    response_topic: all.response_topic,
                    correlation: all.correlation_data,
                    content_type: all.content_type,
                    expiry: all.message_expiry_interval,
                    topic_alias: None,
                    user: all.user_properties,
                })
            }),
            ..Publish::default()
        },
    })
}

const NOT_UTF8: &str = "a topic is not UTF-8";

fn read_publish(publish: v5::Publish) -> Result<Publish, Malformed> {
    Ok(Publish {
        topic: String::from_utf8(publish.topic.into()).map_err(|_| Malformed::form(NOT_UTF8))?,
        payload: publish.payload,
        qos: publish.qos as u8,
        id: publish.pkid,
        dup: publish.dup,
        retain: publish.retain,
        properties: publish.properties.map(|all| {
            Box::new(Properties {
                response_topic: all.response_topic,
                correlation: all.correlation_data,
                content_type: all.content_type,
                expiry: all.message_expiry_interval,
                topic_alias: all.topic_alias,
                user: all.user_properties,
            })
        }),
    })
}

fn read_connack(connack: v5::ConnAck) -> ConnAck {
    let reason = code_of(&CONNACK, &connack.code);
    let session_present = connack.session_present;
    let Some(all) = connack.properties else {
        return ConnAck {
            session_present,
            reason,
            ..ConnAck::default()
        };
    };
    ConnAck {
        session_present,
        reason,
        bounds: Bounds {
            receive_max: all.receive_max,
            packet_bytes_max: all.max_packet_size,
        },
        qos_max: all.max_qos,
        keep_alive: all.server_keep_alive,
        client_id: all.assigned_client_identifier,
        session_expiry: all.session_expiry_interval,
        plain_subscriptions: all.shared_subscription_available == Some(0),
    }
}

fn read_granted(code: &v5::SubscribeReasonCode) -> u8 {
    match code {
        v5::SubscribeReasonCode::Success(qos) => *qos as u8,
        code => code_of(&SUBACK, code),
    }
}

pub(super) fn encode(packet: &Packet, out: &mut BytesMut) -> Result<(), Malformed> {
    let written = match packet {
        Packet::Connect(connect) => {
            let (packet, will, login) = write_connect(connect);
            packet.write(&will, &login, out)
        }
        Packet::ConnAck(connack) => write_connack(connack).write(out),
        Packet::Publish(publish) => write_publish(publish)?.write(out),
        Packet::PubAck { id, reason } => {
            let mut packet = v5::PubAck::new(*id, None);
            packet.reason = of_code(&PUBACK, *reason, v5::PubAckReason::UnspecifiedError);
            packet.write(out)
        }
        Packet::Subscribe { id, filters } => {
            let filters = filters
                .iter()
                .map(|(path, wanted)| Ok(v5::Filter::new(path.clone(), level(*wanted)?)))
                .collect::<Result<Vec<_>, Malformed>>()?;
            let mut packet = v5::Subscribe::new_many(filters, None);
            packet.pkid = *id;
            packet.write(out)
        }
        Packet::SubAck { id, codes } => {
            let codes = codes.iter().map(|code| match code {
                0 => v5::SubscribeReasonCode::Success(QoS::AtMostOnce),
                1 => v5::SubscribeReasonCode::Success(QoS::AtLeastOnce),
                code => of_code(&SUBACK, *code, v5::SubscribeReasonCode::Unspecified),
            });
            let packet = v5::SubAck {
                pkid: *id,
                return_codes: codes.collect(),
                properties: None,
            };
            packet.write(out)
        }
        Packet::Unsubscribe { id, filters } => {
            let packet = v5::Unsubscribe {
                pkid: *id,
                filters: filters.clone(),
                properties: None,
            };
            packet.write(out)
        }
        Packet::UnsubAck { id, n } => {
            let packet = v5::UnsubAck {
                pkid: *id,
                reasons: vec![v5::UnsubAckReason::Success; *n],
                properties: None,
            };
            packet.write(out)
        }
        Packet::PingReq | Packet::PingResp | Packet::Disconnect { .. } | Packet::Qos2 => {
            return Err(Malformed::form("not written here"));
        }
    };
    written.map(|_| ()).map_err(Malformed::form)
}

fn level(wanted: u8) -> Result<QoS, Malformed> {
    qos(wanted).ok_or_else(|| Malformed::form("no such QoS"))
}

fn write_connect(connect: &Connect) -> (v5::Connect, Option<v5::LastWill>, Option<v5::Login>) {
    let mut properties = v5::ConnectProperties::new();
    properties.session_expiry_interval = connect.session_expiry;
    properties.receive_maximum = connect.bounds.receive_max;
    properties.max_packet_size = connect.bounds.packet_bytes_max;
    let will = connect.will.as_ref().map(|will| {
        let publish = &will.publish;
        let qos = qos(publish.qos).unwrap_or_default();
        let payload = publish.payload.to_vec();
        let properties = (will.delay > 0).then(|| v5::LastWillProperties {
            delay_interval: Some(will.delay),
            payload_format_indicator: None,
            message_expiry_interval: None,
            content_type: None,
            response_topic: None,
            correlation_data: None,
            user_properties: Vec::new(),
        });
        v5::LastWill::new(
            publish.topic.clone(),
            payload,
            qos,
            publish.retain,
            properties,
        )
    });
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let has_login = connect.username.is_some() || connect.password.is_some();
    let login = has_login.then(|| v5::Login::new(text(&connect.username), text(&connect.password)));
    let packet = v5::Connect {
        keep_alive: connect.keep_alive,
        client_id: connect.client_id.clone(),
        clean_start: connect.clean,
        properties: Some(properties),
    };
    (packet, will, login)
}

fn write_connack(connack: &ConnAck) -> v5::ConnAck {
    let unavailable = connack.plain_subscriptions.then_some(0);
    v5::ConnAck {
        session_present: connack.session_present,
        code: of_code(
            &CONNACK,
            connack.reason,
            v5::ConnectReturnCode::UnspecifiedError,
        ),
        properties: Some(v5::ConnAckProperties {
            session_expiry_interval: connack.session_expiry,
            receive_max: connack.bounds.receive_max,
            max_qos: connack.qos_max,
            retain_available: None,
            max_packet_size: connack.bounds.packet_bytes_max,
            assigned_client_identifier: connack.client_id.clone(),
            topic_alias_max: None,
            reason_string: None,
            user_properties: Vec::new(),
            wildcard_subscription_available: None,
            subscription_identifiers_available: unavailable,
            shared_subscription_available: unavailable,
            server_keep_alive: connack.keep_alive,
            response_information: None,
            server_reference: None,
            authentication_method: None,
            authentication_data: None,
        }),
    }
}

fn write_publish(publish: &Publish) -> Result<v5::Publish, Malformed> {
    let properties = publish
        .properties
        .as_ref()
        .map(|all| v5::PublishProperties {
            payload_format_indicator: None,
            message_expiry_interval: all.expiry,
            topic_alias: all.topic_alias,
            response_topic: all.response_topic.clone(),
            correlation_data: all.correlation.clone(),
            user_properties: all.user.clone(),
            subscription_identifiers: Vec::new(),
            content_type: all.content_type.clone(),
        });
    let qos = level(publish.qos)?;
    let payload = publish.payload.clone();
    let mut packet = v5::Publish::new(publish.topic.clone(), qos, payload, properties);
    packet.pkid = if publish.qos == 0 { 0 } else { publish.id };
    packet.dup = publish.dup;
    packet.retain = publish.retain;
    Ok(packet)
}

/// The code of a reason; every reason of the codec stands in its table.
fn code_of<T: PartialEq>(table: &[(u8, T)], reason: &T) -> u8 {
    let found = table.iter().find(|(_, known)| known == reason);
    found.map_or(crate::reason::UNSPECIFIED, |(code, _)| *code)
}

fn of_code<T: Copy>(table: &[(u8, T)], code: u8, otherwise: T) -> T {
    let found = table.iter().find(|(known, _)| *known == code);
    found.map_or(otherwise, |(_, reason)| *reason)
}

/// MQTT 5.0, table 3-1.
const CONNACK: [(u8, v5::ConnectReturnCode); 22] = {
    use v5::ConnectReturnCode as C;
    [
        (0x00, C::Success),
        (0x80, C::UnspecifiedError),
        (0x81, C::MalformedPacket),
        (0x82, C::ProtocolError),
        (0x83, C::ImplementationSpecificError),
        (0x84, C::UnsupportedProtocolVersion),
        (0x85, C::ClientIdentifierNotValid),
        (0x86, C::BadUserNamePassword),
        (0x87, C::NotAuthorized),
        (0x88, C::ServerUnavailable),
        (0x89, C::ServerBusy),
        (0x8a, C::Banned),
        (0x8c, C::BadAuthenticationMethod),
        (0x90, C::TopicNameInvalid),
        (0x95, C::PacketTooLarge),
        (0x97, C::QuotaExceeded),
        (0x99, C::PayloadFormatInvalid),
        (0x9a, C::RetainNotSupported),
        (0x9b, C::QoSNotSupported),
        (0x9c, C::UseAnotherServer),
        (0x9d, C::ServerMoved),
        (0x9f, C::ConnectionRateExceeded),
    ]
};

/// MQTT 5.0, table 3-4.
const PUBACK: [(u8, v5::PubAckReason); 9] = {
    use v5::PubAckReason as P;
    [
        (0x00, P::Success),
        (0x10, P::NoMatchingSubscribers),
        (0x80, P::UnspecifiedError),
        (0x83, P::ImplementationSpecificError),
        (0x87, P::NotAuthorized),
        (0x90, P::TopicNameInvalid),
        (0x91, P::PacketIdentifierInUse),
        (0x97, P::QuotaExceeded),
        (0x99, P::PayloadFormatInvalid),
    ]
};

/// MQTT 5.0, table 3-8: refusals.
const SUBACK: [(u8, v5::SubscribeReasonCode); 10] = {
    use v5::SubscribeReasonCode as S;
    [
        (0x80, S::Unspecified),
        (0x80, S::Failure),
        (0x83, S::ImplementationSpecific),
        (0x87, S::NotAuthorized),
        (0x8f, S::TopicFilterInvalid),
        (0x91, S::PkidInUse),
        (0x97, S::QuotaExceeded),
        (0x9e, S::SharedSubscriptionsNotSupported),
        (0xa1, S::SubscriptionIdNotSupported),
        (0xa2, S::WildcardSubscriptionsNotSupported),
    ]
};
