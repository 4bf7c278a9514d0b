//! What the router counts and says about deliveries: closed label sets, ids, never content.

use std::time::Duration;

use patchbay_message::ConversationId;

use crate::{
    decide::{Ending, Tally},
    item::Item,
};

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

/// What a batch did to tickets.
pub(crate) fn tickets(tally: &Tally) {
    for severity in &tally.opened {
        // A ticket's severity is one of the closed list.
        let severity = severity.as_str().to_owned();
        metrics::counter!("patchbay_tickets_opened_total", "severity" => severity).increment(1);
    }
    let occurrences = [
        ("opened", tally.opened.len() as u64),
        ("added", u64::from(tally.added)),
        ("late", u64::from(tally.late)),
    ];
    for (outcome, n) in occurrences.into_iter().filter(|(_, n)| *n > 0) {
        metrics::counter!("patchbay_tickets_occurrences_total", "outcome" => outcome).increment(n);
    }
    if tally.flapping > 0 {
        metrics::counter!("patchbay_tickets_flapping_total").increment(tally.flapping.into());
    }
    assigned(tally.assigned.into());
}

/// So many tickets were given to agents.
pub(crate) fn assigned(tickets: u64) {
    if tickets > 0 {
        metrics::counter!("patchbay_tickets_assigned_total").increment(tickets);
    }
}
