//! How devices stand.

use std::time::Duration;

use patchbay_message::{FaultState, Location, Severity, ThreadId, TicketId};
use patchbay_store::{Changes, ConversationState, Cursor, Device, FaultNow, Silence, Want};
use serde_json::json;

use crate::world::{Dyn, Talk, device, now, talk};

fn saves(devices: Vec<Device>) -> Changes {
    Changes {
        devices,
        ..Changes::default()
    }
}

fn acks(of: &Talk, numbers: &[u64]) -> Changes {
    Changes {
        device_acks: numbers.iter().map(|n| (of.thread.id, *n)).collect(),
        ..Changes::default()
    }
}

pub(crate) async fn come_back_as_they_were_written(store: &Dyn) {
    let machine = talk(store, "press-7", ConversationState::Resolved).await;
    let at = now();
    let fault = |state, sequence| FaultNow {
        state,
        severity: Severity::Major,
        at,
        sequence,
        ticket: Some(TicketId::new()),
        ticket_at: sequence.map(|_| at),
    };
    let full = Device {
        silent_at: Some(at.plus(Duration::from_secs(60))),
        silence: Some(Silence {
            after_ms: 60_000,
            code: "offline".to_owned(),
            severity: Severity::from("odd"),
        }),
        readings: json!({ "bar": 2.5, "on": true, "mode": "auto" })
            .as_object()
            .unwrap()
            .clone(),
        readings_at: Some(at),
        location: Some(Location {
            lat: 48.137_154,
            lon: -11.576_124,
        }),
        faults: [
            ("E1".to_owned(), fault(FaultState::Raised, Some(u64::MAX))),
            ("E2".to_owned(), fault(FaultState::Cleared, None)),
        ]
        .into(),
        ..device(&machine)
    };
    let found = async || store.device(machine.thread.id).await.unwrap();
    assert_eq!(found().await, None);
    for row in [full.clone(), device(&machine), full.clone()] {
        store.commit(saves(vec![row.clone()])).await.unwrap();
        assert_eq!(found().await, Some((row, 0)));
    }
    let want = Want {
        devices: vec![machine.thread.id, ThreadId::new()],
        ..Want::default()
    };
    let facts = store.facts(&want).await.unwrap();
    assert_eq!(facts.devices, [(machine.thread.id, full)].into());
}

pub(crate) async fn acks_only_rise(store: &Dyn) {
    let machine = talk(store, "press-7", ConversationState::Resolved).await;
    let known = device(&machine);
    store.commit(saves(vec![known.clone()])).await.unwrap();
    let acked = async || store.device(machine.thread.id).await.unwrap();
    store.commit(acks(&machine, &[2, 5, 3])).await.unwrap();
    assert_eq!(acked().await, Some((known.clone(), 5)));
    store.commit(acks(&machine, &[4])).await.unwrap();
    assert_eq!(acked().await, Some((known.clone(), 5)));
    let seen = Device {
        seen_at: now().plus(Duration::from_secs(1)),
        ..known
    };
    store.commit(saves(vec![seen.clone()])).await.unwrap();
    assert_eq!(
        acked().await,
        Some((seen, 5)),
        "what it reports moves it not"
    );
}

pub(crate) async fn that_said_nothing_yet_may_ack(store: &Dyn) {
    let machine = talk(store, "press-7", ConversationState::Resolved).await;
    let stranger = (ThreadId::new(), 9);
    let mut changes = acks(&machine, &[3]);
    changes.device_acks.push(stranger);
    store.commit(changes).await.unwrap();
    let (found, acked) = store.device(machine.thread.id).await.unwrap().unwrap();
    assert_eq!(acked, 3);
    let expected = Device {
        seen_at: found.seen_at,
        ..device(&machine)
    };
    assert_eq!(found, expected);
    assert_eq!(store.device(stranger.0).await.unwrap(), None);
}

pub(crate) async fn are_silent_longest_first(store: &Dyn) {
    let begun = now();
    let at = |seconds| begun.plus(Duration::from_secs(seconds));
    let mut rows = Vec::new();
    for (name, silent_at) in [
        ("b", Some(at(10))),
        ("a", Some(at(5))),
        ("c", Some(at(11))),
        ("d", None),
    ] {
        let machine = talk(store, name, ConversationState::Resolved).await;
        rows.push(Device {
            silent_at,
            ..device(&machine)
        });
    }
    store.commit(saves(rows.clone())).await.unwrap();
    let want = Want {
        silent_until: Some(at(10)),
        ..Want::default()
    };
    let facts = store.facts(&want).await.unwrap();
    assert_eq!(facts.silent, [rows[1].clone(), rows[0].clone()]);
}

pub(crate) async fn are_silent_page_by_page(store: &Dyn) {
    let begun = now();
    let at = |seconds| begun.plus(Duration::from_secs(seconds));
    let mut rows = Vec::new();
    // Three of them since the same moment: their order is that of their threads.
    for (name, seconds) in [("a", 5), ("b", 5), ("c", 5), ("d", 3), ("e", 11)] {
        let machine = talk(store, name, ConversationState::Resolved).await;
        rows.push(Device {
            silent_at: Some(at(seconds)),
            ..device(&machine)
        });
    }
    store.commit(saves(rows.clone())).await.unwrap();
    rows.sort_by_key(|row| (row.silent_at, row.thread_id));
    rows.pop();
    for n in 0..=rows.len() {
        let last = n.checked_sub(1).map(|last| &rows[last]);
        let want = Want {
            silent_until: Some(at(10)),
            silent_after: last.map(|row| Cursor {
                at: row.silent_at.unwrap(),
                id: row.thread_id.0,
            }),
            ..Want::default()
        };
        let facts = store.facts(&want).await.unwrap();
        assert_eq!(facts.silent, rows[n..], "after {n}");
    }
}
