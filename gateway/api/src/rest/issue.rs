//! Issuing commands: keys, the wait for the outcome, and what is answered.

use axum::{
    Json,
    extract::Path,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use patchbay_message::{Command, CommandId, CommandName, OutcomeStatus};
use patchbay_store::Role;

use super::page::{bad, id};
use crate::{
    Api, Problem,
    auth::Who,
    view::{MessageShown, OutcomeShown},
};

/// An idempotency key, bytes.
const KEY_MAX: usize = 200;

/// What is sent again under the same key is done once.
fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(key) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let key = key
        .to_str()
        .ok()
        .filter(|key| (1..=KEY_MAX).contains(&key.len()));
    key.map(|key| Some(key.to_owned()))
        .ok_or_else(|| bad("Idempotency-Key", "is 1 to 200 visible characters"))
}

/// The key of an act whose repeat would be seen.
pub(super) fn needed_key(headers: &HeaderMap) -> Result<String, Problem> {
    key(headers)?.ok_or_else(|| bad("Idempotency-Key", "is missing"))
}

/// A command whose end is not known yet.
pub(super) fn pending(id: CommandId) -> Response {
    let shown = OutcomeShown {
        command_id: id.to_string(),
        status: "pending",
        problem: None,
        version: None,
        message_id: None,
        message: None,
    };
    (StatusCode::ACCEPTED, Json(shown)).into_response()
}

impl Api {
    /// Issues a command to a conversation.
    pub(super) async fn act(
        &self,
        who: &Who,
        path: Path<String>,
        name: CommandName,
        given_key: Option<String>,
        headers: &HeaderMap,
        set: impl FnOnce(&mut Command),
    ) -> Result<Response, Problem> {
        who.must_be(Role::Agent)?;
        let mut command = Self::blank(name, id(path, "conversation")?);
        set(&mut command);
        self.issue(who, command, given_key, headers).await
    }

    /// Issues a command and answers with its outcome: 200, 202 if it is not known yet, or the
    /// refusal's status.
    pub(super) async fn issue(
        &self,
        who: &Who,
        command: Command,
        given_key: Option<String>,
        headers: &HeaderMap,
    ) -> Result<Response, Problem> {
        let place = self.place(command.conversation_id).await?;
        let given_key = match given_key {
            Some(key) => Some(key),
            None => key(headers)?,
        };
        let id = command.id;
        let command = Command {
            agent_id: who.agent,
            idempotency_key: given_key.unwrap_or_else(|| command.idempotency_key.clone()),
            ..command
        };
        let Some(outcome) = self.command(&place, command).await? else {
            return Ok(pending(id));
        };
        if outcome.status != OutcomeStatus::Done {
            return Err(crate::commands::problem_of(
                outcome.code.as_deref(),
                outcome.detail,
            ));
        }
        let mut shown = OutcomeShown::new(outcome);
        // RFC 7240: a client that needs no more than the outcome says so.
        let minimal = headers
            .get("prefer")
            .is_some_and(|prefer| prefer == "return=minimal");
        if !minimal {
            // It is done: a store that is away now must not make it look refused.
            let _ = self.add_message(&mut shown).await;
        }
        Ok(Json(shown).into_response())
    }

    /// Adds the message a command became.
    pub(super) async fn add_message(&self, shown: &mut OutcomeShown) -> Result<(), Problem> {
        if let Some(id) = shown.message_id {
            shown.message = self.store.message(id).await?.map(MessageShown::from);
        }
        Ok(())
    }
}
