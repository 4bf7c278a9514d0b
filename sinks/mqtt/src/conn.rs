//! A connection that speaks packets: reads into a small buffer that grows no further than the packet
//! it waits for, gathers what is to be written and writes it in one go.

use std::io;

use bytes::{Bytes, BytesMut};
use patchbay_sdk::MqttVersion;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::{
    Malformed, Packet,
    codec::{self, Frame},
};

/// What is read at once from a peer that says little: ten thousand idle devices cost one of these each.
const READ_MIN: usize = 128;
/// What is read at once from a peer that says much, and the step in which a large packet's buffer
/// grows: a length that is only claimed costs nothing.
const READ_MAX: usize = 16 * 1024;
/// A write buffer larger than this is given back once it is empty.
const WRITE_KEPT: usize = 1024;

/// What packets travel over: TCP, or TLS over it.
pub trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Socket for T {}

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
pub enum ConnError {
    /// The other side closed it.
    #[error("the connection was closed")]
    Closed,
    /// It broke.
    #[error("the connection broke: {}", .0.kind())]
    Broken(#[source] io::Error),
    /// What came was no packet.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// A connection.
pub struct Conn {
    socket: Box<dyn Socket>,
    version: MqttVersion,
    bytes_max: usize,
    read: BytesMut,
    read_next: usize,
    write: BytesMut,
    /// Written into the socket, perhaps not yet out of it.
    unflushed: bool,
}

impl Conn {
    /// A connection on which nothing was said yet; packets of more than `bytes_max` are refused.
    #[must_use]
    pub fn new(socket: Box<dyn Socket>, version: MqttVersion, bytes_max: usize) -> Self {
        Self {
            socket,
            version,
            bytes_max,
            read: BytesMut::new(),
            read_next: READ_MIN,
            write: BytesMut::new(),
            unflushed: false,
        }
    }

    /// The version spoken.
    #[must_use]
    pub fn version(&self) -> MqttVersion {
        self.version
    }

    /// From now on packets may be this large.
    pub fn set_bytes_max(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
    }

    /// The first packet of a client; its version is spoken from now on. Cancel-safe.
    ///
    /// # Errors
    /// [`ConnError`]; with a version that is not spoken the answer is to be that of 3.1.1.
    pub async fn read_connect(&mut self) -> Result<Packet, ConnError> {
        let frame = self.frame().await?;
        self.version = codec::version_of(&frame)?;
        Ok(codec::decode(self.version, frame)?)
    }

    /// The next packet. Cancel-safe.
    ///
    /// # Errors
    /// [`ConnError`].
    pub async fn read(&mut self) -> Result<Packet, ConnError> {
        let frame = self.frame().await?;
        Ok(codec::decode(self.version, frame)?)
    }

    /// The next packet, if it was read already.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn take(&mut self) -> Result<Option<Packet>, Malformed> {
        match codec::measure(&self.read, self.bytes_max)? {
            Frame::Whole(bytes) => {
                let frame = self.split(bytes);
                codec::decode(self.version, frame).map(Some)
            }
            Frame::Needs(_) => Ok(None),
        }
    }

    async fn frame(&mut self) -> Result<Bytes, ConnError> {
        loop {
            match codec::measure(&self.read, self.bytes_max)? {
                Frame::Whole(bytes) => return Ok(self.split(bytes)),
                Frame::Needs(bytes) => self.fill(bytes).await?,
            }
        }
    }

    async fn fill(&mut self, needed: usize) -> Result<(), ConnError> {
        let missing = needed - self.read.len();
        let room = missing.clamp(self.read_next, READ_MAX);
        if self.read.is_empty() && self.read.capacity() > room {
            self.read = BytesMut::new();
        }
        self.read.reserve(room);
        let spare = self.read.capacity() - self.read.len();
        let n = self.socket.read_buf(&mut self.read).await;
        match n.map_err(ConnError::Broken)? {
            0 => return Err(ConnError::Closed),
            n if n == spare => self.read_next = (self.read_next * 4).min(READ_MAX),
            n if n < self.read_next / 4 => self.read_next = (self.read_next / 2).max(READ_MIN),
            _ => {}
        }
        Ok(())
    }

    fn split(&mut self, bytes: usize) -> Bytes {
        let frame = self.read.split_to(bytes);
        if self.read.is_empty() {
            // What is left shares the frame's memory and would keep it alive.
            self.read = BytesMut::new();
        }
        frame.freeze()
    }

    /// Writes a packet with the next [`Conn::flush`].
    ///
    /// # Errors
    /// [`Malformed`]: it cannot be written in this version; nothing of it will be.
    pub fn put(&mut self, packet: &Packet) -> Result<(), Malformed> {
        let before = self.write.len();
        let put = codec::encode(self.version, packet, &mut self.write);
        if put.is_err() {
            self.write.truncate(before);
        }
        put
    }

    /// Bytes that wait to be written.
    #[must_use]
    pub fn n_unwritten(&self) -> usize {
        self.write.len()
    }

    /// Writes what was put. Cancel-safe: what was not written yet is written by the next call.
    ///
    /// # Errors
    /// [`ConnError::Broken`].
    pub async fn flush(&mut self) -> Result<(), ConnError> {
        if self.write.is_empty() && !self.unflushed {
            return Ok(());
        }
        self.unflushed = true;
        if !self.write.is_empty() {
            let written = self.socket.write_all_buf(&mut self.write).await;
            written.map_err(ConnError::Broken)?;
        }
        if self.write.capacity() > WRITE_KEPT {
            self.write = BytesMut::new();
        }
        self.socket.flush().await.map_err(ConnError::Broken)?;
        self.unflushed = false;
        Ok(())
    }

    /// Bytes of memory that its buffers hold now.
    #[must_use]
    pub fn n_memory(&self) -> usize {
        self.read.capacity() + self.write.capacity()
    }

    /// Takes back what was put since so many bytes waited.
    pub fn unput(&mut self, n_unwritten: usize) {
        self.write.truncate(n_unwritten);
    }

    /// Writes what was put and says that nothing more will come.
    ///
    /// # Errors
    /// [`ConnError::Broken`].
    pub async fn shutdown(&mut self) -> Result<(), ConnError> {
        self.flush().await?;
        self.socket.shutdown().await.map_err(ConnError::Broken)
    }
}
