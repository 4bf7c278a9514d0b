//! What the platform pushes: messages and events of users, as XML or JSON, plain or sealed.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::{crypt::Seal, window::Sign, xml::cdata};

/// How a callback wants to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// In the open.
    Plain,
    /// In the open, and sealed beside it.
    Compatible,
    /// Sealed.
    Safe,
}

/// How a callback wants it written; only mini-programs may have JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `text/xml`.
    Xml,
    /// `application/json`.
    Json,
}

/// Something a user did.
#[derive(Debug, Clone, PartialEq)]
pub struct Push {
    /// Fields beside the common ones, in order. Text, numbers, and objects of them.
    pub fields: Vec<(&'static str, Value)>,
    /// Whether it gets a `MsgId`: messages do, events do not.
    pub numbered: bool,
    /// What the user's doing allows the account to say.
    pub sign: Option<Sign>,
    pub(super) standing: Option<Standing>,
}

/// How a user stands to the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Follows; of a mini-program, uses it.
    Follows,
    /// Never followed, or does not any more.
    Stranger,
    /// Follows and wants to hear nothing.
    Blocks,
}

impl Push {
    fn message(msg_type: &str, fields: &[(&'static str, &str)]) -> Self {
        let mut all = vec![("MsgType", json!(msg_type))];
        all.extend(fields.iter().map(|(name, text)| (*name, json!(text))));
        Self {
            fields: all,
            numbered: true,
            sign: Some(Sign::Message),
            standing: None,
        }
    }

    /// An event with fields of its own.
    #[must_use]
    pub fn event(event: &str, fields: &[(&'static str, &str)]) -> Self {
        let mut all = vec![("MsgType", json!("event")), ("Event", json!(event))];
        all.extend(fields.iter().map(|(name, text)| (*name, json!(text))));
        Self {
            fields: all,
            numbered: false,
            sign: None,
            standing: None,
        }
    }

    /// The same with one field more.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: Value) -> Self {
        self.fields.push((name, value));
        self
    }

    fn allowing(mut self, sign: Sign) -> Self {
        self.sign = Some(sign);
        self
    }

    /// Text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::message("text", &[("Content", text)])
    }

    /// A picture.
    #[must_use]
    pub fn image(media_id: &str, url: &str) -> Self {
        Self::message("image", &[("PicUrl", url), ("MediaId", media_id)])
    }

    /// Something said, and what was understood.
    #[must_use]
    pub fn voice(media_id: &str, recognition: Option<&str>) -> Self {
        let voice = Self::message("voice", &[("MediaId", media_id), ("Format", "amr")]);
        match recognition {
            Some(text) => voice.with("Recognition", json!(text)),
            None => voice,
        }
    }

    /// A film.
    #[must_use]
    pub fn video(media_id: &str, thumb_media_id: &str) -> Self {
        Self::message(
            "video",
            &[("MediaId", media_id), ("ThumbMediaId", thumb_media_id)],
        )
    }

    /// A film taken in the chat.
    #[must_use]
    pub fn short_video(media_id: &str, thumb_media_id: &str) -> Self {
        Self::message(
            "shortvideo",
            &[("MediaId", media_id), ("ThumbMediaId", thumb_media_id)],
        )
    }

    /// A place.
    #[must_use]
    pub fn location(latitude: &str, longitude: &str, label: &str) -> Self {
        let place = [("Location_X", latitude), ("Location_Y", longitude)];
        Self::message("location", &place)
            .with("Scale", json!(20))
            .with("Label", json!(label))
    }

    /// A page.
    #[must_use]
    pub fn link(title: &str, description: &str, url: &str) -> Self {
        Self::message(
            "link",
            &[("Title", title), ("Description", description), ("Url", url)],
        )
    }

    /// A card of a mini-program.
    #[must_use]
    pub fn card(title: &str, appid: &str, page: &str, thumb_media_id: &str) -> Self {
        let fields = [
            ("Title", title),
            ("AppId", appid),
            ("PagePath", page),
            ("ThumbMediaId", thumb_media_id),
        ];
        Self::message("miniprogrampage", &fields)
    }

    /// Follows, by the QR code of a scene or without.
    #[must_use]
    pub fn follow(scene: Option<&str>) -> Self {
        let follow = match scene {
            Some(scene) => {
                let key = format!("qrscene_{scene}");
                Self::event("subscribe", &[("EventKey", &key), ("Ticket", "TICKET")])
            }
            None => Self::event("subscribe", &[("EventKey", "")]),
        };
        Self {
            standing: Some(Standing::Follows),
            ..follow.allowing(Sign::Follow)
        }
    }

    /// Does not follow any more.
    #[must_use]
    pub fn leave() -> Self {
        let leave = Self::event("unsubscribe", &[("EventKey", "")]);
        Self {
            standing: Some(Standing::Stranger),
            ..leave
        }
    }

    /// A follower scans a QR code.
    #[must_use]
    pub fn scan(scene: &str) -> Self {
        Self::event("SCAN", &[("EventKey", scene), ("Ticket", "TICKET")]).allowing(Sign::Scan)
    }

    /// A menu entry.
    #[must_use]
    pub fn click(key: &str) -> Self {
        Self::event("CLICK", &[("EventKey", key)]).allowing(Sign::Menu)
    }

    /// A menu entry that opens a page.
    #[must_use]
    pub fn view(url: &str) -> Self {
        Self::event("VIEW", &[("EventKey", url)])
    }

    /// Where the user is.
    #[must_use]
    pub fn whereabouts(latitude: &str, longitude: &str) -> Self {
        let place = [
            ("Latitude", latitude),
            ("Longitude", longitude),
            ("Precision", "119.385040"),
        ];
        Self::event("LOCATION", &place)
    }

    /// Opens customer service of a mini-program.
    #[must_use]
    pub fn enter(session_from: &str) -> Self {
        Self::event("user_enter_tempsession", &[("SessionFrom", session_from)])
            .allowing(Sign::Enter)
    }
}

/// A push as it goes over the wire, to be sent as it is or changed first.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// Parameters behind the callback's address.
    pub query: Vec<(String, String)>,
    /// `text/xml` or `application/json`.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
    /// Its `MsgId`, if it has one.
    pub msg_id: Option<i64>,
}

impl Envelope {
    /// Replaces a parameter.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.query.retain(|(known, _)| known != name);
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Leaves a parameter out.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.query.retain(|(known, _)| known != name);
        self
    }

