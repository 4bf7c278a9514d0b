//! A provider's word on something we sent. Which message it is about, the store finds out: either
//! the word or the sending may be recorded first.

use patchbay_message::{ConversationId, Envelope, MessageId, Receipt};
use patchbay_store::ReceiptWord;

use super::{Board, Ending};

pub(super) fn take(
    board: &mut Board<'_>,
    id: MessageId,
    envelope: &Envelope,
    receipt: &Receipt,
) -> (Ending, Option<ConversationId>) {
    if let Some(key) = &envelope.dedupe_key {
        if board.holder(key).is_some() {
            return (Ending::Repeat, None);
        }
        board.claim(key, envelope.id);
    }
    board.processed(id);
    board.out.receipts.push(ReceiptWord {
        channel: envelope.channel.id.clone(),
        external_id: Some(receipt.external_id.clone()),
        message: None,
        state: receipt.state.clone(),
        reason: reason(receipt),
        at: receipt.at.unwrap_or(envelope.received_at),
        attempts: None,
        overdue: false,
    });
    (Ending::Routed, None)
}

/// The provider's words and code, as one sentence for people.
fn reason(receipt: &Receipt) -> Option<String> {
    match (&receipt.text, &receipt.code) {
        (Some(text), Some(code)) => Some(format!("{text} ({code})")),
        (Some(word), None) | (None, Some(word)) => Some(word.clone()),
        (None, None) => None,
    }
}
