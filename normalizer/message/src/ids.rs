//! Ids: UUIDv7 for what we name ourselves, a checked short name for a channel.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a valid {what}")]
pub struct BadId {
    /// What was expected, for the sentence.
    pub what: &'static str,
    /// What was found, cut to 64 characters.
    pub text: String,
}

impl BadId {
    fn new(what: &'static str, text: &str) -> Self {
        Self {
            what,
            text: text.chars().take(64).collect(),
        }
    }
}

macro_rules! uuid_id {
    ($($(#[$doc:meta])* $name:ident = $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        #[schemars(extend("format" = "uuid"))]
        pub struct $name(#[schemars(with = "String")] pub Uuid);

        impl $name {
            /// A new id, ordered by the time it was made (RFC 9562, version 7).
            #[must_use]
            #[expect(clippy::new_without_default, reason = "a default id would be a surprise")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                Uuid::parse_str(text).map(Self).map_err(|_| BadId::new($what, text))
            }
        }
    )*};
}

uuid_id! {
    /// One message, receipt or command on the bus.
    MessageId = "message id";
    /// A person or device known by one or more addresses.
    ContactId = "contact id";
    /// The talk between a contact and us.
    ConversationId = "conversation id";
    /// The contact's numbered view of the talk on one channel; also names its outbound lane.
    ThreadId = "thread id";
    /// A human operator.
    AgentId = "agent id";
    /// A team of agents.
    GroupId = "group id";
    /// A bearer token's row; never the token itself.
    TokenId = "token id";
    /// One thing an agent or the API asked for.
    CommandId = "command id";
    /// A piece of work.
    TicketId = "ticket id";
}

/// Namespace of [`ThreadId::of`]; drawn once at random.
const THREADS: Uuid = Uuid::from_u128(0x6d0c_55a3_9f5e_4b0b_8f0e_2b1c_7d42_a911);

impl ThreadId {
    /// The thread of an address on a channel: the same for everyone who asks, without a look-up, so
    /// that a live connection can be registered before the first message is routed.
    #[must_use]
    pub fn of(channel: &ChannelId, address: &str) -> Self {
        Self(Uuid::new_v5(
            &THREADS,
            format!("{channel}:{address}").as_bytes(),
        ))
    }
}

/// A configured channel: its file's stem, `^[a-z][a-z0-9-]{0,39}$`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = "^[a-z][a-z0-9-]{0,39}$"))]
pub struct ChannelId(std::sync::Arc<str>);

impl ChannelId {
    /// Checks the text and makes an id of it.
    ///
    /// # Errors
    /// [`BadId`] if the text does not match `^[a-z][a-z0-9-]{0,39}$`.
    pub fn new(text: &str) -> Result<Self, BadId> {
        let mut bytes = text.bytes();
        let good = bytes.next().is_some_and(|b| b.is_ascii_lowercase())
            && text.len() <= 40
            && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if good {
            Ok(Self(text.into()))
        } else {
            Err(BadId::new("channel id", text))
        }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ChannelId {
    type Error = BadId;
    fn try_from(text: String) -> Result<Self, BadId> {
        Self::new(&text)
    }
}

impl FromStr for ChannelId {
    type Err = BadId;
    fn from_str(text: &str) -> Result<Self, BadId> {
        Self::new(text)
    }
}

impl From<ChannelId> for String {
    fn from(id: ChannelId) -> Self {
        id.0.as_ref().into()
    }
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One running process: names the owner of leases and the mailbox of a gateway.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstanceId(pub String);

impl InstanceId {
    /// A name for this start of this process; a restart is another instance.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "a default id would be a surprise"
    )]
    pub fn new() -> Self {
        Self(Uuid::now_v7().simple().to_string())
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
