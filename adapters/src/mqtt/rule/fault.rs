//! A fault, as a rule reads it.

use patchbay_message::{Content, Fault, FaultState, Location, Part, Severity, Time};
use patchbay_sdk::{
    device,
    expr::{Expr, Scope, Source, Variables, text_of},
    mapping::{Compiler, Failed, eval, maybe_text, some_text},
};
use serde_json::Value;

use crate::mqtt::options::FaultMap;

#[derive(Debug)]
pub(super) struct FaultRule {
    code: Expr,
    state: Expr,
    severity: Expr,
    device: Option<Expr>,
    sequence: Option<Expr>,
    text: Option<Expr>,
    place: Option<(Expr, Expr)>,
    readings: Option<Expr>,
}

impl FaultRule {
    pub(super) fn compile(
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

    pub(super) fn part(
        &self,
        variables: &Variables<'_>,
        address: &str,
        at: Time,
    ) -> Result<Content, Failed> {
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
    fn location(&self, variables: &Variables<'_>) -> Option<Location> {
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

fn sequence_of(value: &Value) -> Result<Option<u64>, Failed> {
    let wrong = || ("fault.sequence", "is no whole number".to_owned());
    let text = text_of(value).map_err(|_| wrong())?;
    text.map(|text| text.parse().map_err(|_| wrong()))
        .transpose()
}
