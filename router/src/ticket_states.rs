//! Where a ticket may go from where it stands: the one table of transitions.
//!
//! Pure. Whether a report counts at all (late, retained, flapping) is decided by the callers.

use patchbay_store::TicketState::{
    self, Cancelled, Done, New, PendingConfirmation, Processing, Reopened,
};

/// What happens to a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// The device raises the fault.
    Raised,
    /// The device says the fault is gone, or a flapping one has been quiet long enough.
    Cleared,
    /// It is given to an agent.
    Assign,
    /// It is put into the queue.
    Enqueue,
    /// Its agent is away for too long.
    Abandon,
    /// The work is done.
    Confirm,
    /// It is not to be worked on.
    Cancel,
    /// It is taken up again.
    Reopen,
}

impl Trigger {
    /// Every one of them.
    pub const ALL: &'static [Self] = &[
        Self::Raised,
        Self::Cleared,
        Self::Assign,
        Self::Enqueue,
        Self::Abandon,
        Self::Confirm,
        Self::Cancel,
        Self::Reopen,
    ];
}

/// Where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Into this state (perhaps the one it is in).
    To(TicketState),
    /// Processing if an agent has it, else reopened.
    ProcessingOrReopened,
    /// It stays as it is; another ticket is opened.
    Another,
    /// Not possible from here.
    Refused,
}

/// The table.
#[must_use]
pub fn next(from: TicketState, trigger: Trigger) -> Next {
    match (from, trigger) {
        (Done | Cancelled, Trigger::Raised) => Next::Another,
        (Done | Cancelled, Trigger::Reopen) => Next::To(Reopened),
        (Done | Cancelled, _) => Next::Refused,

        (New | Processing | Reopened, Trigger::Raised) => Next::To(from),
        (PendingConfirmation, Trigger::Raised | Trigger::Reopen) => Next::ProcessingOrReopened,
        (_, Trigger::Cleared) => Next::To(PendingConfirmation),

        // That the device says the fault is gone stays true, whoever has the ticket.
        (PendingConfirmation, Trigger::Assign | Trigger::Abandon) => Next::To(PendingConfirmation),
        (_, Trigger::Assign) => Next::To(Processing),
        (New | Reopened, Trigger::Enqueue) => Next::To(from),
        (_, Trigger::Enqueue) => Next::To(Reopened),
        (Processing, Trigger::Abandon) => Next::To(Reopened),

        (_, Trigger::Confirm) => Next::To(Done),
        (_, Trigger::Cancel) => Next::To(Cancelled),
        (_, Trigger::Reopen | Trigger::Abandon) => Next::Refused,
    }
}

/// Whether a ticket in this state counts towards its agent's load.
#[must_use]
pub fn counts(state: TicketState) -> bool {
    matches!(state, Processing | PendingConfirmation)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every state with every trigger, spelled out: `.` stays, `-` refused, `?` processing or
    /// reopened, `+` another ticket, else the first letters of the state.
    const TABLE: &str = "
            new  processing  pending_confirmation  done  cancelled  reopened
Raised       .       .                ?              +       +          .
Cleared     pe      pe                .              -       -         pe
Assign      pr       .                .              -       -         pr
Enqueue      .      re               re              -       -          .
Abandon      -      re                .              -       -          -
Confirm     do      do               do              -       -         do
Cancel      ca      ca               ca              -       -         ca
Reopen       -       -                ?             re      re          -
";

    fn mark(from: TicketState, next: Next) -> String {
        match next {
            Next::To(to) if to == from => ".".into(),
            Next::To(to) => to.as_str()[..2].into(),
            Next::ProcessingOrReopened => "?".into(),
            Next::Another => "+".into(),
            Next::Refused => "-".into(),
        }
    }

    #[test]
    fn every_transition_is_as_documented() {
        let mut lines = TABLE.lines().filter(|line| !line.trim().is_empty());
        let states: Vec<TicketState> = lines
            .next()
            .unwrap()
            .split_whitespace()
            .map(|word| TicketState::from_word(word).unwrap())
            .collect();
        assert_eq!(states, TicketState::ALL);
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

    #[test]
    fn only_open_tickets_count_or_wait() {
        for &state in TicketState::ALL {
            assert!(!(counts(state) && state.is_queued()), "{state}");
            assert!(state.is_open() || !counts(state) && !state.is_queued());
        }
    }
}
