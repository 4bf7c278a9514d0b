//! One conversation and its two ledgers.

use std::{
    collections::HashSet,
    fmt::Write as _,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use serde_json::Value;

use super::killer::Mark;
use crate::harness::{agent::Agent, visitor::Visitor};

/// A visitor and the agent's side of the same conversation.
pub struct Talk {
    number: usize,
    gateways: Vec<String>,
    agent: Agent,
    messages: usize,
    mark: Arc<Mark>,
}

/// What a talk left behind.
pub struct Ended {
    visitor: Visitor,
    conversation: String,
    said: Vec<String>,
    replied: Vec<String>,
}

/// What the judge has seen.
#[derive(Default)]
pub struct Totals {
    inbound: usize,
    replies: usize,
    shown: usize,
    sent_again: usize,
}

impl Talk {
    pub fn new(
        number: usize,
        gateways: &[String],
        agent: &Agent,
        messages: usize,
        mark: &Arc<Mark>,
    ) -> Self {
        let mark = Arc::clone(mark);
        Self {
            number,
            gateways: gateways.to_vec(),
            agent: agent.clone(),
            messages,
            mark,
        }
    }

    /// Talks in both directions at once, at the pace of the killing.
    pub async fn run(self) -> Ended {
        let mut visitor = Visitor::new(&self.gateways).await;
        visitor.say(format!("v{}-0", self.number), self.said(0));
        visitor
            .until("the first acceptance", Duration::from_secs(120), |v| {
                v.accepted.len() == 1
            })
            .await;
        let conversation = self.agent.conversation_of(&visitor.address).await;
        let conversation = conversation["id"].as_str().expect("an id").to_owned();
        let visit = async {
            for n in 1..self.messages {
                self.pace(n, visitor.accepted.len()).await;
                visitor.say(format!("v{}-{n}", self.number), self.said(n));
                visitor.work(Duration::from_millis(20)).await;
            }
            let all = |v: &Visitor| {
                v.accepted.len() == self.messages && v.shown.len() == 2 * self.messages
            };
            visitor
                .until(
                    "everything accepted and shown",
                    Duration::from_secs(400),
                    all,
                )
                .await;
        };
        let answer = async {
            for n in 0..self.messages {
                self.pace(n, n).await;
                let key = format!("r{}-{n}", self.number);
                self.agent.reply(&conversation, &self.reply(n), &key).await;
            }
        };
        tokio::join!(visit, answer);
        let said = (0..self.messages).map(|n| self.said(n)).collect();
        let replied = (0..self.messages).map(|n| self.reply(n)).collect();
        Ended {
            visitor,
            conversation,
            said,
            replied,
        }
    }

    fn said(&self, n: usize) -> String {
        format!("visitor {} says {n}", self.number)
    }

    fn reply(&self, n: usize) -> String {
        format!("agent replies {n} to {}", self.number)
    }

    /// Spreads the messages over the time of the killing: not far ahead of the share of kills that
    /// are done.
    async fn pace(&self, n: usize, _done: usize) {
        loop {
            let permille = self.mark.permille.load(Ordering::Relaxed);
            let allowed = 2 + self.messages * usize::try_from(permille).unwrap_or(1000) / 1000;
            if n < allowed {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Ended {
    /// Every accepted message exactly once and in order: as the visitor was shown them, and as the
    /// agent reads them.
    pub async fn judge(self, agent: &Agent, totals: &mut Totals) {
        let Self {
            visitor,
            conversation,
            said,
            replied,
        } = self;
        assert_eq!(
            visitor.own(),
            said,
            "{conversation}: the visitor's own messages"
        );
        assert_eq!(
            visitor.replies(),
            replied,
            "{conversation}: replies as the visitor was shown them"
        );
        let messages = agent.messages(&conversation).await;
        let texts = |direction: &str| -> Vec<String> {
            let of = messages
                .iter()
                .filter(|m| m["kind"] == "message" && m["direction"] == direction);
            of.map(|m| m["content"][0]["text"].as_str().expect("a text").to_owned())
                .collect()
        };
        assert_eq!(
            texts("inbound"),
            said,
            "{conversation}: messages as the agent reads them"
        );
        assert_eq!(
            texts("outbound"),
            replied,
            "{conversation}: replies as the agent reads them"
        );
        let ids: HashSet<&str> = messages.iter().filter_map(|m| m["id"].as_str()).collect();
        assert_eq!(ids.len(), messages.len(), "{conversation}: an id twice");
        let seqs: Vec<u64> = messages.iter().filter_map(|m| m["seq"].as_u64()).collect();
        assert_eq!(
            seqs,
            (1..=seqs.len() as u64).collect::<Vec<_>>(),
            "{conversation}: numbers"
        );
        assert_delivered(&messages, &conversation);
        totals.inbound += said.len();
        totals.replies += replied.len();
        totals.shown += visitor.shown.len();
        totals.sent_again += visitor
            .other
            .iter()
            .filter(|frame| frame["type"] == "refused")
            .count();
    }
}

/// No reply is left behind as not sent.
fn assert_delivered(messages: &[Value], conversation: &str) {
    for message in messages
        .iter()
        .filter(|m| m["direction"] == "outbound" && m["kind"] == "message")
    {
        let state = message["delivery"]["state"].as_str().unwrap_or("none");
        assert!(
            ["queued", "accepted", "sent", "delivered", "read"].contains(&state),
            "{conversation}: a reply is {state}"
        );
    }
}

impl Totals {
    pub fn report(&self) -> String {
        let mut text = String::new();
        let _ = writeln!(
            text,
            "| visitor messages accepted, stored once, in order | {} |",
            self.inbound
        );
        let _ = writeln!(
            text,
            "| agent replies done, shown once, in order | {} |",
            self.replies
        );
        let _ = writeln!(
            text,
            "| frames shown to visitors, numbered without a gap | {} |",
            self.shown
        );
        let _ = writeln!(
            text,
            "| frames refused with \"again\" | {} |",
            self.sent_again
        );
        text
    }
}
