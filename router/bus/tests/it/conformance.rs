//! What every bus has to do. `conformance!` makes a test of each function for one fixture.

use std::{collections::HashSet, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::join_all;
use metrics_exporter_prometheus::PrometheusBuilder;
use patchbay_bus::{BODY_BYTES_MAX, Bus, Mailbox, PublishError, Queue};

use tokio::runtime::Handle;

use crate::support::{
    Bounds, Fixture, batch, depth_is, drain, label, labels, message, nothing, numbered, take,
    within,
};

const IN: Queue = Queue::Inbound(0);
const OUT: Queue = Queue::Outbound(1);

/// One test per function, for one fixture.
macro_rules! conformance {
    ($fixture:ty: $($name:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            $crate::conformance::$name::<$fixture>().await;
        }
    )*};
    ($fixture:ty) => {
        $crate::conformance::conformance! { $fixture:
            what_is_published_arrives_whole
            a_batch_may_span_queues
            order_is_kept_within_a_queue
            concurrent_publishers_keep_their_own_order
            what_was_not_acked_comes_back_in_order
            acks_may_come_in_any_order
            an_ack_after_its_consumer_went_counts_for_nothing
            a_single_consumer_is_active_and_hands_over_in_order
            prefetch_bounds_what_is_handed_out
            a_full_queue_refuses_and_recovers
            publishing_goes_on_while_the_consumer_is_slow
            a_cancelled_recv_loses_nothing
            a_body_past_the_bound_is_refused
            depth_counts_what_waits
            a_mailbox_gets_its_own_only
            any_event_reaches_the_star
            a_slow_listener_loses_and_harms_nobody
            closing_settles_what_was_taken
            what_happens_is_counted
        }
    };
}
pub(crate) use conformance;

async fn publish(bus: &Arc<dyn Bus>, queue: Queue, labels: &[String]) {
    within("publish", bus.publish(batch(queue, labels)))
        .await
        .unwrap();
}

pub(crate) async fn what_is_published_arrives_whole<F: Fixture>() {
    let fixture = F::open(Bounds::default()).await;
    let bus = fixture.bus();
    let sent = ["message", "receipt", "command", "result"].map(|kind| {
        let mut message = message("客户 \u{0} \"quoted\"");
        message.kind = kind.into();
        message
    });
    bus.publish(Vec::new()).await.unwrap();
    bus.publish(sent.iter().map(|m| (IN, m.clone())).collect())
        .await
        .unwrap();
    let mut consumer = bus.consume(IN, 10).await.unwrap();
    let taken = take(&mut *consumer, sent.len()).await;
    assert!(taken.iter().all(|delivery| !delivery.redelivered));
    let arrived: Vec<_> = taken.iter().map(|d| d.message.clone()).collect();
    assert_eq!(arrived, sent);
    fixture.remove().await;
}

pub(crate) async fn a_batch_may_span_queues<F: Fixture>() {
    let fixture = F::open(Bounds::default()).await;
    let bus = fixture.bus();
    let mixed = (0..40).map(|n| {
        let queue = if n % 2 == 0 { IN } else { OUT };
        (queue, message(&n.to_string()))
    });
    bus.publish(mixed.collect()).await.unwrap();
    for (queue, odd) in [(IN, 0), (OUT, 1)] {
        let mut consumer = bus.consume(queue, 100).await.unwrap();
        let expected = numbered("", (0..20).map(|n| 2 * n + odd));
        assert_eq!(labels(&take(&mut *consumer, 20).await), expected);
    }
    fixture.remove().await;
}

pub(crate) async fn order_is_kept_within_a_queue<F: Fixture>() {
    // A small tail in memory makes the embedded bus read back from its journal.
    let fixture = F::open(Bounds {
        tail_bytes_max: 2000,
        ..Bounds::default()
    })
    .await;
    let bus = fixture.bus();
    let all = numbered("m", 0..3000);
    let (first, rest) = all.split_at(1000);
    publish(&bus, IN, first).await;
    let mut consumer = bus.consume(IN, 500).await.unwrap();
    let publisher = {
        let (bus, rest) = (bus.clone(), rest.to_vec());
        tokio::spawn(async move {
            for chunk in rest.chunks(37) {
                publish(&bus, IN, chunk).await;
            }
        })
    };
    let seen = drain(&mut *consumer, &all.iter().cloned().collect()).await;
    assert_eq!(seen, all);
    publisher.await.unwrap();
    fixture.remove().await;
}

