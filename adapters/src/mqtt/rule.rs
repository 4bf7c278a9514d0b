//! A rule for what devices say: which messages it is for, and what it makes of them.

mod fault;

use patchbay_message::{Content, Part, Receipt, Time};
use patchbay_sdk::{
    expr::{Expr, Scope, Variables},
    mapping::{Compiler, Failed, ReceiptRule, SentAtRule, eval, some_text},
    topic::Template,
};
use serde_json::Value;

use super::{
    address,
    open::Topics,
    options::{Options, Up},
};
use fault::FaultRule;

/// How far a device says that a message got.
const STATES: &[&str] = &["delivered", "read", "failed"];

/// What the expression of an address may name.
pub(super) const ADDRESS_NAMES: &[&str] = &[
    "topic",
    "topic_text",
    "body",
    "text",
    "bytes",
    "retained",
    "qos",
    "content_type",
    "correlation",
    "response_topic",
    "properties",
];
/// What every other expression of a rule may name.
pub(super) const NAMES: &[&str] = &[
    "topic",
    "topic_text",
    "body",
    "text",
    "bytes",
    "retained",
    "qos",
    "content_type",
    "correlation",
    "response_topic",
    "properties",
    "address",
    "item",
    "index",
];

/// A compiled rule.
#[derive(Debug)]
pub(super) struct Rule {
    /// `up.0`: where it stands in the file.
    pub(super) path: String,
    pub(super) template: Template,
    pub(super) when: Option<Expr>,
    pub(super) each: Option<Expr>,
    /// Who says it; with a listener the login does.
    pub(super) address: Option<Expr>,
    pub(super) name: Option<Expr>,
    sent_at: Option<SentAtRule>,
    pub(super) dedupe: Option<Expr>,
    pub(super) external_id: Option<Expr>,
    fault: Option<FaultRule>,
    telemetry: Option<Expr>,
    message: Option<Expr>,
    event: Option<(Expr, Option<Expr>)>,
    receipt: Option<ReceiptRule>,
}

impl Rule {
    pub(super) fn compile(
        path: &str,
        up: &Up,
        options: &Options,
        compiler: &mut Compiler<'_>,
    ) -> Option<Self> {
        let template = compiler.template(&format!("{path}.topic"), &up.topic);
        let names: Vec<&str> = template.iter().flat_map(Template::names).collect();
        let fields = [("topic", names.as_slice())];
        let scope = Scope {
            variables: NAMES,
            fields: &fields,
        };
        let at = |key: &str| format!("{path}.{key}");
        let address = address_of(path, up, options, &names, compiler);
        let when = compiler.maybe(&at("when"), up.when.as_ref(), scope);
        let each = compiler.maybe(&at("each"), up.each.as_ref(), scope);
        let name = compiler.maybe(&at("name"), up.name.as_ref(), scope);
        let dedupe = compiler.maybe(&at("dedupe"), up.dedupe.as_ref(), scope);
        let external_id = compiler.maybe(&at("external_id"), up.external_id.as_ref(), scope);
        let sent_at = up
            .sent_at
            .as_ref()
            .and_then(|sent_at| SentAtRule::compile(&at("sent_at"), sent_at, compiler, scope));
        let fault = up
            .fault
            .as_ref()
            .and_then(|fault| FaultRule::compile(&at("fault"), fault, compiler, scope));
        let telemetry = up
            .telemetry
            .as_ref()
            .and_then(|map| compiler.tree(&at("telemetry.readings"), &map.readings, scope));
        let message = up
            .message
            .as_ref()
            .and_then(|map| compiler.expr(&at("message.text"), &map.text, scope));
        let event = up.event.as_ref().and_then(|map| {
            let value = map.value.as_ref();
            let value = value.and_then(|value| compiler.tree(&at("event.value"), value, scope));
            Some((compiler.expr(&at("event.name"), &map.name, scope)?, value))
        });
        let receipt = up
            .receipt
            .as_ref()
            .and_then(|map| ReceiptRule::compile(&at("receipt"), map, STATES, compiler, scope));
        makes_something(path, up, compiler);
        Some(Self {
            path: path.to_owned(),
            template: template?,
            when,
            each,
            address,
            name,
            sent_at,
            dedupe,
            external_id,
            fault,
            telemetry,
            message,
            event,
            receipt,
        })
    }

