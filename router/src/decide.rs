//! What a batch of deliveries changes. Pure: facts, settings, time and ids come in, one commit's
//! worth of changes goes out. Nothing here waits, reads or writes.
//!
//! Every delivery of a batch is acked once its changes are committed; see `partition` for what
//! happens when they cannot be.

mod actions;
mod board;
mod command;
mod device;
mod fault;
mod message;
mod moves;
mod notice;
mod outbound;
mod receipt;
mod report;
mod ticket;

use std::{collections::HashMap, time::Duration};

use patchbay_message::{
    ChannelId, CommandName, ConversationId, Direction, LiveSignal, MessageId, Outcome,
    OutcomeStatus, Time,
};
use patchbay_store::{Changes, DeadLetter, Facts, Fence, Strategy, Want};
use uuid::Uuid;

pub use self::board::Tally;
use self::{
    board::Board,
    notice::{notice, preview},
};
pub(crate) use self::{
    moves::{agent_event, conversation_event, may_take, message_event, shift},
    notice::{Voice, notice_row},
};
use crate::item::{Item, Work};

/// The source under which the inbound queue's deliveries are marked as processed.
pub const SOURCE: &str = "inbound";

/// What decisions depend on besides facts.
#[derive(Debug, Clone)]
pub struct Rules {
    /// How many outbound shards there are; fixed at install.
    pub shards: u16,
    /// An outbound is not sent after this long.
    pub expire_after: Duration,
    /// The same, for single channels.
    pub expire_after_by_channel: HashMap<ChannelId, Duration>,
    /// How conversations and tickets without a group are given to agents.
    pub strategy: Strategy,
    /// From so many turns between raised and cleared on a ticket flaps.
    pub flap_count: u32,
    /// Turns count together if they are not further apart than this, by the device's clock.
    pub flap_window: Duration,
    /// A flapping fault that is cleared counts as cleared once it has been quiet this long.
    pub hold_down: Duration,
    /// A resolved conversation with so many lines is closed by the device's next report, and another
    /// one begins.
    pub report_lines_max: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            shards: 16,
            expire_after: Duration::from_secs(24 * 3600),
            expire_after_by_channel: HashMap::new(),
            strategy: Strategy::LeastLoaded,
            flap_count: 3,
            flap_window: Duration::from_secs(10 * 60),
            hold_down: Duration::from_secs(5 * 60),
            report_lines_max: 10_000,
        }
    }
}

/// For whom and when it is decided.
#[derive(Debug)]
pub struct Context<'a> {
    /// The duty: `inbound.<p>`; also names the outbox partition.
    pub fence: &'a Fence,
    /// Which partition.
    pub partition: u16,
    /// The outbox number before the first one of this batch.
    pub outbox_seq: u64,
    /// Settings.
    pub rules: &'a Rules,
    /// Time.
    pub now: Time,
}

/// How one delivery ended; the closed list of the metrics' `outcome`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Done what it asks for.
    Routed,
    /// It was done before.
    Repeat,
    /// A command that was refused.
    Refused,
    /// A dead letter.
    Dead,
}

impl Ending {
    /// The label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Routed => "routed",
            Self::Repeat => "repeat",
            Self::Refused => "refused",
            Self::Dead => "dead",
        }
    }
}

