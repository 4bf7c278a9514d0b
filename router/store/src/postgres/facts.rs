//! Loads what a decision needs to know: one statement for each kind of question, all of them sent
//! together, from one snapshot.

mod tickets;

use std::collections::HashMap;

use uuid::Uuid;

use super::{
    Inner,
    error::Fail,
    rows::{
        self, CONTACT_COLUMNS, contact_columns, conversation_columns, select_agent, thread_columns,
    },
    sql::{Answer, Columns, Step, can_be, column, params},
};
use crate::{
    Facts, Group, Strategy, Want,
    limits::{ROWS_MAX, WOKEN_MAX},
};

/// A thread, its contact, and its newest conversation that is not closed.
macro_rules! select_threads {
    ($from:literal) => {
        concat!(
            "SELECT ",
            thread_columns!("t"),
            ", ",
            contact_columns!("c"),
            ", ",
            conversation_columns!("v"),
            " FROM ",
            $from,
            " LEFT JOIN contact c ON c.id = t.contact
             LEFT JOIN LATERAL (
                 SELECT * FROM conversation WHERE thread = t.id AND state <> 'closed'
                 ORDER BY created_at DESC, id DESC LIMIT 1
             ) v ON true"
        )
    };
}

const THREADS_BY_ADDRESS: &str = select_threads!(
    "unnest($1::text[], $2::text[]) w(channel, address)
     JOIN thread t ON t.channel = w.channel AND t.address = w.address"
);
const THREADS_BY_CONVERSATION: &str = select_threads!(
    "(SELECT DISTINCT thread FROM conversation WHERE id = ANY($1)) w JOIN thread t ON t.id = w.thread"
);
pub(super) const GROUPS: &str = "SELECT id, name, strategy,
         ARRAY(SELECT agent FROM grp_agent WHERE grp = grp.id ORDER BY agent),
         ARRAY(SELECT channel FROM grp_channel WHERE grp = grp.id ORDER BY channel)
     FROM grp ORDER BY name, id";
pub(super) const AGENTS: &str = select_agent!("ORDER BY name, id");

/// Takes its statement's answer into the facts.
type Take = fn(&Answer, &mut Facts) -> Result<(), Fail>;

pub(super) async fn load(inner: &Inner, want: &Want) -> Result<Facts, Fail> {
    let questions = questions(want);
    if questions.is_empty() {
        return Ok(Facts::default());
    }
    let mut takes = Vec::with_capacity(questions.len());
    let mut steps = Vec::with_capacity(questions.len() + 2);
    steps.push(Step::bare(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    ));
    for (step, take) in questions {
        steps.push(step);
        takes.push(take);
    }
    steps.push(Step::bare("COMMIT"));
    // The end is sent with the beginning: no transaction stays open, whatever becomes of us.
    let mut answers = inner.pipeline(&inner.pools.work, &steps).await?;
    answers
        .pop_front()
        .expect("every statement is answered")
        .map(drop)?;
    let mut facts = Facts::default();
    for (take, answer) in takes.into_iter().zip(answers) {
        take(&answer?, &mut facts).map_err(|fail| Fail::Row(Box::new(fail)))?;
    }
    Ok(facts)
}

