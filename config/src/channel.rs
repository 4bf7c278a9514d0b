//! A channel's file: what is common to all kinds, and the adapter's own `[options]` with their places in the file.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Duration;
use crate::document::Document;
use crate::mistake::{Mistake, Mistakes};
use crate::path::Path;
use crate::secret::Secrets;
use crate::shape::{Shape, Trouble, typed};

/// How a channel's id looks; it is the file's stem: `^[a-z][a-z0-9-]{0,39}$`.
#[must_use]
pub fn is_channel_id(id: &str) -> bool {
    let rest = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    id.len() <= 40 && id.starts_with(|c: char| c.is_ascii_lowercase()) && id.chars().all(rest)
}

/// A channel as its file describes it.
#[derive(Debug, Clone)]
pub struct ChannelFile {
    /// The file's stem.
    pub id: String,
    /// What all kinds have in common.
    pub common: ChannelCommon,
    /// What only the adapter understands.
    pub options: Options,
}

/// The keys outside `[options]`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Channel")]
pub struct ChannelCommon {
    /// The adapter that speaks for this channel; `patchbay adapter list` shows all.
    pub kind: String,
    /// How the other side proves who it is.
    pub auth: Auth,
    /// False keeps the file and stops the channel. Default: true.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// How much this channel sends.
    #[serde(default)]
    pub limits: Limits,
    /// What happens when a send fails.
    #[serde(default)]
    pub retry: Retry,
    /// The adapter's own.
    #[serde(default)]
    pub options: Map<String, Value>,
}

fn yes() -> bool {
    true
}

/// How the other side proves who it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// A signature over each request.
    Signature,
    /// A secret sent along.
    Token,
    /// A certificate, or a link that we open ourselves over TLS.
    Tls,
    /// Nothing; the text says why that is acceptable.
    None(String),
}

/// How much a channel sends.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Messages a second. Default: the adapter's.
    pub send_per_second: Option<f64>,
    /// Sends at one time. Default: `sinks.channel_in_flight_max`.
    pub in_flight_max: Option<NonZeroUsize>,
}

/// What happens when a send fails.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// Before the second attempt; doubles from there, with jitter. Default: 1s.
    pub delay_min: Duration,
    /// Between two attempts at most. Default: 5m.
    pub delay_max: Duration,
    /// After this a message is given up as expired. Default: 24h.
    pub expire_after: Duration,
    /// Attempts at most. Default: none, time decides.
    pub attempts_max: Option<NonZeroU32>,
    /// When nobody knows whether a message went out. Default: `hold`, a
    /// reply is never silently sent twice.
    pub on_unknown: OnUnknown,
    /// What follows a dead message in its conversation. Default: `continue`.
    pub on_dead: OnDead,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            delay_min: Duration::secs(1),
            delay_max: Duration::secs(300),
            expire_after: Duration::days(1),
            attempts_max: None,
            on_unknown: OnUnknown::default(),
            on_dead: OnDead::default(),
        }
    }
}

/// When the bytes left and no answer came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnUnknown {
    /// Send again: the contact may see it twice.
    Resend,
    /// Wait for a person to decide.
    #[default]
    Hold,
}

/// What follows a dead message in its conversation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnDead {
    /// The next messages go out.
    #[default]
    Continue,
    /// They wait for a person to decide.
    Hold,
}

/// `[options]`: the value, and for every part of it its place in the file.
#[derive(Debug, Clone)]
pub struct Options {
    document: Document,
    secrets: Arc<Secrets>,
}

impl Options {
    /// Reads the options as `T`, secrets fetched.
    ///
    /// # Errors
    /// Every mistake, with its place. In an offline check the list may be empty: then only absent secrets stood in
    /// the way.
    pub fn deserialize<T: DeserializeOwned + JsonSchema>(&self) -> Result<T, Mistakes> {
        self.open(schemars::schema_for!(T).as_value(), typed)
    }

    /// Hands the options, secrets fetched, to `open`, which judges shape and sense. It is called again with parts
    /// left out to find further mistakes of shape, so it must have no effect but its result.
    ///
    /// # Errors
    /// As [`Options::deserialize`].
    pub fn open<T>(
        &self,
        schema: &Value,
        open: impl FnMut(Value) -> Result<T, Trouble>,
    ) -> Result<T, Mistakes> {
        let mut document = self.document.clone();
        let shape = Shape {
            document: &mut document,
            prefix: Self::prefix(),
            schema,
            secrets: &self.secrets,
        };
        shape.take(open).map_err(Mistakes::from)
    }

    /// A mistake in the options that was found elsewhere: `path` is `a.b.0` below `[options]`.
    #[must_use]
    pub fn mistake(&self, path: &str, sentence: &str) -> Mistake {
        let below = Self::prefix()
            .get(&self.document.value)
            .map(|value| Path::find(value, path));
        let place = Self::prefix().join(&below.unwrap_or_default());
        self.document.at_value(&place, sentence)
    }

    fn prefix() -> Path {
        Path::default().child("options")
    }
}

/// Reads a channel's file; what can be read is returned beside the mistakes.
pub(crate) fn read(
    id: &str,
    mut document: Document,
    schema: &Value,
    secrets: &Arc<Secrets>,
) -> Result<ChannelFile, Vec<Mistake>> {
    let shape = Shape {
        document: &mut document,
        prefix: Path::default(),
        schema,
        secrets,
    };
    let common = shape.take(|value| {
        let common: ChannelCommon = typed(value)?;
        let problems = common.problems();
        if problems.is_empty() {
            Ok(common)
        } else {
            Err(Trouble::Problems(problems))
        }
    })?;
    Ok(ChannelFile {
        id: id.to_owned(),
        common,
        options: Options {
            document,
            secrets: Arc::clone(secrets),
        },
    })
}

impl ChannelFile {
    /// A mistake in a common key that was found elsewhere, `kind` for example.
    #[must_use]
    pub fn mistake(&self, path: &str, sentence: &str) -> Mistake {
        let document = &self.options.document;
        document.at_value(&Path::find(&document.value, path), sentence)
    }
}

impl ChannelCommon {
    /// What serde cannot see.
    fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let mut wrong = |path: &str, sentence: &str| {
            problems.push((path.to_owned(), format!("`{path}`: {sentence}")));
        };
        if matches!(&self.auth, Auth::None(reason) if reason.trim().is_empty()) {
            wrong("auth.none", "say why nobody needs to prove anything here");
        }
        if self.limits.send_per_second.is_some_and(|rate| rate <= 0.0) {
            wrong(
                "limits.send_per_second",
                "must be more than 0; `enabled = false` stops a channel",
            );
        }
        if self.retry.delay_min.is_zero() {
            wrong("retry.delay_min", "must be more than 0");
        }
        if self.retry.delay_max < self.retry.delay_min {
            wrong("retry.delay_max", "must not be less than `delay_min`");
        }
        if self.retry.expire_after < self.retry.delay_min {
            wrong("retry.expire_after", "leaves no time for a second attempt");
        }
        problems
    }
}
