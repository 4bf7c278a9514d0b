//! MQTT 3.1.1.

use bytes::{Bytes, BytesMut};
use patchbay_sdk::MqttVersion;
use rumqttc::mqttbytes::{QoS, qos, v4};

use super::{Malformed, some};
use crate::{Bounds, ConnAck, Connect, Packet, Publish, SUBSCRIPTION_REFUSED, Will, reason, topic};

pub(super) fn decode(frame: Bytes) -> Result<Packet, Malformed> {
    let bytes = frame.len();
    let mut stream = BytesMut::from(frame);
    let packet = v4::Packet::read(&mut stream, bytes).map_err(Malformed::form)?;
    Ok(match packet {
        v4::Packet::Connect(connect) => Packet::Connect(Box::new(read_connect(connect)?)),
        v4::Packet::ConnAck(connack) => Packet::ConnAck(Box::new(ConnAck {
            session_present: connack.session_present,
            reason: read_code(connack.code),
            ..ConnAck::default()
        })),
        v4::Packet::Publish(publish) => Packet::Publish(Publish {
            payload: publish.payload,
            qos: publish.qos as u8,
            id: publish.pkid,
            dup: publish.dup,
            retain: publish.retain,
            properties: None,
            topic: publish.topic,
        }),
        v4::Packet::PubAck(puback) => Packet::PubAck {
            id: puback.pkid,
            reason: 0,
        },
        v4::Packet::Subscribe(subscribe) => Packet::Subscribe {
            id: subscribe.pkid,
            filters: (subscribe.filters.into_iter())
                .map(|filter| (filter.path, filter.qos as u8))
                .collect(),
        },
        v4::Packet::SubAck(suback) => Packet::SubAck {
            id: suback.pkid,
            codes: (suback.return_codes.iter())
                .map(|code| match code {
                    v4::SubscribeReasonCode::Success(qos) => *qos as u8,
                    v4::SubscribeReasonCode::Failure => SUBSCRIPTION_REFUSED,
                })
                .collect(),
        },
        v4::Packet::Unsubscribe(unsubscribe) => Packet::Unsubscribe {
            id: unsubscribe.pkid,
            filters: unsubscribe.topics,
        },
        v4::Packet::UnsubAck(unsuback) => Packet::UnsubAck {
            id: unsuback.pkid,
            n: 1,
        },
        v4::Packet::PubRec(_) | v4::Packet::PubRel(_) | v4::Packet::PubComp(_) => Packet::Qos2,
        v4::Packet::PingReq => Packet::PingReq,
        v4::Packet::PingResp => Packet::PingResp,
        v4::Packet::Disconnect => Packet::Disconnect { reason: 0 },
    })
}

fn read_connect(connect: v4::Connect) -> Result<Connect, Malformed> {
    let will = match connect.last_will {
        Some(will) if !topic::is_name(&will.topic) => {
            return Err(Malformed::form("the will's topic is no topic"));
        }
        Some(will) => Some(Will {
            publish: Publish {
                topic: will.topic,
                payload: will.message,
                qos: will.qos as u8,
                retain: will.retain,
                ..Publish::default()
            },
            delay: 0,
        }),
        None => None,
    };
    let login = connect.login;
    Ok(Connect {
        version: MqttVersion::V4,
        client_id: connect.client_id,
        clean: connect.clean_session,
        keep_alive: connect.keep_alive,
        username: login
            .as_ref()
            .and_then(|login| some(login.username.clone())),
        password: login.and_then(|login| some(login.password)),
        will,
        session_expiry: None,
        bounds: Bounds::default(),
        auth_method: false,
    })
}

