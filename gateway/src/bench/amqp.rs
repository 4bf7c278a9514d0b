//! An AMQP 0-9-1 client that costs next to nothing: blocking sockets, frames by hand.
//!
//! It publishes ready-made frames and reads the few that matter; it is no client for anything else.

use std::{
    io::{BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

use anyhow::Context as _;
use url::Url;

use super::wire::{
    BASIC_ACK, BASIC_DELIVER, BODY, END, METHOD, Name, name_of, put_long, put_method, put_short,
};

/// Read buffer of a connection, bytes.
const READ_BUFFER: usize = 256 * 1024;
/// Nothing for so long: the broker is gone.
const SILENCE: Duration = Duration::from_secs(3);
/// What the broker says that matters here.
pub(super) enum Heard<'a> {
    /// Everything published up to this number is confirmed.
    Confirmed(u64),
    /// The body of the delivery with this tag.
    Delivered(u64, &'a [u8]),
    /// Anything else.
    Other,
}

/// An open connection with one channel.
pub(super) struct Amqp {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
    payload: Vec<u8>,
    tag: u64,
}

impl Amqp {
    /// Connects and opens the channel.
    pub(super) fn open(url: &str) -> anyhow::Result<Self> {
        let url = Url::parse(url).context("the broker's address")?;
        anyhow::ensure!(url.scheme() == "amqp", "only amqp:// is measured");
        let host = url.host_str().context("the broker's address has no host")?;
        let stream = TcpStream::connect((host, url.port().unwrap_or(5672)))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE))?;
        let reader = BufReader::with_capacity(READ_BUFFER, stream.try_clone()?);
        let mut this = Self {
            stream,
            reader,
            payload: Vec::new(),
            tag: 0,
        };
        this.log_in(&url)?;
        Ok(this)
    }

    fn log_in(&mut self, url: &Url) -> anyhow::Result<()> {
        self.stream.write_all(b"AMQP\0\0\x09\x01")?;
        self.expect((10, 10))?;
        let user = if url.username().is_empty() {
            "guest"
        } else {
            url.username()
        };
        let secret = format!("\0{user}\0{}", url.password().unwrap_or("guest"));
        let mut start = 0_u32.to_be_bytes().to_vec();
        put_short(&mut start, "PLAIN");
        put_long(&mut start, secret.as_bytes());
        put_short(&mut start, "en_US");
        let tune = self.call(0, (10, 11), &start, (10, 30))?;
        // Bounds as the broker wants them, and no heartbeats.
        let bounds = tune.get(..6).context("a short tune")?;
        let mut out = Vec::new();
        put_method(&mut out, 0, (10, 31), &[bounds, &[0, 0]].concat());
        self.stream.write_all(&out)?;
        let host = match url.path() {
            "" => "/".to_owned(),
            path => path[1..].replace("%2f", "/").replace("%2F", "/"),
        };
        let mut open = Vec::new();
        put_short(&mut open, &host);
        open.extend([0, 0]);
        self.call(0, (10, 40), &open, (10, 41))?;
        self.call(1, (20, 10), &[0], (20, 11))?;
        Ok(())
    }

    /// From now on publishes are confirmed.
    pub(super) fn select_confirms(&mut self) -> anyhow::Result<()> {
        self.call(1, (85, 10), &[0], (85, 11)).map(drop)
    }

    /// Declares a durable quorum queue, empty.
    pub(super) fn declare(&mut self, queue: &str) -> anyhow::Result<()> {
        self.delete(queue)?;
        let mut body = vec![0, 0];
        put_short(&mut body, queue);
        body.push(2);
        let mut table = Vec::new();
        put_short(&mut table, "x-queue-type");
        table.push(b'S');
        put_long(&mut table, b"quorum");
        put_long(&mut body, &table);
        self.call(1, (50, 10), &body, (50, 11)).map(drop)
    }

    /// Deletes a queue, if it is there.
    pub(super) fn delete(&mut self, queue: &str) -> anyhow::Result<()> {
        let mut body = vec![0, 0];
        put_short(&mut body, queue);
        body.push(0);
        self.call(1, (50, 40), &body, (50, 41)).map(drop)
    }

    /// Subscribes, acks wanted.
    pub(super) fn consume(&mut self, queue: &str, prefetch: u16) -> anyhow::Result<()> {
        let mut qos = vec![0; 4];
        qos.extend(prefetch.to_be_bytes());
        qos.push(0);
        self.call(1, (60, 10), &qos, (60, 11))?;
        let mut body = vec![0, 0];
        put_short(&mut body, queue);
        put_short(&mut body, "bench");
        body.push(0);
        put_long(&mut body, &[]);
        self.call(1, (60, 20), &body, (60, 21)).map(drop)
    }

    /// The next thing the broker says.
    pub(super) fn hear(&mut self) -> anyhow::Result<Heard<'_>> {
        let kind = self.read_frame()?;
        let number = |at: usize| -> Option<u64> {
            let bytes = self.payload.get(at..at + 8)?;
            Some(u64::from_be_bytes(bytes.try_into().ok()?))
        };
        match (kind, name_of(&self.payload)) {
            (METHOD, BASIC_ACK) => {
                let tag = number(4).context("a short confirm")?;
                Ok(Heard::Confirmed(tag))
            }
            (METHOD, BASIC_DELIVER) => {
                let consumer = usize::from(self.payload[4]);
                self.tag = number(5 + consumer).context("a short delivery")?;
                Ok(Heard::Other)
            }
            (BODY, _) => Ok(Heard::Delivered(self.tag, &self.payload)),
            (METHOD, name) => anyhow::bail!("the broker says {name:?}"),
            _ => Ok(Heard::Other),
        }
    }

    /// Nothing more has been read: a good time to write.
    pub(super) fn is_drained(&self) -> bool {
        self.reader.buffer().is_empty()
    }

    /// Writes ready-made frames.
    pub(super) fn write(&mut self, frames: &[u8]) -> anyhow::Result<()> {
        Ok(self.stream.write_all(frames)?)
    }

    /// A second handle, to write while this one reads.
    pub(super) fn writer(&self) -> anyhow::Result<TcpStream> {
        Ok(self.stream.try_clone()?)
    }

    fn call(
        &mut self,
        channel: u16,
        name: Name,
        body: &[u8],
        answer: Name,
    ) -> anyhow::Result<Vec<u8>> {
        let mut out = Vec::new();
        put_method(&mut out, channel, name, body);
        self.stream.write_all(&out)?;
        self.expect(answer)
    }

    /// Waits for an answer; confirms that are still on their way concern nobody any more.
    fn expect(&mut self, name: Name) -> anyhow::Result<Vec<u8>> {
        loop {
            // Heartbeats have type 8.
            while self.read_frame()? != METHOD {}
            match name_of(&self.payload) {
                found if found == name => return Ok(self.payload.split_off(4)),
                BASIC_ACK => {}
                _ => {
                    let text = String::from_utf8_lossy(&self.payload);
                    anyhow::bail!("{name:?} expected: {text}")
                }
            }
        }
    }

    /// Reads a frame's payload and answers its type.
    fn read_frame(&mut self) -> anyhow::Result<u8> {
        let mut head = [0; 7];
        self.reader
            .read_exact(&mut head)
            .context("the broker is silent")?;
        let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
        self.payload.resize(usize::try_from(length)? + 1, 0);
        self.reader.read_exact(&mut self.payload)?;
        anyhow::ensure!(self.payload.pop() == Some(END), "a frame without its end");
        Ok(head[0])
    }
}