pub(crate) async fn concurrent_publishers_keep_their_own_order<F: Fixture>() {
    let fixture = F::open(Bounds::default()).await;
    let bus = fixture.bus();
    let publishers = (0..8).map(|publisher| {
        let bus = bus.clone();
        tokio::spawn(async move {
            let own = numbered(&format!("{publisher}-"), 0..210);
            for chunk in own.chunks(7) {
                publish(&bus, IN, chunk).await;
            }
            own
        })
    });
    let publishers: Vec<_> = publishers.collect();
    let expected: Vec<Vec<String>> = join_all(publishers)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let mut consumer = bus.consume(IN, 500).await.unwrap();
    let seen = drain(
        &mut *consumer,
        &expected.iter().flatten().cloned().collect(),
    )
    .await;
    assert_eq!(seen.len(), 8 * 210);
    for own in expected {
        let of_publisher: HashSet<&String> = own.iter().collect();
        let seen: Vec<&String> = seen.iter().filter(|l| of_publisher.contains(l)).collect();
        assert_eq!(seen, own.iter().collect::<Vec<_>>());
    }
    fixture.remove().await;
}

pub(crate) async fn what_was_not_acked_comes_back_in_order<F: Fixture>() {
    let fixture = F::open(Bounds::default()).await;
    let bus = fixture.bus();
    let all = numbered("m", 0..60);
    publish(&bus, IN, &all).await;
    let mut consumer = bus.consume(IN, 40).await.unwrap();
    let mut taken = take(&mut *consumer, 40).await;
    let open = taken.split_off(25);
    for delivery in taken {
        delivery.ack();
    }
    // Acks may be gathered: what they free is handed out once they are through.
    let more = take(&mut *consumer, 20).await;
    drop((open, more, consumer));

    let mut consumer = bus.consume(IN, 100).await.unwrap();
    let again = take(&mut *consumer, 35).await;
    assert_eq!(labels(&again), all[25..]);
    assert!(again.iter().all(|delivery| delivery.redelivered));
    fixture.remove().await;
}

pub(crate) async fn acks_may_come_in_any_order<F: Fixture>() {
    let fixture = F::open(Bounds::default()).await;
    let bus = fixture.bus();
    let all = numbered("m", 0..30);
    publish(&bus, IN, &all).await;
    let mut consumer = bus.consume(IN, 30).await.unwrap();
    let (even, odd): (Vec<_>, Vec<_>) = take(&mut *consumer, 30)
        .await
        .into_iter()
        .enumerate()
        .partition(|(n, _)| n % 2 == 0);
    for (_, delivery) in odd.into_iter().rev() {
        delivery.ack();
    }
    // A full prefetch of new ones proves that the acks are through.
    publish(&bus, IN, &numbered("n", 0..15)).await;
    let more = take(&mut *consumer, 15).await;
    assert_eq!(labels(&more), numbered("n", 0..15));
    for delivery in more {
        delivery.ack();
    }
    publish(&bus, IN, &numbered("o", 0..15)).await;
    drop(take(&mut *consumer, 15).await);
    drop((even, consumer));

    let mut consumer = bus.consume(IN, 100).await.unwrap();
    let again = labels(&take(&mut *consumer, 30).await);
    assert_eq!(again[..15], numbered("m", (0..15).map(|n| 2 * n)));
    assert_eq!(again[15..], numbered("o", 0..15));
    fixture.remove().await;
}

pub(crate) async fn an_ack_after_its_consumer_went_counts_for_nothing<F: Fixture>() {
    let fixture = F::open(Bounds::default()).await;
    let bus = fixture.bus();
    publish(&bus, IN, &numbered("m", 0..2)).await;
    let mut consumer = bus.consume(IN, 10).await.unwrap();
    let late = take(&mut *consumer, 2).await;
    drop(consumer);
    let mut consumer = bus.consume(IN, 10).await.unwrap();
    let taken = take(&mut *consumer, 2).await;
    for delivery in late {
        delivery.ack();
    }
    nothing(&mut *consumer).await;
    drop((taken, consumer));
    let mut consumer = bus.consume(IN, 10).await.unwrap();
    assert_eq!(labels(&take(&mut *consumer, 2).await), ["m0", "m1"]);
    fixture.remove().await;
}