pub(super) fn encode(packet: &Packet, out: &mut BytesMut) -> Result<(), Malformed> {
    let written = match packet {
        Packet::Connect(connect) => write_connect(connect).write(out),
        Packet::ConnAck(connack) => {
            let code = write_code(connack.reason);
            v4::ConnAck::new(code, connack.session_present).write(out)
        }
        Packet::Publish(publish) => {
            let qos = qos(publish.qos).map_err(Malformed::form)?;
            let payload = publish.payload.clone();
            let mut packet = v4::Publish::from_bytes(publish.topic.clone(), qos, payload);
            packet.pkid = if publish.qos == 0 { 0 } else { publish.id };
            packet.dup = publish.dup;
            packet.retain = publish.retain;
            packet.write(out)
        }
        Packet::PubAck { id, .. } => v4::PubAck::new(*id).write(out),
        Packet::Subscribe { id, filters } => {
            let filters = filters
                .iter()
                .map(|(path, wanted)| Ok(v4::SubscribeFilter::new(path.clone(), qos(*wanted)?)))
                .collect::<Result<Vec<_>, rumqttc::mqttbytes::Error>>()
                .map_err(Malformed::form)?;
            let mut packet = v4::Subscribe::new_many(filters);
            packet.pkid = *id;
            packet.write(out)
        }
        Packet::SubAck { id, codes } => {
            let codes = codes.iter().map(|code| match code {
                0 => v4::SubscribeReasonCode::Success(QoS::AtMostOnce),
                1 => v4::SubscribeReasonCode::Success(QoS::AtLeastOnce),
                _ => v4::SubscribeReasonCode::Failure,
            });
            v4::SubAck::new(*id, codes.collect()).write(out)
        }
        Packet::Unsubscribe { id, filters } => {
            let mut packet = v4::Unsubscribe::new("");
            packet.topics.clone_from(filters);
            packet.pkid = *id;
            packet.write(out)
        }
        Packet::UnsubAck { id, .. } => v4::UnsubAck::new(*id).write(out),
        Packet::PingReq | Packet::PingResp | Packet::Disconnect { .. } | Packet::Qos2 => {
            return Err(Malformed::form("not written here"));
        }
    };
    written.map(|_| ()).map_err(Malformed::form)
}

fn write_connect(connect: &Connect) -> v4::Connect {
    let mut packet = v4::Connect::new(connect.client_id.clone());
    packet.keep_alive = connect.keep_alive;
    packet.clean_session = connect.clean;
    packet.last_will = connect.will.as_ref().map(|will| v4::LastWill {
        topic: will.publish.topic.clone(),
        message: will.publish.payload.clone(),
        qos: qos(will.publish.qos).unwrap_or(QoS::AtMostOnce),
        retain: will.publish.retain,
    });
    if connect.username.is_some() || connect.password.is_some() {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        packet.set_login(text(&connect.username), text(&connect.password));
    }
    packet
}

fn read_code(code: v4::ConnectReturnCode) -> u8 {
    match code {
        v4::ConnectReturnCode::Success => reason::SUCCESS,
        v4::ConnectReturnCode::RefusedProtocolVersion => reason::VERSION,
        v4::ConnectReturnCode::BadClientId => reason::CLIENT_ID,
        v4::ConnectReturnCode::ServiceUnavailable => reason::UNAVAILABLE,
        v4::ConnectReturnCode::BadUserNamePassword => reason::BAD_LOGIN,
        v4::ConnectReturnCode::NotAuthorized => reason::NOT_AUTHORIZED,
    }
}

/// The nearest of the five refusals there are (MQTT 3.1.1, section 3.2.2.3).
fn write_code(code: u8) -> v4::ConnectReturnCode {
    match code {
        reason::SUCCESS => v4::ConnectReturnCode::Success,
        reason::VERSION => v4::ConnectReturnCode::RefusedProtocolVersion,
        reason::CLIENT_ID => v4::ConnectReturnCode::BadClientId,
        reason::BAD_LOGIN => v4::ConnectReturnCode::BadUserNamePassword,
        reason::NOT_AUTHORIZED => v4::ConnectReturnCode::NotAuthorized,
        _ => v4::ConnectReturnCode::ServiceUnavailable,
    }
}
