//! Settings, how channels are, and gauges.

use std::{collections::HashSet, time::Duration};

use patchbay_message::{ChannelId, MessageId, ThreadId};
use patchbay_store::{Changes, ConversationState, OutboxRow, Park, Ticket, TicketState};
use serde_json::json;

use super::dead::{bury, letter};
use crate::world::{Dyn, now, talk, talk_with, ticket, web};

pub(crate) async fn the_first_writer_of_a_setting_wins(store: &Dyn) {
    let writers = (0..8).map(|n| {
        let store = Dyn::clone(store);
        tokio::spawn(async move { store.setting("partitions", &n.to_string()).await.unwrap() })
    });
    let answers = futures_util::future::join_all(writers).await;
    let answers: HashSet<String> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.len(), 1, "everyone is told the same");
    let kept = store.setting("partitions", "99").await.unwrap();
    assert!(answers.contains(&kept));
    assert_eq!(
        store.setting("hash", "fnv").await.unwrap(),
        "fnv",
        "another key is free"
    );
}

fn park(channel: ChannelId) -> Park {
    Park {
        id: MessageId::new(),
        lane: ThreadId::new(),
        out_seq: 1,
        shard: 0,
        channel,
        due: now(),
        reason: "retry",
        detail: None,
        attempts: 1,
        envelope: "{}".into(),
    }
}

pub(crate) async fn channels_tell_how_they_are(store: &Dyn) {
    let sms = ChannelId::new("sms").unwrap();
    assert_eq!(store.channel_states().await.unwrap(), []);
    store.pause_channel(&web(), None).await.unwrap();
    assert_eq!(
        store.event_bounds().await.unwrap().0,
        0,
        "it was not paused: no news"
    );

    let until = now().plus(Duration::from_secs(30));
    let changes = Changes {
        channel_errors: vec![(web(), "busy".to_owned(), Some(until))],
        park: vec![park(web()), park(web()), park(sms.clone())],
        ..Changes::default()
    };
    store.commit(changes).await.unwrap();
    let later = Changes {
        channel_errors: vec![(web(), "still busy".to_owned(), None)],
        ..Changes::default()
    };
    store.commit(later).await.unwrap();
    store
        .pause_channel(&web(), Some("maintenance"))
        .await
        .unwrap();
    store
        .pause_channel(&web(), Some("maintenance"))
        .await
        .unwrap();

    let states = store.channel_states().await.unwrap();
    assert_eq!(states.len(), 2, "by name: sms, web");
    let (other, paused) = (&states[0], &states[1]);
    assert_eq!((other.channel.clone(), other.parked), (sms, 1));
    assert_eq!(
        (other.paused.as_deref(), other.last_error.as_deref()),
        (None, None)
    );
    assert_eq!((paused.channel.clone(), paused.parked), (web(), 2));
    assert_eq!(paused.paused.as_deref(), Some("maintenance"));
    assert!(paused.paused_at.is_some());
    assert_eq!(paused.last_error.as_deref(), Some("still busy"));
    assert_eq!(
        paused.until,
        Some(until),
        "an error without a time leaves the rest"
    );

    store.pause_channel(&web(), None).await.unwrap();
    let resumed = store.channel_states().await.unwrap().remove(1);
    assert_eq!((resumed.paused, resumed.paused_at), (None, None));
    let events = store.events(0, 10).await.unwrap();
    let data: Vec<_> = events.iter().map(|event| event.data.clone()).collect();
    assert!(events.iter().all(|event| event.kind == "channel"));
    let expected = [
        json!({ "channel": "web", "paused": "maintenance" }),
        json!({ "channel": "web", "paused": null }),
    ];
    assert_eq!(data, expected);
}

pub(crate) async fn gauges_count(store: &Dyn) {
    let minute = now().minus(Duration::from_secs(60));
    for (name, state) in [
        ("a", ConversationState::Waiting),
        ("b", ConversationState::Open),
    ] {
        talk_with(store, name, state, |row| row.waiting_since = Some(minute)).await;
    }
    let changes = Changes {
        park: vec![park(web()), park(web())],
        outbox: vec![OutboxRow {
            partition: "inbound.0".to_owned(),
            seq: 1,
            shard: 0,
            id: MessageId::new(),
            envelope: "{}".into(),
        }],
        ..Changes::default()
    };
    store.commit(changes).await.unwrap();
    let machine = talk(store, "press-7", ConversationState::Resolved).await;
    let states = [
        TicketState::New,
        TicketState::Reopened,
        TicketState::Processing,
        TicketState::Done,
        TicketState::Cancelled,
    ];
    let tickets = states.into_iter().map(|state| Ticket {
        state,
        ..ticket(&machine, state.as_str())
    });
    let changes = Changes {
        tickets: tickets.collect(),
        ..Changes::default()
    };
    store.commit(changes).await.unwrap();
    bury(store, &[letter(now())]).await;

    let gauges = store.gauges().await.unwrap();
    let value = |name: &str, channel: Option<&str>| {
        let mut found = gauges
            .iter()
            .filter(|gauge| gauge.name == name && gauge.channel.as_deref() == channel);
        let value = found.next().expect(name).value;
        assert!(found.next().is_none(), "{name} once");
        value
    };
    let exact = |name, channel, expected: f64| {
        assert!((value(name, channel) - expected).abs() < 0.01, "{name}");
    };
    exact("waiting", None, 1.0);
    exact("parked", Some("web"), 2.0);
    exact("outbox", None, 1.0);
    exact("tickets_waiting", None, 2.0);
    exact("tickets_processing", None, 1.0);
    exact("tickets_pending_confirmation", None, 0.0);
    exact("dead", Some("web"), 1.0);
    let oldest = value("oldest_waiting_seconds", None);
    assert!((60.0..120.0).contains(&oldest), "{oldest}");
    assert!((0.0..60.0).contains(&value("oldest_parked_seconds", Some("web"))));
}
