//! A rule for what devices say: which messages it is for, and what it makes of them.

mod fault;
mod receipt;

use patchbay_message::{Content, Part, Receipt, Time, limits::KEY_BYTES_MAX};
use patchbay_sdk::{
    device,
    expr::{EvalError, Expr, Scope, Variables, text_of},
    topic::Template,
};
use serde_json::Value;

use super::{
    address,
    open::Compiler,
    options::{Options, Unit, Up},
};
use fault::FaultRule;
use receipt::ReceiptRule;

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

/// Seconds, milliseconds ... of a time in one millisecond.
const US_IN_MS: f64 = 1e3;
const NS_IN_MS: f64 = 1e6;
const MS_IN_S: f64 = 1e3;

/// Why a rule made nothing: which of its keys, and a sentence.
pub(super) type Failed = (&'static str, String);

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
    sent_at: Option<(Expr, Unit)>,
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
        let sent_at = up.sent_at.as_ref().and_then(|sent_at| {
            let value = compiler.expr(&at("sent_at.value"), &sent_at.value, scope)?;
            Some((value, sent_at.unit))
        });
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
            .and_then(|map| ReceiptRule::compile(&at("receipt"), map, compiler, scope));
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
        let Some((value, unit)) = &self.sent_at else {
            return Ok(None);
        };
        let wrong = |sentence: &str| ("sent_at.value", sentence.to_owned());
        let value = value
            .eval(variables)
            .map_err(|error| wrong(&error.to_string()))?;
        if value.is_null() {
            return Ok(None);
        }
        let at = time_of(&value, *unit).ok_or_else(|| wrong("is no time of this unit"))?;
        Ok(device::plausible(at, now))
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

/// Whether a text can be an id: neither empty nor long, no control characters.
pub(super) fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= KEY_BYTES_MAX && !text.chars().any(char::is_control)
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

fn eval(expr: &Expr, key: &'static str, variables: &Variables<'_>) -> Result<Value, Failed> {
    expr.eval(variables).map_err(|error| failed(key, error))
}

fn failed(key: &'static str, error: EvalError) -> Failed {
    (key, error.to_string())
}

fn maybe_text(
    expr: Option<&Expr>,
    key: &'static str,
    variables: &Variables<'_>,
) -> Result<Option<String>, Failed> {
    let Some(expr) = expr else {
        return Ok(None);
    };
    expr.text(variables).map_err(|error| failed(key, error))
}

fn some_text(expr: &Expr, key: &'static str, variables: &Variables<'_>) -> Result<String, Failed> {
    let text = maybe_text(Some(expr), key, variables)?;
    text.filter(|text| !text.is_empty())
        .ok_or_else(|| (key, "is empty".to_owned()))
}

/// A time in its unit, to the millisecond.
fn time_of(value: &Value, unit: Unit) -> Option<Time> {
    let text = text_of(value).ok()??;
    if unit == Unit::Rfc3339 {
        return text.parse().ok();
    }
    // Whole numbers stay whole: a count of nanoseconds has more digits than a float.
    if let Ok(n) = text.parse::<i64>() {
        return Some(Time::from_ms(match unit {
            Unit::S => n.checked_mul(1000)?,
            Unit::Us => n / 1000,
            Unit::Ns => n / 1_000_000,
            Unit::Ms | Unit::Rfc3339 => n,
        }));
    }
    let n: f64 = text.parse().ok().filter(|n: &f64| n.is_finite())?;
    let ms = match unit {
        Unit::S => n * MS_IN_S,
        Unit::Us => n / US_IN_MS,
        Unit::Ns => n / NS_IN_MS,
        Unit::Ms | Unit::Rfc3339 => n,
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "what is no time is cut to the years that can be written"
    )]
    Some(Time::from_ms(ms as i64))
}