pub(crate) async fn a_single_consumer_is_active_and_hands_over_in_order<F: Fixture>() {
    let fixture = F::open(Bounds::default()).await;
    let bus = fixture.bus();
    let all = numbered("m", 0..50);
    let mut first = bus.consume(IN, 20).await.unwrap();
    let mut second = bus.consume(IN, 20).await.unwrap();
    let mut third = bus.consume(IN, 100).await.unwrap();
    publish(&bus, IN, &all[..40]).await;
    let taken = take(&mut *first, 20).await;
    nothing(&mut *second).await;
    for delivery in taken.into_iter().take(5) {
        delivery.ack();
    }
    let _freed = take(&mut *first, 5).await;
    drop(first);
    let taken = take(&mut *second, 20).await;
    assert_eq!(labels(&taken), all[5..25]);
    nothing(&mut *third).await;
    publish(&bus, IN, &all[40..]).await;
    drop((taken, second));
    assert_eq!(labels(&take(&mut *third, 45).await), all[5..]);
    fixture.remove().await;
}

pub(crate) async fn prefetch_bounds_what_is_handed_out<F: Fixture>() {
    let fixture = F::open(Bounds::default()).await;
    let bus = fixture.bus();
    publish(&bus, IN, &numbered("m", 0..100)).await;
    let mut consumer = bus.consume(IN, 10).await.unwrap();
    let mut taken = take(&mut *consumer, 10).await;
    nothing(&mut *consumer).await;
    for delivery in taken.drain(..4) {
        delivery.ack();
    }
    taken.extend(take(&mut *consumer, 4).await);
    assert_eq!(labels(&taken), numbered("m", 4..14));
    nothing(&mut *consumer).await;
    fixture.remove().await;
}

