//! Agents and groups as they were a moment ago, so that not every batch loads all of them.
//!
//! Being a moment late does no harm: whatever depends on an agent's limit or presence is guarded by
//! the commit, and a conflict loads them anew. Commands that name an agent or group not known here,
//! or one that assigns, are never decided by what is kept.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use patchbay_message::{AgentId, Command, CommandName, GroupId};
use patchbay_store::{Agent, Facts, Group};

use crate::item::{Item, Work};

/// How long agents and groups are good for.
const KEEP: Duration = Duration::from_millis(500);

/// What is kept, if it is good.
#[derive(Debug, Default)]
pub(crate) struct DeskCache {
    loaded: Option<Instant>,
    agents: HashMap<AgentId, Agent>,
    groups: HashMap<GroupId, Group>,
}

impl DeskCache {
    /// Whether this batch can be decided by what is kept.
    pub(crate) fn serves(&self, batch: &[Item]) -> bool {
        self.loaded.is_some_and(|at| at.elapsed() < KEEP)
            && batch.iter().all(|item| match &item.work {
                Work::Command(_, command) => self.knows(command),
                _ => true,
            })
    }

    fn knows(&self, command: &Command) -> bool {
        let asker = command.agent_id.and_then(|id| self.agents.get(&id));
        command.name != CommandName::Assign
            && (command.agent_id.is_none() || asker.is_some_and(|agent| agent.active))
    }

    pub(crate) fn keep(&mut self, facts: &Facts) {
        self.agents.clone_from(&facts.agents);
        self.groups.clone_from(&facts.groups);
        self.loaded = Some(Instant::now());
    }

    pub(crate) fn lend(&self, facts: &mut Facts) {
        facts.agents.clone_from(&self.agents);
        facts.groups.clone_from(&self.groups);
    }

    /// Something has changed: the next batch loads anew.
    pub(crate) fn forget(&mut self) {
        self.loaded = None;
    }
}
