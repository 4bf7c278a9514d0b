//! A device: a client of MQTT 3.1.1 that sends one message after the other at QoS 1, again until it
//! is acknowledged, and keeps what is sent to it. Written on bytes, so that it shares no mistake with
//! the codec under test (OASIS MQTT 3.1.1).

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::{Instant, sleep, timeout},
};

/// How long an acknowledgement may take before the device connects anew.
const ACK: Duration = Duration::from_secs(5);
/// Between two tries to connect.
const PAUSE: Duration = Duration::from_millis(50);

/// What kind of packet: the first four bits.
const CONNACK: u8 = 2;
const PUBLISH: u8 = 3;
const PUBACK: u8 = 4;
const SUBACK: u8 = 9;

/// One device.
pub struct Device {
    /// `host:port`, tried one after the other.
    addresses: Vec<String>,
    client_id: String,
    username: String,
    password: String,
    /// Subscribed to after connecting.
    topic: Option<String>,
    line: Option<Line>,
    turn: usize,
    packet: u16,
    /// Topic and payload of everything that came, repeats included.
    pub received: Vec<(String, Vec<u8>)>,
    /// How often a message had to be sent again.
    pub sent_again: usize,
}

struct Line {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

impl Device {
    /// A device that is not connected yet.
    pub fn new(addresses: &[String], client_id: &str, username: &str, password: &str) -> Self {
        Self {
            addresses: addresses.to_vec(),
            client_id: client_id.to_owned(),
            username: username.to_owned(),
            password: password.to_owned(),
            topic: None,
            line: None,
            turn: 0,
            packet: 0,
            received: Vec::new(),
            sent_again: 0,
        }
    }

    /// The same, subscribed to a topic.
    pub fn listening(mut self, topic: &str) -> Self {
        self.topic = Some(topic.to_owned());
        self
    }

    /// Sends until it is acknowledged, however often the other side dies.
    ///
    /// # Panics
    /// If that takes longer than `patience`.
    pub async fn publish(&mut self, topic: &str, payload: &str, patience: Duration) {
        self.publish_while(topic, payload, patience, || true).await;
    }

    /// The same, as long as `may` says so; it is asked on every new try, once there is a connection to
    /// send it by. Answers whether it was acknowledged.
    ///
    /// # Panics
    /// If that takes longer than `patience`.
    pub async fn publish_while(
        &mut self,
        topic: &str,
        payload: &str,
        patience: Duration,
        may: impl Fn() -> bool,
    ) -> bool {
        let deadline = Instant::now() + patience;
        self.packet = self.packet.checked_add(1).unwrap_or(1);
        let mut body = text(topic);
        body.extend(self.packet.to_be_bytes());
        body.extend(payload.as_bytes());
        let mut tries = 0;
        while Instant::now() < deadline {
            if self.connected().await.is_some() {
                if !may() {
                    return false;
                }
                self.sent_again += usize::from(tries > 0);
                // DUP on every try but the first (section 3.3.1.1).
                let first = if tries == 0 { 0x32 } else { 0x3a };
                if self.attempt(&packet(first, &body)).await.is_some() {
                    return true;
                }
                tries += 1;
            }
            self.line = None;
            sleep(PAUSE).await;
        }
        panic!(
            "{}: {topic} not acknowledged within {patience:?}",
            self.client_id
        );
    }

    /// Listens until what came satisfies `enough`.
    ///
    /// # Panics
    /// If that takes longer than `patience`.
    pub async fn until(&mut self, what: &str, patience: Duration, enough: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + patience;
        while !enough(self) {
            assert!(
                Instant::now() < deadline,
                "{}: waited in vain for {what}",
                self.client_id
            );
            if self.connected().await.is_none()
                || self.read_one(Duration::from_millis(500)).await.is_none()
            {
                sleep(PAUSE).await;
            }
        }
    }

    async fn attempt(&mut self, publish: &[u8]) -> Option<()> {
        self.line.as_mut()?.writer.write_all(publish).await.ok()?;
        let deadline = Instant::now() + ACK;
        while Instant::now() < deadline {
            if let (PUBACK, body) = self.read_one(ACK).await?
                && body == self.packet.to_be_bytes()
            {
                return Some(());
            }
        }
        None
    }

    /// Connects if there is no connection.
    async fn connected(&mut self) -> Option<()> {
        if self.line.is_some() {
            return Some(());
        }
        let address = &self.addresses[self.turn % self.addresses.len()];
        self.turn += 1;
        let stream = timeout(ACK, TcpStream::connect(address)).await.ok()?.ok()?;
        stream.set_nodelay(true).ok()?;
        let (reader, writer) = stream.into_split();
        let reader = BufReader::new(reader);
        self.line = Some(Line { reader, writer });
        let greeted = self.greet().await;
        if greeted.is_none() {
            self.line = None;
        }
        greeted
    }

    async fn greet(&mut self) -> Option<()> {
        let mut body = text("MQTT");
        // Version 4; name, password, no clean session; keep-alive a minute (section 3.1.2).
        body.extend([4, 0b1100_0000, 0, 60]);
        for field in [&self.client_id, &self.username, &self.password] {
            body.extend(text(field));
        }
        self.line
            .as_mut()?
            .writer
            .write_all(&packet(0x10, &body))
            .await
            .ok()?;
        let (kind, answer) = self.read_one(ACK).await?;
        if kind != CONNACK || answer.get(1) != Some(&0) {
            return None;
        }
        let Some(topic) = &self.topic else {
            return Some(());
        };
        let mut body = vec![0xff, 0xff];
        body.extend(text(topic));
        body.push(1);
        self.line
            .as_mut()?
            .writer
            .write_all(&packet(0x82, &body))
            .await
            .ok()?;
        loop {
            match self.read_one(ACK).await? {
                (SUBACK, answer) => return (answer.get(2) == Some(&1)).then_some(()),
                _ => continue,
            }
        }
    }

    /// One packet; what is published to us is kept and acknowledged on the way.
    async fn read_one(&mut self, patience: Duration) -> Option<(u8, Vec<u8>)> {
        let reader = &mut self.line.as_mut()?.reader;
        // Silence is no end; an end is.
        let Ok(first) = timeout(patience, reader.read_u8()).await else {
            return None;
        };
        let rest = async {
            let first = first.ok()?;
            let mut length = 0_usize;
            for shift in [0, 7, 14, 21] {
                let byte = reader.read_u8().await.ok()?;
                length |= usize::from(byte & 0x7f) << shift;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).await.ok()?;
            Some((first, body))
        };
        // Half a packet: nothing after it could be understood.
        let Ok(Some((first, body))) = timeout(ACK, rest).await else {
            self.line = None;
            return None;
        };
        if first >> 4 == PUBLISH {
            self.take(first, &body).await;
        }
        Some((first >> 4, body))
    }

    async fn take(&mut self, first: u8, body: &[u8]) {
        let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
        let topic = String::from_utf8_lossy(&body[2..2 + length]).into_owned();
        let mut rest = &body[2 + length..];
        if first & 0b110 != 0 {
            let ack = packet(0x40, &rest[..2]);
            rest = &rest[2..];
            if let Some(line) = &mut self.line {
                let _ = line.writer.write_all(&ack).await;
            }
        }
        self.received.push((topic, rest.to_vec()));
    }
}

fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("a short text");
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut length = body.len();
    loop {
        let low = u8::try_from(length % 128).expect("less than 128");
        length /= 128;
        bytes.push(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            break;
        }
    }
    bytes.extend(body);
    bytes
}