    /// The device's time, if it has one that can be true.
    pub(super) fn time(
        &self,
        variables: &Variables<'_>,
        now: Time,
    ) -> Result<Option<Time>, Failed> {
        let sent_at = self.sent_at.as_ref();
        let at = sent_at.map(|sent_at| sent_at.time(variables, now));
        at.transpose().map(Option::flatten)
    }

    /// What was said, part by part.
    pub(super) fn content(
        &self,
        variables: &Variables<'_>,
        address: &str,
        sent_at: Option<Time>,
        now: Time,
    ) -> Result<Vec<Content>, Failed> {
        let mut content = Vec::new();
        if let Some(fault) = &self.fault {
            content.push(fault.part(variables, address, sent_at.unwrap_or(now))?);
        }
        if let Some(readings) = &self.telemetry {
            content.push(telemetry(readings, variables, sent_at)?);
        }
        if let Some(text) = &self.message {
            let text = some_text(text, "message.text", variables)?;
            content.push(Content::text(text));
        }
        if let Some((name, value)) = &self.event {
            let value = value
                .as_ref()
                .map(|value| eval(value, "event.value", variables));
            content.push(Content::Known(Part::Event {
                name: some_text(name, "event.name", variables)?,
                value: value.transpose()?.filter(|value| !value.is_null()),
                extra: Default::default(),
            }));
        }
        for part in &content {
            part.check()
                .map_err(|violation| (part_key(part), violation.to_string()))?;
        }
        Ok(content)
    }

    /// The device's answer to what we sent; none if the rule makes something else.
    pub(super) fn receipt(
        &self,
        variables: &Variables<'_>,
        at: Option<Time>,
    ) -> Option<Result<Receipt, Failed>> {
        self.receipt
            .as_ref()
            .map(|receipt| receipt.make(variables, at))
    }
}

/// With a broker the sender stands in the topic or the payload: without an address there is nobody
/// to speak for.
fn address_of(
    path: &str,
    up: &Up,
    options: &Options,
    names: &[&str],
    compiler: &mut Compiler<'_>,
) -> Option<Expr> {
    if options.listen.is_some() {
        let sentence = "is for `url`: with `listen` the login says who it is";
        let is_absent = up.address.is_none();
        compiler
            .problems
            .require(is_absent, &format!("{path}.address"), sentence);
        return None;
    }
    let fields = [("topic", names)];
    let scope = Scope {
        variables: ADDRESS_NAMES,
        fields: &fields,
    };
    if let Some(own) = &up.address {
        return compiler.expr(&format!("{path}.address"), own, scope);
    }
    let source = address::source(options);
    Expr::compile(&source, scope)
        .map_err(|sentence| {
            let sentence = format!("does not say who speaks (`address`): {sentence}");
            compiler.problems.add(format!("{path}.topic"), sentence);
        })
        .ok()
}

fn makes_something(path: &str, up: &Up, compiler: &mut Compiler<'_>) {
    let n = [
        up.fault.is_some(),
        up.telemetry.is_some(),
        up.message.is_some(),
        up.event.is_some(),
    ];
    let n = n.into_iter().filter(|is_set| *is_set).count();
    let problems = &mut compiler.problems;
    match (&up.receipt, n) {
        (None, 0) => problems.add(
            path,
            "a rule says what it makes: `fault`, `telemetry`, `message`, `event` or `receipt`",
        ),
        (Some(_), 1..) => problems.add(
            format!("{path}.receipt"),
            "a receipt goes its own way: nothing else can be made beside it",
        ),
        _ => {}
    }
}

fn telemetry(
    readings: &Expr,
    variables: &Variables<'_>,
    taken_at: Option<Time>,
) -> Result<Content, Failed> {
    let Value::Object(readings) = eval(readings, "telemetry.readings", variables)? else {
        return Err(("telemetry.readings", "is no map".to_owned()));
    };
    Ok(Content::Known(Part::Telemetry {
        readings,
        taken_at,
        extra: Default::default(),
    }))
}

fn part_key(part: &Content) -> &'static str {
    match part {
        Content::Known(Part::Fault { .. }) => "fault",
        Content::Known(Part::Telemetry { .. }) => "telemetry",
        Content::Known(Part::Event { .. }) => "event",
        _ => "message",
    }
}
