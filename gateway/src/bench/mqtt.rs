//! A device that costs next to nothing: MQTT 3.1.1 by hand, QoS 1 (OASIS MQTT 3.1.1).

use std::{path::PathBuf, sync::Arc};

use anyhow::Context as _;
use bytes::{Buf, BytesMut};
use clap::Args;
use patchbay_sdk::{Secret, verify::hmac_sha256};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// First bytes of the packets that matter here (section 2.2).
const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const PUBLISH_QOS1: u8 = 0x32;
const PUBACK: u8 = 0x40;
/// Bytes of CONNACK and of PUBACK.
const ANSWER: usize = 4;

/// Where devices connect, and as whom.
#[derive(Debug, Clone, Args)]
pub(super) struct Broker {
    /// Where: `127.0.0.1:1883`.
    #[arg(long)]
    at: String,
    /// File of the secret that passwords are derived from, as `derived.secret` of a channel.
    #[arg(long)]
    secret: Option<PathBuf>,
    /// One login for all, where passwords are not derived: `name:password`.
    #[arg(long, conflicts_with = "secret")]
    login: Option<String>,
}

/// Makes logins; shared by all devices of a run.
#[derive(Clone)]
pub(super) struct Logins {
    broker: Arc<Broker>,
    secret: Option<Secret>,
}

impl Broker {
    pub(super) fn logins(&self) -> anyhow::Result<Logins> {
        let secret = self.secret.as_ref().map(|path| {
            let text = std::fs::read_to_string(path);
            let text = text.with_context(|| format!("read {}", path.display()));
            text.map(|text| Secret::new(text.trim()))
        });
        let broker = Arc::new(self.clone());
        let secret = secret.transpose()?;
        Ok(Logins { broker, secret })
    }
}

/// An open connection.
pub(super) struct Device {
    stream: TcpStream,
    incoming: BytesMut,
    outgoing: Vec<u8>,
    packet: u16,
}

impl Device {
    /// Connects and logs in.
    pub(super) async fn open(logins: &Logins, name: &str) -> anyhow::Result<Self> {
        let broker = &logins.broker;
        let stream = TcpStream::connect(&broker.at).await?;
        stream.set_nodelay(true)?;
        let login = match (&logins.secret, &broker.login) {
            (Some(secret), _) => Some((
                name.to_owned(),
                hex::encode(hmac_sha256(secret, &[name.as_bytes()])),
            )),
            (None, Some(login)) => {
                let (user, password) = login.split_once(':').context("write name:password")?;
                Some((user.to_owned(), password.to_owned()))
            }
            (None, None) => None,
        };
        let mut body = text("MQTT")?;
        // Version 4, clean session, keep-alive of an hour (section 3.1.2).
        let flags = if login.is_some() { 0b1100_0010 } else { 0b10 };
        body.extend([4, flags, 0x0e, 0x10]);
        body.extend(text(name)?);
        if let Some((user, password)) = login {
            body.extend(text(&user)?);
            body.extend(text(&password)?);
        }
        let mut device = Self {
            stream,
            incoming: BytesMut::new(),
            outgoing: Vec::new(),
            packet: 0,
        };
        device.put(CONNECT, &body)?;
        device.flush().await?;
        let answer = device.answer().await?;
        anyhow::ensure!(
            answer[0] == CONNACK && answer[3] == 0,
            "not let in: {answer:?}"
        );
        Ok(device)
    }

    /// Puts a message into the buffer.
    pub(super) fn publish(&mut self, topic: &str, payload: &[u8]) -> anyhow::Result<()> {
        self.packet = self.packet.checked_add(1).unwrap_or(1);
        let mut body = text(topic)?;
        body.extend(self.packet.to_be_bytes());
        body.extend(payload);
        self.put(PUBLISH_QOS1, &body)
    }

    /// Sends what is in the buffer.
    pub(super) async fn flush(&mut self) -> anyhow::Result<()> {
        self.stream.write_all(&self.outgoing).await?;
        self.outgoing.clear();
        Ok(())
    }

    /// Waits for one acknowledgement, and takes what more there is; answers how many.
    pub(super) async fn acknowledged(&mut self) -> anyhow::Result<usize> {
        let mut n = 0;
        loop {
            let answer = self.answer().await?;
            anyhow::ensure!(answer[0] == PUBACK, "not an acknowledgement: {answer:?}");
            n += 1;
            if self.incoming.len() < ANSWER {
                return Ok(n);
            }
        }
    }

    async fn answer(&mut self) -> anyhow::Result<[u8; ANSWER]> {
        while self.incoming.len() < ANSWER {
            let n = self.stream.read_buf(&mut self.incoming).await?;
            anyhow::ensure!(n > 0, "the connection was closed");
        }
        let mut answer = [0; ANSWER];
        self.incoming.copy_to_slice(&mut answer);
        Ok(answer)
    }

    fn put(&mut self, first: u8, body: &[u8]) -> anyhow::Result<()> {
        self.outgoing.push(first);
        let mut length = body.len();
        loop {
            let low = u8::try_from(length % 128)?;
            length /= 128;
            self.outgoing
                .push(if length > 0 { low | 0x80 } else { low });
            if length == 0 {
                break;
            }
        }
        self.outgoing.extend(body);
        Ok(())
    }
}

fn text(text: &str) -> anyhow::Result<Vec<u8>> {
    let mut bytes = u16::try_from(text.len())?.to_be_bytes().to_vec();
    bytes.extend(text.as_bytes());
    Ok(bytes)
}
