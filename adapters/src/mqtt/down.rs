//! What is said to a device: a message becomes a PUBLISH.

use std::time::Duration;

use bytes::Bytes;
use patchbay_message::{Content, Part, ReceiptState, Time};
use patchbay_sdk::{
    Await, Cx, Effect, MqttOut, SendError,
    expr::{Expr, Scope, Source, Variables},
    mapping::{Compiler, is_id},
    plain_text,
    topic::Target,
};
use serde_json::{Map, Value, json};

use super::{
    Fleet,
    address::Shape,
    open::Topics,
    options::{AnswerWait, Down, OrElse},
};

/// What expressions of `down` may name.
pub(super) const NAMES: &[&str] = &[
    "id", "seq", "address", "topic", "command", "text", "content", "agent",
];
/// What a topic may name besides the names of the address.
const TOPIC_NAMES: &[&str] = &["address", "id", "seq", "command"];
/// How long a broker may take to acknowledge.
const PUBACK_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of one payload.
const PAYLOAD_BYTES_MAX: usize = 256 * 1024;

/// A compiled rule.
#[derive(Debug)]
pub(super) struct DownRule {
    topic: Target,
    payload: Payload,
    qos: u8,
    retain: bool,
    response_topic: Option<Target>,
    correlation: Option<Expr>,
    external_id: Option<Expr>,
    expire_after: Option<Duration>,
    answer: Option<Await>,
}

#[derive(Debug)]
enum Payload {
    Json(Expr),
    Text(Expr),
}

/// What is to be said, from an envelope or from the history of a thread.
pub(super) struct Saying<'a> {
    pub(super) id: String,
    pub(super) seq: Option<u64>,
    pub(super) address: &'a str,
    pub(super) agent: Option<&'a str>,
    pub(super) content: &'a [Content],
    /// When it was said.
    pub(super) at: Time,
    /// Worth nothing after this.
    pub(super) expires_at: Option<Time>,
}

/// How it is said.
pub(super) struct Said {
    pub(super) out: MqttOut,
    /// What the device's answer calls it.
    pub(super) external_id: String,
    pub(super) answer: Option<Await>,
    /// When it is worth nothing any more.
    pub(super) expires_at: Option<Time>,
}

impl DownRule {
    pub(super) fn compile(
        path: &str,
        down: &Down,
        shape: &Shape,
        is_live: bool,
        compiler: &mut Compiler<'_>,
    ) -> Option<Self> {
        let at = |key: &str| format!("{path}.{key}");
        let names: Vec<&str> = shape.names().collect();
        let fields = [
            ("topic", names.as_slice()),
            ("command", &["name", "arguments"][..]),
        ];
        let scope = Scope {
            variables: NAMES,
            fields: &fields,
        };
        let all: Vec<&str> = names.iter().chain(TOPIC_NAMES).copied().collect();
        let topic = compiler.target(&at("topic"), &down.topic, &all);
        let response_topic = down.response_topic.as_ref();
        let response_topic =
            response_topic.and_then(|text| compiler.target(&at("response_topic"), text, &all));
        let payload = payload(path, down, compiler, scope);
        let correlation = compiler.maybe(&at("correlation"), down.correlation.as_ref(), scope);
        let external_id = compiler.maybe(&at("external_id"), down.external_id.as_ref(), scope);
        let problems = &mut compiler.problems;
        problems.between(&at("qos"), down.qos, 0, 1);
        let secs = patchbay_sdk::options::Duration::secs;
        let days = patchbay_sdk::options::Duration::days;
        for (key, span) in [
            ("expire_after", down.expire_after),
            ("answer.within", down.answer.as_ref().map(|it| it.within)),
        ] {
            if let Some(span) = span {
                problems.between(&at(key), span, secs(1), days(366));
            }
        }
        let sentence =
            "is for `url`: the listener sends to whoever is connected, and keeps nothing";
        problems.require(!(is_live && down.retain), &at("retain"), sentence);
        Some(Self {
            topic: topic?,
            payload: payload?,
            qos: down.qos,
            retain: down.retain,
            response_topic,
            correlation,
            external_id,
            expire_after: down.expire_after.map(|span| span.get()),
            answer: down.answer.as_ref().map(awaited),
        })
    }

