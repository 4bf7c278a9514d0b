//! What `patchbay.toml` can say. Every bound has a name, a default and a reason to exist here and nowhere else.

mod edge;
mod storage;
mod work;

use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use edge::{Api, Edge, Media, Sockets};
pub use storage::{Blobs, Bus, Reconnect, Retention, Store};
pub use work::{Agents, Router, Sinks};

use crate::url::PublicUrl;

/// The whole of `patchbay.toml`. Any key can also be set by the environment: `PATCHBAY_PUBLIC__LISTEN`.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The address the world reaches us at, without a trailing slash: providers and browsers are told to come here.
    /// Never taken from a request's headers. Default: `http://` and `public.listen`.
    pub public_url: Option<PublicUrl>,
    /// Where the embedded bus, SQLite and file blobs live. Relative to this file; default: `data` in the
    /// working directory.
    pub data_dir: Option<PathBuf>,
    /// The listener for providers, visitors, agents and the API.
    pub public: Public,
    /// The listener for operators: health, metrics, the CLI.
    pub admin: Admin,
    /// Where messages wait between the parts.
    pub bus: Bus,
    /// Where conversations are remembered.
    pub store: Store,
    /// Where images, files and other media are kept.
    pub blobs: Blobs,
    /// What a stranger's connection may cost.
    pub edge: Edge,
    /// Live connections.
    pub sockets: Sockets,
    /// Uploads.
    pub media: Media,
    /// The API for agents and programs.
    pub api: Api,
    /// Conversations, assignment, timers.
    pub router: Router,
    /// Sending.
    pub sinks: Sinks,
    /// People who answer.
    pub agents: Agents,
    /// What is written about the work; never message bodies, never secrets.
    pub log: Log,
}

/// The public listener.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Public {
    /// Address and port. Default: `127.0.0.1:8080`, for a proxy on the same machine.
    pub listen: SocketAddr,
    /// Serve HTTPS with this certificate. Default: plain HTTP.
    pub tls: Option<Tls>,
}

impl Default for Public {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            tls: None,
        }
    }
}

/// A certificate, read at the start.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM file with the chain, leaf first. Relative to the config folder.
    pub cert: PathBuf,
    /// PEM file with the private key. Relative to the config folder.
    pub key: PathBuf,
}

/// The admin listener. It has no passwords: keep it on loopback or behind a proxy that has.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// Address and port. Default: `127.0.0.1:8081`.
    pub listen: SocketAddr,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8081)),
        }
    }
}

/// Logging.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Default: `text`.
    pub format: LogFormat,
    /// A level (`info`) or directives (`info,patchbay_router=debug`). Default: `info`.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            level: "info".to_owned(),
        }
    }
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object per line.
    Json,
}
