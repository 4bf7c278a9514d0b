//! A receipt, as a rule reads it.

use patchbay_message::{Receipt, ReceiptState, Time};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Compiler, Failed, is_id, maybe_text, some_text};
use crate::expr::{Expr, Scope, Source, Variables};

/// An answer to what we sent.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiptMap {
    /// Which message it answers, by the `external_id` that sending it gave; an expression.
    pub external_id: Source,
    /// How far the message got: `delivered`, `read` or `failed`; `delivered` by default; may be an
    /// expression.
    #[serde(default = "delivered")]
    pub state: Source,
    /// The other side's own code; may be an expression.
    #[serde(default)]
    pub code: Option<Source>,
    /// The other side's own words; may be an expression.
    #[serde(default)]
    pub text: Option<Source>,
}

fn delivered() -> Source {
    Source::text("delivered")
}

/// A compiled [`ReceiptMap`].
#[derive(Debug)]
pub struct ReceiptRule {
    external_id: Expr,
    state: Expr,
    code: Option<Expr>,
    text: Option<Expr>,
    /// States it may tell.
    states: &'static [&'static str],
}

impl ReceiptRule {
    /// Compiles it; it may tell these states.
    pub fn compile(
        path: &str,
        map: &ReceiptMap,
        states: &'static [&'static str],
        compiler: &mut Compiler<'_>,
        scope: Scope<'_>,
    ) -> Option<Self> {
        let at = |key: &str| format!("{path}.{key}");
        let external_id = compiler.expr(&at("external_id"), &map.external_id, scope);
        let state = compiler.expr(&at("state"), &map.state, scope);
        if let Some(word) = map.state.0.as_str().filter(|word| !word.starts_with('=')) {
            let sentence = format!("{}, or an expression", words(states));
            let problems = &mut compiler.problems;
            problems.require(states.contains(&word), &at("state"), &sentence);
        }
        Some(Self {
            code: compiler.maybe(&at("code"), map.code.as_ref(), scope),
            text: compiler.maybe(&at("text"), map.text.as_ref(), scope),
            external_id: external_id?,
            state: state?,
            states,
        })
    }

    /// The receipt of these values.
    ///
    /// # Errors
    /// [`Failed`] with the key that is to blame.
    pub fn make(&self, variables: &Variables<'_>, at: Option<Time>) -> Result<Receipt, Failed> {
        let state = some_text(&self.state, "receipt.state", variables)?;
        if !self.states.contains(&state.as_str()) {
            return Err(("receipt.state", words(self.states)));
        }
        let receipt = Receipt {
            external_id: some_text(&self.external_id, "receipt.external_id", variables)?,
            state: ReceiptState::from(state.as_str()),
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

fn words(states: &[&str]) -> String {
    match states {
        [first @ .., last] => format!("must be `{}` or `{last}`", first.join("`, `")),
        [] => "there is no state".to_owned(),
    }
}