    /// The names in its topic.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.topic.names()
    }

    /// A filter that takes what this device is sent; none if its address says too little.
    pub(super) fn filter(&self, shape: &Shape, address: &str) -> Option<String> {
        let names = names(shape, address);
        let value = |name: &str| names.iter().find(|(own, _)| *own == name);
        let is_known = |name: &str| match name {
            "id" | "seq" | "command" => true,
            name => value(name).is_some(),
        };
        self.topic.names().all(is_known).then(|| {
            self.topic
                .filter_with(&|name| value(name).map(|(_, value)| (*value).to_owned()))
        })
    }
}

fn payload(
    path: &str,
    down: &Down,
    compiler: &mut Compiler<'_>,
    scope: Scope<'_>,
) -> Option<Payload> {
    match (&down.json, &down.text) {
        (Some(json), None) => compiler
            .tree(&format!("{path}.json"), json, scope)
            .map(Payload::Json),
        (None, text) => {
            let usual = Source::text("=text");
            let text = text.as_ref().unwrap_or(&usual);
            compiler
                .expr(&format!("{path}.text"), text, scope)
                .map(Payload::Text)
        }
        (Some(_), Some(_)) => {
            let sentence = "a payload is `json` or `text`, not both";
            compiler.problems.add(format!("{path}.text"), sentence);
            None
        }
    }
}

impl Payload {
    fn write(&self, variables: &Variables<'_>) -> Result<Vec<u8>, SendError> {
        let payload = match self {
            Self::Text(expr) => expr.text(variables).map(Option::unwrap_or_default),
            Self::Json(tree) => tree.eval(variables).map(|json| json.to_string()),
        };
        let what = match self {
            Self::Text(_) => "text",
            Self::Json(_) => "json",
        };
        let payload = payload.map_err(|error| SendError::Payload(format!("{what}: {error}")))?;
        if payload.len() > PAYLOAD_BYTES_MAX {
            let sentence = format!("{PAYLOAD_BYTES_MAX} bytes at most");
            return Err(SendError::Payload(sentence));
        }
        Ok(payload.into_bytes())
    }
}

fn awaited(answer: &AnswerWait) -> Await {
    Await {
        within: answer.within.get(),
        or_else: match answer.or_else {
            OrElse::Unknown => ReceiptState::Unknown,
            OrElse::Expired => ReceiptState::Expired,
        },
        fallback: false,
    }
}

/// The names of an address, and the address itself.
fn names<'a>(shape: &'a Shape, address: &'a str) -> Vec<(&'a str, &'a str)> {
    let mut names = shape.read(address).unwrap_or_default();
    names.push(("address", address));
    names
}

impl Fleet {
    /// How this is said to its device.
    ///
    /// # Errors
    /// [`SendError`]: no rule is for it, or it cannot be said so.
    pub(super) fn say(&self, cx: &Cx<'_>, saying: &Saying<'_>) -> Result<Said, SendError> {
        let (rule, parts) = self.rule_for(saying.content)?;
        let command = parts.iter().find_map(|part| command_of(part));
        let name = command.as_ref().map(|(name, _)| *name);
        let names = names(&self.shape, saying.address);
        let seq = saying.seq.map(|n| n.to_string());
        let value = |asked: &str| match asked {
            "id" => Some(saying.id.clone()),
            "seq" => seq.clone(),
            "command" => name.map(str::to_owned),
            asked => names
                .iter()
                .find(|(own, _)| *own == asked)
                .map(|(_, value)| (*value).to_owned()),
        };
        let build = |target: &Target| {
            target
                .build(&value)
                .map_err(|name| SendError::Payload(format!("`{name}` cannot stand in a topic")))
        };
        let topic = build(&rule.topic)?;
        let response_topic = rule.response_topic.as_ref().map(build).transpose()?;
        let variables = self.variables(saying, &parts, command, &names)?;
        let text = |expr: &Expr, what: &str| {
            expr.text(&variables)
                .map_err(|error| SendError::Payload(format!("{what}: {error}")))
        };
        let payload = rule.payload.write(&variables)?;
        let correlation = rule.correlation.as_ref();
        let correlation = correlation.map(|expr| text(expr, "correlation"));
        let external_id = rule.external_id.as_ref();
        let external_id = external_id.map(|expr| text(expr, "external_id"));
        let external_id = external_id
            .transpose()?
            .flatten()
            .filter(|id| is_id(id))
            .unwrap_or_else(|| saying.id.clone());
        // Who answers elsewhere has to say what.
        let usual = rule.response_topic.is_some().then(|| external_id.clone());
        let correlation = correlation.transpose()?.flatten();
        let by_rule = rule.expire_after.map(|span| saying.at.plus(span));
        let expires_at = [saying.expires_at, by_rule].into_iter().flatten().min();
        Ok(Said {
            out: MqttOut {
                topic,
                payload: Bytes::from(payload),
                qos: rule.qos,
                retain: rule.retain,
                response_topic,
                correlation: correlation.or(usual).map(Bytes::from),
                content_type: match rule.payload {
                    Payload::Json(_) => Some("application/json".to_owned()),
                    Payload::Text(_) => None,
                },
                expires_after: expires_at.map(|at| at.since(cx.now)),
                effect: Effect::Deliver { part: 0, key: None },
                timeout: PUBACK_TIMEOUT,
            },
            external_id,
            answer: rule.answer.clone(),
            expires_at,
        })
    }

