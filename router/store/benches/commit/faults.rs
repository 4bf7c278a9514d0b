//! Devices that report faults.

use std::{collections::BTreeMap, sync::Arc};

use divan::{Bencher, counter::ItemsCount};
use patchbay_message::{
    Attributes, Clock, ContactId, ConversationId, MessageId, Severity, SystemClock, ThreadId,
    TicketId,
};
use patchbay_store::{
    Changes, Device, NewEvent, Store, Ticket, TicketEntry, TicketEvent, TicketState, Want,
};
use tokio::runtime::Runtime;

use super::{Home, channel};

/// What a fault of a device is to the store: facts of all of a batch, then a ticket, its history and
/// how the device stands for each.
async fn commit(store: &Arc<dyn Store>, devices: &[(ThreadId, String)], code: &str) {
    let want = Want {
        devices: devices.iter().map(|(thread, _)| *thread).collect(),
        faults: devices
            .iter()
            .map(|(_, device)| (channel(), device.clone(), code.to_owned()))
            .collect(),
        ..Want::default()
    };
    let facts = store.facts(&want).await.expect("facts");
    assert!(facts.ticket_of.is_empty(), "a new code each time");
    let mut changes = Changes::default();
    for (thread, device) in devices {
        opened(*thread, device, code, &mut changes);
    }
    store.commit(changes).await.expect("commits");
}

fn opened(thread: ThreadId, device: &str, code: &str, changes: &mut Changes) {
    let now = SystemClock.now();
    let id = TicketId::new();
    changes.tickets.push(Ticket {
        id,
        number: 0,
        channel: channel(),
        device: device.to_owned(),
        code: code.to_owned(),
        contact_id: ContactId::new(),
        conversation_id: ConversationId::new(),
        partition: 0,
        state: TicketState::New,
        category: None,
        severity: Severity::Major,
        title: format!("{code} on {device}"),
        group_id: None,
        agent_id: None,
        last_agent_id: None,
        waiting_since: Some(now),
        n_raised: 1,
        n_flaps: 0,
        settles_at: None,
        first_raised_at: now,
        raised_at: now,
        cleared_at: None,
        created_at: now,
        updated_at: now,
        closed_at: None,
        last_pos: 1,
        version: 0,
    });
    changes.ticket_entries.push(TicketEntry {
        ticket_id: id,
        pos: 1,
        kind: TicketEvent::Opened,
        agent_id: None,
        message_id: Some(MessageId::new()),
        occurred_at: Some(now),
        text: None,
        data: serde_json::json!({ "severity": "major" }),
        at: now,
    });
    changes.devices.push(Device {
        thread_id: thread,
        channel: channel(),
        address: device.to_owned(),
        partition: 0,
        seen_at: now,
        silent_at: Some(now),
        silence: None,
        readings: Attributes::new(),
        readings_at: None,
        location: None,
        faults: BTreeMap::new(),
    });
    changes.events.push(NewEvent {
        kind: "ticket",
        conversation_id: None,
        agent_id: None,
        data: serde_json::json!({ "ticket_id": id }),
    });
}

/// New faults of so many devices at once.
pub(crate) fn report(
    bencher: Bencher<'_, '_>,
    home: Option<Home>,
    runtime: &Runtime,
    batch: usize,
) {
    let Some(home) = home else { return };
    let devices: Vec<_> = (0..batch)
        .map(|n| (ThreadId::new(), format!("device-{n}")))
        .collect();
    let mut round = 0;
    bencher.counter(ItemsCount::new(batch)).bench_local(|| {
        round += 1;
        runtime.block_on(commit(&home.store, &devices, &format!("E{round}")));
    });
}
