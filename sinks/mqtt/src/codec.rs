//! Bytes to packets and back. Frames are measured here, before anything is parsed; their insides are
//! read and written by rumqttc's codec, with what it gets wrong put right.

mod v4;
mod v5;

use bytes::{BufMut, Bytes, BytesMut};
use patchbay_sdk::MqttVersion;

use crate::{Packet, reason};

/// Types of packets (MQTT 5.0, section 2.1.2).
const CONNECT: u8 = 1;
const PINGREQ: u8 = 12;
const PINGRESP: u8 = 13;
const DISCONNECT: u8 = 14;

/// Why bytes are no packet. Never repeats what was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Longer than allowed.
    #[error("a packet of {bytes} bytes, {bytes_max} at most are allowed")]
    TooLarge {
        /// How long it says it is.
        bytes: usize,
        /// How long it may be.
        bytes_max: usize,
    },
    /// A version that is not spoken here.
    #[error("MQTT protocol level {0}, only 4 (3.1.1) and 5 are spoken")]
    Version(u8),
    /// Not of the form.
    #[error("malformed packet: {0}")]
    Form(String),
}

impl Malformed {
    #[expect(clippy::needless_pass_by_value, reason = "made for `map_err`")]
    pub(crate) fn form(why: impl ToString) -> Self {
        Self::Form(why.to_string())
    }

    /// What an MQTT 5 peer is told.
    #[must_use]
    pub fn reason(&self) -> u8 {
        match self {
            Self::TooLarge { .. } => reason::TOO_LARGE,
            Self::Version(_) => reason::VERSION,
            Self::Form(_) => reason::MALFORMED,
        }
    }
}

/// What stands at the front of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A whole packet of so many bytes.
    Whole(usize),
    /// Not yet: so many bytes in all are needed at least.
    Needs(usize),
}

/// Measures the packet at the front of a buffer; looks at five bytes at most.
pub(crate) fn measure(buffer: &[u8], bytes_max: usize) -> Result<Frame, Malformed> {
    let mut length = 0_usize;
    for at in 0..4_usize {
        let Some(byte) = buffer.get(1 + at) else {
            return Ok(Frame::Needs(2 + at));
        };
        length |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let bytes = 2 + at + length;
            return if bytes > bytes_max {
                Err(Malformed::TooLarge { bytes, bytes_max })
            } else if buffer.len() < bytes {
                Ok(Frame::Needs(bytes))
            } else {
                Ok(Frame::Whole(bytes))
            };
        }
    }
    Err(Malformed::form("its length has more than four bytes"))
}

/// Which version a whole CONNECT speaks.
///
/// # Errors
/// It is no CONNECT, or of another version.
pub fn version_of(connect: &[u8]) -> Result<MqttVersion, Malformed> {
    let kind = connect.first().map(|byte| byte >> 4);
    if kind != Some(CONNECT) {
        return Err(Malformed::form("the first packet has to be CONNECT"));
    }
    let header = 1 + connect[1..]
        .iter()
        .position(|byte| byte & 0x80 == 0)
        .map_or(4, |at| at + 1);
    let body = connect.get(header..).unwrap_or_default();
    match body {
        [0, 4, b'M', b'Q', b'T', b'T', 4, ..] => Ok(MqttVersion::V4),
        [0, 4, b'M', b'Q', b'T', b'T', 5, ..] => Ok(MqttVersion::V5),
        [0, 4, b'M', b'Q', b'T', b'T', level, ..] => Err(Malformed::Version(*level)),
        // MQTT 3.1 has another name.
        [0, 6, b'M', b'Q', b'I', b's', b'd', b'p', level, ..] => Err(Malformed::Version(*level)),
        _ => Err(Malformed::form("the protocol is not MQTT")),
    }
}

/// Reads one whole frame.
pub(crate) fn decode(version: MqttVersion, frame: Bytes) -> Result<Packet, Malformed> {
    let bytes = frame.len();
    let header = 1 + frame[1..]
        .iter()
        .position(|byte| byte & 0x80 == 0)
        .map_or(4, |at| at + 1);
    let body = &frame[header.min(bytes)..];
    match (frame[0] >> 4, body) {
        (PINGREQ, []) => Ok(Packet::PingReq),
        (PINGRESP, []) => Ok(Packet::PingResp),
        // Empty, it is a normal end in both versions; properties after the reason do not matter here.
        (DISCONNECT, []) => Ok(Packet::Disconnect { reason: 0 }),
        (DISCONNECT, [reason, ..]) if version == MqttVersion::V5 => {
            Ok(Packet::Disconnect { reason: *reason })
        }
        (PINGREQ | PINGRESP | DISCONNECT, _) => Err(Malformed::form("it has to be empty")),
        (_, []) => Err(Malformed::form("it must not be empty")),
        _ => match version {
            MqttVersion::V4 => v4::decode(frame),
            MqttVersion::V5 => v5::decode(frame),
        },
    }
}

/// Writes a packet behind what is in the buffer already.
pub(crate) fn encode(
    version: MqttVersion,
    packet: &Packet,
    out: &mut BytesMut,
) -> Result<(), Malformed> {
    match packet {
        Packet::PingReq => out.put_slice(&[PINGREQ << 4, 0]),
        Packet::PingResp => out.put_slice(&[PINGRESP << 4, 0]),
        Packet::Disconnect { reason } => match version {
            MqttVersion::V5 if *reason != 0 => out.put_slice(&[DISCONNECT << 4, 1, *reason]),
            _ => out.put_slice(&[DISCONNECT << 4, 0]),
        },
        Packet::Qos2 => return Err(Malformed::form("QoS 2 is not spoken")),
        _ => match version {
            MqttVersion::V4 => v4::encode(packet, out)?,
            MqttVersion::V5 => v5::encode(packet, out)?,
        },
    }
    Ok(())
}

/// A text that is there.
fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}
