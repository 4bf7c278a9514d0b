//! What the router counts and says about deliveries: closed label sets, ids, never content.

use std::time::Duration;

use patchbay_message::ConversationId;

use crate::{decide::Ending, item::Item};

/// A batch is done.
pub(crate) fn batch(size: usize, took: Duration) {
    let size = u32::try_from(size).unwrap_or(u32::MAX);
    metrics::histogram!("patchbay_router_batch_size").record(size);
    metrics::histogram!("patchbay_router_batch_seconds").record(took.as_secs_f64());
}

/// How each delivery of a batch, or of a part of one, ended.
pub(crate) fn routed(
    items: &[Item],
    endings: Vec<(&'static str, Ending)>,
    conversations: Vec<Option<ConversationId>>,
) {
    for ((item, (kind, ending)), conversation) in items.iter().zip(endings).zip(conversations) {
        let outcome = ending.as_str();
        metrics::counter!("patchbay_router_messages_total", "type" => kind, "outcome" => outcome)
            .increment(1);
        if ending == Ending::Repeat {
            metrics::counter!("patchbay_router_duplicates_total").increment(1);
        }
        tracing::debug!(
            message_id = %item.id,
            conversation_id = conversation.map(tracing::field::display),
            trace = item.traceparent(),
            kind,
            outcome,
            "routed"
        );
    }
}
