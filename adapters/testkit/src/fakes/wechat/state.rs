//! What the platform knows: accounts, users, what they were shown.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use patchbay_message::{Clock as _, SystemClock};
use serde_json::{Value, json};

use super::{
    Account, Kind, Push, Seal, Standing,
    deliver::ANSWER_TIME,
    errcode::{
        BAD_OPENID, BAD_TOKEN, BLOCKED, DAY_QUOTA, NO_TOKEN, NOT_FOLLOWED, Refused, TOO_FAST,
    },
    faults::Faults,
    media::Files,
    tokens::Tokens,
    window::{Sign, Window},
};

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 86_400_000;
/// Beyond the integers that a JSON number of JavaScript holds: whoever reads it as one shows it.
const FIRST_MSG_ID: i64 = 23_456_789_012_345_677;

/// How a user was shown something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// In answer to a push.
    Passive,
    /// By the customer-service API.
    CustomerService,
    /// By a template.
    Template,
    /// By a template the user subscribed to.
    Subscription,
}

/// Something a user was shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// How it came.
    pub way: Way,
    /// `text`, `image` ...
    pub msg_type: String,
    /// Its content: of the API as it was sent, of a passive reply the fields of its XML.
    pub content: Value,
    /// When, in milliseconds since 1970 by the fake's clock.
    pub at_ms: i64,
}

impl Shown {
    /// The text, of a text.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.content["content"]
            .as_str()
            .or_else(|| self.content["Content"].as_str())
    }
}

/// A call that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// `/cgi-bin/..`.
    pub path: String,
    /// With what.
    pub refused: Refused,
}

/// Everything.
pub(super) struct State {
    /// Where it listens.
    pub(super) url: String,
    pub(super) books: BTreeMap<String, Book>,
    pub(super) faults: Faults,
    pub(super) calls: BTreeMap<String, usize>,
    pub(super) refusals: Vec<Refusal>,
    /// How long a callback may take, and the pause between attempts.
    pub(super) patience: (Duration, Duration),
    ahead: Duration,
    last_msg_id: i64,
}

impl State {
    pub(super) fn new(url: String) -> Self {
        Self {
            url,
            books: BTreeMap::new(),
            faults: Faults::default(),
            calls: BTreeMap::new(),
            refusals: Vec::new(),
            patience: (ANSWER_TIME, Duration::ZERO),
            ahead: Duration::ZERO,
            last_msg_id: FIRST_MSG_ID,
        }
    }

    pub(super) fn now_ms(&self) -> i64 {
        SystemClock.now().plus(self.ahead).as_ms()
    }

    pub(super) fn advance(&mut self, by: Duration) {
        self.ahead += by;
    }

    pub(super) fn next_msg_id(&mut self) -> i64 {
        self.last_msg_id += 1;
        self.last_msg_id
    }

    /// Whose token this is, if it is good.
    pub(super) fn owner(&mut self, token: Option<&str>) -> Result<&mut Book, Refused> {
        let now_ms = self.now_ms();
        let token = token.filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| Refused::new(NO_TOKEN, "access_token missing"))?;
        for book in self.books.values_mut() {
            if let Some(checked) = book.tokens.check(token, now_ms) {
                return checked.map(|()| book);
            }
        }
        Err(Refused::new(BAD_TOKEN, "invalid access_token"))
    }
}

/// One account's.
pub(super) struct Book {
    pub(super) account: Account,
    pub(super) tokens: Tokens,
    pub(super) files: Files,
    /// By id, with the keywords each wants.
    pub(super) templates: BTreeMap<String, Vec<String>>,
    pub(super) limits: Option<(usize, usize)>,
    /// When customer-service messages were asked for, of the last day.
    sends: VecDeque<i64>,
    users: BTreeMap<String, User>,
    /// Template messages without a result: number, template, user.
    jobs: Vec<(i64, String, String)>,
    last_job: i64,
}

