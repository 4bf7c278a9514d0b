//! The envelope: what travels on the bus.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Attributes, ChannelId, Command, Content, ConversationId, MessageId, Receipt, Time,
    open::open_enum,
};

/// The version this code writes; it reads every envelope of the same version.
pub const SCHEMA_VERSION: u16 = 1;

open_enum! {
    /// What an envelope carries.
    EnvelopeType {
        /// Something said, either way.
        Message = "message",
        /// The provider's word on an outbound.
        Receipt = "receipt",
        /// Something an agent or the API asks for.
        Command = "command",
        /// How a command ended.
        Result = "result",
    }
}

open_enum! {
    /// Towards us or away from us.
    Direction {
        /// Towards us.
        Inbound = "inbound",
        /// Away from us.
        Outbound = "outbound",
    }
}

open_enum! {
    /// How the channel proved who sent it.
    Authenticity {
        /// A signature over the raw bytes.
        Signature = "signature",
        /// A token we issued or share.
        Token = "token",
        /// A client certificate.
        Tls = "tls",
        /// Nothing; the channel's file says why.
        None = "none",
    }
}

/// One configured channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChannelRef {
    /// The configured id.
    pub id: ChannelId,
    /// The adapter's id.
    pub kind: String,
}

/// Who said it or to whom it goes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Party {
    /// The handle on the channel: openid, `tel:+..`, mailbox, visitor id, device id.
    pub address: String,
    /// Display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// BCP 47 language tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// The address is proven to belong to the person.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub verified: bool,
    /// What else is known.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub attributes: Attributes,
}

impl Party {
    /// The address of Patchbay itself: the sender of greetings and notices.
    pub const SYSTEM: &str = "system";

    /// Whether it is Patchbay itself.
    #[must_use]
    pub fn is_system(&self) -> bool {
        self.address == Self::SYSTEM
    }
}

/// How an answer can ride on what came in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReplyHandle {
    /// The provider's token.
    pub handle: String,
    /// After this it is worth nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// How many messages it is good for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<u32>,
}

/// One message, receipt or command on its way. Unknown fields are kept in `extra`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Envelope {
    /// [`SCHEMA_VERSION`].
    pub schema: u16,
    /// What it carries.
    #[serde(rename = "type")]
    pub kind: EnvelopeType,
    /// UUIDv7; the same for every retry of the same message.
    pub id: MessageId,
    /// Towards us or away from us.
    pub direction: Direction,
    /// On which channel.
    pub channel: ChannelRef,
    /// Channel and sender or group: everything with the same key keeps its order.
    pub partition_key: String,
    /// Mail references, reply tokens ... which the router resolves.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub thread_hints: Attributes,
    /// Once routed: the conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<ConversationId>,
    /// Once routed: the contact's number of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_seq: Option<u64>,
    /// Outbound: the lane it goes by (a thread id).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane_key: Option<String>,
    /// Outbound: its number in the lane, gapless from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_seq: Option<u64>,
    /// How often it fell back to another channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hop: Option<u8>,
    /// Who said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<Party>,
    /// To whom it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<Party>,
    /// The provider's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// The same key is taken once within the horizon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedupe_key: Option<String>,
    /// External or own id of the message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<String>,
    /// By the sender's or provider's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Time>,
    /// By ours.
    pub received_at: Time,
    /// What was said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub content: Vec<Content>,
    /// `type = "receipt"`: the provider's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
    /// `type = "command"`: what is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Command>,
    /// How an answer can ride on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<ReplyHandle>,
    /// How the sender was proven.
    pub authenticity: Authenticity,
    /// What else travels along.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub attributes: Attributes,
    /// Not to be sent after this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// W3C trace context, from ingress to delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Fields this version does not know.
    #[serde(flatten)]
    pub extra: Attributes,
}
