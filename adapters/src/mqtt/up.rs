//! What a device says: a PUBLISH becomes messages and receipts.

use patchbay_message::{Attributes, Content, FaultState, Part, Party, Time};
use patchbay_sdk::{
    Cx, Decoded, Inbound, InboundMessage, MqttIn, MqttProof, Reject, Reply, Session, Verified,
    device,
    expr::{ENTRIES_MAX, Variables, lossless_json},
    mapping::{Failed, is_id, maybe_id},
    topic, verify,
};
use serde_json::{Map, Value};

use super::{Fleet, login::PUBLISH, options::Retained, rule::Rule};

/// A PUBLISH while it is read.
struct Said<'a> {
    given: MqttIn<'a>,
    variables: Variables<'a>,
    /// Its values do not fit into an expression.
    oversized: Option<String>,
}

/// Who says it, and whether the device itself proved it.
struct Sender {
    party: Party,
    name: Option<String>,
}

impl Fleet {
    pub(super) fn publish(
        &self,
        cx: &Cx<'_>,
        session: &Session,
        given: MqttIn<'_>,
    ) -> Result<Decoded, Reject> {
        let proof = self.prove(session, given)?;
        if !topic::is_topic(given.topic) {
            return Err(Reject::Malformed("the topic is none".to_owned()));
        }
        let mut done = Decoded {
            refused: Reply::silence(),
            ..Decoded::answer(proof, Reply::silence())
        };
        if given.retained && self.retained == Retained::Ignore {
            return Ok(done);
        }
        let mut said = None;
        for rule in &self.rules {
            let Some(captures) = rule.template.captures(given.topic) else {
                continue;
            };
            let said = said.get_or_insert_with(|| self.read(given));
            let topic = captures
                .into_iter()
                .map(|(name, level)| (name.to_owned(), level.into()))
                .collect::<Map<_, _>>();
            // Levels are short: they fit.
            let _ = said.variables.set("topic", Value::Object(topic));
            let party = sender(rule, session, &said.variables)?;
            let _ = said.variables.set("address", party.address.as_str().into());
            let is_for = rule
                .when
                .as_ref()
                .is_none_or(|when| when.holds(&said.variables));
            if said.oversized.is_some() || is_for {
                done.items = self.take(cx, rule, said, party)?;
                return Ok(done);
            }
        }
        // No rule is for it. Who counts messages sees that nothing came of this one.
        Ok(done)
    }

    fn prove(&self, session: &Session, given: MqttIn<'_>) -> Result<Verified, Reject> {
        match (given.link, self.is_live()) {
            (MqttProof::Session, true) => {
                let proof = verify::by_connection(session).ok_or(Reject::Unauthorized)?;
                let filters = session.memory.get(PUBLISH).and_then(Value::as_array);
                let mut filters = filters.into_iter().flatten().filter_map(Value::as_str);
                if filters.any(|filter| topic::matches(filter, given.topic)) {
                    Ok(proof)
                } else {
                    Err(Reject::Forbidden(
                        "the device may not publish there".to_owned(),
                    ))
                }
            }
            // Such a channel is opened only with `auth = { none = ".." }`.
            (MqttProof::None, false) if self.is_bare() => {
                Ok(verify::none("the channel's file says why"))
            }
            (link, false) => verify::by_link(link),
            (_, true) => Err(Reject::Unauthorized),
        }
    }

