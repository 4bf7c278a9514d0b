//! Where a visitor stands, as `ready` says it: place in line or agent, and what was seen.

use patchbay_message::{AgentId, ThreadId};
use patchbay_sdk::QueueState;
use patchbay_sinks::OpenChannel;
use patchbay_store::{Conversation, ConversationState, StoreError};

use super::super::Ingress;

/// What a connection is told once it has caught up.
#[derive(Default)]
pub(super) struct Standing {
    /// The visitor's own watermarks.
    pub(super) delivered: u64,
    pub(super) read: u64,
    /// How far agents have read; 0 if that is not known, then what the client knows stays.
    pub(super) agent_read: u64,
    pub(super) queue: Option<QueueState>,
}

impl Standing {
    pub(super) async fn of(
        ingress: &Ingress,
        channel: &OpenChannel,
        address: &str,
        thread_id: ThreadId,
    ) -> Result<Self, StoreError> {
        // In this order: what comes in between is unread, and then nothing is said about it.
        let thread = ingress.store.thread(&channel.id, address).await?;
        let conversation = ingress.store.standing(thread_id).await?;
        let Some(thread) = thread else {
            return Ok(Self::default());
        };
        let mut standing = Self {
            delivered: thread.delivered_seq,
            read: thread.read_seq,
            ..Self::default()
        };
        if let Some((conversation, position)) = conversation {
            if conversation.unread == 0 {
                standing.agent_read = thread.last_seq;
            }
            standing.queue = Some(queue(ingress, &conversation, position).await?);
        }
        Ok(standing)
    }
}

async fn queue(
    ingress: &Ingress,
    conversation: &Conversation,
    position: Option<u32>,
) -> Result<QueueState, StoreError> {
    Ok(match (conversation.state, position) {
        (_, Some(position)) => QueueState::Waiting(position),
        (ConversationState::Closed | ConversationState::Resolved, None) => QueueState::Closed,
        (_, None) => QueueState::Assigned(match conversation.agent_id {
            Some(agent) => name(ingress, agent).await?,
            None => None,
        }),
    })
}

/// An agent's name; all are read at once and kept for a moment, since after a restart everybody
/// asks at the same time.
async fn name(ingress: &Ingress, agent: AgentId) -> Result<Option<String>, StoreError> {
    let load = async {
        let agents = ingress.store.agents().await?;
        Ok(std::sync::Arc::new(
            agents
                .into_iter()
                .map(|agent| (agent.id, agent.name))
                .collect(),
        ))
    };
    let names = ingress.agent_names.try_get_with((), load).await;
    let names = names.map_err(|error: std::sync::Arc<StoreError>| (*error).clone())?;
    Ok(names.get(&agent).cloned())
}
