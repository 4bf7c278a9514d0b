//! What was said: the parts of a message.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Attributes, Time,
    fields::{Field, Fields},
    open::open_enum,
};

/// One part of a message, and the fields of it this version does not know.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every part is a known one; a box would cost each an allocation"
)]
pub enum Content {
    /// A part of a kind this version knows.
    Known(Part),
    /// A part of another kind, kept as it came.
    Other(#[schemars(schema_with = "of_another_kind")] Value),
}

/// A part of a known kind must have its fields: it does not pass for one of another kind.
fn of_another_kind(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "properties": { "type": { "not": { "enum": Part::TYPES } } },
    })
}

impl Content {
    /// Plain text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Known(Part::Text {
            text: text.into(),
            extra: Attributes::new(),
        })
    }

    /// The part's `type` on the wire.
    #[must_use]
    pub fn type_name(&self) -> &str {
        match self {
            Self::Known(part) => part.type_name(),
            Self::Other(raw) => raw
                .get("type")
                .and_then(Value::as_str)
                .unwrap_or("unsupported"),
        }
    }

    /// The text, if it is a text part.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Known(Part::Text { text, .. }) => Some(text),
            _ => None,
        }
    }
}

macro_rules! parts {
    ($($(#[$doc:meta])* $variant:ident = $word:literal { $($(#[$fdoc:meta])* $field:ident: $ty:ty,)* })*) => {
        /// The kinds of part this version knows; `type` names them on the wire.
        #[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
        #[serde(tag = "type")]
        pub enum Part {
            $($(#[$doc])* #[serde(rename = $word)] $variant {
                $($(#[$fdoc])* $field: $ty,)*
                /// Fields this version does not know.
                #[serde(flatten)]
                extra: Attributes,
            },)*
        }

        impl Part {
            /// Every `type` this version knows.
            pub const TYPES: &'static [&'static str] = &[$($word),*];

            /// The part's `type` on the wire.
            #[must_use]
            pub fn type_name(&self) -> &'static str {
                match self { $(Self::$variant { .. } => $word,)* }
            }

            /// The part of this `type`, of its fields; none if the type is not known.
            pub(crate) fn of_fields<E: serde::de::Error>(
                kind: &str,
                fields: Fields,
            ) -> Result<Result<Self, Fields>, E> {
                match kind {
                    $($word => {
                        let mut fields = fields;
                        $(let $field = Field::take(&mut fields, stringify!($field))?;)*
                        Ok(Ok(Self::$variant { $($field,)* extra: fields.rest() }))
                    })*
                    _ => Ok(Err(fields)),
                }
            }

            /// Fields this version does not know.
            #[must_use]
            pub fn extra(&self) -> &Attributes {
                match self { $(Self::$variant { extra, .. } => extra,)* }
            }
        }
    };
}

parts! {
    /// Plain text, NFC.
    Text = "text" {
        /// What was said.
        text: String,
    }
    /// HTML of a mail, never shown unsanitized.
    Html = "html" {
        /// The document.
        html: String,
    }
    /// A picture.
    Image = "image" {
        /// Where it is.
        #[serde(flatten)]
        media: Media,
    }
    /// A sound or voice message.
    Audio = "audio" {
        /// Where it is.
        #[serde(flatten)]
        media: Media,
        /// What a provider recognised in it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        transcript: Option<String>,
    }
    /// A video.
    Video = "video" {
        /// Where it is.
        #[serde(flatten)]
        media: Media,
    }
    /// Any other file.
    File = "file" {
        /// Where it is.
        #[serde(flatten)]
        media: Media,
    }
    /// A place.
    Location = "location" {
        /// Where.
        #[serde(flatten)]
        location: Location,
        /// Its name or address.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        label: Option<String>,
    }
    /// Somebody's address card.
    Contact = "contact" {
        /// Display name.
        name: String,
        /// Addresses as `tel:`, `mailto:` ... URIs.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        addresses: Vec<String>,
    }
    /// A question with answers to choose from, or the answer chosen.
    Choice = "choice" {
        /// The question.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        /// The answers on offer.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        options: Vec<Choice>,
        /// The id of the one chosen.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        chosen: Option<String>,
    }
    /// A link with title and picture.
    Card = "card" {
        /// Title.
        title: String,
        /// Description.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        /// Where it leads.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<String>,
        /// Its picture.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        image: Option<String>,
    }
    /// A text prepared with the provider, and its values.
    Template = "template" {
        /// The provider's id of it.
        template: String,
        /// Values by name.
        #[serde(default)]
        values: Attributes,
    }
    /// Something that happened on the channel: subscribe, click, scan ...
    Event = "event" {
        /// Its name.
        name: String,
        /// What came with it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<Value>,
    }
    /// A device's fault, raised or cleared.
    Fault = "fault" {
        /// What is wrong.
        #[serde(flatten)]
        fault: Fault,
    }
    /// Readings of a device.
    Telemetry = "telemetry" {
        /// Values by name.
        readings: Attributes,
        /// When they were taken.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        taken_at: Option<Time>,
    }
    /// An order to a device.
    Command = "command" {
        /// What it is to do.
        name: String,
        /// With what.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        arguments: Option<Value>,
    }
    /// A reaction to an earlier message.
    Reaction = "reaction" {
        /// The emoji; empty takes the reaction back.
        emoji: String,
        /// External id of the message it is about.
        to: String,
    }
    /// A new text for an earlier message.
    Edit = "edit" {
        /// External id of the message.
        of: String,
        /// The new text.
        text: String,
    }
    /// An earlier message is taken back.
    Recall = "recall" {
        /// External id of the message.
        of: String,
    }
    /// Authentic, but not understood; the raw form is kept by reference.
    Unsupported = "unsupported" {
        /// What the provider calls it.
        what: String,
        /// Where the raw form is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        raw: Option<String>,
    }
}

/// A file by reference: the blob is durable before any publish that names it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Media {
    /// `/media/{token}` on our public address, the provider's address, or `provider:<handle>` for a
    /// file that has to be fetched from the provider first.
    pub url: String,
    /// Type read from the bytes.
    pub mime: String,
    /// Bytes.
    pub size: u64,
    /// File name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Words beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caption: Option<String>,
    /// Pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
}

impl Media {
    /// What an address begins with while the file is still at the provider: its handle follows.
    pub const PROVIDER: &'static str = "provider:";

    /// The provider's handle of a file that is not ours yet.
    #[must_use]
    pub fn handle(&self) -> Option<&str> {
        self.url.strip_prefix(Self::PROVIDER)
    }
}

impl Part {
    /// The file, if the part is one.
    #[must_use]
    pub fn media(&self) -> Option<&Media> {
        match self {
            Self::Image { media, .. }
            | Self::Audio { media, .. }
            | Self::Video { media, .. }
            | Self::File { media, .. } => Some(media),
            _ => None,
        }
    }

    /// The file, if the part is one, and the fields beside it that this version does not know.
    pub fn media_mut(&mut self) -> Option<(&mut Media, &mut Attributes)> {
        match self {
            Self::Image { media, extra }
            | Self::Audio { media, extra, .. }
            | Self::Video { media, extra }
            | Self::File { media, extra } => Some((media, extra)),
            _ => None,
        }
    }
}

/// WGS 84 degrees.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Location {
    /// Latitude, -90 to 90.
    pub lat: f64,
    /// Longitude, -180 to 180.
    pub lon: f64,
}