    fn read<'a>(&'a self, given: MqttIn<'a>) -> Said<'a> {
        let mut variables = Variables::default();
        let body = lossless_json(given.payload).unwrap_or(Value::Null);
        let oversized = variables.set("body", body).err();
        let text = std::str::from_utf8(given.payload).ok();
        variables.set_text("text", text);
        variables.set_bytes("bytes", given.payload);
        variables.set_text("topic_text", Some(given.topic));
        let mut set = |name: &'static str, value: Value| {
            // None of these is a list or long.
            let _ = variables.set(name, value);
        };
        set("retained", given.retained.into());
        set("qos", given.qos.into());
        set("item", Value::Null);
        set("index", Value::Null);
        let properties = given.user_properties.iter();
        let properties = properties.map(|(name, value)| (name.clone(), value.clone().into()));
        set("properties", Value::Object(properties.collect()));
        variables.set_text("content_type", given.content_type);
        variables.set_text("response_topic", given.response_topic);
        let correlation = given.correlation.map(|it| match std::str::from_utf8(it) {
            Ok(text) => text.to_owned(),
            Err(_) => hex::encode(it),
        });
        let _ = variables.set("correlation", correlation.into());
        self.tables.lend(&mut variables);
        Said {
            given,
            variables,
            oversized: oversized.map(|error| error.to_string()),
        }
    }

    fn take(
        &self,
        cx: &Cx<'_>,
        rule: &Rule,
        said: &mut Said<'_>,
        party: Party,
    ) -> Result<Vec<Inbound>, Reject> {
        let mut sender = Sender { party, name: None };
        if let Some(sentence) = &said.oversized {
            let failed = ("body", sentence.clone());
            return Ok(vec![
                self.unsupported(cx, rule, said, &sender, None, &failed),
            ]);
        }
        let items = match &rule.each {
            None => vec![None],
            Some(each) => match each.eval(&said.variables) {
                Ok(Value::Array(items)) if items.len() <= ENTRIES_MAX => {
                    items.into_iter().map(Some).collect()
                }
                Ok(Value::Array(_)) => {
                    return Err(Reject::TooLarge(format!("{ENTRIES_MAX} items at most")));
                }
                Ok(Value::Null) => Vec::new(),
                Ok(one) => vec![Some(one)],
                Err(error) => {
                    let failed = ("each", error.to_string());
                    return Ok(vec![
                        self.unsupported(cx, rule, said, &sender, None, &failed),
                    ]);
                }
            },
        };
        let mut found = Vec::with_capacity(items.len());
        for (i, item) in items.iter().enumerate() {
            if let Some(item) = item {
                // A part of the body fits where the body did.
                let _ = said.variables.set("item", item.clone());
                let _ = said.variables.set("index", i.into());
            }
            sender.name = rule
                .name
                .as_ref()
                .and_then(|name| name.text(&said.variables).ok().flatten());
            let one = self.one(cx, rule, said, &sender, item.as_ref());
            found.push(one.unwrap_or_else(|failed| {
                self.unsupported(cx, rule, said, &sender, item.as_ref(), &failed)
            }));
        }
        Ok(found)
    }

    fn one(
        &self,
        cx: &Cx<'_>,
        rule: &Rule,
        said: &Said<'_>,
        sender: &Sender,
        item: Option<&Value>,
    ) -> Result<Inbound, Failed> {
        let sent_at = rule.time(&said.variables, cx.now)?;
        if let Some(receipt) = rule.receipt(&said.variables, sent_at) {
            return receipt.map(Inbound::Receipt);
        }
        let address = sender.party.address.as_str();
        let content = rule.content(&said.variables, address, sent_at, cx.now)?;
        let id = |expr: &Option<_>, key| maybe_id(expr.as_ref(), key, &said.variables);
        let external_id = id(&rule.external_id, "external_id")?;
        let own = id(&rule.dedupe, "dedupe")?.or_else(|| external_id.clone());
        let mut message = self.message(said, sender, content);
        message.dedupe_key = match &own {
            Some(own) => Some(device::key(&[
                cx.channel,
                address,
                &rule.template.filter(),
                own,
            ])),
            None => key(cx, said, &message, item, sent_at),
        };
        message.external_id = external_id;
        message.sent_at = sent_at;
        Ok(Inbound::Message(Box::new(message)))
    }

    fn message(&self, said: &Said<'_>, sender: &Sender, content: Vec<Content>) -> InboundMessage {
        let mut attributes = Attributes::new();
        if said.given.retained {
            attributes.insert(device::RETAINED.to_owned(), true.into());
        }
        let mut thread_hints = Attributes::from_iter([(device::DEVICE.to_owned(), true.into())]);
        // Who is said to be gone is not waited for.
        let is_gone = content.iter().any(|part| self.says_offline(part));
        if let Some(silence) = self.silence.as_ref().filter(|_| !is_gone) {
            thread_hints.insert(device::SILENCE.to_owned(), silence.clone());
        }
        InboundMessage {
            sender: Party {
                name: sender.name.clone().or_else(|| sender.party.name.clone()),
                ..sender.party.clone()
            },
            content,
            thread_hints,
            attributes,
            ..InboundMessage::default()
        }
    }

    fn says_offline(&self, part: &Content) -> bool {
        matches!(part, Content::Known(Part::Fault { fault, .. })
            if fault.code == self.offline_code && fault.state == FaultState::Raised)
    }

    /// Authentic and not understood: people see which rule did not fit, and the same payload is
    /// shown once.
    fn unsupported(
        &self,
        cx: &Cx<'_>,
        rule: &Rule,
        said: &Said<'_>,
        sender: &Sender,
        item: Option<&Value>,
        (key, sentence): &Failed,
    ) -> Inbound {
        let part = Content::Known(Part::Unsupported {
            what: format!("{}.{key}: {sentence}", rule.path),
            raw: None,
            extra: Attributes::new(),
        });
        let mut message = self.message(said, sender, vec![part]);
        let digest = digest(said, item);
        let parts = [
            cx.channel,
            &sender.party.address,
            "unsupported",
            said.given.topic,
            &digest,
        ];
        message.dedupe_key = Some(device::key(&parts));
        Inbound::Message(Box::new(message))
    }
}