    /// The value of a parameter.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Common fields, then the push's own.
pub(super) fn fields(
    push: &Push,
    to: &str,
    from: &str,
    at_s: i64,
    msg_id: Option<i64>,
) -> Map<String, Value> {
    let mut all = Map::new();
    all.insert("ToUserName".to_owned(), json!(to));
    all.insert("FromUserName".to_owned(), json!(from));
    all.insert("CreateTime".to_owned(), json!(at_s));
    all.extend(
        push.fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone())),
    );
    if let Some(msg_id) = msg_id {
        all.insert("MsgId".to_owned(), json!(msg_id));
    }
    all
}

/// Wraps the fields the way the callback wants them.
pub(super) fn wrap(
    fields: &Map<String, Value>,
    (mode, format): (Mode, Format),
    seal: &Seal,
    (at_s, nonce): (i64, &str),
) -> Envelope {
    let at = at_s.to_string();
    let from = fields["FromUserName"].as_str().unwrap_or_default();
    let mut query = vec![("signature".to_owned(), seal.sign(&[&at, nonce]))];
    let mut add = |name: &str, value: &str| query.push((name.to_owned(), value.to_owned()));
    add("timestamp", &at);
    add("nonce", nonce);
    add("openid", from);
    let mut outside = fields.clone();
    if mode != Mode::Plain {
        let encrypt = seal.seal(write(fields, format).as_bytes());
        add("encrypt_type", "aes");
        add("msg_signature", &seal.sign(&[&at, nonce, &encrypt]));
        if mode == Mode::Safe {
            outside.retain(|name, _| name == "ToUserName");
        }
        outside.insert("Encrypt".to_owned(), json!(encrypt));
    }
    Envelope {
        query,
        content_type: match format {
            Format::Xml => "text/xml",
            Format::Json => "application/json",
        },
        body: write(&outside, format),
        msg_id: fields.get("MsgId").and_then(Value::as_i64),
    }
}

fn write(fields: &Map<String, Value>, format: Format) -> String {
    match format {
        Format::Json => Value::Object(fields.clone()).to_string(),
        Format::Xml => format!("<xml>{}</xml>", elements(fields)),
    }
}

fn elements(fields: &Map<String, Value>) -> String {
    let mut text = String::new();
    for (name, value) in fields {
        let inner = match value {
            Value::String(value) => cdata(value),
            Value::Object(fields) => elements(fields),
            other => other.to_string(),
        };
        let _ = write!(text, "<{name}>{inner}</{name}>");
    }
    text
}