fn questions(want: &Want) -> Vec<(Step<'_>, Take)> {
    let mut questions: Vec<(Step<'_>, Take)> = Vec::new();
    marks(want, &mut questions);
    if !want.addresses.is_empty() {
        let addresses = || want.addresses.iter().filter(|(_, text)| can_be(text));
        let channels = column(addresses(), |(channel, _)| channel.as_str());
        let addresses = column(addresses(), |(_, address)| address.as_str());
        questions.push((
            Step::new(THREADS_BY_ADDRESS, params![channels, addresses]),
            take_threads,
        ));
    }
    if !want.conversations.is_empty() {
        let ids = column(&want.conversations, |id| id.0);
        questions.push((
            Step::new(THREADS_BY_CONVERSATION, params![ids.clone()]),
            take_threads,
        ));
        let by_id = concat!(
            "SELECT ",
            conversation_columns!("v"),
            ", ",
            contact_columns!("c"),
            " FROM conversation v LEFT JOIN contact c ON c.id = v.contact WHERE v.id = ANY($1)"
        );
        questions.push((Step::new(by_id, params![ids]), take_conversations));
    }
    if want.desk {
        questions.push((Step::bare(AGENTS), take_agents));
        questions.push((Step::bare(GROUPS), take_groups));
    }
    queues(want, &mut questions);
    tickets::ask(want, &mut questions);
    questions
}

fn marks<'a>(want: &'a Want, questions: &mut Vec<(Step<'a>, Take)>) {
    if !want.processed.is_empty() {
        let marks = || {
            want.processed
                .iter()
                .filter(|(s, id)| can_be(s) && can_be(id))
        };
        let sources = column(marks(), |(source, _)| source.as_str());
        let ids = column(marks(), |(_, id)| id.as_str());
        let sql = "SELECT p.source, p.id FROM unnest($1::text[], $2::text[]) w(source, id)
             JOIN processed p ON p.source = w.source AND p.id = w.id";
        questions.push((Step::new(sql, params![sources, ids]), |answer, facts| {
            facts.processed = answer.all(|c| Ok((c.get()?, c.get()?)))?;
            Ok(())
        }));
    }
    if !want.dedupe.is_empty() {
        let keys = want.dedupe.iter().filter(|key| can_be(key));
        let keys = column(keys, String::as_str);
        let sql = "SELECT key, message FROM dedupe WHERE key = ANY($1)";
        questions.push((Step::new(sql, params![keys]), |answer, facts| {
            facts.dedupe = answer
                .all(|c| Ok((c.get()?, c.id()?)))?
                .into_iter()
                .collect();
            Ok(())
        }));
    }
    if !want.commands.is_empty() {
        let ids = column(&want.commands, |id| id.0);
        let sql = "SELECT command, body FROM outcome WHERE command = ANY($1)";
        questions.push((Step::new(sql, params![ids]), |answer, facts| {
            facts.outcomes = answer
                .all(|c| Ok((c.id()?, c.json()?)))?
                .into_iter()
                .collect();
            Ok(())
        }));
    }
    if let Some(partition) = &want.outbox {
        let sql = "SELECT seq FROM outbox_head WHERE partition = $1";
        questions.push((
            Step::new(sql, params![partition.as_str()]),
            |answer, facts| {
                facts.outbox_seq = answer.one(|c| c.number())?.unwrap_or(0);
                Ok(())
            },
        ));
    }
}

fn queues<'a>(want: &'a Want, questions: &mut Vec<(Step<'a>, Take)>) {
    if want.waiting > 0 {
        let sql = concat!(
            "SELECT ",
            conversation_columns!("v"),
            " FROM conversation v WHERE v.state IN ('new', 'waiting')
                 AND (coalesce(v.waiting_since, v.created_at), v.id) > ($2, $3)
             ORDER BY coalesce(v.waiting_since, v.created_at), v.id LIMIT $1"
        );
        let limit = i64::from(want.waiting.min(ROWS_MAX));
        let after = want.waiting_after.as_ref();
        let (at, id) = after.map_or((i64::MIN, Uuid::nil()), |last| (last.at.as_ms(), last.id));
        questions.push((Step::new(sql, params![limit, at, id]), |answer, facts| {
            facts.waiting = answer.all(rows::conversation)?;
            Ok(())
        }));
    }
    if let Some(until) = want.snoozed_until {
        let sql = concat!(
            "SELECT ",
            conversation_columns!("v"),
            " FROM conversation v WHERE v.state = 'snoozed' AND v.snoozed_until <= $1
             ORDER BY v.snoozed_until LIMIT $2"
        );
        let limit = i64::from(WOKEN_MAX);
        questions.push((
            Step::new(sql, params![until.as_ms(), limit]),
            |answer, facts| {
                facts.woken = answer.all(rows::conversation)?;
                Ok(())
            },
        ));
    }
}

fn take_threads(answer: &Answer, facts: &mut Facts) -> Result<(), Fail> {
    for row in &answer.rows {
        let mut c = Columns::new(row);
        let thread = rows::thread(&mut c)?;
        take_contact(&mut c, facts)?;
        if c.is_there()? {
            let current = rows::conversation(&mut c)?;
            facts.current.insert(thread.id, current.id);
            facts.conversations.insert(current.id, current);
        }
        facts
            .threads
            .insert((thread.channel.clone(), thread.address.clone()), thread);
    }
    Ok(())
}

fn take_conversations(answer: &Answer, facts: &mut Facts) -> Result<(), Fail> {
    for row in &answer.rows {
        let mut c = Columns::new(row);
        let conversation = rows::conversation(&mut c)?;
        facts.conversations.insert(conversation.id, conversation);
        take_contact(&mut c, facts)?;
    }
    Ok(())
}

/// The next columns are a contact, if it is there.
fn take_contact(c: &mut Columns<'_>, facts: &mut Facts) -> Result<(), Fail> {
    if c.is_there()? {
        let contact = rows::contact(c)?;
        facts.contacts.insert(contact.id, contact);
    } else {
        c.skip(CONTACT_COLUMNS);
    }
    Ok(())
}

fn take_agents(answer: &Answer, facts: &mut Facts) -> Result<(), Fail> {
    let agents = answer.all(rows::agent)?;
    facts.agents = agents.into_iter().map(|agent| (agent.id, agent)).collect();
    Ok(())
}

fn take_groups(answer: &Answer, facts: &mut Facts) -> Result<(), Fail> {
    let groups = groups(answer)?;
    facts.groups = HashMap::from_iter(groups.into_iter().map(|group| (group.id, group)));
    Ok(())
}

/// Reads what [`GROUPS`] selects.
pub(super) fn groups(answer: &Answer) -> Result<Vec<Group>, Fail> {
    answer.all(|c| {
        Ok(Group {
            id: c.id()?,
            name: c.get()?,
            strategy: c.word(Strategy::from_word)?,
            members: column(&c.get::<Vec<Uuid>>()?, |id| patchbay_message::AgentId(*id)),
            channels: c
                .get::<Vec<&str>>()?
                .into_iter()
                .map(patchbay_message::ChannelId::new)
                .collect::<Result<_, _>>()
                .map_err(|error| Fail::Store(error.to_string()))?,
        })
    })
}
