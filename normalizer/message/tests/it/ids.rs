//! Ids: what is one, and what stays the same over time.

use patchbay_message::{ChannelId, MessageId, ReceiptState, ThreadId};

#[test]
fn a_channel_id_is_a_file_name_without_surprises() {
    for good in ["a", "web", "acme-sms", "a1-", &"a".repeat(40)] {
        assert!(ChannelId::new(good).is_ok(), "{good}");
    }
    for bad in [
        "",
        "1a",
        "-a",
        "Web",
        "a_b",
        "a b",
        "a/b",
        "ä",
        &"a".repeat(41),
    ] {
        assert!(ChannelId::new(bad).is_err(), "{bad}");
    }
}

/// Stored rows are found by it: it may never change. Computed with Python's `uuid.uuid5`.
#[test]
fn a_thread_keeps_its_id() {
    let channel = ChannelId::new("web").expect("good");
    let id = ThreadId::of(&channel, "anon:1");
    assert_eq!(id.to_string(), "f8d1e8ad-8cbb-51d6-85dd-e468c11d4a07");
    assert_ne!(id, ThreadId::of(&channel, "anon:2"));
}

#[test]
fn ids_made_later_sort_later() {
    let (first, second) = (MessageId::new(), MessageId::new());
    assert!(first < second);
    assert_eq!(first.to_string().parse(), Ok(first));
    assert!("no".parse::<MessageId>().is_err());
}

#[test]
fn a_receipt_only_rises() {
    use ReceiptState::{Accepted, Delivered, Expired, Failed, Queued, Read, Sent, Unknown};
    let order = [Queued, Unknown, Accepted, Sent, Failed, Delivered, Read];
    assert!(order.is_sorted_by_key(ReceiptState::rank));
    assert_eq!(Failed.rank(), Expired.rank());
}
