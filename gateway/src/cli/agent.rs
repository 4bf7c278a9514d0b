//! `patchbay agent`: who answers.

use anyhow::bail;
use clap::Subcommand;
use serde_json::{Value, json};

use super::{
    client::{Client, Refused},
    print::{self, text},
};

/// Agents listed, at most.
const LIST_MAX: usize = 10_000;

#[derive(Debug, Subcommand)]
pub(super) enum Agent {
    /// Makes an agent.
    Add {
        /// The name contacts and other agents see; unique.
        name: String,
        /// What they may do: agent, supervisor, admin or auditor.
        #[arg(long, default_value = "agent")]
        role: String,
        /// Conversations at once.
        #[arg(long)]
        capacity: Option<u32>,
        /// A group they belong to, by name or id; may be given several times.
        #[arg(long)]
        group: Vec<String>,
        /// Makes a token too and prints it once: what they sign in to the console with.
        #[arg(long)]
        token: bool,
    },
    /// Lists agents.
    List,
}

pub(super) async fn run(client: &Client, what: Agent) -> anyhow::Result<()> {
    match what {
        Agent::Add {
            name,
            role,
            capacity,
            group,
            token,
        } => {
            let groups = groups(client, &group).await?;
            let mut fields = json!({ "name": name, "role": role });
            if let Some(capacity) = capacity {
                fields["capacity"] = json!(capacity);
            }
            if !groups.is_empty() {
                fields["groups"] = json!(groups);
            }
            let agent = match client.post("/agents", &fields).await {
                Err(error) if is_taken(&error) => bail!(
                    "there is an agent called {name} already; \
                     `patchbay token create --agent '{name}'` makes another token"
                ),
                agent => agent?,
            };
            let token = if token {
                let fields = json!({ "name": "console", "agent_id": agent["id"] });
                Some(client.post("/tokens", &fields).await?)
            } else {
                None
            };
            added(client, &agent, token.as_ref())
        }
        Agent::List => list(client).await,
    }
}

fn is_taken(error: &anyhow::Error) -> bool {
    let refused = error.downcast_ref::<Refused>();
    refused.is_some_and(|refused| refused.status == 409)
}

fn added(client: &Client, agent: &Value, token: Option<&Value>) -> anyhow::Result<()> {
    if client.json {
        let token = token.map(|token| &token["token"]);
        return print::json(&json!({ "agent": agent, "token": token }));
    }
    print::line(&format!(
        "{} is there: {}, {} conversations at once, id {}",
        text(agent, "/name"),
        text(agent, "/role"),
        text(agent, "/capacity"),
        text(agent, "/id")
    ))?;
    let Some(token) = token else { return Ok(()) };
    print::line(&format!(
        "token    {}   (shown only now)",
        text(token, "/token")
    ))?;
    match &client.console {
        Some(console) => print::line(&format!("console  {console}   sign in with the token")),
        None => Ok(()),
    }
}

async fn list(client: &Client) -> anyhow::Result<()> {
    let agents = client.list("/agents", &[], LIST_MAX).await?;
    if client.json {
        return print::json(&Value::Array(agents));
    }
    let row = |agent: &Value| {
        let groups = agent["groups"].as_array().into_iter().flatten();
        let groups: Vec<String> = groups.map(|group| text(group, "/name")).collect();
        let presence = match agent["active"].as_bool() {
            Some(false) => "gone".to_owned(),
            _ => text(agent, "/presence"),
        };
        vec![
            text(agent, "/name"),
            text(agent, "/role"),
            presence,
            format!("{}/{}", text(agent, "/load"), text(agent, "/capacity")),
            groups.join(", "),
            text(agent, "/id"),
        ]
    };
    let rows: Vec<_> = agents.iter().map(row).collect();
    let heads = ["name", "role", "presence", "load", "groups", "id"];
    print::table(&heads, &rows)
}

async fn groups(client: &Client, wanted: &[String]) -> anyhow::Result<Vec<String>> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let known = client.list("/groups", &[], LIST_MAX).await?;
    wanted
        .iter()
        .map(|name| find(&known, "group", name))
        .collect()
}

/// The id of whom this names, by name or id.
pub(super) fn find(known: &[Value], what: &str, wanted: &str) -> anyhow::Result<String> {
    let named = |item: &&Value| item["name"] == wanted || item["id"] == wanted;
    match known.iter().find(named) {
        Some(item) => Ok(text(item, "/id")),
        None => {
            let names: Vec<String> = known.iter().map(|item| text(item, "/name")).collect();
            let there = match names.is_empty() {
                true => "none".to_owned(),
                false => names.join(", "),
            };
            bail!("there is no {what} {wanted}; there are: {there}")
        }
    }
}
