//! Where a conversation may go from where it stands: the one table of transitions.
//!
//! Pure. Who gets the conversation and what that does to agents' loads is decided by the callers.

use patchbay_store::ConversationState::{
    self, Closed, New, Open, Pending, Resolved, Snoozed, Waiting,
};

/// What happens to a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// The contact says something.
    ContactMessage,
    /// An agent replies.
    AgentReply,
    /// The system replies; nobody's turn changes.
    SystemReply,
    /// It is given to an agent.
    Assign,
    /// It is put into the queue.
    Enqueue,
    /// The assigner looked and found nobody free.
    NobodyFree,
    /// The work is done.
    Resolve,
    /// The end.
    Close,
    /// It is taken up again.
    Reopen,
    /// It rests.
    Snooze,
    /// Its rest is over.
    Wake,
}

impl Trigger {
    /// Every one of them.
    pub const ALL: &'static [Self] = &[
        Self::ContactMessage,
        Self::AgentReply,
        Self::SystemReply,
        Self::Assign,
        Self::Enqueue,
        Self::NobodyFree,
        Self::Resolve,
        Self::Close,
        Self::Reopen,
        Self::Snooze,
        Self::Wake,
    ];
}

/// Where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Into this state (perhaps the one it is in).
    To(ConversationState),
    /// Open if an agent can have it, else waiting.
    OpenOrWaiting,
    /// It stays as it is; another conversation begins.
    Another,
    /// Not possible from here.
    Refused,
}

/// The table.
#[must_use]
pub fn next(from: ConversationState, trigger: Trigger) -> Next {
    match (from, trigger) {
        (Closed, Trigger::ContactMessage) => Next::Another,
        (Closed, _) => Next::Refused,

        (New | Waiting, Trigger::ContactMessage | Trigger::SystemReply) => Next::To(from),
        (Open | Pending, Trigger::ContactMessage) => Next::To(Open),
        (Snoozed | Resolved, Trigger::ContactMessage) => Next::OpenOrWaiting,

        (_, Trigger::AgentReply) => Next::To(Pending),
        (Open | Pending | Snoozed | Resolved, Trigger::SystemReply) => Next::To(from),

        (Pending, Trigger::Assign) => Next::To(Pending),
        (_, Trigger::Assign) => Next::To(Open),
        (_, Trigger::Enqueue) => Next::To(Waiting),
        (New | Waiting, Trigger::NobodyFree) => Next::To(Waiting),

        (Resolved, Trigger::Resolve | Trigger::Snooze) => Next::Refused,
        (_, Trigger::Resolve) => Next::To(Resolved),
        (_, Trigger::Close) => Next::To(Closed),
        (_, Trigger::Snooze) => Next::To(Snoozed),

        (Snoozed | Resolved, Trigger::Reopen) | (Snoozed, Trigger::Wake) => Next::OpenOrWaiting,
        (_, Trigger::NobodyFree | Trigger::Reopen | Trigger::Wake) => Next::Refused,
    }
}

/// Whether a conversation in this state counts towards its agent's load.
#[must_use]
pub fn counts(state: ConversationState) -> bool {
    matches!(state, Open | Pending)
}

/// Whether a conversation in this state is in the queue for an agent.
#[must_use]
pub fn queued(state: ConversationState) -> bool {
    matches!(state, New | Waiting)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every state with every trigger, spelled out: `.` stays, `-` refused, `?` open or waiting,
    /// `+` another conversation, else the first letter of the state.
    const TABLE: &str = "
                 new waiting open pending snoozed resolved closed
ContactMessage    .     .      .     o       ?       ?       +
AgentReply        p     p      p     .       p       p       -
SystemReply       .     .      .     .       .       .       -
Assign            o     o      .     .       o       o       -
Enqueue           w     .      w     w       w       w       -
NobodyFree        w     .      -     -       -       -       -
Resolve           r     r      r     r       r       -       -
Close             c     c      c     c       c       c       -
Reopen            -     -      -     -       ?       ?       -
Snooze            s     s      s     s       .       -       -
Wake              -     -      -     -       ?       -       -
";

    fn mark(from: ConversationState, next: Next) -> String {
        match next {
            Next::To(to) if to == from => ".".into(),
            Next::To(to) => to.as_str()[..1].into(),
            Next::OpenOrWaiting => "?".into(),
            Next::Another => "+".into(),
            Next::Refused => "-".into(),
        }
    }

    #[test]
    fn every_transition_is_as_documented() {
        let mut lines = TABLE.lines().filter(|line| !line.trim().is_empty());
        let states: Vec<ConversationState> = lines
            .next()
            .unwrap()
            .split_whitespace()
            .map(|word| ConversationState::from_word(word).unwrap())
            .collect();
        assert_eq!(states, ConversationState::ALL);
        let mut seen = 0;
        for line in lines {
            let mut words = line.split_whitespace();
            let name = words.next().unwrap();
            let trigger = *Trigger::ALL
                .iter()
                .find(|trigger| format!("{trigger:?}") == name)
                .unwrap();
            let wanted: Vec<String> = words.map(str::to_owned).collect();
            let found: Vec<String> = states
                .iter()
                .map(|&from| mark(from, next(from, trigger)))
                .collect();
            assert_eq!(found, wanted, "{name}");
            seen += 1;
        }
        assert_eq!(seen, Trigger::ALL.len());
    }
}