/// What is to be done about a batch.
#[derive(Debug, Default)]
pub struct Decision {
    /// To be committed at once. Without fence, nothing is to be committed (all were repeats).
    pub changes: Changes,
    /// Type and ending of each delivery, in the batch's order.
    pub endings: Vec<(&'static str, Ending)>,
    /// Conversation of each delivery, for logs.
    pub conversations: Vec<Option<ConversationId>>,
    /// Something came into the queue, or an agent has room again.
    pub wakes_assigner: bool,
    /// What contacts are told once it is committed.
    pub signals: Vec<LiveSignal>,
    /// What is counted about tickets once it is committed.
    pub tally: Tally,
}

/// What has to be known to decide on a batch.
#[must_use]
pub fn want(batch: &[Item]) -> Want {
    let mut want = Want::default();
    for item in batch {
        want.processed.push(mark(item.id));
        match &item.work {
            Work::Message(envelope) => {
                want.dedupe.extend(envelope.dedupe_key.clone());
                if let Some(sender) = &envelope.sender {
                    want.addresses
                        .push((envelope.channel.id.clone(), sender.address.clone()));
                    report::want(&mut want, envelope, sender);
                }
                want.desk = true;
            }
            Work::Receipt(envelope, _) => want.dedupe.extend(envelope.dedupe_key.clone()),
            Work::Command(_, command) => {
                want.dedupe.push(command::key(command));
                want.conversations.push(command.conversation_id);
                want.tickets.extend(command.ticket_id);
                want.commands.push(command.id);
                want.desk = true;
            }
            Work::Undecodable { .. } => {}
        }
    }
    want.devices.sort_unstable();
    want.devices.dedup();
    want.faults.sort_unstable();
    want.faults.dedup();
    want
}

/// What has to be known besides, and could not be asked for before the first facts came: none, mostly.
///
/// Of a command done before under the same key by another id, how the first one ended; of a ticket
/// to be reopened, whether another one of the same fault is open; of a device whose silence has
/// another code by now, the ticket of the old one.
#[must_use]
pub fn want_more(batch: &[Item], facts: &Facts) -> Option<Want> {
    let mut more = Want::default();
    for item in batch {
        match &item.work {
            Work::Command(_, command) => {
                let first = facts.dedupe.get(&command::key(command));
                let first = first.map(|first| patchbay_message::CommandId(first.0));
                more.commands
                    .extend(first.filter(|first| !facts.outcomes.contains_key(first)));
                let ticket = (command.ticket_id)
                    .filter(|_| command.name == CommandName::Reopen)
                    .and_then(|id| facts.tickets.get(&id));
                more.faults.extend(
                    ticket.map(|row| (row.channel.clone(), row.device.clone(), row.code.clone())),
                );
            }
            Work::Message(envelope) => more.faults.extend(device::want_more(envelope, facts)),
            Work::Receipt(..) | Work::Undecodable { .. } => {}
        }
    }
    (more != Want::default()).then_some(more)
}

/// Decides on a batch, in its order.
#[must_use]
pub fn decide(
    batch: &[Item],
    facts: Facts,
    context: &Context<'_>,
    ids: &mut dyn FnMut() -> Uuid,
) -> Decision {
    let mut board = Board::new(facts, context, ids);
    let mut endings = Vec::with_capacity(batch.len());
    let mut conversations = Vec::with_capacity(batch.len());
    for item in batch {
        let (ending, conversation) = if board.is_processed(item.id) {
            (Ending::Repeat, None)
        } else {
            match &item.work {
                Work::Message(envelope) => message::take(&mut board, item.id, envelope),
                Work::Receipt(envelope, word) => receipt::take(&mut board, item.id, envelope, word),
                Work::Command(envelope, command) => {
                    command::take(&mut board, item.id, envelope, command)
                }
                Work::Undecodable { why, channel } => {
                    board.processed(item.id);
                    let letter = letter(item, channel, "undecodable", why, context.now);
                    board.out.dead.push(letter);
                    (Ending::Dead, None)
                }
            }
        };
        endings.push((item.kind(), ending));
        conversations.push(conversation);
    }
    let mut decision = board.finish();
    decision.endings = endings;
    decision.conversations = conversations;
    decision
}

/// What becomes of a delivery that the store can never write: a dead letter, and an outcome if
/// somebody waits for one.
#[must_use]
pub fn bury(item: &Item, facts: &Facts, why: &str, context: &Context<'_>) -> Decision {
    if facts.processed.contains(&mark(item.id)) {
        return Decision {
            endings: vec![(item.kind(), Ending::Repeat)],
            conversations: vec![None],
            ..Decision::default()
        };
    }
    let channel = match &item.work {
        Work::Message(envelope) | Work::Receipt(envelope, _) | Work::Command(envelope, _) => {
            &envelope.channel.id
        }
        Work::Undecodable { channel, .. } => channel,
    };
    let mut changes = Changes {
        fences: vec![context.fence.clone()],
        processed: vec![mark(item.id)],
        dead: vec![letter(item, channel, "refused", why, context.now)],
        ..Changes::default()
    };
    if let Work::Command(_, command) = &item.work {
        let outcome = Outcome {
            command_id: command.id,
            status: OutcomeStatus::Refused,
            code: Some("content".into()),
            detail: Some("it cannot be stored".into()),
            message_id: None,
            version: None,
        };
        changes.events.push(command::event(command, &outcome));
        changes.outcomes.push(outcome);
    }
    Decision {
        changes,
        endings: vec![(item.kind(), Ending::Dead)],
        conversations: vec![None],
        ..Decision::default()
    }
}

fn mark(id: MessageId) -> (String, String) {
    (SOURCE.to_owned(), id.to_string())
}

fn letter(item: &Item, channel: &ChannelId, reason: &str, why: &str, now: Time) -> DeadLetter {
    DeadLetter {
        id: item.id,
        direction: Direction::Inbound,
        channel: channel.clone(),
        conversation_id: None,
        lane: None,
        reason: reason.to_owned(),
        detail: why.to_owned(),
        attempts: 0,
        exchange: None,
        envelope: item.raw.clone(),
        at: now,
        status: "dead".to_owned(),
    }
}
