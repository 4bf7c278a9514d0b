//! From the first byte of a device's connection to CONNACK: TLS, CONNECT, login, will, place.

use std::{net::SocketAddr, sync::Arc};

use patchbay_message::{MessageId, Party, ThreadId};
use patchbay_mqtt::{
    Bounds, Conn, ConnAck, ConnError, Connect, Malformed, Packet, Socket, Will, common_name,
    reason, topic,
};
use patchbay_sdk::{Ask, MqttLogin, MqttVersion, Session, Wire};
use tokio::net::TcpStream;

use super::{Shared, listener::Listener, roster::Place};
use crate::{live::Registration, pipeline::NotTaken};

/// The largest CONNECT: a stranger's memory is bounded before anybody knows who it is.
const CONNECT_BYTES_MAX: usize = 32 * 1024;

/// What a device may publish and subscribe to.
#[derive(Debug, Clone, Default)]
pub(super) struct Permits {
    pub(super) publish: Vec<String>,
    pub(super) subscribe: Vec<String>,
}

impl Permits {
    pub(super) fn may_publish(&self, topic: &str) -> bool {
        self.publish
            .iter()
            .any(|filter| topic::matches(filter, topic))
    }

    pub(super) fn may_subscribe(&self, filter: &str) -> bool {
        self.subscribe
            .iter()
            .any(|permit| topic::covers(permit, filter))
    }
}

/// A device that was let in.
pub(super) struct Welcome {
    pub(super) conn: Conn,
    pub(super) session: Session,
    pub(super) permits: Permits,
    pub(super) address: String,
    pub(super) thread: ThreadId,
    pub(super) place: Place,
    pub(super) registration: Registration,
    pub(super) will: Option<Box<Will>>,
    /// Seconds; the one that holds.
    pub(super) keep_alive: u16,
    /// What the device takes.
    pub(super) bounds: Bounds,
}

/// Lets a device in, or says why not, by a word for the metrics.
pub(super) async fn greet(
    listener: &Arc<Listener>,
    stream: TcpStream,
    peer: SocketAddr,
) -> Result<Box<Welcome>, &'static str> {
    let (socket, certificate) = open(listener, stream).await?;
    let bytes_max = listener.bounds.packet_bytes_max.min(CONNECT_BYTES_MAX);
    let mut conn = Conn::new(socket, MqttVersion::V4, bytes_max);
    let connect = match conn.read_connect().await {
        Ok(Packet::Connect(connect)) => connect,
        Ok(_) => return Err("malformed"),
        Err(ConnError::Malformed(error @ Malformed::Version(_))) => {
            answer(&mut conn, error.reason()).await;
            return Err("version");
        }
        Err(ConnError::Malformed(Malformed::TooLarge { .. })) => return Err("too_large"),
        Err(ConnError::Malformed(_)) => return Err("malformed"),
        Err(ConnError::Closed | ConnError::Broken(_)) => return Err("connection_lost"),
    };
    conn.set_bytes_max(listener.bounds.packet_bytes_max);
    let admitted = admit(listener, &connect, peer, certificate.as_deref());
    let (session, address, permits) = match admitted {
        Ok(admitted) => admitted,
        Err((code, word)) => {
            answer(&mut conn, code).await;
            return Err(word);
        }
    };
    let seated = seat(&listener.shared, listener, &address).await;
    let (thread, place, registration) = match seated {
        Ok(seated) => seated,
        Err((code, word)) => {
            answer(&mut conn, code).await;
            return Err(word);
        }
    };
    let (connack, keep_alive) = accepted(listener, &connect);
    if conn.put(&Packet::ConnAck(Box::new(connack))).is_err() {
        return Err("connection_lost");
    }
    // It has its place, and the will it left before is void. If it is gone already, the first read
    // finds that, and the will it brought counts.
    let _ = conn.flush().await;
    Ok(Box::new(Welcome {
        conn,
        session,
        permits,
        address,
        thread,
        place,
        registration,
        will: connect.will.map(Box::new),
        keep_alive,
        bounds: connect.bounds,
    }))
}

async fn open(
    listener: &Listener,
    stream: TcpStream,
) -> Result<(Box<dyn Socket>, Option<String>), &'static str> {
    let Some(tls) = &listener.tls else {
        return Ok((Box::new(stream), None));
    };
    let stream = tls.accept(stream).await.map_err(|_| "tls_handshake")?;
    let (_, connection) = stream.get_ref();
    let shown = connection.peer_certificates().and_then(<[_]>::first);
    let name = shown.and_then(common_name);
    Ok((Box::new(stream), name))
}

