//! Times as others write them.

use patchbay_message::Time;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{Compiler, Failed, eval};
use crate::{
    device,
    expr::{Expr, Scope, Source, Variables, text_of},
};

/// Seconds, milliseconds ... of a time in one millisecond.
const US_IN_MS: f64 = 1e3;
const NS_IN_MS: f64 = 1e6;
const MS_IN_S: f64 = 1e3;

/// The other side's time.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SentAt {
    /// The time; an expression. Null is no time.
    pub value: Source,
    /// `s`, `ms`, `us` or `ns` since 1970, or `rfc3339`.
    pub unit: Unit,
}

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Seconds since 1970.
    S,
    /// Milliseconds since 1970.
    Ms,
    /// Microseconds since 1970.
    Us,
    /// Nanoseconds since 1970.
    Ns,
    /// RFC 3339.
    Rfc3339,
}

/// A compiled [`SentAt`].
#[derive(Debug)]
pub struct SentAtRule {
    value: Expr,
    unit: Unit,
}

impl SentAtRule {
    /// Compiles it.
    pub fn compile(
        path: &str,
        sent_at: &SentAt,
        compiler: &mut Compiler<'_>,
        scope: Scope<'_>,
    ) -> Option<Self> {
        let value = compiler.expr(&format!("{path}.value"), &sent_at.value, scope)?;
        Some(Self {
            value,
            unit: sent_at.unit,
        })
    }

    /// The time, if there is one that can be true.
    ///
    /// # Errors
    /// [`Failed`]: it cannot be read.
    pub fn time(&self, variables: &Variables<'_>, now: Time) -> Result<Option<Time>, Failed> {
        let value = eval(&self.value, "sent_at.value", variables)?;
        if value.is_null() {
            return Ok(None);
        }
        let at = self.unit.read(&value);
        let at = at.ok_or_else(|| ("sent_at.value", "is no time of this unit".to_owned()))?;
        Ok(device::plausible(at, now))
    }
}

impl Unit {
    /// A time in this unit, to the millisecond; none if it is not written so.
    #[must_use]
    pub fn read(self, value: &Value) -> Option<Time> {
        let text = text_of(value).ok()??;
        if self == Self::Rfc3339 {
            return text.parse().ok();
        }
        // Whole numbers stay whole: a count of nanoseconds has more digits than a float.
        if let Ok(n) = text.parse::<i64>() {
            return Some(Time::from_ms(match self {
                Self::S => n.checked_mul(1000)?,
                Self::Us => n / 1000,
                Self::Ns => n / 1_000_000,
                Self::Ms | Self::Rfc3339 => n,
            }));
        }
        let n: f64 = text.parse().ok().filter(|n: &f64| n.is_finite())?;
        let ms = match self {
            Self::S => n * MS_IN_S,
            Self::Us => n / US_IN_MS,
            Self::Ns => n / NS_IN_MS,
            Self::Ms | Self::Rfc3339 => n,
        };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "what is no time is cut to the years that can be written"
        )]
        Some(Time::from_ms(ms as i64))
    }
}
