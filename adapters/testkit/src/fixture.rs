//! A kind's fixtures as they stand in files: `channel.json` says how the channel is set up, every
//! other file is a story of steps with what is expected of each.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use patchbay_message::Time;
use patchbay_sdk::{Kind, options::Duration};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    given::{FetchFile, PullFile, RequestFile, SendFile, TokenFile},
    mqtt::{DownlinkFile, Login, PublishFile},
    sign::Recipe,
};

/// Fixtures of one kind at most.
const FILES_MAX: usize = 500;
/// How a channel of the kind is set up.
const SETTING: &str = "channel.json";
/// How everything live looks, see [`crate::live`].
pub(crate) const LIVE: &str = "live.json";

/// `channel.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Setting {
    /// The channel's id.
    pub(crate) channel: String,
    /// The time of every first step.
    pub(crate) now: Time,
    /// Our public address.
    pub(crate) public_url: String,
    /// `[options]`, with secrets as they are.
    pub(crate) options: Map<String, Value>,
    /// Another account of the same kind, by what differs. What is signed for one is refused by the
    /// other.
    pub(crate) foreign: Foreign,
    /// Why what this kind signs never grows old; without a reason a step must say `stale_after`.
    #[serde(default)]
    pub(crate) never_stale: Option<String>,
    /// How a body that is signed is signed, for bodies that are made up.
    #[serde(default)]
    pub(crate) sign: Option<Recipe>,
    /// Why a body that is signed cannot be signed here.
    #[serde(default)]
    pub(crate) cannot_sign: Option<String>,
    /// Options that no channel may be opened with, and the path that is to blame.
    #[serde(default)]
    pub(crate) bad_options: Vec<BadOptions>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Foreign {
    #[serde(default)]
    pub(crate) channel: Option<String>,
    #[serde(default)]
    pub(crate) options: Map<String, Value>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BadOptions {
    pub(crate) options: Map<String, Value>,
    pub(crate) path: String,
}

/// A story: steps in order, on one connection.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Story {
    /// What it shows, in a sentence.
    #[serde(rename = "about")]
    pub(crate) _about: String,
    /// Options that differ from `channel.json`; null for one that is not there.
    #[serde(default)]
    pub(crate) options: Map<String, Value>,
    /// Tokens the driver would fetch.
    #[serde(default)]
    pub(crate) tokens: BTreeMap<String, String>,
    pub(crate) steps: Vec<StepFile>,
}

/// A step, and what is expected of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StepFile {
    /// Moves the clock before the step.
    #[serde(default)]
    pub(crate) after: Option<Duration>,
    /// A request comes in.
    #[serde(default)]
    pub(crate) http: Option<RequestFile>,
    /// A WebSocket wants to open.
    #[serde(default)]
    pub(crate) open: Option<RequestFile>,
    /// A frame comes in on the socket: text as it is, anything else as JSON.
    #[serde(default)]
    pub(crate) frame: Option<Value>,
    /// A device connects to us by MQTT.
    #[serde(default)]
    pub(crate) mqtt_login: Option<Login>,
    /// An MQTT PUBLISH comes in.
    #[serde(default)]
    pub(crate) mqtt: Option<PublishFile>,
    /// A message is on its way to a device that is connected to us.
    #[serde(default)]
    pub(crate) downlink: Option<DownlinkFile>,
    /// An envelope goes out.
    #[serde(default)]
    pub(crate) send: Option<SendFile>,
    /// An envelope rides on the answer that the step before holds back.
    #[serde(default)]
    pub(crate) ride: Option<SendFile>,
    /// A token is to be fetched.
    #[serde(default)]
    pub(crate) token: Option<TokenFile>,
    /// A file that came in is to be fetched.
    #[serde(default)]
    pub(crate) fetch: Option<FetchFile>,
    /// A page of a line is to be pulled.
    #[serde(default)]
    pub(crate) pull: Option<PullFile>,
    /// What is signed: `body`, `header:name`, `query:name`, `json:/pointer/in/the/body`, `xml:Name`; of an MQTT
    /// login `username`, `password`, `client_id`, `certificate`. A changed byte in any of it is
    /// refused.
    #[serde(default)]
    pub(crate) signed: Vec<String>,
    /// Why a message of it may come again and count again: it has nothing by which it could be known.
    #[serde(default)]
    pub(crate) unkeyed: Option<String>,
    /// So much later the same is refused as stale.
    #[serde(default)]
    pub(crate) stale_after: Option<Duration>,
    /// Keeps values of the outcome for later steps, by pointer; they stand there as `{{name}}`.
    #[serde(default)]
    pub(crate) save: BTreeMap<String, String>,
    /// What was found when the fixture was made.
    #[serde(default)]
    pub(crate) expect: Value,
}

/// A story and its file.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) path: PathBuf,
    /// As it stands there, to be written back with what was found.
    pub(crate) raw: Value,
}

/// All fixtures of a kind.
#[derive(Debug, Clone)]
pub(crate) struct Fixtures {
    pub(crate) folder: PathBuf,
    pub(crate) setting: Setting,
    pub(crate) files: Vec<File>,
}

impl Fixtures {
    pub(crate) fn read(kind: &Kind, folder: &Path) -> Result<Self, String> {
        let setting = read(&folder.join(SETTING))?;
        let setting = Setting::deserialize(setting)
            .map_err(|error| format!("{}/{SETTING}: {error}", kind.manifest.id))?;
        let mut files = Vec::new();
        for path in list(folder)? {
            files.push(File {
                raw: read(&path)?,
                path,
            });
        }
        if files.is_empty() {
            return Err(format!("no fixtures in {}", folder.display()));
        }
        Ok(Self {
            folder: folder.to_owned(),
            setting,
            files,
        })
    }
}

impl File {
    /// `webchat/send.json`.
    pub(crate) fn name(&self) -> String {
        let mut parts = self.path.iter().rev().map(|part| part.to_string_lossy());
        let (file, folder) = (parts.next(), parts.next());
        format!(
            "{}/{}",
            folder.unwrap_or_default(),
            file.unwrap_or_default()
        )
    }
}

/// The options with others over them; null takes one away.
pub(crate) fn merged(
    options: &Map<String, Value>,
    over: &Map<String, Value>,
) -> Map<String, Value> {
    let mut options = options.clone();
    for (key, value) in over {
        if value.is_null() {
            options.remove(key);
        } else {
            options.insert(key.clone(), value.clone());
        }
    }
    options
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .filter(|path| !path.ends_with(SETTING) && !path.ends_with(LIVE))
        .collect();
    paths.sort();
    if paths.len() > FILES_MAX {
        return Err(format!(
            "{} fixtures are too many, {FILES_MAX} at most",
            paths.len()
        ));
    }
    Ok(paths)
}

fn read(path: &Path) -> Result<Value, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
}
