//! Tickets: their numbers, guards and histories.

use std::time::Duration;

use patchbay_message::{AgentId, ChannelId, GroupId, MessageId, Severity, TicketId, Time};
use patchbay_store::{
    Changes, CommitError, ConversationState, Ticket, TicketEntry, TicketEvent, TicketFilter,
    TicketState, TicketUpdate, TicketView,
};
use serde_json::json;

use crate::world::{Dyn, Talk, device, entry, group, now, opened, race, talk, ticket};

pub(super) async fn machine(store: &Dyn) -> Talk {
    talk(store, "press-7", ConversationState::Resolved).await
}

pub(super) fn inserts(rows: Vec<Ticket>) -> Changes {
    Changes {
        tickets: rows,
        ..Changes::default()
    }
}

/// The change of a row to what it is to be.
pub(super) fn change(row: &Ticket, to: TicketState) -> TicketUpdate {
    TicketUpdate {
        row: Ticket {
            state: to,
            ..row.clone()
        },
        from: row.state,
    }
}

pub(super) fn updates(updates: Vec<TicketUpdate>) -> Changes {
    Changes {
        ticket_updates: updates,
        ..Changes::default()
    }
}

async fn conflicts(store: &Dyn, changes: Changes) {
    let refused = store.commit(changes).await.expect_err("must be refused");
    assert!(matches!(refused, CommitError::Conflict(_)), "{refused}");
}

pub(super) async fn find(store: &Dyn, id: TicketId) -> Ticket {
    store.ticket(id).await.unwrap().unwrap().ticket
}

fn year(year: i32) -> Time {
    format!("{year}-12-31T23:59:59.999Z").parse().unwrap()
}

/// With something in every field.
fn full(of: &Talk) -> Ticket {
    let at = now();
    let later = |seconds| at.plus(Duration::from_secs(seconds));
    Ticket {
        category: Some("hydraulics".to_owned()),
        severity: Severity::from("odd"),
        title: "Pressure lost — \u{1F527}".to_owned(),
        group_id: Some(GroupId::new()),
        agent_id: Some(AgentId::new()),
        last_agent_id: Some(AgentId::new()),
        n_raised: 3,
        n_flaps: 2,
        settles_at: Some(later(1)),
        raised_at: later(2),
        cleared_at: Some(later(3)),
        updated_at: later(4),
        last_pos: 9,
        state: TicketState::PendingConfirmation,
        ..ticket(of, "E42")
    }
}

/// With everything changed that may change, and nothing where nothing may be.
fn emptied(row: &Ticket) -> Ticket {
    let later = |seconds| row.created_at.plus(Duration::from_secs(seconds));
    Ticket {
        number: 1,
        state: TicketState::Done,
        category: None,
        severity: Severity::Critical,
        title: "Pump".to_owned(),
        group_id: None,
        agent_id: None,
        last_agent_id: row.agent_id,
        waiting_since: None,
        n_raised: 4,
        n_flaps: 0,
        settles_at: None,
        first_raised_at: later(0).minus(Duration::from_secs(60)),
        raised_at: later(6),
        cleared_at: None,
        updated_at: later(7),
        closed_at: Some(later(7)),
        last_pos: 11,
        ..row.clone()
    }
}

pub(crate) async fn come_back_as_they_were_written(store: &Dyn) {
    let machine = machine(store).await;
    let row = full(&machine);
    let known = device(&machine);
    let changes = Changes {
        tickets: vec![row.clone()],
        devices: vec![known.clone()],
        ..Changes::default()
    };
    store.commit(changes).await.unwrap();
    let expected = TicketView {
        ticket: Ticket {
            number: 1,
            ..row.clone()
        },
        contact: machine.contact.clone(),
        device: Some(known),
    };
    assert_eq!(store.ticket(row.id).await.unwrap(), Some(expected.clone()));
    let by_number = store.ticket_numbered(row.year(), 1).await.unwrap();
    assert_eq!(by_number.as_ref(), Some(&expected));
    let ids = [TicketId::new(), row.id];
    assert_eq!(store.ticket_views(&ids).await.unwrap(), [expected]);
    assert_eq!(store.ticket_numbered(row.year(), 2).await.unwrap(), None);
    assert_eq!(store.ticket(TicketId::new()).await.unwrap(), None);

    let changed = emptied(&row);
    let update = TicketUpdate {
        row: changed.clone(),
        from: row.state,
    };
    store.commit(updates(vec![update])).await.unwrap();
    let expected = Ticket {
        version: 1,
        ..changed
    };
    assert_eq!(find(store, row.id).await, expected);
}

