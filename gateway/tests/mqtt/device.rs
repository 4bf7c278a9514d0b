//! A device, as simple as they come.

use std::net::SocketAddr;

use bytes::Bytes;
use patchbay_mqtt::{Bounds, Conn, ConnAck, ConnError, Connect, Packet, Publish, Will};
use patchbay_sdk::MqttVersion::{self, V4, V5};
use tokio::{net::TcpStream, time::timeout};

use crate::world::DEADLINE;

pub(crate) const VERSIONS: [MqttVersion; 2] = [V4, V5];
pub(crate) const PASSWORD: &str = "correct horse";

/// A connection of a device.
pub(crate) struct Device {
    pub(crate) conn: Conn,
    next_id: u16,
}

/// What a device says when it connects.
pub(crate) fn hello(version: MqttVersion, username: &str) -> Connect {
    Connect {
        version,
        client_id: format!("client-of-{username}"),
        clean: true,
        keep_alive: 60,
        username: Some(username.to_owned()),
        password: Some(PASSWORD.to_owned()),
        will: None,
        session_expiry: None,
        bounds: Bounds::default(),
        auth_method: false,
    }
}

pub(crate) fn will(topic: &str, payload: &str, delay: u32) -> Will {
    Will {
        delay,
        publish: Publish {
            topic: topic.to_owned(),
            payload: Bytes::copy_from_slice(payload.as_bytes()),
            qos: 1,
            ..Publish::default()
        },
    }
}

impl Device {
    /// Connects; answers what it was told, too.
    pub(crate) async fn greet(at: SocketAddr, hello: Connect) -> (Self, ConnAck) {
        let mut device = Self::open(at, hello.version).await;
        device.put(&Packet::Connect(Box::new(hello))).await;
        match device.next().await {
            Packet::ConnAck(connack) => (device, *connack),
            other => panic!("no CONNACK but {other:?}"),
        }
    }

    /// Connects, and is let in.
    pub(crate) async fn connect(at: SocketAddr, version: MqttVersion, username: &str) -> Self {
        let (device, connack) = Self::greet(at, hello(version, username)).await;
        assert_eq!(connack.reason, 0, "let in");
        device
    }

    /// A connection on which nothing was said.
    pub(crate) async fn open(at: SocketAddr, version: MqttVersion) -> Self {
        let stream = TcpStream::connect(at).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            conn: Conn::new(Box::new(stream), version, 1 << 20),
            next_id: 0,
        }
    }

    pub(crate) async fn put(&mut self, packet: &Packet) {
        self.conn.put(packet).unwrap();
        let _ = self.conn.flush().await;
    }

    /// Publishes with QoS 1 and does not wait.
    pub(crate) async fn publish(&mut self, topic: &str, payload: &str) -> u16 {
        self.next_id += 1;
        let publish = Publish {
            topic: topic.to_owned(),
            payload: Bytes::copy_from_slice(payload.as_bytes()),
            qos: 1,
            id: self.next_id,
            ..Publish::default()
        };
        self.put(&Packet::Publish(publish)).await;
        self.next_id
    }

    /// Publishes with QoS 1 and wants it taken.
    pub(crate) async fn say(&mut self, topic: &str, payload: &str) {
        let id = self.publish(topic, payload).await;
        assert_eq!(self.next().await, Packet::PubAck { id, reason: 0 });
    }

    /// The next packet.
    pub(crate) async fn next(&mut self) -> Packet {
        match timeout(DEADLINE, self.conn.read())
            .await
            .expect("something comes")
        {
            Ok(packet) => packet,
            Err(error) => panic!("{error}"),
        }
    }

    /// The next packet, or the end.
    pub(crate) async fn read(&mut self) -> Result<Packet, ConnError> {
        timeout(DEADLINE, self.conn.read())
            .await
            .expect("something comes")
    }

    /// Whatever comes before the connection is closed.
    pub(crate) async fn rest(&mut self) -> Vec<Packet> {
        let mut rest = Vec::new();
        while let Ok(packet) = self.read().await {
            rest.push(packet);
        }
        rest
    }

    /// Subscribes; answers the codes.
    pub(crate) async fn subscribe(&mut self, filters: &[&str]) -> Vec<u8> {
        let filters = filters
            .iter()
            .map(|filter| ((*filter).to_owned(), 1))
            .collect();
        self.put(&Packet::Subscribe {
            id: 60_000,
            filters,
        })
        .await;
        match self.next().await {
            Packet::SubAck { id: 60_000, codes } => codes,
            other => panic!("no SUBACK but {other:?}"),
        }
    }

    /// Wants to be answered, so that whatever came before it has been dealt with.
    pub(crate) async fn ping(&mut self) {
        self.put(&Packet::PingReq).await;
        assert_eq!(self.next().await, Packet::PingResp);
    }
}
