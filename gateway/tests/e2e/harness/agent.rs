//! An agent's client over the API: tries again with the same key until it has an outcome.

use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

use super::eventually;

/// One agent (or the operator), signed in.
#[derive(Clone)]
pub struct Agent {
    http: Client,
    /// Gateways; one is tried after the other.
    gateways: Vec<String>,
    /// Bearer token; the admin listener asks for none.
    pub token: Option<String>,
}

impl Agent {
    /// The operator, by the admin listeners.
    pub fn operator(admins: &[String]) -> Self {
        let http = super::http();
        Self {
            http,
            gateways: admins.to_vec(),
            token: None,
        }
    }

    /// Makes an agent with a token, and signs them in at the gateways.
    pub async fn hire(&self, gateways: &[String], name: &str, role: &str, capacity: u32) -> Self {
        let agent = json!({ "name": name, "role": role, "capacity": capacity });
        let agent = self.must(Method::POST, "/agents", agent).await;
        let id = agent["id"].as_str().expect("an id").to_owned();
        let token = self
            .must(
                Method::POST,
                "/tokens",
                json!({ "agent_id": id, "name": name }),
            )
            .await;
        let token = token["token"].as_str().expect("a token").to_owned();
        Self {
            http: self.http.clone(),
            gateways: gateways.to_vec(),
            token: Some(token),
        }
    }

    /// One request to one gateway.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        key: Option<&str>,
    ) -> Option<(StatusCode, Value)> {
        // Whoever is down now, another may be up.
        for gateway in &self.gateways {
            let mut request = self
                .http
                .request(method.clone(), format!("{gateway}/api/v1{path}"));
            if let Some(token) = &self.token {
                request = request.bearer_auth(token);
            }
            if let Some(key) = key {
                request = request.header("idempotency-key", key);
            }
            if !body.is_null() {
                request = request.json(body);
            }
            let Ok(answer) = request.send().await else {
                continue;
            };
            let status = answer.status();
            let Ok(text) = answer.text().await else {
                continue;
            };
            return Some((status, serde_json::from_str(&text).unwrap_or(Value::Null)));
        }
        None
    }

    /// Asks until there is a success.
    ///
    /// # Panics
    /// On a refusal that will not change, or if there is no success within a minute.
    pub async fn must(&self, method: Method, path: &str, body: Value) -> Value {
        let key = uuid::Uuid::now_v7().to_string();
        let what = format!("{method} {path}");
        eventually(&what, Duration::from_secs(60), || async {
            let (status, answer) = self.ask(method.clone(), path, &body, Some(&key)).await?;
            assert!(
                !status.is_client_error() || matches!(status.as_u16(), 408 | 409 | 425 | 429),
                "{method} {path}: {status} {answer}"
            );
            status.is_success().then_some(answer)
        })
        .await
    }

    /// GET until there is a success.
    pub async fn get(&self, path: &str) -> Value {
        self.must(Method::GET, path, Value::Null).await
    }

    /// Sets presence.
    pub async fn presence(&self, presence: &str) {
        self.must(Method::PUT, "/me/presence", json!({ "presence": presence }))
            .await;
    }

    /// Replies and waits until the outcome is known to be `done`.
    ///
    /// # Panics
    /// If there is no outcome within two minutes, or it is a refusal.
    pub async fn reply(&self, conversation: &str, text: &str, key: &str) -> Value {
        let body = json!({ "content": [{ "type": "text", "text": text }] });
        self.act(&format!("/conversations/{conversation}/reply"), &body, key)
            .await
    }

    /// Does something under a key and waits until its outcome is known to be `done`.
    ///
    /// # Panics
    /// If there is no outcome within two minutes, or it is a refusal.
    pub async fn act(&self, path: &str, body: &Value, key: &str) -> Value {
        let what = format!("the outcome of {path} {key}");
        eventually(&what, Duration::from_secs(120), || async {
            let (status, answer) = self.ask(Method::POST, path, body, Some(key)).await?;
            match status.as_u16() {
                200 if answer["status"] == "done" => Some(answer),
                // Not known yet: the same key asks again without doing it again.
                202 | 408 | 425 | 429 | 500..=599 => None,
                _ => panic!("{path} {key}: {status} {answer}"),
            }
        })
        .await
    }

    /// Every message of a conversation, in order of `pos`.
    pub async fn messages(&self, conversation: &str) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let after = all
                .last()
                .map_or(0, |message: &Value| message["pos"].as_u64().unwrap_or(0));
            let path = format!("/conversations/{conversation}/messages?after={after}&limit=200");
            let page = self.get(&path).await;
            let items = page["items"].as_array().expect("items").clone();
            if items.is_empty() {
                return all;
            }
            all.extend(items);
        }
    }

    /// The conversation of a visitor's address, once there is one.
    pub async fn conversation_of(&self, address: &str) -> Value {
        eventually(
            "the visitor's conversation",
            Duration::from_secs(60),
            || async {
                let (status, page) = self
                    .ask(
                        Method::GET,
                        &format!("/conversations?view=all&q={address}"),
                        &Value::Null,
                        None,
                    )
                    .await?;
                (status.is_success()).then_some(())?;
                page["items"]
                    .as_array()?
                    .iter()
                    .find(|c| c["contact"]["address"] == address)
                    .cloned()
            },
        )
        .await
    }
}
