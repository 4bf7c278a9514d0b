//! A WebSocket client that costs next to nothing: frames by hand, masked with zeros.

use std::borrow::Cow;

use anyhow::Context as _;
use bytes::{Buf, Bytes, BytesMut};
use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::client::Client;

/// Read buffer of a connection, bytes.
const READ_BUFFER: usize = 4096;
/// Opcodes (RFC 6455, section 5.2).
const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// What a frame of ours begins with; the rest is not read.
#[derive(Deserialize)]
pub(super) struct Frame<'a> {
    /// What it is.
    #[serde(rename = "type", borrow)]
    pub(super) kind: Cow<'a, str>,
    /// A message: who says it.
    #[serde(borrow, default)]
    pub(super) from: Option<Cow<'a, str>>,
    /// A message: its parts.
    #[serde(borrow, default)]
    pub(super) content: Vec<Part<'a>>,
}

/// A part of a message.
#[derive(Deserialize)]
pub(super) struct Part<'a> {
    #[serde(borrow, default)]
    pub(super) text: Cow<'a, str>,
}

impl<'a> Frame<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> anyhow::Result<Self> {
        let read = serde_json::from_slice(bytes);
        read.with_context(|| format!("a frame: {}", String::from_utf8_lossy(bytes)))
    }
}

/// An open connection.
pub(super) struct Socket {
    stream: TcpStream,
    incoming: BytesMut,
    outgoing: Vec<u8>,
}

impl Socket {
    /// Opens a connection to `path`.
    pub(super) async fn open(url: &str, path: &str) -> anyhow::Result<Self> {
        let mut client = Client::open(url).await?;
        // A fixed key: nobody caches what is measured here.
        let headers = "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n\
                       sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let (status, body) = client.send("GET", path, headers, b"").await?;
        anyhow::ensure!(
            status == 101,
            "no socket: {status} {}",
            String::from_utf8_lossy(&body)
        );
        let (stream, incoming) = client.into_parts();
        Ok(Self {
            stream,
            incoming,
            outgoing: Vec::new(),
        })
    }

    /// Sends a text.
    pub(super) async fn send(&mut self, text: &str) -> anyhow::Result<()> {
        self.write(TEXT, text.as_bytes()).await
    }

    async fn write(&mut self, opcode: u8, payload: &[u8]) -> anyhow::Result<()> {
        self.outgoing.clear();
        put_frame(&mut self.outgoing, opcode, payload)?;
        self.stream.write_all(&self.outgoing).await?;
        Ok(())
    }

    /// The next text; heartbeats are answered on the way. Nothing is lost if it is dropped while
    /// it waits.
    pub(super) async fn next(&mut self) -> anyhow::Result<Bytes> {
        loop {
            while let Some((opcode, payload)) = self.take()? {
                match opcode {
                    TEXT if payload.starts_with(br#"{"type":"ping""#) => {
                        self.write(TEXT, br#"{"type":"pong"}"#).await?;
                    }
                    TEXT => return Ok(payload),
                    PING => self.write(PONG, &payload).await?,
                    CLOSE => anyhow::bail!("the server closed the socket"),
                    _ => {}
                }
            }
            self.fill().await?;
        }
    }

    /// The next text, whatever it says: for servers that send everything back.
    pub(super) async fn next_raw(&mut self) -> anyhow::Result<Bytes> {
        loop {
            if let Some((TEXT, payload)) = self.take()? {
                return Ok(payload);
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> anyhow::Result<()> {
        self.incoming.reserve(READ_BUFFER);
        let n = self.stream.read_buf(&mut self.incoming).await?;
        anyhow::ensure!(n > 0, "the socket closed");
        Ok(())
    }

    /// A whole frame, if one is there.
    fn take(&mut self) -> anyhow::Result<Option<(u8, Bytes)>> {
        let Some((head, length)) = head(&self.incoming) else {
            return Ok(None);
        };
        if self.incoming.len() < head + length {
            return Ok(None);
        }
        let first = self.incoming[0];
        anyhow::ensure!(first & 0x80 != 0, "a frame in pieces");
        self.incoming.advance(head);
        Ok(Some((
            first & 0x0f,
            self.incoming.split_to(length).freeze(),
        )))
    }
}

/// Lengths of a frame's head and payload, once the head is there. A server masks nothing.
fn head(bytes: &[u8]) -> Option<(usize, usize)> {
    match *bytes.get(1)? & 0x7f {
        126 => {
            let length = bytes.get(2..4)?.try_into().ok()?;
            Some((4, usize::from(u16::from_be_bytes(length))))
        }
        127 => {
            let length = bytes.get(2..10)?.try_into().ok()?;
            Some((10, usize::try_from(u64::from_be_bytes(length)).ok()?))
        }
        short => Some((2, usize::from(short))),
    }
}

/// A client's frame: with the mask bit, and a mask of zeros.
fn put_frame(out: &mut Vec<u8>, opcode: u8, payload: &[u8]) -> anyhow::Result<()> {
    out.push(0x80 | opcode);
    match payload.len() {
        n @ 0..126 => out.push(0x80 | u8::try_from(n)?),
        n => {
            out.push(0x80 | 126);
            out.extend(u16::try_from(n).context("a long frame")?.to_be_bytes());
        }
    }
    out.extend([0; 4]);
    out.extend_from_slice(payload);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_any_length() {
        for (length, size) in [(0, 6), (125, 131), (126, 134), (65_535, 65_543)] {
            let mut out = Vec::new();
            put_frame(&mut out, TEXT, &vec![b'x'; length]).unwrap();
            assert_eq!((out[0], out.len()), (0x81, size));
            // A server's has no mask: four bytes less.
            out[1] &= 0x7f;
            assert_eq!(head(&out), Some((size - length - 4, length)));
            assert_eq!(head(&out[..1]), None);
        }
        assert!(put_frame(&mut Vec::new(), TEXT, &vec![b'x'; 65_536]).is_err());
    }

    #[test]
    fn frames_are_read_as_far_as_they_matter() {
        let said =
            br#"{"type":"message","seq":3,"from":"agent","content":[{"type":"text","text":"hi"}]}"#;
        let frame = Frame::read(said).unwrap();
        assert_eq!(
            (frame.kind.as_ref(), frame.from.as_deref()),
            ("message", Some("agent"))
        );
        assert_eq!(frame.content[0].text, "hi");
        assert_eq!(Frame::read(br#"{"type":"pong"}"#).unwrap().kind, "pong");
    }
}
