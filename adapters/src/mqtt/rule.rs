//! A rule for what devices say: which messages it is for, and what it makes of them.

use patchbay_message::{
    Content, Fault, FaultState, Location, Part, Receipt, ReceiptState, Severity, Time,
    limits::KEY_BYTES_MAX,
};
use patchbay_sdk::{
    device,
    expr::{EvalError, Expr, Scope, Source, Variables, text_of},
    topic::Template,
};
use serde_json::Value;

use super::{
    address,
    open::Compiler,
    options::{FaultMap, Options, ReceiptMap, Unit, Up},
};

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

#[derive(Debug)]
struct FaultRule {
    code: Expr,
    state: Expr,
    severity: Expr,
    device: Option<Expr>,
    sequence: Option<Expr>,
    text: Option<Expr>,
    place: Option<(Expr, Expr)>,
    readings: Option<Expr>,
}

#[derive(Debug)]
struct ReceiptRule {
    external_id: Expr,
    state: Expr,
    code: Option<Expr>,
    text: Option<Expr>,
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
    pub(super) fn time(&self, variables: &Variables, now: Time) -> Result<Option<Time>, Failed> {
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
        variables: &Variables,
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
        variables: &Variables,
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

impl FaultRule {
    fn compile(
        path: &str,
        map: &FaultMap,
        compiler: &mut Compiler<'_>,
        scope: Scope<'_>,
    ) -> Option<Self> {
        let at = |key: &str| format!("{path}.{key}");
        let code = compiler.expr(&at("code"), &map.code, scope);
        let state = compiler.expr(&at("state"), &map.state, scope);
        let severity = compiler.expr(&at("severity"), &map.severity, scope);
        for (key, source, words) in [
            ("state", &map.state, FaultState::WORDS),
            ("severity", &map.severity, Severity::WORDS),
        ] {
            let is_good = match &source.0 {
                Value::String(text) => text.starts_with('=') || words.contains(&text.as_str()),
                _ => false,
            };
            let sentence = format!("must be `{}` or an expression", words.join("`, `"));
            compiler.problems.require(is_good, &at(key), &sentence);
        }
        let mut maybe =
            |key: &str, source: Option<&Source>| compiler.maybe(&at(key), source, scope);
        let (lat, lon) = (
            maybe("lat", map.lat.as_ref()),
            maybe("lon", map.lon.as_ref()),
        );
        let device = maybe("device", map.device.as_ref());
        let sequence = maybe("sequence", map.sequence.as_ref());
        let text = maybe("text", map.text.as_ref());
        let readings = map.readings.as_ref();
        let readings = readings.and_then(|it| compiler.tree(&at("readings"), it, scope));
        let is_whole = map.lat.is_some() == map.lon.is_some();
        let missing = if map.lat.is_some() { "lon" } else { "lat" };
        let sentence = "`lat` and `lon` belong together";
        compiler.problems.require(is_whole, &at(missing), sentence);
        Some(Self {
            code: code?,
            state: state?,
            severity: severity?,
            device,
            sequence,
            text,
            place: lat.zip(lon),
            readings,
        })
    }

    fn part(&self, variables: &Variables, address: &str, at: Time) -> Result<Content, Failed> {
        let word = |expr, key, words: &[&str]| {
            let word = some_text(expr, key, variables)?;
            let unknown = || (key, format!("must be `{}`", words.join("`, `")));
            words
                .contains(&word.as_str())
                .then_some(word)
                .ok_or_else(unknown)
        };
        let state = word(&self.state, "fault.state", FaultState::WORDS)?;
        let severity = word(&self.severity, "fault.severity", Severity::WORDS)?;
        let device = maybe_text(self.device.as_ref(), "fault.device", variables)?;
        let sequence = self.sequence.as_ref();
        let sequence = sequence.map(|it| sequence_of(&eval(it, "fault.sequence", variables)?));
        let readings = self.readings.as_ref();
        let readings = readings.map(|it| match eval(it, "fault.readings", variables)? {
            Value::Object(map) => Ok(map),
            Value::Null => Ok(Default::default()),
            _ => Err(("fault.readings", "is no map".to_owned())),
        });
        Ok(Content::Known(Part::Fault {
            fault: Fault {
                device: device.unwrap_or_else(|| address.to_owned()),
                code: some_text(&self.code, "fault.code", variables)?,
                severity: Severity::from(severity.as_str()),
                state: FaultState::from(state.as_str()),
                occurred_at: at,
                sequence: sequence.transpose()?.flatten(),
                text: maybe_text(self.text.as_ref(), "fault.text", variables)?,
                location: self.location(variables),
                // A fault is more than its readings: those that do not fit are left out.
                readings: readings
                    .transpose()?
                    .filter(device::fits)
                    .unwrap_or_default(),
            },
            extra: Default::default(),
        }))
    }

    /// Where the device is; a device without a fix still has its fault.
    fn location(&self, variables: &Variables) -> Option<Location> {
        let (lat, lon) = self.place.as_ref()?;
        let degrees = |expr: &Expr| match expr.eval(variables).ok()? {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        let (lat, lon) = (degrees(lat)?, degrees(lon)?);
        let is_on_earth = (-90.0..=90.0).contains(&lat) && (-180.0..=180.0).contains(&lon);
        is_on_earth.then_some(Location { lat, lon })
    }
}

impl ReceiptRule {
    fn compile(
        path: &str,
        map: &ReceiptMap,
        compiler: &mut Compiler<'_>,
        scope: Scope<'_>,
    ) -> Option<Self> {
        let at = |key: &str| format!("{path}.{key}");
        let external_id = compiler.expr(&at("external_id"), &map.external_id, scope);
        let state = compiler.expr(&at("state"), &map.state, scope);
        Some(Self {
            code: compiler.maybe(&at("code"), map.code.as_ref(), scope),
            text: compiler.maybe(&at("text"), map.text.as_ref(), scope),
            external_id: external_id?,
            state: state?,
        })
    }

    fn make(&self, variables: &Variables, at: Option<Time>) -> Result<Receipt, Failed> {
        let state = some_text(&self.state, "receipt.state", variables)?;
        let state = ReceiptState::from(state.as_str());
        let is_answer = matches!(
            state,
            ReceiptState::Delivered | ReceiptState::Read | ReceiptState::Failed
        );
        if !is_answer {
            let sentence = "must be `delivered`, `read` or `failed`";
            return Err(("receipt.state", sentence.to_owned()));
        }
        let receipt = Receipt {
            external_id: some_text(&self.external_id, "receipt.external_id", variables)?,
            state,
            at,
            code: maybe_text(self.code.as_ref(), "receipt.code", variables)?,
            text: maybe_text(self.text.as_ref(), "receipt.text", variables)?,
        };
        if is_id(&receipt.external_id) {
            Ok(receipt)
        } else {
            Err(("receipt.external_id", "is no id".to_owned()))
        }
    }
}

/// Whether a text can be an id: neither empty nor long, no control characters.
pub(super) fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= KEY_BYTES_MAX && !text.chars().any(char::is_control)
}

fn telemetry(
    readings: &Expr,
    variables: &Variables,
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

fn eval(expr: &Expr, key: &'static str, variables: &Variables) -> Result<Value, Failed> {
    expr.eval(variables).map_err(|error| failed(key, error))
}

fn failed(key: &'static str, error: EvalError) -> Failed {
    (key, error.to_string())
}

fn maybe_text(
    expr: Option<&Expr>,
    key: &'static str,
    variables: &Variables,
) -> Result<Option<String>, Failed> {
    let Some(expr) = expr else {
        return Ok(None);
    };
    expr.text(variables).map_err(|error| failed(key, error))
}

fn some_text(expr: &Expr, key: &'static str, variables: &Variables) -> Result<String, Failed> {
    let text = maybe_text(Some(expr), key, variables)?;
    text.filter(|text| !text.is_empty())
        .ok_or_else(|| (key, "is empty".to_owned()))
}

fn sequence_of(value: &Value) -> Result<Option<u64>, Failed> {
    let wrong = || ("fault.sequence", "is no whole number".to_owned());
    let text = text_of(value).map_err(|_| wrong())?;
    text.map(|text| text.parse().map_err(|_| wrong()))
        .transpose()
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