async fn answer(conn: &mut Conn, reason: u8) {
    let connack = ConnAck {
        reason,
        ..ConnAck::default()
    };
    if conn.put(&Packet::ConnAck(Box::new(connack))).is_ok() {
        let _ = conn.flush().await;
    }
}

type Refused = (u8, &'static str);

/// Who it is and what it may do, by the channel's own word.
fn admit(
    listener: &Listener,
    connect: &Connect,
    peer: SocketAddr,
    certificate: Option<&str>,
) -> Result<(Session, String, Permits), Refused> {
    if connect.auth_method {
        return Err((reason::AUTH_METHOD, "auth_method"));
    }
    // MQTT 3.1.1, section 3.1.3.1: without a client id there is no session to go on with.
    if connect.client_id.is_empty() && !connect.clean && connect.version == MqttVersion::V4 {
        return Err((reason::CLIENT_ID, "client_id"));
    }
    let login = Wire::MqttLogin(MqttLogin {
        version: connect.version,
        client_id: &connect.client_id,
        username: connect.username.as_deref(),
        password: connect.password.as_deref().map(str::as_bytes),
        certificate,
    });
    let mut session = Session::default();
    let pipeline = &listener.shared.ingress.pipeline;
    let read = pipeline.read(
        &listener.channel,
        &mut session,
        Some(peer.ip()),
        None,
        login,
    );
    let read = read.map_err(|error| match error {
        NotTaken::Rejected(patchbay_sdk::Reject::Forbidden(_)) => {
            (reason::NOT_AUTHORIZED, "forbidden")
        }
        _ => (reason::BAD_LOGIN, "unauthorized"),
    })?;
    let mut permits = Permits::default();
    let mut address = session.party.as_ref().map(|party| party.address.clone());
    for ask in read.asks {
        match ask {
            Ask::Register { address: own, .. } => address = Some(own),
            Ask::Topics { publish, subscribe } => permits = Permits { publish, subscribe },
            _ => {}
        }
    }
    let address = address.ok_or((reason::NOT_AUTHORIZED, "forbidden"))?;
    session.party.get_or_insert_with(|| Party {
        address: address.clone(),
        ..Party::default()
    });
    if let Some(will) = &connect.will {
        if !permits.may_publish(&will.publish.topic) {
            return Err((reason::NOT_AUTHORIZED, "topic"));
        }
        if will.publish.qos > 1 && connect.version == MqttVersion::V5 {
            return Err((reason::QOS, "qos"));
        }
    }
    Ok((session, address, permits))
}

/// The device's place, here and among the gateways.
async fn seat(
    shared: &Arc<Shared>,
    listener: &Listener,
    address: &str,
) -> Result<(ThreadId, Place, Registration), Refused> {
    let channel = &listener.channel.id;
    let thread = ThreadId::of(channel, address);
    if !shared.roster.may_connect(thread) {
        return Err((reason::CONNECT_RATE, "connect_rate"));
    }
    let since = shared.ingress.pipeline.clock.now();
    let place = Place::take(shared, thread, since);
    // Until it subscribes it is behind nothing.
    let after = u64::MAX;
    let registration = shared
        .ingress
        .hub
        .register(channel, address, after, u32::MAX)
        .await;
    let registration = registration.map_err(|_| (reason::UNAVAILABLE, "unavailable"))?;
    let gateways = shared
        .ingress
        .store
        .live(&[thread])
        .await
        .unwrap_or_default();
    for (_, gateway) in gateways {
        if gateway != shared.instance {
            shared
                .ingress
                .hub
                .tell_taken_over(&*shared.ingress.bus, &gateway, thread, since);
        }
    }
    Ok((thread, place, registration))
}

/// What the device is told, and the keep-alive that holds.
fn accepted(listener: &Listener, connect: &Connect) -> (ConnAck, u16) {
    let bounds = &listener.bounds;
    let max = u16::try_from(bounds.keep_alive_max.as_secs().max(1)).unwrap_or(u16::MAX);
    let keep_alive = match connect.keep_alive {
        0 => max,
        asked => asked.min(max),
    };
    let chosen = format!("patchbay-{}", MessageId::new());
    let connack = ConnAck {
        bounds: Bounds {
            receive_max: Some(bounds.in_flight_max.max(1)),
            packet_bytes_max: Some(u32::try_from(bounds.packet_bytes_max).unwrap_or(u32::MAX)),
        },
        qos_max: Some(1),
        keep_alive: (keep_alive != connect.keep_alive).then_some(keep_alive),
        client_id: connect.client_id.is_empty().then_some(chosen),
        // What a device has not yet been sent is kept by its thread, subscriptions are not.
        session_expiry: connect.session_expiry.filter(|s| *s > 0).map(|_| 0),
        plain_subscriptions: true,
        ..ConnAck::default()
    };
    (connack, keep_alive)
}
