//! The board's tickets and devices: what is known of them, what becomes of them, what is counted.

use std::collections::HashMap;

use patchbay_message::{AgentId, ChannelId, Severity, ThreadId, TicketId};
use patchbay_store::{Device, Facts, Ticket, TicketEntry, TicketState, TicketUpdate};

use super::{Board, Held, new, touch};
use crate::ticket_moves;

/// Which fault: channel, device, code.
pub(crate) type FaultKey = (ChannelId, String, String);

/// What is counted about tickets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// How bad each ticket was that was opened.
    pub opened: Vec<Severity>,
    /// Raised faults that went to an open ticket, in their order.
    pub added: u32,
    /// Raised faults that came late.
    pub late: u32,
    /// Tickets that began to flap.
    pub flapping: u32,
    /// Tickets given to agents.
    pub assigned: u32,
}

/// Tickets and devices, as they change.
#[derive(Default)]
pub(super) struct Work {
    tickets: HashMap<TicketId, Held<Ticket, (TicketState, i64)>>,
    of: HashMap<FaultKey, TicketId>,
    devices: HashMap<ThreadId, Held<Device, ()>>,
    /// What was touched, in order.
    order: (Vec<TicketId>, Vec<ThreadId>),
    tally: Tally,
}

impl Work {
    /// Takes what the facts say about tickets and devices.
    pub(super) fn of(facts: &mut Facts) -> Self {
        let held_ticket = |row: Ticket| Held {
            was: Some((row.state, row.version)),
            row,
            touched: false,
        };
        let held_device = |row: Device| Held {
            was: Some(()),
            row,
            touched: false,
        };
        Self {
            tickets: (std::mem::take(&mut facts.tickets).into_iter())
                .map(|(id, row)| (id, held_ticket(row)))
                .collect(),
            of: std::mem::take(&mut facts.ticket_of),
            devices: (std::mem::take(&mut facts.devices).into_iter())
                .map(|(id, row)| (id, held_device(row)))
                .collect(),
            ..Self::default()
        }
    }
}

impl Board<'_> {
    pub(crate) fn ticket(&self, id: TicketId) -> Option<&Ticket> {
        self.work.tickets.get(&id).map(|held| &held.row)
    }

    pub(crate) fn ticket_mut(&mut self, id: TicketId) -> Option<&mut Ticket> {
        let held = self.work.tickets.get_mut(&id)?;
        touch(&mut held.touched, &mut self.work.order.0, id);
        Some(&mut held.row)
    }

    /// The open ticket of a fault, else its newest closed one.
    pub(crate) fn ticket_of(&self, fault: &FaultKey) -> Option<&Ticket> {
        self.ticket(*self.work.of.get(fault)?)
    }

    /// The version a ticket has now, as a reader would see it after this commit.
    pub(crate) fn ticket_version(&self, id: TicketId) -> Option<i64> {
        let held = self.work.tickets.get(&id)?;
        Some(match held.was {
            Some((_, version)) => version + i64::from(held.touched),
            None => held.row.version,
        })
    }

    pub(crate) fn add_ticket(&mut self, row: Ticket) {
        let fault = (row.channel.clone(), row.device.clone(), row.code.clone());
        self.wakes_assigner |= row.state.is_queued();
        self.work.tally.opened.push(row.severity.clone());
        self.work.order.0.push(row.id);
        self.work.of.insert(fault, row.id);
        self.work.tickets.insert(row.id, new(row));
    }

    /// The ticket that is open from now on, of the faults it is about.
    pub(crate) fn is_the_ticket(&mut self, id: TicketId) {
        if let Some(row) = self.ticket(id) {
            let fault = (row.channel.clone(), row.device.clone(), row.code.clone());
            self.work.of.insert(fault, id);
        }
    }

    pub(crate) fn add_entry(&mut self, entry: TicketEntry) {
        self.out.ticket_entries.push(entry);
    }

    /// Moves a ticket to a state and an agent, with the loads. `force`: a human said so, the agent's
    /// limit and presence do not count.
    pub(crate) fn shift_ticket(
        &mut self,
        id: TicketId,
        to: TicketState,
        agent: Option<AgentId>,
        force: bool,
    ) {
        let now = self.now();
        let Some(row) = self.ticket_mut(id) else {
            return;
        };
        let was_queued = row.state.is_queued();
        let (less, more) = ticket_moves::shift(row, to, agent, now);
        self.wakes_assigner |= to.is_queued() && !was_queued;
        if let Some(less) = less {
            self.load(less, -1, force);
        }
        if let Some(more) = more {
            self.work.tally.assigned += 1;
            self.load(more, 1, force);
        }
    }

    pub(crate) fn device(&self, thread: ThreadId) -> Option<&Device> {
        self.work.devices.get(&thread).map(|held| &held.row)
    }

    pub(crate) fn device_mut(&mut self, thread: ThreadId) -> Option<&mut Device> {
        let held = self.work.devices.get_mut(&thread)?;
        touch(&mut held.touched, &mut self.work.order.1, thread);
        Some(&mut held.row)
    }

    pub(crate) fn add_device(&mut self, row: Device) {
        self.work.order.1.push(row.thread_id);
        self.work.devices.insert(row.thread_id, new(row));
    }

    pub(crate) fn tally(&mut self) -> &mut Tally {
        &mut self.work.tally
    }

    /// Touched tickets and devices become rows to write and events.
    pub(super) fn finish_work(&mut self) -> Tally {
        let mut work = std::mem::take(&mut self.work);
        for id in std::mem::take(&mut work.order.0) {
            let Some(held) = work.tickets.remove(&id) else {
                continue;
            };
            self.out.events.push(ticket_moves::event(&held.row));
            match held.was {
                None => self.out.tickets.push(held.row),
                Some((from, _)) => {
                    let row = held.row;
                    self.out.ticket_updates.push(TicketUpdate { row, from });
                }
            }
        }
        for id in std::mem::take(&mut work.order.1) {
            self.out
                .devices
                .extend(work.devices.remove(&id).map(|held| held.row));
        }
        work.tally
    }
}
