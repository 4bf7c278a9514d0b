//! Tickets by page and filter, by fault, and what waits of them.

use std::time::Duration;

use patchbay_message::{AgentId, ChannelId, GroupId, Severity, TicketId};
use patchbay_store::{Cursor, Ticket, TicketFilter, TicketState, Want};

use super::tickets::{change, find, inserts, machine, updates};
use crate::world::{Dyn, now, opened, ticket, web};

fn any() -> TicketFilter {
    TicketFilter {
        limit: 100,
        ..TicketFilter::default()
    }
}

async fn codes(store: &Dyn, filter: &TicketFilter) -> String {
    let page = store.tickets(filter).await.unwrap();
    let mut codes: Vec<_> = page
        .items
        .iter()
        .map(|view| view.ticket.code.as_str())
        .collect();
    codes.sort_unstable();
    codes.concat()
}

pub(crate) async fn are_paged_newest_first(store: &Dyn) {
    let machine = machine(store).await;
    let begun = now();
    let mut expected = Vec::new();
    for n in 0..7_u64 {
        // Three of them at the same time: the id decides.
        let row = Ticket {
            updated_at: begun.plus(Duration::from_secs(n.clamp(2, 4))),
            ..ticket(&machine, &n.to_string())
        };
        expected.push((row.updated_at, row.id));
        opened(store, row).await;
    }
    expected.sort();
    expected.reverse();
    for states in [Vec::new(), vec![TicketState::New, TicketState::Reopened]] {
        let mut filter = TicketFilter {
            limit: 3,
            states,
            ..any()
        };
        let (mut found, mut sizes) = (Vec::new(), Vec::new());
        loop {
            let page = store.tickets(&filter).await.unwrap();
            sizes.push(page.items.len());
            let rows = page.items.iter().map(|view| &view.ticket);
            found.extend(rows.map(|row| (row.updated_at, row.id)));
            match page.next {
                Some(next) => filter.cursor = Some(next),
                None => break,
            }
        }
        assert_eq!(found, expected);
        assert_eq!(sizes, [3, 3, 1]);
    }
    let whole = TicketFilter { limit: 7, ..any() };
    let page = store.tickets(&whole).await.unwrap();
    assert_eq!(page.next, None, "no page after the last row");
}

