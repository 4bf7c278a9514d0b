//! Which reply window a call spends, without IO.

use patchbay_message::{Content, Envelope, MessageId, Part, Time};
use patchbay_sdk::{Manifest, SendError};
use patchbay_store::WindowNow;

/// Whether a message needs a window: the kind has them, and it is not made of templates alone, which
/// providers take at any time.
pub(crate) fn needs(manifest: &Manifest, envelope: &Envelope) -> bool {
    let is_template = |part: &Content| matches!(part, Content::Known(Part::Template { .. }));
    let is_free = !envelope.content.is_empty() && envelope.content.iter().all(is_template);
    manifest.reply_window.is_some() && !is_free
}

/// The window that a call spends: of those open now the one that ends first, or the one it has spent
/// before. `None`: it is open and counts nothing.
///
/// # Errors
/// [`SendError::WindowClosed`] or [`SendError::QuotaUsed`]: the call must not be made.
pub(crate) fn choose(
    windows: &[WindowNow],
    now: Time,
    message: MessageId,
    step: u16,
) -> Result<Option<MessageId>, SendError> {
    let open = || windows.iter().filter(|window| window.is_open(now));
    let spent_before = open().find(|window| window.spent.contains(&(message, step)));
    if let Some(window) = spent_before {
        return Ok(Some(window.window.message));
    }
    let free = open().filter(|window| window.remaining() != Some(0));
    // One without an end ends last.
    let first = free.min_by_key(|now| (now.window.ends_at.is_none(), now.window.ends_at));
    match first {
        Some(window) => Ok(window.window.quota.map(|_| window.window.message)),
        None if open().next().is_some() => Err(SendError::QuotaUsed),
        None => Err(SendError::WindowClosed),
    }
}

#[cfg(test)]
mod tests {
    use patchbay_message::ThreadId;
    use patchbay_store::ReplyWindow;

    use super::*;

    fn choose_now(
        windows: &[WindowNow],
        message: MessageId,
        step: u16,
    ) -> Result<Option<MessageId>, SendError> {
        choose(windows, Time::from_ms(100), message, step)
    }

    fn window(ends_ms: Option<i64>, quota: Option<u32>) -> WindowNow {
        WindowNow {
            window: ReplyWindow {
                thread: ThreadId::new(),
                message: MessageId::new(),
                ends_at: ends_ms.map(Time::from_ms),
                quota,
            },
            spent: Vec::new(),
        }
    }

    #[test]
    fn templates_need_no_window() {
        let manifest = |reply_window| Manifest {
            id: "fake",
            title: "Fake",
            content_out: &[],
            limits: patchbay_sdk::OutLimits::default(),
            ack_deadline: None,
            redelivers: false,
            reply_window,
            quota: None,
        };
        let windowed = manifest(Some(std::time::Duration::from_secs(1)));
        let envelope = |content: serde_json::Value| -> Envelope {
            serde_json::from_value(serde_json::json!({
                "schema": 1, "type": "message", "id": MessageId::new(), "direction": "outbound",
                "channel": { "id": "fake", "kind": "fake" }, "partition_key": "k",
                "received_at": "2026-01-01T00:00:00.000Z", "authenticity": "none",
                "content": content,
            }))
            .expect("an envelope")
        };
        let text = serde_json::json!({ "type": "text", "text": "hello" });
        let template = serde_json::json!({ "type": "template", "template": "order" });
        let of = |parts: &[&serde_json::Value]| envelope(serde_json::json!(parts));
        assert!(needs(&windowed, &of(&[&text])));
        assert!(needs(&windowed, &of(&[&template, &text])));
        assert!(!needs(&windowed, &of(&[&template])));
        assert!(!needs(&manifest(None), &of(&[&text])));
    }

    #[test]
    fn the_one_that_ends_first_is_spent_first() {
        let me = MessageId::new();
        let mut windows = [
            window(Some(900), Some(2)),
            window(Some(200), Some(1)),
            window(Some(100), Some(9)),
            window(None, Some(9)),
        ];
        for (step, place) in [(0, 1), (1, 0), (2, 0), (3, 3)] {
            let opener = windows[place].window.message;
            assert_eq!(choose_now(&windows, me, step), Ok(Some(opener)), "{step}");
            windows[place].spent.push((me, step));
        }
    }

    #[test]
    fn a_call_made_again_spends_nothing_more() {
        let (me, other) = (MessageId::new(), MessageId::new());
        let mut one = window(Some(900), Some(1));
        let opener = one.window.message;
        one.spent.push((me, 0));
        assert_eq!(
            choose_now(std::slice::from_ref(&one), me, 0),
            Ok(Some(opener))
        );
        let used = Err(SendError::QuotaUsed);
        assert_eq!(choose_now(std::slice::from_ref(&one), me, 1), used);
        assert_eq!(choose_now(std::slice::from_ref(&one), other, 0), used);
        let over = Time::from_ms(900);
        let closed = Err(SendError::WindowClosed);
        assert_eq!(
            choose(&[one], over, me, 0),
            closed,
            "what it spent has ended"
        );
        assert_eq!(choose_now(&[], me, 0), closed);
    }

    #[test]
    fn what_has_no_quota_is_not_counted() {
        let windows = [window(Some(900), None)];
        assert_eq!(choose_now(&windows, MessageId::new(), 0), Ok(None));
    }
}