pub(crate) async fn are_numbered_by_year(store: &Dyn) {
    let machine = machine(store).await;
    let in_year = |code: &str, n| Ticket {
        created_at: year(n),
        ..ticket(&machine, code)
    };
    let first = opened(store, in_year("a", 2026)).await;
    let mixed = [
        in_year("b", 2027),
        in_year("c", 2026),
        in_year("d", 2027),
        in_year("e", 2026),
    ];
    store.commit(inserts(mixed.to_vec())).await.unwrap();
    assert_eq!(first.name(), "T-2026-000001");
    let mut names = Vec::new();
    for row in &mixed {
        names.push(find(store, row.id).await.name());
    }
    let expected = [
        "T-2027-000001",
        "T-2026-000002",
        "T-2027-000002",
        "T-2026-000003",
    ];
    assert_eq!(names, expected, "each year counts by itself, in order");
    let found = store.ticket_numbered(2027, 2).await.unwrap().unwrap();
    assert_eq!(found.ticket.id, mixed[2].id);
}

/// Good commits and failing ones at once: no number is drawn by one that fails.
pub(crate) async fn are_numbered_without_gap_by_many(store: &Dyn) {
    let machine = machine(store).await;
    let mark = ("inbound.g1.0".to_owned(), "m".to_owned());
    let taken = Changes {
        processed: vec![mark.clone()],
        ..Changes::default()
    };
    store.commit(taken).await.unwrap();
    let commits = (0..60).map(|n| {
        let mut changes = inserts(vec![
            ticket(&machine, &format!("{n}a")),
            ticket(&machine, &format!("{n}b")),
        ]);
        if n % 3 == 0 {
            changes.processed.push(mark.clone());
        }
        changes
    });
    assert_eq!(race(store, commits.collect()).await, 40);
    let filter = TicketFilter {
        limit: 1000,
        ..TicketFilter::default()
    };
    let page = store.tickets(&filter).await.unwrap();
    let mut found: Vec<_> = page
        .items
        .iter()
        .map(|view| (view.ticket.number, view.ticket.code.as_str()))
        .collect();
    found.sort_unstable();
    let numbers: Vec<_> = found.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (1..=80).collect::<Vec<_>>());
    for both in found.chunks(2) {
        let (first, second) = (both[0].1, both[1].1);
        assert!(first.ends_with('a') && second.ends_with('b'));
        assert_eq!(first[..first.len() - 1], second[..second.len() - 1]);
    }
}

pub(crate) async fn of_a_fault_one_is_open(store: &Dyn) {
    let machine = machine(store).await;
    let first = opened(store, ticket(&machine, "E42")).await;
    conflicts(store, inserts(vec![ticket(&machine, "E42")])).await;
    let both = inserts(vec![ticket(&machine, "E1"), ticket(&machine, "E1")]);
    conflicts(store, both).await;
    let elsewhere = Ticket {
        channel: ChannelId::new("plant").unwrap(),
        ..ticket(&machine, "E42")
    };
    opened(store, elsewhere).await;

    let done = change(&first, TicketState::Done);
    store.commit(updates(vec![done])).await.unwrap();
    let second = opened(store, ticket(&machine, "E42")).await;
    assert_eq!(second.number, 3, "what was refused drew no number");
    let first = find(store, first.id).await;
    let reopened = change(&first, TicketState::Reopened);
    conflicts(store, updates(vec![reopened.clone()])).await;

    let cancelled = change(&second, TicketState::Cancelled);
    store.commit(updates(vec![cancelled])).await.unwrap();
    store.commit(updates(vec![reopened])).await.unwrap();
    assert_eq!(find(store, first.id).await.state, TicketState::Reopened);
}

pub(crate) async fn make_room_for_the_next_in_one_commit(store: &Dyn) {
    let machine = machine(store).await;
    let first = opened(store, ticket(&machine, "E42")).await;
    let second = ticket(&machine, "E42");
    let changes = Changes {
        tickets: vec![second.clone()],
        ticket_updates: vec![change(&first, TicketState::Done)],
        ..Changes::default()
    };
    store.commit(changes).await.unwrap();
    let (first, second) = (find(store, first.id).await, find(store, second.id).await);
    assert_eq!((first.state, second.number), (TicketState::Done, 2));

    let swapped = updates(vec![
        change(&first, TicketState::Reopened),
        change(&second, TicketState::Cancelled),
    ]);
    store.commit(swapped).await.unwrap();
    assert_eq!(find(store, first.id).await.state, TicketState::Reopened);
    assert_eq!(find(store, second.id).await.state, TicketState::Cancelled);
}