/// With a listener the device that logged in, with a broker whom the rule names.
fn sender(rule: &Rule, session: &Session, variables: &Variables<'_>) -> Result<Party, Reject> {
    if let Some(party) = &session.party {
        return Ok(party.clone());
    }
    let wrong = |sentence: &str| Reject::Malformed(format!("{}.address: {sentence}", rule.path));
    let address = rule.address.as_ref().ok_or_else(|| wrong("is none"))?;
    let address = address
        .text(variables)
        .map_err(|error| wrong(&error.to_string()))?
        .filter(|address| is_id(address) && address != Party::SYSTEM)
        .ok_or_else(|| wrong("is no address"))?;
    Ok(Party {
        address,
        ..Party::default()
    })
}

/// What makes a message one of its kind: a fault by device, code, state and the device's own time or
/// count, anything else by its time and all it said. Without either there is no key: a fault that
/// comes twice with the same words may well be there twice, and to count one twice is better than to
/// miss one.
fn key(
    cx: &Cx<'_>,
    said: &Said<'_>,
    message: &InboundMessage,
    item: Option<&Value>,
    sent_at: Option<Time>,
) -> Option<String> {
    let address = message.sender.address.as_str();
    let time = sent_at.map(|at| at.as_ms().to_string());
    let fault = message.content.iter().find_map(|part| match part {
        Content::Known(Part::Fault { fault, .. }) => Some(fault),
        _ => None,
    });
    if let Some(fault) = fault {
        let count = fault.sequence.map(|n| n.to_string());
        if count.is_none() && time.is_none() {
            return None;
        }
        return Some(device::key(&[
            cx.channel,
            address,
            "fault",
            &fault.device,
            &fault.code,
            fault.state.as_str(),
            &count.unwrap_or_default(),
            &time.unwrap_or_default(),
        ]));
    }
    let digest = digest(said, item);
    Some(device::key(&[
        cx.channel,
        address,
        said.given.topic,
        &time?,
        &digest,
    ]))
}

fn digest(said: &Said<'_>, item: Option<&Value>) -> String {
    let bytes = item.map(|item| item.to_string().into_bytes());
    hex::encode(verify::digest(
        bytes.as_deref().unwrap_or(said.given.payload),
    ))
}