/// Filters, and the codes of what they find of [`are_filtered`]'s rows.
fn filters(agent: AgentId, group: GroupId, plant: ChannelId) -> [(TicketFilter, &'static str); 9] {
    [
        (any(), "abcde"),
        (
            TicketFilter {
                agent: Some(agent),
                ..any()
            },
            "bd",
        ),
        (
            TicketFilter {
                agent: Some(agent),
                states: vec![TicketState::Processing, TicketState::New],
                ..any()
            },
            "b",
        ),
        (
            TicketFilter {
                groups: vec![GroupId::new(), group],
                ..any()
            },
            "c",
        ),
        (
            TicketFilter {
                channel: Some(plant),
                ..any()
            },
            "d",
        ),
        (
            TicketFilter {
                device: Some("press-8".to_owned()),
                ..any()
            },
            "d",
        ),
        (
            TicketFilter {
                device: Some("press".to_owned()),
                ..any()
            },
            "",
        ),
        (
            TicketFilter {
                states: vec![TicketState::Done, TicketState::New],
                ..any()
            },
            "acde",
        ),
        (
            TicketFilter {
                severities: vec![Severity::Critical, Severity::from("odd")],
                ..any()
            },
            "ce",
        ),
    ]
}

pub(crate) async fn are_filtered(store: &Dyn) {
    let machine = machine(store).await;
    let (agent, group) = (AgentId::new(), GroupId::new());
    let plant = ChannelId::new("plant").unwrap();
    let rows = [
        ticket(&machine, "a"),
        Ticket {
            agent_id: Some(agent),
            state: TicketState::Processing,
            ..ticket(&machine, "b")
        },
        Ticket {
            group_id: Some(group),
            severity: Severity::Critical,
            ..ticket(&machine, "c")
        },
        Ticket {
            channel: plant.clone(),
            device: "press-8".to_owned(),
            state: TicketState::Done,
            agent_id: Some(agent),
            ..ticket(&machine, "d")
        },
        Ticket {
            severity: Severity::from("odd"),
            ..ticket(&machine, "e")
        },
    ];
    store.commit(inserts(rows.to_vec())).await.unwrap();
    let filters = filters(agent, group, plant);
    for (filter, expected) in filters {
        assert_eq!(codes(store, &filter).await, expected, "{filter:?}");
    }
}

pub(crate) async fn are_found_by_text_in_any_case(store: &Dyn) {
    let machine = machine(store).await;
    let rows = [
        Ticket {
            device: "Ürn-50%_a".to_owned(),
            title: "Boils over".to_owned(),
            ..ticket(&machine, "Q1")
        },
        Ticket {
            device: "kettle".to_owned(),
            title: "COLD".to_owned(),
            ..ticket(&machine, "Q2")
        },
    ];
    store.commit(inserts(rows.to_vec())).await.unwrap();
    let by = async |text: &str| {
        let filter = TicketFilter {
            text: Some(text.to_owned()),
            ..any()
        };
        codes(store, &filter).await
    };
    assert_eq!(by("ürN").await, "Q1");
    assert_eq!(by("boILs").await, "Q1");
    assert_eq!(by("50%_").await, "Q1", "no character stands for others");
    assert_eq!(by("%").await, "Q1");
    assert_eq!(by("cold").await, "Q2");
    assert_eq!(by("q").await, "Q1Q2");
    assert_eq!(by("kettleq2").await, "", "not over the seam");
    assert_eq!(by("a\0b").await, "");

    let mut update = change(&find(store, rows[1].id).await, TicketState::New);
    update.row.title = "Lid lost".to_owned();
    store.commit(updates(vec![update])).await.unwrap();
    assert_eq!(by("LID").await, "Q2", "by what it is called now");
    assert_eq!(by("cold").await, "");
}

pub(crate) async fn are_loaded_by_fault(store: &Dyn) {
    let machine = machine(store).await;
    let begun = now();
    let at = |code: &str, seconds, state| Ticket {
        created_at: begun.plus(Duration::from_secs(seconds)),
        state,
        ..ticket(&machine, code)
    };
    let rows = [
        at("open", 1, TicketState::PendingConfirmation),
        at("open", 2, TicketState::Done),
        at("closed", 1, TicketState::Done),
        at("closed", 3, TicketState::Cancelled),
        at("closed", 2, TicketState::Done),
    ];
    store.commit(inserts(rows.to_vec())).await.unwrap();
    let key = |code: &str| (web(), machine.thread.address.clone(), code.to_owned());
    let want = Want {
        faults: vec![key("open"), key("closed"), key("none"), key("a\0b")],
        tickets: vec![rows[4].id, TicketId::new()],
        ..Want::default()
    };
    let facts = store.facts(&want).await.unwrap();
    let mut found: Vec<_> = facts.ticket_of.into_iter().collect();
    found.sort();
    let expected = [(key("closed"), rows[3].id), (key("open"), rows[0].id)];
    assert_eq!(found, expected, "the open one, else the newest");
    let mut ids: Vec<_> = facts.tickets.keys().copied().collect();
    ids.sort();
    let mut expected = [rows[0].id, rows[3].id, rows[4].id];
    expected.sort();
    assert_eq!(ids, expected);
    assert_eq!(facts.tickets[&rows[0].id], find(store, rows[0].id).await);
}

pub(crate) async fn wait_worst_first(store: &Dyn) {
    let machine = machine(store).await;
    let begun = now();
    let since = |seconds| Some(begun.plus(Duration::from_secs(seconds)));
    let row = |code: &str, severity, state, waiting_since| Ticket {
        severity,
        state,
        waiting_since,
        created_at: begun.plus(Duration::from_secs(20)),
        ..ticket(&machine, code)
    };
    let rows = vec![
        row("f", Severity::from("odd"), TicketState::New, since(1)),
        row("e", Severity::Minor, TicketState::New, since(5)),
        row("d", Severity::Major, TicketState::New, since(40)),
        row("b", Severity::Critical, TicketState::Reopened, since(30)),
        row("a", Severity::Critical, TicketState::New, None),
        row("c", Severity::Major, TicketState::Reopened, since(10)),
        row("x", Severity::Critical, TicketState::Processing, since(1)),
        row("y", Severity::Critical, TicketState::Done, since(1)),
    ];
    store.commit(inserts(rows)).await.unwrap();
    let load = async |waiting_tickets, waiting_tickets_after| {
        let want = Want {
            waiting_tickets,
            waiting_tickets_after,
            ..Want::default()
        };
        store.facts(&want).await.unwrap().waiting_tickets
    };
    let codes = |rows: &[Ticket]| -> String { rows.iter().map(|row| row.code.as_str()).collect() };
    assert_eq!(codes(&load(10, None).await), "abcdef");
    assert_eq!(codes(&load(0, None).await), "");
    let mut paged = String::new();
    let mut after = None;
    loop {
        let page = load(2, after).await;
        let Some(last) = page.last() else { break };
        after = Some((
            last.severity.clone(),
            Cursor {
                at: last.waiting_since.unwrap_or(last.created_at),
                id: last.id.0,
            },
        ));
        paged.push_str(&codes(&page));
        assert!(page.len() <= 2);
    }
    assert_eq!(paged, "abcdef");

    let worse = load(10, None).await.pop().unwrap();
    let mut update = change(&worse, worse.state);
    update.row.severity = Severity::Critical;
    store.commit(updates(vec![update])).await.unwrap();
    assert_eq!(
        codes(&load(10, None).await),
        "fabcde",
        "as bad as it is now"
    );
}

pub(crate) async fn settle_when_they_have_been_quiet(store: &Dyn) {
    let machine = machine(store).await;
    let begun = now();
    let at = |seconds| begun.plus(Duration::from_secs(seconds));
    let row = |code: &str, state, seconds| Ticket {
        settles_at: Some(at(seconds)),
        state,
        ..ticket(&machine, code)
    };
    let rows = vec![
        row("b", TicketState::Processing, 10),
        row("a", TicketState::New, 5),
        row("c", TicketState::New, 11),
        row("d", TicketState::Done, 5),
        ticket(&machine, "e"),
    ];
    store.commit(inserts(rows)).await.unwrap();
    let want = Want {
        settled_until: Some(at(10)),
        ..Want::default()
    };
    let settled = store.facts(&want).await.unwrap().settled;
    let codes: Vec<_> = settled.iter().map(|row| row.code.as_str()).collect();
    assert_eq!(codes, ["a", "b"], "longest quiet first");
}