pub(crate) async fn a_full_queue_refuses_and_recovers<F: Fixture>() {
    const BOUND: usize = 50;
    let fixture = F::open(Bounds {
        queue_length_max: BOUND,
        ..Bounds::default()
    })
    .await;
    let bus = fixture.bus();
    let mut taken = Vec::new();
    let refused = loop {
        let label = format!("m{}", taken.len());
        match within(
            "publish",
            bus.publish(batch(IN, std::slice::from_ref(&label))),
        )
        .await
        {
            Ok(()) => taken.push(label),
            Err(error) => break error,
        }
        // The broker may run over its bound a little.
        assert!(taken.len() < 4 * BOUND, "the bound does not hold");
    };
    assert_eq!(refused, PublishError::Full(IN));
    assert!(taken.len() >= BOUND, "full at {}", taken.len());
    publish(&bus, OUT, &numbered("other", 0..1)).await;

    let mut consumer = bus.consume(IN, 100).await.unwrap();
    let seen = drain(&mut *consumer, &taken.iter().cloned().collect()).await;
    assert_eq!(seen, taken, "what was confirmed, and only that");
    let recovered = async {
        while bus
            .publish(batch(IN, &numbered("late", 0..1)))
            .await
            .is_err()
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within("room again", recovered).await;
    assert_eq!(labels(&take(&mut *consumer, 1).await), ["late0"]);
    fixture.remove().await;
}

pub(crate) async fn publishing_goes_on_while_the_consumer_is_slow<F: Fixture>() {
    let fixture = F::open(Bounds {
        tail_bytes_max: 1000,
        ..Bounds::default()
    })
    .await;
    let bus = fixture.bus();
    let mut consumer = bus.consume(IN, 2).await.unwrap();
    let all = numbered("m", 0..500);
    let mut seen = Vec::new();
    for chunk in all.chunks(50) {
        publish(&bus, IN, chunk).await;
        for delivery in take(&mut *consumer, 1).await {
            seen.push(label(&delivery.message));
            delivery.ack();
        }
    }
    let missing = all[seen.len()..].iter().cloned().collect();
    seen.extend(drain(&mut *consumer, &missing).await);
    assert_eq!(seen, all);
    fixture.remove().await;
}

pub(crate) async fn a_cancelled_recv_loses_nothing<F: Fixture>() {
    let fixture = F::open(Bounds::default()).await;
    let bus = fixture.bus();
    let all = numbered("m", 0..300);
    let publisher = {
        let (bus, all) = (bus.clone(), all.clone());
        tokio::spawn(async move {
            for chunk in all.chunks(3) {
                publish(&bus, IN, chunk).await;
            }
        })
    };
    let mut consumer = bus.consume(IN, 500).await.unwrap();
    let mut seen = Vec::new();
    let collect = async {
        while seen.len() < all.len() {
            let wait = Duration::from_micros(50);
            if let Ok(more) = tokio::time::timeout(wait, consumer.recv(2)).await {
                seen.extend(labels(&more.unwrap()));
            }
        }
    };
    within("all of them", collect).await;
    assert_eq!(seen, all);
    publisher.await.unwrap();
    fixture.remove().await;
}

pub(crate) async fn a_body_past_the_bound_is_refused<F: Fixture>() {
    let fixture = F::open(Bounds::default()).await;
    let bus = fixture.bus();
    let mut large = message("large");
    large.body = Bytes::from(vec![b'x'; BODY_BYTES_MAX + 1]);
    let with_large = vec![(IN, message("small")), (IN, large.clone())];
    let refused = bus.publish(with_large).await.unwrap_err();
    assert!(matches!(&refused, PublishError::Refused(why) if why.contains(&large.id.to_string())));
    large.body.truncate(BODY_BYTES_MAX);
    bus.publish(vec![(IN, large.clone())]).await.unwrap();
    let mut consumer = bus.consume(IN, 10).await.unwrap();
    let taken = take(&mut *consumer, 1).await;
    assert_eq!(taken[0].message, large, "nothing of the refused batch came");
    fixture.remove().await;
}

pub(crate) async fn depth_counts_what_waits<F: Fixture>() {
    let fixture = F::open(Bounds::default()).await;
    let bus = fixture.bus();
    assert_eq!(bus.depth(IN).await.unwrap(), 0);
    publish(&bus, IN, &numbered("m", 0..25)).await;
    depth_is(&*bus, IN, 25).await;
    let mut consumer = bus.consume(IN, 10).await.unwrap();
    let taken = take(&mut *consumer, 10).await;
    depth_is(&*bus, IN, 15).await;
    drop((taken, consumer));
    depth_is(&*bus, IN, 25).await;
    assert_eq!(bus.depth(OUT).await.unwrap(), 0);
    fixture.remove().await;
}

pub(crate) async fn a_mailbox_gets_its_own_only<F: Fixture>() {
    let fixture = F::open(Bounds::default()).await;
    let bus = fixture.bus();
    let name = |n: u8| Mailbox::Gateway(format!("instance-{n}"));
    bus.nudge(&name(3), Bytes::from_static(b"to nobody"));
    let mut one = bus.mailbox(name(1)).await.unwrap();
    let mut two = bus.mailbox(name(2)).await.unwrap();
    for n in 0..20 {
        bus.nudge(&name(1), Bytes::from(format!("one {n}")));
        bus.nudge(&name(2), Bytes::from(format!("two {n}")));
    }
    for n in 0..20 {
        assert_eq!(
            within("nudge", one.recv()).await.unwrap(),
            format!("one {n}")
        );
        assert_eq!(
            within("nudge", two.recv()).await.unwrap(),
            format!("two {n}")
        );
    }
    drop(one);
    bus.nudge(&name(1), Bytes::from_static(b"to nobody"));
    bus.nudge(&name(2), Bytes::from_static(b"still here"));
    assert_eq!(within("nudge", two.recv()).await.unwrap(), "still here");
    fixture.remove().await;
}

pub(crate) async fn any_event_reaches_the_star<F: Fixture>() {
    let fixture = F::open(Bounds::default()).await;
    let bus = fixture.bus();
    let event = |kind: &str| Mailbox::Event(kind.to_owned());
    let mut any = bus.mailbox(event("*")).await.unwrap();
    let mut closed = bus.mailbox(event("conversation.closed")).await.unwrap();
    let mut also_closed = bus.mailbox(event("conversation.closed")).await.unwrap();
    let mut gateway = bus.mailbox(Mailbox::Gateway("g".to_owned())).await.unwrap();
    bus.nudge(&event("message"), Bytes::from_static(b"1"));
    bus.nudge(&event("conversation.closed"), Bytes::from_static(b"2"));
    bus.nudge(&Mailbox::Gateway("g".to_owned()), Bytes::from_static(b"3"));
    assert_eq!(within("event", any.recv()).await.unwrap(), "1");
    assert_eq!(within("event", any.recv()).await.unwrap(), "2");
    assert_eq!(within("event", closed.recv()).await.unwrap(), "2");
    assert_eq!(within("event", also_closed.recv()).await.unwrap(), "2");
    assert_eq!(within("nudge", gateway.recv()).await.unwrap(), "3");
    assert!(any.try_recv().is_err());
    assert!(closed.try_recv().is_err());
    fixture.remove().await;
}

pub(crate) async fn a_slow_listener_loses_and_harms_nobody<F: Fixture>() {
    let bounds = Bounds::default();
    let fixture = F::open(bounds).await;
    let bus = fixture.bus();
    let mailbox = Mailbox::Gateway("slow".to_owned());
    let mut slow = bus.mailbox(mailbox.clone()).await.unwrap();
    for n in 0..20 * bounds.mailbox_max {
        bus.nudge(&mailbox, Bytes::from(n.to_string()));
    }
    publish(&bus, IN, &numbered("m", 0..1)).await;
    let mut quick = bus
        .mailbox(Mailbox::Gateway("quick".to_owned()))
        .await
        .unwrap();
    let reached = async {
        loop {
            bus.nudge(
                &Mailbox::Gateway("quick".to_owned()),
                Bytes::from_static(b"q"),
            );
            let wait = Duration::from_millis(50);
            if tokio::time::timeout(wait, quick.recv()).await.is_ok() {
                break;
            }
        }
    };
    within("the quick listener", reached).await;
    assert_eq!(within("the oldest", slow.recv()).await.unwrap(), "0");
    let mut n_kept = 1;
    while slow.try_recv().is_ok() {
        n_kept += 1;
    }
    assert!(n_kept <= bounds.mailbox_max, "{n_kept} kept");
    assert_eq!(bus.health().problem, None);
    fixture.remove().await;
}

pub(crate) async fn what_happens_is_counted<F: Fixture>() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    // Set for this thread only, and a bus takes its handles when it is opened.
    let fixture = metrics::with_local_recorder(&recorder, || {
        tokio::task::block_in_place(|| Handle::current().block_on(F::open(Bounds::default())))
    });
    let bus = fixture.bus();
    publish(&bus, IN, &numbered("m", 0..10)).await;
    publish(&bus, OUT, &numbered("m", 0..3)).await;
    let mut large = message("large");
    large.body = Bytes::from(vec![b'x'; BODY_BYTES_MAX + 1]);
    bus.publish(vec![(IN, large)]).await.unwrap_err();
    let mut consumer = bus.consume(IN, 10).await.unwrap();
    drop((take(&mut *consumer, 10).await, consumer));
    let mut consumer = bus.consume(IN, 10).await.unwrap();
    for delivery in take(&mut *consumer, 10).await.into_iter().take(4) {
        delivery.ack();
    }
    let text = metrics.render();
    for line in [
        r#"patchbay_bus_published_total{queue="inbound",outcome="ok"} 10"#,
        r#"patchbay_bus_published_total{queue="inbound",outcome="refused"} 1"#,
        r#"patchbay_bus_published_total{queue="outbound",outcome="ok"} 3"#,
        r#"patchbay_bus_delivered_total{queue="inbound"} 20"#,
        r#"patchbay_bus_redelivered_total{queue="inbound"} 10"#,
        "patchbay_bus_unacked 6",
        "patchbay_bus_confirm_seconds_count 2",
        "patchbay_bus_blocked 0",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is not in\n{text}"
        );
    }
    fixture.remove().await;
}

pub(crate) async fn closing_settles_what_was_taken<F: Fixture>() {
    let fixture = F::open(Bounds::default()).await;
    let bus = fixture.bus();
    let mut consumer = bus.consume(OUT, 10).await.unwrap();
    let publishes = (0..50).map(|n| {
        let bus = bus.clone();
        tokio::spawn(async move { bus.publish(batch(IN, &numbered("m", n..n + 1))).await })
    });
    let publishes: Vec<_> = publishes.collect();
    tokio::task::yield_now().await;
    within("close", bus.close()).await;
    for publish in publishes {
        let result = within("an answer", publish).await.unwrap();
        assert!(matches!(result, Ok(()) | Err(PublishError::Unavailable(_))));
    }
    let late = bus.publish(batch(IN, &numbered("late", 0..1))).await;
    assert!(
        matches!(late, Err(PublishError::Unavailable(_))),
        "{late:?}"
    );
    within("the consumer's end", consumer.recv(1))
        .await
        .unwrap_err();
    assert!(bus.consume(IN, 1).await.is_err());
    fixture.remove().await;
}
