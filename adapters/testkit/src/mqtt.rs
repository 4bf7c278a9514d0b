//! What MQTT gives to an adapter: a client that logs in, a PUBLISH, a message for a device.

use std::collections::BTreeMap;

use patchbay_message::{ConversationId, MessageId, Party, Time};
use patchbay_sdk::{
    Channel, Cx, Downlink, From, MqttIn, MqttLogin, MqttProof, MqttVersion, Session, ThreadMessage,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{given::body, show};

/// CONNECT.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    #[serde(default)]
    pub(crate) client_id: String,
    #[serde(default)]
    pub(crate) username: Option<String>,
    #[serde(default, deserialize_with = "bytes")]
    pub(crate) password: Option<Vec<u8>>,
    /// Common name of a certificate the transport has checked.
    #[serde(default)]
    pub(crate) certificate: Option<String>,
}

fn bytes<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
    Option::<String>::deserialize(deserializer).map(|text| text.map(String::into_bytes))
}

impl Login {
    pub(crate) fn lend(&self) -> MqttLogin<'_> {
        MqttLogin {
            version: MqttVersion::V5,
            client_id: &self.client_id,
            username: self.username.as_deref(),
            password: self.password.as_deref(),
            certificate: self.certificate.as_deref(),
        }
    }

    /// A piece that is signed, by name.
    pub(crate) fn get(&self, piece: &str) -> Option<Vec<u8>> {
        match piece {
            "client_id" => Some(self.client_id.clone().into_bytes()),
            "username" => Some(self.username.clone()?.into_bytes()),
            "password" => self.password.clone(),
            "certificate" => Some(self.certificate.clone()?.into_bytes()),
            _ => None,
        }
    }

    /// The same with other bytes of the piece, or without it.
    pub(crate) fn set(mut self, piece: &str, bytes: Option<Vec<u8>>) -> Option<Self> {
        let text = || bytes.clone().map(String::from_utf8).transpose().ok();
        match piece {
            "client_id" => self.client_id = text()?.unwrap_or_default(),
            "username" => self.username = text()?,
            "password" => self.password = bytes,
            "certificate" => self.certificate = text()?,
            _ => return None,
        }
        Some(self)
    }
}

/// How what comes over a link is proven.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Link {
    Session,
    Tls,
    Login,
    None,
}

/// PUBLISH, as it stands in a file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PublishFile {
    topic: String,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    json: Option<Value>,
    #[serde(default)]
    base64: Option<String>,
    #[serde(default)]
    qos: Option<u8>,
    #[serde(default)]
    retained: bool,
    #[serde(default)]
    response_topic: Option<String>,
    #[serde(default)]
    correlation: Option<String>,
    #[serde(default)]
    content_type: Option<String>,
    #[serde(default)]
    properties: BTreeMap<String, String>,
    /// By default a device's own connection after `mqtt_login`, else a broker behind TLS.
    #[serde(default)]
    link: Option<Link>,
}

/// PUBLISH that owns its parts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Publish {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    qos: u8,
    retained: bool,
    response_topic: Option<String>,
    correlation: Option<String>,
    content_type: Option<String>,
    properties: Vec<(String, String)>,
    link: Option<Link>,
}

impl PublishFile {
    pub(crate) fn publish(&self) -> Result<Publish, String> {
        let base64 = self.base64.as_deref();
        Ok(Publish {
            topic: self.topic.clone(),
            payload: body(self.text.as_deref(), self.json.as_ref(), base64)?,
            qos: self.qos.unwrap_or(1),
            retained: self.retained,
            response_topic: self.response_topic.clone(),
            correlation: self.correlation.clone(),
            content_type: self.content_type.clone(),
            properties: self.properties.clone().into_iter().collect(),
            link: self.link,
        })
    }
}

impl Publish {
    pub(crate) fn of(topic: String, payload: Vec<u8>, retained: bool) -> Self {
        Self {
            topic,
            payload,
            retained,
            qos: 1,
            ..Self::default()
        }
    }

    pub(crate) fn lend(&self, session: &Session) -> MqttIn<'_> {
        let link = match (self.link, &session.party) {
            (Some(Link::Session), _) | (None, Some(_)) => MqttProof::Session,
            (Some(Link::Tls), _) | (None, None) => MqttProof::Tls,
            (Some(Link::Login), _) => MqttProof::Login,
            (Some(Link::None), _) => MqttProof::None,
        };
        MqttIn {
            topic: &self.topic,
            payload: &self.payload,
            qos: self.qos,
            retained: self.retained,
            response_topic: self.response_topic.as_deref(),
            correlation: self.correlation.as_deref().map(str::as_bytes),
            content_type: self.content_type.as_deref(),
            user_properties: &self.properties,
            link,
        }
    }
}

/// A message of the thread for a device that is connected to us.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DownlinkFile {
    /// The device's address.
    to: String,
    /// Its number in the thread.
    #[serde(default)]
    seq: Option<u64>,
    /// When it was said; now by default.
    #[serde(default)]
    at: Option<Time>,
    /// `agent`, `system` or `contact`.
    #[serde(default)]
    from: Option<String>,
    content: Value,
}

impl DownlinkFile {
    pub(crate) fn take(&self, channel: &dyn Channel, cx: &Cx<'_>) -> Result<Value, String> {
        let id = |text: &str| text.parse::<MessageId>().map_err(|error| error.to_string());
        let conversation = "01937e00-0000-7000-8000-0000000000c1".parse::<ConversationId>();
        let message = ThreadMessage {
            seq: self.seq.unwrap_or(1),
            id: id("01937e00-0000-7000-8000-000000000001")?,
            from: match self.from.as_deref() {
                Some("contact") => From::Contact,
                Some("system") => From::System,
                _ => From::Agent,
            },
            name: None,
            external_id: None,
            content: serde_json::from_value(self.content.clone())
                .map_err(|error| format!("`content`: {error}"))?,
            at: self.at.unwrap_or(cx.now),
            conversation_id: conversation.map_err(|error| error.to_string())?,
        };
        let device = Party {
            address: self.to.clone(),
            ..Party::default()
        };
        let found = channel.downlink(cx, &device, &message);
        Ok(found.map_or(Value::Null, |found| downlink(&found)))
    }
}

fn downlink(downlink: &Downlink) -> Value {
    json!({
        "publish": show::publish(&downlink.out),
        "awaits": downlink.awaits.as_ref().map(show::awaits),
    })
}