/// One user of one account.
#[derive(Default)]
pub(super) struct User {
    pub(super) standing: Option<Standing>,
    pub(super) window: Window,
    pub(super) shown: Vec<Shown>,
    pub(super) subscriptions: BTreeMap<String, u32>,
    pub(super) typing_until_ms: i64,
    pub(super) last_sign_ms: i64,
}

impl Book {
    pub(super) fn new(account: Account) -> Self {
        Self {
            account,
            tokens: Tokens::default(),
            files: Files::default(),
            templates: BTreeMap::new(),
            limits: None,
            sends: VecDeque::new(),
            users: BTreeMap::new(),
            jobs: Vec::new(),
            last_job: 200_228_331,
        }
    }

    pub(super) fn seal(&self) -> Seal {
        let callback = &self.account.callback;
        Seal::new(
            &callback.token,
            &callback.encoding_aes_key,
            &self.account.appid,
        )
    }

    /// A user, who is a stranger at first.
    pub(super) fn user(&mut self, openid: &str) -> &mut User {
        self.users.entry(openid.to_owned()).or_default()
    }

    pub(super) fn sign(&mut self, openid: &str, sign: Sign, now_ms: i64) {
        let user = self.user(openid);
        user.window.sign(sign, now_ms);
        user.last_sign_ms = now_ms;
        user.standing.get_or_insert(Standing::Follows);
    }

    /// A user who may be told something.
    pub(super) fn reachable(&mut self, openid: &str) -> Result<&mut User, Refused> {
        let user = self.users.get_mut(openid);
        let user = user.ok_or_else(|| Refused::new(BAD_OPENID, "invalid openid"))?;
        match user.standing {
            Some(Standing::Follows) => Ok(user),
            Some(Standing::Blocks) => Err(Refused::new(BLOCKED, "user refuses to accept the msg")),
            Some(Standing::Stranger) | None => Err(Refused::new(NOT_FOLLOWED, "require subscribe")),
        }
    }

    /// Counts a customer-service message against the account's limits.
    pub(super) fn count_send(&mut self, now_ms: i64) -> Result<(), Refused> {
        let Some((per_minute, per_day)) = self.limits else {
            return Ok(());
        };
        while self.sends.front().is_some_and(|at| now_ms - at >= DAY_MS) {
            self.sends.pop_front();
        }
        if self.sends.len() >= per_day {
            return Err(Refused::new(DAY_QUOTA, "reach max api daily quota limit"));
        }
        let minute = self
            .sends
            .iter()
            .filter(|at| now_ms - **at < MINUTE_MS)
            .count();
        if minute >= per_minute {
            return Err(Refused::new(TOO_FAST, "api minute-quota reach limit"));
        }
        self.sends.push_back(now_ms);
        Ok(())
    }

    /// Remembers a template message until it has a result; answers its number.
    pub(super) fn begin(&mut self, template: &str, openid: &str) -> i64 {
        self.last_job += 1;
        self.jobs
            .push((self.last_job, template.to_owned(), openid.to_owned()));
        self.last_job
    }

    /// The results of template messages, as events for their users.
    pub(super) fn finish(&mut self, status: &str) -> Vec<(String, Push)> {
        let kind = self.account.kind;
        let event = |(number, template, openid): (i64, String, String)| {
            let push = match kind {
                Kind::Official => Push::event("TEMPLATESENDJOBFINISH", &[])
                    .with("MsgID", json!(number))
                    .with("Status", json!(status)),
                Kind::MiniProgram => {
                    let ok = status == "success";
                    let result = json!({
                        "TemplateId": template,
                        "MsgID": number.to_string(),
                        "ErrorCode": if ok { "0" } else { "20001" },
                        "ErrorStatus": status,
                    });
                    Push::event("subscribe_msg_sent_event", &[])
                        .with("SubscribeMsgSentEvent", json!({ "List": result }))
                }
            };
            (openid, push)
        };
        self.jobs.drain(..).map(event).collect()
    }
}
