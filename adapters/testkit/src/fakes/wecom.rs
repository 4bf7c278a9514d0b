//! WeCom's customer service: tokens, doorbells, `sync_msg` and `send_msg`, as strict as documented.
//!
//! <https://developer.work.weixin.qq.com/document/path/94670>,
//! <https://developer.work.weixin.qq.com/document/path/94677>

mod calls;
mod server;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

pub use super::wechat::Fault;
use super::wechat::Seal;

/// Messages after each one of a customer.
pub const QUOTA: u32 = 5;
/// Messages of a page, however many are asked for: less than anybody asks for is allowed.
pub const PAGE_MAX: usize = 50;

/// A platform with one enterprise. Ends when dropped.
pub struct WeCom {
    url: String,
    state: Arc<Mutex<State>>,
    serving: JoinHandle<()>,
}

/// What the enterprise has entered in its console.
#[derive(Clone)]
pub struct Enterprise {
    /// Its `CorpID`.
    pub corp_id: String,
    /// The secret of customer service.
    pub secret: String,
    /// The callback's token.
    pub token: String,
    /// The callback's key.
    pub encoding_aes_key: String,
    /// Its accounts, by `open_kfid`.
    pub accounts: Vec<String>,
}

/// A doorbell, ready to be posted to the callback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bell {
    /// Signature, time, nonce.
    pub query: String,
    /// Sealed XML.
    pub body: String,
}

pub(super) struct State {
    enterprise: Enterprise,
    /// The present token; none that is older is good.
    token: Option<String>,
    n_tokens: u32,
    /// What each account has to be pulled, in order.
    rows: HashMap<String, Vec<Value>>,
    /// Tokens of doorbells.
    hints: HashSet<String>,
    /// What may still be said, by account and customer.
    left: HashMap<(String, String), u32>,
    msgids: HashSet<(String, String)>,
    shown: Vec<(String, String, String)>,
    faults: HashMap<String, VecDeque<Fault>>,
    calls: HashMap<String, u32>,
    refusals: Vec<i64>,
}

impl WeCom {
    /// Listens on a free port of loopback.
    ///
    /// # Panics
    /// If there is none.
    pub async fn start(enterprise: Enterprise) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await;
        let listener = listener.expect("a free port on loopback");
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::new(Mutex::new(State {
            enterprise,
            token: None,
            n_tokens: 0,
            rows: HashMap::new(),
            hints: HashSet::new(),
            left: HashMap::new(),
            msgids: HashSet::new(),
            shown: Vec::new(),
            faults: HashMap::new(),
            calls: HashMap::new(),
            refusals: Vec::new(),
        }));
        Self {
            url: format!("http://{address}"),
            serving: tokio::spawn(server::run(listener, Arc::clone(&state))),
            state,
        }
    }

    /// Where the API is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A customer writes; answers the message's id.
    pub fn say(&self, account: &str, customer: &str, text: &str) -> String {
        let mut state = self.state.lock();
        let to = (account.to_owned(), customer.to_owned());
        state.left.insert(to, QUOTA);
        let text = json!({ "content": text });
        state.put(account, customer, 3, "text", &text)
    }

    /// Something happens on an account.
    pub fn event(&self, account: &str, customer: &str, event: &Value) -> String {
        self.state.lock().put(account, customer, 4, "event", event)
    }

    /// Rings for an account, with a token that is good for a pull.
    #[must_use]
    pub fn bell(&self, account: &str) -> Bell {
        let mut state = self.state.lock();
        let hint = format!("bell-{}", state.hints.len());
        state.hints.insert(hint.clone());
        let now = seconds();
        let corp_id = &state.enterprise.corp_id;
        let xml = format!(
            "<xml><ToUserName><![CDATA[{corp_id}]]></ToUserName><CreateTime>{now}</CreateTime>\
             <MsgType><![CDATA[event]]></MsgType><Event><![CDATA[kf_msg_or_event]]></Event>\
             <Token><![CDATA[{hint}]]></Token><OpenKfId><![CDATA[{account}]]></OpenKfId></xml>"
        );
        let seal = state.seal();
        let sealed = seal.seal(xml.as_bytes());
        let (time, nonce) = (now.to_string(), fastrand::u32(..).to_string());
        let signature = seal.sign(&[&time, &nonce, &sealed]);
        Bell {
            query: format!("msg_signature={signature}&timestamp={time}&nonce={nonce}"),
            body: format!(
                "<xml><ToUserName><![CDATA[{corp_id}]]></ToUserName>\
                 <Encrypt><![CDATA[{sealed}]]></Encrypt><AgentID></AgentID></xml>"
            ),
        }
    }

    /// What a customer was shown by an account, in order.
    #[must_use]
    pub fn shown(&self, account: &str, customer: &str) -> Vec<String> {
        let state = self.state.lock();
        let of = state.shown.iter();
        of.filter(|(from, to, _)| from == account && to == customer)
            .map(|(_, _, text)| text.clone())
            .collect()
    }

    /// Ends the present token at once.
    pub fn expire_tokens(&self) {
        self.state.lock().token = None;
    }

    /// Lets the next call of this path go wrong.
    pub fn fault(&self, path: &str, fault: Fault) {
        let mut state = self.state.lock();
        state
            .faults
            .entry(path.to_owned())
            .or_default()
            .push_back(fault);
    }

    /// How often a path was called.
    #[must_use]
    pub fn calls(&self, path: &str) -> u32 {
        self.state.lock().calls.get(path).copied().unwrap_or(0)
    }

    /// With what calls were refused, in order.
    #[must_use]
    pub fn refusals(&self) -> Vec<i64> {
        self.state.lock().refusals.clone()
    }
}

impl Drop for WeCom {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl State {
    fn seal(&self) -> Seal {
        let Enterprise {
            token,
            encoding_aes_key,
            corp_id,
            ..
        } = &self.enterprise;
        Seal::new(token, encoding_aes_key, corp_id)
    }

    fn put(
        &mut self,
        account: &str,
        customer: &str,
        origin: u8,
        kind: &str,
        said: &Value,
    ) -> String {
        let rows = self.rows.entry(account.to_owned()).or_default();
        let id = format!("{account}-{}", rows.len());
        rows.push(json!({
            "msgid": id, "open_kfid": account, "external_userid": customer,
            "send_time": seconds(), "origin": origin, "msgtype": kind, kind: said,
        }));
        id
    }
}

#[expect(clippy::disallowed_methods, reason = "a provider's clock is its own")]
fn seconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
