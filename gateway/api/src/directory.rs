//! Names of agents and groups, kept for a moment: every view shows some.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use moka::future::Cache;
use patchbay_message::{AgentId, GroupId};
use patchbay_store::{Agent, Group, Store, StoreError};

use crate::view::Named;

/// How old names may be.
const AGE_MAX: Duration = Duration::from_secs(2);

/// Agents and groups as they were a moment ago.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) agents: HashMap<AgentId, Agent>,
    pub(crate) groups: HashMap<GroupId, Group>,
}

impl Names {
    /// An agent by id and name; the name is empty if it is unknown.
    pub(crate) fn agent(&self, id: AgentId) -> Named {
        let found = self.agents.get(&id);
        Named {
            id: id.to_string(),
            name: found.map_or_else(String::new, |agent| agent.name.clone()),
        }
    }

    /// A group by id and name; the name is empty if it is unknown.
    pub(crate) fn group(&self, id: GroupId) -> Named {
        let found = self.groups.get(&id);
        Named {
            id: id.to_string(),
            name: found.map_or_else(String::new, |group| group.name.clone()),
        }
    }
}

pub(crate) struct Directory {
    store: Arc<dyn Store>,
    /// By generation, so that what was being loaded while something changed is not taken for new.
    cache: Cache<u64, Arc<Names>>,
    generation: AtomicU64,
    latest: parking_lot::Mutex<Arc<Names>>,
}

impl Directory {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            cache: Cache::builder()
                .max_capacity(2)
                .time_to_live(AGE_MAX)
                .build(),
            generation: AtomicU64::default(),
            latest: Default::default(),
        }
    }

    /// An agent's name as last known, without waiting; empty if unknown.
    pub(crate) fn name_now(&self, agent: AgentId) -> String {
        self.latest
            .lock()
            .agents
            .get(&agent)
            .map_or_else(String::new, |agent| agent.name.clone())
    }

    /// The names; loaded once for everyone who asks at the same time.
    pub(crate) async fn names(&self) -> Result<Arc<Names>, StoreError> {
        let load = async {
            let agents = self.store.agents().await?;
            let groups = self.store.groups().await?;
            let names = Arc::new(Names {
                agents: agents.into_iter().map(|agent| (agent.id, agent)).collect(),
                groups: groups.into_iter().map(|group| (group.id, group)).collect(),
            });
            *self.latest.lock() = Arc::clone(&names);
            Ok(names)
        };
        self.cache
            .try_get_with(self.generation.load(Ordering::Acquire), load)
            .await
            .map_err(|error: Arc<StoreError>| (*error).clone())
    }

    /// Something changed.
    pub(crate) fn forget(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }
}
