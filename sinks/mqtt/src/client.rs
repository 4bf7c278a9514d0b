//! Our connection to a broker. It connects, keeps the heart beating, and hands packets both ways;
//! nothing is queued and nothing is repaired here: after any error the client is thrown away and a new
//! one made, by whoever knows what was still open.

use std::time::Duration;

use patchbay_sdk::{MqttBroker, MqttVersion};
use rustls_pki_types::ServerName;
use sha2::{Digest, Sha256};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep_until, timeout},
};
use tokio_rustls::TlsConnector;

use crate::{
    Bounds, ConnError, Connect, Malformed, Packet, Socket, TlsError, conn::Conn, packet::reason,
    tls,
};

/// From the first byte to CONNACK, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A broker that takes nothing for this long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long the broker may take to answer a ping.
const PONG_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a goodbye may take.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// Why there is no connection to the broker, or none any more. Shows no secret.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The broker cannot be reached.
    #[error("cannot reach the broker: {}", .0.kind())]
    Unreachable(#[source] std::io::Error),
    /// TLS cannot be set up from the files.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The broker's host is no name that a certificate can have.
    #[error("the broker's host is neither a name nor an address")]
    HostName,
    /// TLS failed.
    #[error("TLS to the broker failed: {0}")]
    Handshake(#[source] std::io::Error),
    /// The broker does not let us in.
    #[error("the broker refuses the connection with reason {0:#04x}")]
    Refused(u8),
    /// The broker does not grant a subscription.
    #[error("the broker refuses the subscription with reason {0:#04x}")]
    NotGranted(u8),
    /// The broker closed the connection and said why.
    #[error("the broker closed the connection with reason {0:#04x}")]
    Dismissed(u8),
    /// It did not answer, or did not read.
    #[error("the broker did not {0} in time")]
    Silent(&'static str),
    /// It answered something that has no place here.
    #[error("the broker sent what has no place here")]
    Unexpected,
    /// The connection is over.
    #[error(transparent)]
    Conn(#[from] ConnError),
}

impl From<Malformed> for LinkError {
    fn from(error: Malformed) -> Self {
        Self::Conn(ConnError::Malformed(error))
    }
}

/// A connection to a broker.
pub struct Client {
    conn: Conn,
    keep_alive: Duration,
    ping_at: Instant,
    pong_due: Option<Instant>,
    /// The broker goes on with the session of this client id.
    pub session_present: bool,
    /// What the broker takes.
    pub bounds: Bounds,
}

impl Client {
    /// Connects under this client id, with a session that outlives the connection, or with a clean
    /// one.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn connect(
        broker: &MqttBroker,
        client_id: &str,
        clean: bool,
    ) -> Result<Self, LinkError> {
        let connecting = Box::pin(Self::connecting(broker, client_id, clean));
        match timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(connected) => connected,
            Err(_) => Err(LinkError::Silent("answer")),
        }
    }

    async fn connecting(
        broker: &MqttBroker,
        client_id: &str,
        clean: bool,
    ) -> Result<Self, LinkError> {
        let socket = open(broker).await?;
        let mut conn = Conn::new(socket, broker.version, broker.packet_bytes_max);
        conn.put(&Packet::Connect(Box::new(greeting(
            broker, client_id, clean,
        ))))?;
        conn.flush().await?;
        let Packet::ConnAck(connack) = conn.read().await? else {
            return Err(LinkError::Unexpected);
        };
        if connack.reason != reason::SUCCESS {
            return Err(LinkError::Refused(connack.reason));
        }
        // Zero turns it off (MQTT 5.0, section 3.1.2.10): we keep to our own.
        let keep_alive = connack.keep_alive.filter(|seconds| *seconds > 0);
        let keep_alive = keep_alive.map(|s| Duration::from_secs(s.into()));
        let keep_alive = keep_alive.unwrap_or(broker.keep_alive);
        Ok(Self {
            conn,
            keep_alive,
            ping_at: Instant::now() + keep_alive,
            pong_due: None,
            session_present: connack.session_present,
            bounds: connack.bounds,
        })
    }

    /// The next packet that is not about the connection itself. Keeps the connection alive, so it
    /// has to be called all the time. Cancel-safe.
    ///
    /// # Errors
    /// [`LinkError`]: the client is of no use any more.
    pub async fn next(&mut self) -> Result<Packet, LinkError> {
        loop {
            let due = self.pong_due.unwrap_or(self.ping_at);
            let packet = tokio::select! {
                packet = self.conn.read() => packet?,
                () = sleep_until(due) => {
                    self.beat().await?;
                    continue;
                }
            };
            match packet {
                Packet::PingResp => self.pong_due = None,
                Packet::Disconnect { reason } => return Err(LinkError::Dismissed(reason)),
                packet @ (Packet::Publish(_)
                | Packet::PubAck { .. }
                | Packet::SubAck { .. }
                | Packet::UnsubAck { .. }) => return Ok(packet),
                _ => return Err(LinkError::Unexpected),
            }
        }
    }

    async fn beat(&mut self) -> Result<(), LinkError> {
        if self.pong_due.is_some() {
            return Err(LinkError::Silent("answer a ping"));
        }
        self.conn.put(&Packet::PingReq)?;
        // Both times first: should this be cancelled, the next flush writes the ping.
        let now = Instant::now();
        self.pong_due = Some(now + PONG_TIMEOUT);
        self.ping_at = now + self.keep_alive;
        self.flush().await
    }

    /// The next packet, if it was read already.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub fn take(&mut self) -> Result<Option<Packet>, LinkError> {
        loop {
            match self.conn.take()? {
                Some(Packet::PingResp) => self.pong_due = None,
                Some(Packet::Disconnect { reason }) => return Err(LinkError::Dismissed(reason)),
                Some(Packet::Connect(_) | Packet::ConnAck(_) | Packet::Qos2) => {
                    return Err(LinkError::Unexpected);
                }
                other => return Ok(other),
            }
        }
    }

    /// Sends a packet with the next [`Self::flush`].
    ///
    /// # Errors
    /// [`Malformed`]: it cannot be written; nothing of it will be.
    pub fn put(&mut self, packet: &Packet) -> Result<(), Malformed> {
        self.conn.put(packet)
    }

    /// The same, unless the packet is larger than what the broker takes.
    ///
    /// # Errors
    /// [`Malformed`]: it cannot be written, or is too large; nothing of it will be written.
    pub fn put_bounded(&mut self, packet: &Packet) -> Result<(), Malformed> {
        let before = self.conn.n_unwritten();
        self.conn.put(packet)?;
        let bytes_max = self.bounds.packet_bytes_max.unwrap_or(u32::MAX);
        let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        let bytes = self.conn.n_unwritten() - before;
        if bytes > bytes_max {
            self.conn.unput(before);
            return Err(Malformed::TooLarge { bytes, bytes_max });
        }
        Ok(())
    }

    /// Writes what was put. Cancel-safe.
    ///
    /// # Errors
    /// [`LinkError`]: what was put has perhaps been sent, in whole or in part.
    pub async fn flush(&mut self) -> Result<(), LinkError> {
        match timeout(WRITE_TIMEOUT, self.conn.flush()).await {
            Ok(written) => Ok(written?),
            Err(_) => Err(LinkError::Silent("read")),
        }
    }

    /// Says goodbye.
    pub async fn close(mut self) {
        let goodbye = Packet::Disconnect { reason: 0 };
        if self.conn.put(&goodbye).is_ok() {
            let _ = timeout(GOODBYE_TIMEOUT, self.conn.shutdown()).await;
        }
    }
}