pub(crate) async fn one_of_many_changes_one(store: &Dyn) {
    let machine = machine(store).await;
    let row = opened(store, ticket(&machine, "E42")).await;
    let commits = (0..16).map(|_| {
        let mut update = change(&row, TicketState::Processing);
        update.row.agent_id = Some(AgentId::new());
        updates(vec![update])
    });
    assert_eq!(race(store, commits.collect()).await, 1);
    let found = find(store, row.id).await;
    assert_eq!((found.version, found.state), (1, TicketState::Processing));
    let waits = TicketUpdate {
        from: TicketState::New,
        ..change(&found, TicketState::Done)
    };
    conflicts(store, updates(vec![waits])).await;
}

pub(crate) async fn entries_are_numbered_once(store: &Dyn) {
    let machine = machine(store).await;
    let row = opened(store, ticket(&machine, "E42")).await;
    let told = TicketEntry {
        agent_id: Some(AgentId::new()),
        message_id: Some(MessageId::new()),
        occurred_at: Some(now()),
        text: Some("It hums".to_owned()),
        data: json!({ "severity": "major" }),
        ..entry(&row, 2, TicketEvent::Raised)
    };
    let entries = vec![
        entry(&row, 1, TicketEvent::Opened),
        told,
        entry(&row, 3, TicketEvent::Cleared),
    ];
    let changes = |entries| Changes {
        ticket_entries: entries,
        ..Changes::default()
    };
    store.commit(changes(entries.clone())).await.unwrap();
    let read = async |after, limit| store.ticket_entries(row.id, after, limit).await.unwrap();
    assert_eq!(read(0, 10).await, entries);
    assert_eq!(read(1, 1).await, entries[1..2]);
    assert_eq!(read(u64::MAX, 10).await, []);
    assert_eq!(
        store.ticket_entries(TicketId::new(), 0, 10).await.unwrap(),
        []
    );
    let again = entry(&row, 3, TicketEvent::Note);
    conflicts(store, changes(vec![again])).await;
}

pub(crate) async fn that_never_fit_are_refused(store: &Dyn) {
    let machine = machine(store).await;
    let good = opened(store, ticket(&machine, "E42")).await;
    let long = "x".repeat(70_000);
    let rows = [
        ticket(&machine, "a\0b"),
        ticket(&machine, &long),
        Ticket {
            device: "x".repeat(513),
            ..ticket(&machine, "a")
        },
        Ticket {
            title: long.clone(),
            ..ticket(&machine, "a")
        },
        Ticket {
            last_pos: u64::MAX,
            ..ticket(&machine, "a")
        },
    ];
    let entries = [
        TicketEntry {
            text: Some(long.clone()),
            ..entry(&good, 1, TicketEvent::Note)
        },
        TicketEntry {
            data: json!(long),
            ..entry(&good, 1, TicketEvent::Note)
        },
        entry(&good, u64::MAX, TicketEvent::Note),
    ];
    let mut bad: Vec<Changes> = rows.into_iter().map(|row| inserts(vec![row])).collect();
    bad.extend(entries.into_iter().map(|entry| Changes {
        ticket_entries: vec![entry],
        ..Changes::default()
    }));
    let mut renamed = change(&good, TicketState::New);
    renamed.row.title = "a\0b".to_owned();
    bad.push(updates(vec![renamed]));
    let mut verbose = device(&machine);
    verbose
        .readings
        .insert("log".to_owned(), json!("x".repeat(600_000)));
    bad.push(Changes {
        devices: vec![verbose],
        ..Changes::default()
    });
    for changes in bad {
        let refused = store.commit(changes).await.unwrap_err();
        assert!(matches!(refused, CommitError::Refused(_)), "{refused}");
    }
}

pub(crate) async fn hold_their_group(store: &Dyn) {
    let machine = machine(store).await;
    let night = group(store, "Night", &[]).await;
    let row = Ticket {
        group_id: Some(night),
        ..ticket(&machine, "E42")
    };
    let row = opened(store, row).await;
    let refused = store.delete_group(night).await.unwrap_err();
    assert!(matches!(refused, CommitError::Conflict(_)), "{refused}");
    let processing = change(&row, TicketState::Processing);
    store.commit(updates(vec![processing])).await.unwrap();
    store.delete_group(night).await.unwrap();
}
