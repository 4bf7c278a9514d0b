//! What can be set for a web chat.

use patchbay_sdk::{
    LinkPolicy, Problem,
    options::{ByteSize, Duration, Problems, Secrets},
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Bytes of the shortest secret: 128 bits, if it is random hex.
const SECRET_BYTES_MIN: usize = 32;

/// `[options]` of a web chat.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Sign the visitors' tokens; at least 32 bytes each. The first signs, all are accepted: to
    /// replace one put the new one in front, and drop the old one after `token_ttl`.
    pub token_secrets: Secrets,
    /// How long a visitor who does not come back is remembered. A token is renewed at every visit.
    #[serde(default = "token_ttl")]
    pub token_ttl: Duration,
    /// Shared with your server, which proves by them who is logged in; at least 32 bytes each.
    /// Without one, visitors are anonymous.
    #[serde(default)]
    pub identity_secrets: Secrets,
    /// Where the widget may be: `https://www.example.com`, `https://*.example.com`, or `*` alone
    /// for any page. Without one, only pages of Patchbay itself.
    #[serde(default)]
    pub origins: Vec<String>,
    /// How often the server pings.
    #[serde(default = "heartbeat")]
    pub heartbeat: Duration,
    /// Silence after which a connection is closed; three heartbeats by default.
    #[serde(default)]
    pub idle: Option<Duration>,
    /// The largest frame or body a visitor may send; files are not counted.
    #[serde(default = "frame_bytes_max")]
    pub frame_bytes_max: ByteSize,
    /// Messages one visitor may send in a minute.
    #[serde(default = "messages_per_minute")]
    #[schemars(range(min = 1, max = 6000))]
    pub messages_per_minute: u32,
    /// Messages one visitor may send at once before the rate counts.
    #[serde(default = "messages_burst")]
    #[schemars(range(min = 1, max = 6000))]
    pub messages_burst: u32,
    /// Connections one visitor may hold: open tabs and devices. One more closes the oldest.
    #[serde(default = "connections_per_visitor")]
    #[schemars(range(min = 1, max = 100))]
    pub connections_per_visitor: u32,
    /// The longest text of a visitor, bytes of UTF-8.
    #[serde(default = "text_bytes_max")]
    pub text_bytes_max: ByteSize,
    /// Files visitors may send.
    #[serde(default)]
    pub uploads: Uploads,
    /// What the widget shows before the first message.
    #[serde(default)]
    pub greeting: Option<String>,
    /// The name of your team, as the widget shows it.
    #[serde(default)]
    pub name: Option<String>,
}

/// Files visitors may send.
#[derive(Debug, Clone, Deserialize, serde::Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Uploads {
    /// The largest file; `"0B"` takes none.
    pub bytes_max: ByteSize,
    /// MIME types, `image/*` for a whole family. What counts is the file's bytes, not its name.
    pub types: Vec<String>,
}

impl Default for Uploads {
    fn default() -> Self {
        let types = [
            "image/*",
            "audio/*",
            "video/*",
            "application/pdf",
            "text/plain",
        ];
        Self {
            bytes_max: ByteSize::mib(10),
            types: types.map(str::to_owned).to_vec(),
        }
    }
}

const fn token_ttl() -> Duration {
    Duration::days(30)
}
const fn heartbeat() -> Duration {
    Duration::secs(20)
}
const fn frame_bytes_max() -> ByteSize {
    ByteSize::kib(64)
}
const fn messages_per_minute() -> u32 {
    60
}
const fn messages_burst() -> u32 {
    20
}
const fn connections_per_visitor() -> u32 {
    8
}
const fn text_bytes_max() -> ByteSize {
    ByteSize::kib(8)
}

impl Options {
    pub(super) fn idle(&self) -> Duration {
        let heartbeat_ms = u64::try_from(self.heartbeat.as_millis()).unwrap_or(u64::MAX);
        self.idle
            .unwrap_or(Duration::millis(heartbeat_ms.saturating_mul(3)))
    }

    pub(super) fn policy(&self) -> LinkPolicy {
        LinkPolicy {
            heartbeat: self.heartbeat.get(),
            idle: self.idle().get(),
            frame_bytes_max: self.frame_bytes_max.in_memory(),
            messages_per_minute: self.messages_per_minute,
            messages_burst: self.messages_burst,
            origins: self.origins.clone(),
            connections_per_address: self.connections_per_visitor,
        }
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Problems::default();
        problems.secrets("token_secrets", &self.token_secrets, SECRET_BYTES_MIN);
        problems.secrets("identity_secrets", &self.identity_secrets, SECRET_BYTES_MIN);
        let secs = Duration::secs;
        problems.between("token_ttl", self.token_ttl, secs(60), Duration::days(366));
        problems.between("heartbeat", self.heartbeat, secs(1), secs(300));
        problems.between("idle", self.idle(), self.heartbeat, secs(3600));
        let (min, max) = (ByteSize::kib(1), ByteSize::kib(256));
        problems.between("frame_bytes_max", self.frame_bytes_max, min, max);
        let (min, max) = (ByteSize::bytes(1), ByteSize::kib(64));
        problems.between("text_bytes_max", self.text_bytes_max, min, max);
        problems.between("messages_per_minute", self.messages_per_minute, 1, 6000);
        problems.between("messages_burst", self.messages_burst, 1, 6000);
        problems.between(
            "connections_per_visitor",
            self.connections_per_visitor,
            1,
            100,
        );
        for (i, origin) in self.origins.iter().enumerate() {
            let form = "must be like `https://www.example.com`, `https://*.example.com` or `*`";
            problems.require(is_origin(origin), &format!("origins.{i}"), form);
        }
        for (i, mime) in self.uploads.types.iter().enumerate() {
            let form = "must be like `image/*` or `application/pdf`";
            problems.require(is_mime(mime), &format!("uploads.types.{i}"), form);
        }
        problems.found()
    }
}

/// Scheme, host and perhaps port, as browsers write `Origin` (RFC 6454, section 6.2).
fn is_origin(text: &str) -> bool {
    let Some(host) = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
    else {
        return text == "*";
    };
    let host = host.strip_prefix("*.").unwrap_or(host);
    !host.is_empty()
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']'))
}

fn is_mime(text: &str) -> bool {
    let word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    text.split_once('/')
        .is_some_and(|(family, kind)| word(family) && (kind == "*" || word(kind)))
}
