//! A device's answer to what we sent, as a rule reads it.

use patchbay_message::{Receipt, ReceiptState, Time};
use patchbay_sdk::expr::{Expr, Scope, Variables};

use super::{Failed, is_id, maybe_text, some_text};
use crate::mqtt::{open::Compiler, options::ReceiptMap};

#[derive(Debug)]
pub(super) struct ReceiptRule {
    external_id: Expr,
    state: Expr,
    code: Option<Expr>,
    text: Option<Expr>,
}

impl ReceiptRule {
    pub(super) fn compile(
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

    pub(super) fn make(
        &self,
        variables: &Variables<'_>,
        at: Option<Time>,
    ) -> Result<Receipt, Failed> {
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
