//! `patchbay token`: what the API lets in.

use std::time::Duration;

use anyhow::Context as _;
use clap::Subcommand;
use patchbay_message::{Clock, SystemClock, Time};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    agent::find,
    ask::segment,
    client::Client,
    print::{self, text},
};

/// Tokens and agents listed, at most.
const LIST_MAX: usize = 10_000;

#[derive(Debug, Subcommand)]
pub(super) enum Token {
    /// Makes a token and prints it once.
    Create {
        /// For which agent it speaks, by name or id; without one it is a machine's.
        #[arg(long)]
        agent: Option<String>,
        /// What it allows; by default what the agent may do.
        #[arg(long, required_unless_present = "agent")]
        role: Option<String>,
        /// What it is for.
        #[arg(long, default_value = "command line")]
        name: String,
        /// How long it is valid, like `12h` or `90days`; for ever by default.
        #[arg(long, value_parser = humantime::parse_duration)]
        expires: Option<Duration>,
    },
    /// Lists tokens, never their text.
    List,
    /// Ends tokens at once.
    Revoke {
        /// Ids of tokens.
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
}

pub(super) async fn run(client: &Client, what: Token) -> anyhow::Result<()> {
    match what {
        Token::Create {
            agent,
            role,
            name,
            expires,
        } => {
            let mut fields = json!({ "name": name });
            if let Some(agent) = agent {
                let known = client.list("/agents", &[], LIST_MAX).await?;
                fields["agent_id"] = json!(find(&known, "agent", &agent)?);
            }
            if let Some(role) = role {
                fields["role"] = json!(role);
            }
            if let Some(expires) = expires {
                fields["expires_at"] = json!(SystemClock.now().plus(expires));
            }
            let token = client.post("/tokens", &fields).await?;
            if client.json {
                return print::json(&token);
            }
            print::line(&format!(
                "token  {}   (shown only now)",
                text(&token, "/token")
            ))?;
            print::line(&format!(
                "id     {}   `patchbay token revoke` ends it",
                text(&token, "/id")
            ))
        }
        Token::List => list(client).await,
        Token::Revoke { ids } => {
            for id in ids {
                let path = format!("/tokens/{}", segment(&id));
                let done = client.call(Method::DELETE, &path, None).await;
                done.with_context(|| format!("token {id}"))?;
                print::line(&format!("{id} is revoked"))?;
            }
            Ok(())
        }
    }
}

async fn list(client: &Client) -> anyhow::Result<()> {
    let tokens = client.list("/tokens", &[], LIST_MAX).await?;
    if client.json {
        return print::json(&Value::Array(tokens));
    }
    let agents = client.list("/agents", &[], LIST_MAX).await?;
    let now = SystemClock.now();
    let row = |token: &Value| {
        let agent = agents.iter().find(|agent| agent["id"] == token["agent_id"]);
        let agent = agent.map(|agent| text(agent, "/name"));
        let expires = text(token, "/expires_at");
        let expired = expires.parse::<Time>().is_ok_and(|at| at <= now);
        let state = match (token["revoked_at"].is_string(), expired) {
            (true, _) => "revoked",
            (false, true) => "expired",
            (false, false) => "valid",
        };
        vec![
            text(token, "/name"),
            agent.unwrap_or_default(),
            text(token, "/role"),
            state.to_owned(),
            text(token, "/created_at"),
            expires,
            text(token, "/id"),
        ]
    };
    let rows: Vec<_> = tokens.iter().map(row).collect();
    let heads = ["name", "agent", "role", "state", "created", "expires", "id"];
    print::table(&heads, &rows)
}