/// One answer on offer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Choice {
    /// Comes back as `chosen`.
    pub id: String,
    /// What people read.
    pub label: String,
}

open_enum! {
    /// How bad a fault is.
    Severity {
        /// Out of service.
        Critical = "critical",
        /// Seriously impaired.
        Major = "major",
        /// Impaired.
        Minor = "minor",
        /// May become worse.
        Warning = "warning",
    }
}

impl Severity {
    /// The order of severities: a report may only raise a ticket's.
    #[must_use]
    pub fn rank(&self) -> u8 {
        match self {
            Self::Critical => 4,
            Self::Major => 3,
            Self::Minor => 2,
            Self::Warning => 1,
            Self::Other(_) => 0,
        }
    }
}

open_enum! {
    /// Whether a fault is there.
    FaultState {
        /// It is there.
        Raised = "raised",
        /// It is gone.
        Cleared = "cleared",
    }
}

/// A device's fault. The device's own time or sequence decides raised against cleared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// Which device.
    pub device: String,
    /// The device's own code.
    pub code: String,
    /// How bad.
    pub severity: Severity,
    /// Raised or cleared.
    pub state: FaultState,
    /// By the device's own clock.
    pub occurred_at: Time,
    /// By the device's own count; where both have one it decides what came later, not the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// Words for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Where the device is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    /// Readings at that moment.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub readings: Attributes,
}