/// A short name of a topic filter: filters are longer than a client id or a lease's name may be, and
/// hold what it may not.
#[must_use]
pub fn filter_hash(filter: &str) -> String {
    hex::encode(&Sha256::digest(filter.as_bytes())[..4])
}

async fn open(broker: &MqttBroker) -> Result<Box<dyn Socket>, LinkError> {
    let tcp = TcpStream::connect((broker.host.as_str(), broker.port))
        .await
        .map_err(LinkError::Unreachable)?;
    // Without it a PUBACK may wait for the peer's delayed ACK.
    let _ = tcp.set_nodelay(true);
    let Some(files) = &broker.tls else {
        return Ok(Box::new(tcp));
    };
    let connector = TlsConnector::from(tls::client_config(files)?);
    let name = ServerName::try_from(broker.host.clone()).map_err(|_| LinkError::HostName)?;
    let tls = connector.connect(name, tcp).await;
    Ok(Box::new(tls.map_err(LinkError::Handshake)?))
}

fn greeting(broker: &MqttBroker, client_id: &str, clean: bool) -> Connect {
    let is_v5 = broker.version == MqttVersion::V5;
    let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    Connect {
        version: broker.version,
        client_id: client_id.to_owned(),
        clean,
        keep_alive: u16::try_from(broker.keep_alive.as_secs().max(1)).unwrap_or(u16::MAX),
        username: broker.username.clone(),
        password: (broker.password.as_ref()).map(|password| password.expose().to_owned()),
        will: None,
        session_expiry: (is_v5 && !clean).then(|| seconds(broker.session_expiry)),
        bounds: Bounds {
            receive_max: is_v5.then_some(broker.in_flight_max),
            packet_bytes_max: is_v5
                .then(|| u32::try_from(broker.packet_bytes_max).unwrap_or(u32::MAX)),
        },
        auth_method: false,
    }
}
