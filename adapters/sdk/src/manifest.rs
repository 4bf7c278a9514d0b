//! What a kind of channel is and can do; what a channel asks to have held open.

use std::time::Duration;

use crate::{MqttBroker, MqttListener};

/// One kind, as the core needs to know it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Manifest {
    /// The word in `kind = ".."`; also file name and fixture folder.
    pub id: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// Types of content it can send.
    pub content_out: &'static [&'static str],
    /// Bounds of what it can send.
    pub limits: OutLimits,
    /// How soon the provider wants its answer.
    pub ack_deadline: Option<Duration>,
    /// Whether the provider delivers again what was not answered with success.
    pub redelivers: bool,
    /// How long after a contact's message we may answer.
    pub reply_window: Option<Duration>,
    /// How many answers are allowed within the window.
    pub quota: Option<u32>,
}

/// Bounds of one outbound message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OutLimits {
    /// Bytes of UTF-8 text; longer is split or refused.
    pub text_bytes_max: Option<usize>,
    /// Bytes of one file.
    pub media_bytes_max: Option<u64>,
    /// Parts of one message.
    pub parts_max: Option<usize>,
}

/// A mistake in a channel's options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key's path inside `[options]`, `a.b.0`.
    pub path: String,
    /// A sentence that says what is wrong and what would be right.
    pub sentence: String,
}

impl Problem {
    /// A mistake at `path`.
    pub fn new(path: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            sentence: sentence.into(),
        }
    }
}

/// What to hold open for a channel.
#[derive(Debug, Clone, PartialEq)]
pub enum Link {
    /// Requests below `/channels/{id}`.
    Http,
    /// A line that is pulled by one leased owner: when a doorbell rings for it, and now and then.
    Poll(crate::Poll),
    /// WebSockets at `/channels/{id}/socket`.
    Socket,
    /// Sessions with an MQTT broker, one leased owner for each topic filter.
    MqttBroker(Box<MqttBroker>),
    /// An address at which MQTT devices connect to us, in every gateway.
    MqttListener(Box<MqttListener>),
}

impl Link {
    /// Whether clients hold connections to us by it: outbounds are pushed to whoever holds one.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self, Self::Socket | Self::MqttListener(_))
    }
}
