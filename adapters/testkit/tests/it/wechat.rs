//! The fake WeChat: that it refuses what the real one refuses, and pushes as the real one does.

mod api;
mod files;
mod notices;
mod pushes;
mod sdk;
mod tokens;
mod vectors;

use patchbay_testkit::fakes::wechat::{Account, App, Callback, Format, Kind, Mode, WeChat};
use serde_json::{Value, json};

const SECRET: &str = "an app secret of the tests";
/// Its last character has spare bits that are not zero.
const KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
const ALICE: &str = "oAlice-_0123456789abcdefghij";
const BOB: &str = "oBob-_0123456789abcdefghijkl";

fn account(kind: Kind, mode: Mode, format: Format, url: &str) -> Account {
    Account {
        kind,
        appid: "wx5823bf96d3bd56c7".to_owned(),
        secret: SECRET.to_owned(),
        original_id: "gh_97417a04a28d".to_owned(),
        callback: Callback {
            url: url.to_owned(),
            token: "spamtest".to_owned(),
            encoding_aes_key: KEY.to_owned(),
            mode,
            format,
        },
    }
}

/// A platform with one account, and a client that has a token.
struct Caller {
    wechat: WeChat,
    app: App,
    http: reqwest::Client,
    token: String,
}

impl Caller {
    async fn official() -> Self {
        Self::of(Kind::Official).await
    }

    async fn of(kind: Kind) -> Self {
        let wechat = WeChat::start().await;
        let app = wechat.open(account(
            kind,
            Mode::Plain,
            Format::Xml,
            "http://127.0.0.1:9/",
        ));
        let mut caller = Self {
            wechat,
            app,
            http: http(),
            token: String::new(),
        };
        caller.renew().await;
        caller
    }

    /// Fetches the token anew.
    async fn renew(&mut self) {
        let answer = self.stable(false).await;
        self.token = answer["access_token"].as_str().unwrap().to_owned();
    }

    async fn stable(&self, force: bool) -> Value {
        let asked = json!({
            "grant_type": "client_credential", "appid": "wx5823bf96d3bd56c7", "secret": SECRET,
            "force_refresh": force,
        });
        self.post("/cgi-bin/stable_token", asked.to_string()).await
    }

    /// Posts a body as it is; the status is always 200.
    async fn post(&self, path: &str, body: String) -> Value {
        let url = format!("{}{path}?access_token={}", self.wechat.url(), self.token);
        let answer = self.http.post(url).body(body).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }

    async fn get(&self, path_and_query: &str) -> Value {
        let url = format!("{}{path_and_query}", self.wechat.url());
        let answer = self.http.get(url).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }

    /// Sends a customer-service message; answers its errcode.
    async fn send(&self, message: &Value) -> i64 {
        self.code("/cgi-bin/message/custom/send", message).await
    }

    async fn text(&self, to: &str, text: &str) -> i64 {
        self.send(&json!({ "touser": to, "msgtype": "text", "text": { "content": text } }))
            .await
    }

    async fn code(&self, path: &str, asked: &Value) -> i64 {
        self.post(path, asked.to_string()).await["errcode"]
            .as_i64()
            .unwrap()
    }
}

fn http() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}
