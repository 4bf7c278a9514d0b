//! The provider's word on an outbound message.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Time, open::open_enum};

open_enum! {
    /// How far an outbound message got. States only rise, see [`ReceiptState::rank`].
    ReceiptState {
        /// Committed by us, not yet handed to the provider.
        Queued = "queued",
        /// The provider has taken it.
        Accepted = "accepted",
        /// The provider has sent it on.
        Sent = "sent",
        /// It reached the contact's device.
        Delivered = "delivered",
        /// The contact has seen it.
        Read = "read",
        /// It will not arrive.
        Failed = "failed",
        /// Its time ran out before it could be sent or delivered.
        Expired = "expired",
        /// Bytes left us and no answer came: it may or may not have arrived.
        Unknown = "unknown",
    }
}

impl ReceiptState {
    /// The order in which states may follow each other: a state replaces one of lower rank only.
    /// `unknown` gives way to any word of the provider; `failed` and `expired` come before
    /// `delivered`, since a late delivery proves them wrong.
    #[must_use]
    pub fn rank(&self) -> u8 {
        match self {
            Self::Queued | Self::Other(_) => 0,
            Self::Unknown => 1,
            Self::Accepted => 2,
            Self::Sent => 3,
            Self::Failed | Self::Expired => 4,
            Self::Delivered => 5,
            Self::Read => 6,
        }
    }
}

/// One word of the provider, matched to its message by `(channel, external_id)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Receipt {
    /// The provider's id of the message (or of one part of it) the receipt speaks of.
    pub external_id: String,
    /// What happened.
    pub state: ReceiptState,
    /// When, by the provider's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// The provider's own code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The provider's own words, without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}