    /// The rule, and the parts it is for: one PUBLISH says one thing.
    fn rule_for<'a>(
        &self,
        content: &'a [Content],
    ) -> Result<(&DownRule, Vec<&'a Content>), SendError> {
        let mut found: Option<(&str, &DownRule, Vec<&Content>)> = None;
        for part in content {
            let Some((name, rule)) = self.rule_of(part) else {
                continue;
            };
            match &mut found {
                None => found = Some((name, rule, vec![part])),
                Some((other, _, parts)) if *other == name && name == TEXT => parts.push(part),
                Some(_) => {
                    let sentence = "a device is told one thing at a time";
                    return Err(SendError::Payload(sentence.to_owned()));
                }
            }
        }
        let (_, rule, parts) = found.ok_or(SendError::Unsupported)?;
        Ok((rule, parts))
    }

    fn rule_of<'f>(&'f self, part: &Content) -> Option<(&'f str, &'f DownRule)> {
        let rule = |name: &str| {
            let (name, rule) = self.downs.get_key_value(name)?;
            Some((name.as_str(), rule))
        };
        if let Some((name, _)) = command_of(part) {
            // A word of the schema is a kind of content: such a command goes by `down.command`.
            let own = (!Part::TYPES.contains(&name)).then(|| rule(name)).flatten();
            return own.or_else(|| rule("command"));
        }
        rule(part.type_name()).or_else(|| plain_text(part).and_then(|_| rule(TEXT)))
    }

    fn variables(
        &self,
        saying: &Saying<'_>,
        parts: &[&Content],
        command: Option<(&str, Option<&Value>)>,
        names: &[(&str, &str)],
    ) -> Result<Variables<'_>, SendError> {
        let texts: Vec<String> = parts.iter().filter_map(|part| plain_text(part)).collect();
        let text = texts.join("\n");
        let topic: Map<String, Value> = names
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).into()))
            .collect();
        let command =
            command.map(|(name, arguments)| json!({ "name": name, "arguments": arguments }));
        let mut variables = Variables::default();
        for (name, value) in [
            ("id", json!(saying.id)),
            ("seq", json!(saying.seq)),
            ("address", json!(saying.address)),
            ("topic", Value::Object(topic)),
            ("command", json!(command)),
            ("text", json!(text)),
            ("content", json!(parts)),
            ("agent", json!(saying.agent)),
        ] {
            variables
                .set(name, value)
                .map_err(|error| SendError::Payload(error.to_string()))?;
        }
        self.tables.lend(&mut variables);
        Ok(variables)
    }
}

/// The rule for whatever can be read as text.
const TEXT: &str = "text";

fn command_of(part: &Content) -> Option<(&str, Option<&Value>)> {
    match part {
        Content::Known(Part::Command {
            name, arguments, ..
        }) => Some((name, arguments.as_ref())),
        _ => None,
    }
}
