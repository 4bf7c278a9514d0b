//! What a broker does to its clients: dies, restarts, runs out of memory, loses queues.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use lapin::options;
use patchbay_bus::{Bus, PublishError, Queue, RabbitBus, RabbitOptions};

use crate::{
    broker::Broker,
    child::Spawned,
    ledger::Load,
    proxy::Proxy,
    rabbitmq::{broker_url, remove_namespace, test_options},
    support::{batch, drain, labels, nothing, numbered, take, within},
};

const IN: Queue = Queue::Inbound(0);
/// How many times a broker is killed in one test.
const KILLS: usize = 2;

/// Until the bus says that all is well.
async fn healthy(bus: &RabbitBus) {
    let wait = async {
        while bus.health().problem.is_some() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within("health", wait).await;
}

/// Until the bus says what is wrong.
async fn problem(bus: &RabbitBus) -> String {
    let wait = async {
        loop {
            if let Some(problem) = bus.health().problem {
                return problem;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within("a problem", wait).await
}

async fn under_load(end: impl AsyncFn(&Broker)) {
    let broker = Broker::start().await;
    let options = test_options();
    let queues = [IN, Queue::Outbound(0), Queue::Outbound(1)];
    let names = queues.map(|queue| format!("{}.{queue}", options.namespace));
    let bus = RabbitBus::connect(&broker.url, options).await.unwrap();
    broker.knows_for_good(&names).await;
    let load = Load::start(bus.clone(), &queues, 4);
    for _ in 0..KILLS {
        load.confirms(500 + fastrand::usize(..1000)).await;
        end(&broker).await;
        let said = problem(&bus).await;
        assert!(said.contains("no connection to"), "{said}");
        broker.start_again().await;
    }
    load.confirms(500).await;
    healthy(&bus).await;
    assert!(bus.health().reconnects >= KILLS as u64);
    load.settle().await;
    bus.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_confirmed_is_lost_when_the_broker_is_killed() {
    under_load(Broker::kill).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_confirmed_is_lost_when_the_broker_restarts() {
    under_load(Broker::stop).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_memory_alarm_stops_publishers_and_not_consumers() {
    let broker = Broker::start().await;
    let bus = RabbitBus::connect(&broker.url, test_options())
        .await
        .unwrap();
    let before = numbered("before", 0..200);
    bus.publish(batch(IN, &before)).await.unwrap();

    let watermark = "set_vm_memory_high_watermark";
    broker.ctl(&[watermark, "0.00001"]).await;
    // The broker tells a connection at its first publish under the alarm.
    let refused = async {
        loop {
            match bus.publish(batch(IN, &numbered("during", 0..1))).await {
                Ok(()) => {}
                Err(error) => return error,
            }
        }
    };
    let refused = within("refused", refused).await;
    assert!(
        matches!(&refused, PublishError::Unavailable(why) if why.contains("memory")),
        "{refused:?}"
    );
    let said = problem(&bus).await;
    assert!(said.contains("takes no messages"), "{said}");
    let began = Instant::now();
    bus.publish(batch(IN, &numbered("during", 1..2)))
        .await
        .unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(1), "told at once");

    let mut consumer = bus.consume(IN, 50).await.unwrap();
    let seen = drain(&mut *consumer, &before.iter().cloned().collect()).await;
    assert_eq!(seen, before);

    broker.ctl(&[watermark, "0.4"]).await;
    healthy(&bus).await;
    let after = numbered("after", 0..10);
    bus.publish(batch(IN, &after)).await.unwrap();
    drain(&mut *consumer, &after.into_iter().collect()).await;
    bus.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_comes_later_is_found() {
    let broker = Broker::not_started();
    let bus = within("connect", RabbitBus::connect(&broker.url, test_options()))
        .await
        .unwrap();
    assert!(bus.health().problem.is_some());
    let refused = bus.publish(batch(IN, &numbered("early", 0..1))).await;
    assert!(
        matches!(refused, Err(PublishError::Unavailable(_))),
        "{refused:?}"
    );
    broker.start_again().await;
    healthy(&bus).await;
    bus.publish(batch(IN, &numbered("late", 0..1)))
        .await
        .unwrap();
    let mut consumer = bus.consume(IN, 10).await.unwrap();
    assert_eq!(labels(&take(&mut *consumer, 1).await), ["late0"]);
    bus.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_routed_is_never_confirmed() {
    let broker = Broker::start().await;
    let options = test_options();
    let name = format!("{}.inbound.g1.0", options.namespace);
    let bus = RabbitBus::connect(&broker.url, options).await.unwrap();
    let mut consumer = bus.consume(IN, 10).await.unwrap();
    let channel = broker.stranger().await.create_channel().await.unwrap();
    let delete = options::QueueDeleteOptions::default();
    channel.queue_delete(name.into(), delete).await.unwrap();
    within("the subscription's end", consumer.recv(1))
        .await
        .unwrap_err();

    let lost = bus.publish(batch(IN, &numbered("lost", 0..1))).await;
    assert!(
        matches!(&lost, Err(PublishError::Unavailable(why)) if why.contains("inbound.g1.0")),
        "{lost:?}"
    );
    // The bus declares the queue again.
    let again = async {
        while bus
            .publish(batch(IN, &numbered("again", 0..1)))
            .await
            .is_err()
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within("the queue again", again).await;
    let mut consumer = bus.consume(IN, 10).await.unwrap();
    assert_eq!(labels(&take(&mut *consumer, 1).await), ["again0"]);
    bus.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_settings_are_told_by_the_queue_they_concern() {
    let options = test_options();
    let namespace = options.namespace.clone();
    let bus = RabbitBus::connect(&broker_url(), options.clone())
        .await
        .unwrap();
    let other = RabbitOptions {
        queue_length_max: 7,
        ..options
    };
    let url = broker_url();
    let error = within("connect", RabbitBus::connect(&url, other)).await;
    let error = error.err().expect("another length bound").0;
    assert!(error.contains(&format!("{namespace}.")), "{error}");
    assert!(error.contains("x-max-length"), "{error}");
    assert!(error.contains("bus settings"), "{error}");
    bus.publish(batch(IN, &numbered("m", 0..1))).await.unwrap();
    bus.close().await;
    remove_namespace(&broker_url(), &namespace).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_hands_over_in_order() {
    let options = test_options();
    let namespace = options.namespace.clone();
    let bus = RabbitBus::connect(&broker_url(), options).await.unwrap();
    let mut child = Spawned::start("holds_deliveries", &broker_url(), &namespace);
    child.said("consuming").await;
    let mut standby = bus.consume(IN, 100).await.unwrap();
    let all = numbered("m", 0..60);
    bus.publish(batch(IN, &all)).await.unwrap();
    child.said("holding").await;
    nothing(&mut *standby).await;
    child.kill().await;

    let taken = take(&mut *standby, 55).await;
    assert_eq!(labels(&taken), all[5..]);
    assert!(taken[..20].iter().all(|delivery| delivery.redelivered));
    assert!(taken[20..].iter().all(|delivery| !delivery.redelivered));
    bus.close().await;
    remove_namespace(&broker_url(), &namespace).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_message_goes_to_the_dead_letters() {
    let options = test_options();
    let prefix = options.namespace.clone();
    let url = broker_url();
    let bus = RabbitBus::connect(&url, options).await.unwrap();
    let mut consumer = bus.consume(IN, 10).await.unwrap();
    let stranger = lapin::Connection::connect(&url, lapin::ConnectionProperties::default())
        .await
        .unwrap();
    let channel = stranger.create_channel().await.unwrap();
    let publish = options::BasicPublishOptions::default();
    let name = format!("{prefix}.inbound.g1.0");
    channel
        .basic_publish(
            "".into(),
            name.into(),
            publish,
            b"what?",
            lapin::BasicProperties::default(),
        )
        .await
        .unwrap();
    bus.publish(batch(IN, &numbered("m", 0..3))).await.unwrap();
    let seen: HashSet<String> = numbered("m", 0..3).into_iter().collect();
    assert_eq!(drain(&mut *consumer, &seen).await.len(), 3);

    let dead = format!("{prefix}.dead.g1");
    let wait = async {
        loop {
            let get = options::BasicGetOptions { no_ack: true };
            let got = channel.basic_get(dead.clone().into(), get).await.unwrap();
            if let Some(got) = got {
                return got.delivery.data;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert_eq!(within("the dead letter", wait).await, b"what?");
    bus.close().await;
    remove_namespace(&url, &prefix).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_falls_silent_is_noticed() {
    let proxy = Proxy::plain(&broker_url()).await;
    let options = RabbitOptions {
        heartbeat_s: 1,
        connect_timeout: Duration::from_secs(2),
        confirm_timeout: Duration::from_secs(20),
        ..test_options()
    };
    let namespace = options.namespace.clone();
    let bus = RabbitBus::connect(&proxy.url(), options).await.unwrap();
    let mut consumer = bus.consume(IN, 10).await.unwrap();
    bus.publish(batch(IN, &numbered("before", 0..1)))
        .await
        .unwrap();
    let held = take(&mut *consumer, 1).await;

    proxy.fall_silent(true);
    let refused = bus.publish(batch(IN, &numbered("during", 0..1)));
    let refused = within("an answer long before the confirm's timeout", refused).await;
    assert!(
        matches!(&refused, Err(PublishError::Unavailable(why)) if why.contains("silent")),
        "{refused:?}"
    );
    let lost = within("the subscription's end", consumer.recv(1)).await;
    assert!(lost.unwrap_err().0.contains("silent"));

    proxy.fall_silent(false);
    healthy(&bus).await;
    drop((held, consumer));
    let mut consumer = bus.consume(IN, 10).await.unwrap();
    // The broker needs its time to miss our heartbeats on the old connection.
    assert_eq!(labels(&take(&mut *consumer, 1).await), ["before0"]);
    bus.close().await;
    remove_namespace(&broker_url(), &namespace).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_behind_tls_must_be_trusted() {
    let proxy = Proxy::tls(&broker_url()).await;
    let options = test_options();
    let namespace = options.namespace.clone();
    let bus = RabbitBus::connect(&proxy.url(), options.clone())
        .await
        .unwrap();
    let said = problem(&bus).await;
    assert!(said.contains("certificate"), "{said}");
    bus.close().await;

    let options = RabbitOptions {
        ca_pem: Some(proxy.ca_pem.clone()),
        ..options
    };
    let bus = RabbitBus::connect(&proxy.url(), options).await.unwrap();
    healthy(&bus).await;
    let all = numbered("m", 0..200);
    bus.publish(batch(IN, &all)).await.unwrap();
    let mut consumer = bus.consume(IN, 50).await.unwrap();
    let seen = drain(&mut *consumer, &all.iter().cloned().collect()).await;
    assert_eq!(seen, all);
    bus.close().await;
    remove_namespace(&broker_url(), &namespace).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_and_a_wrong_host_are_told() {
    let wrong = broker_url().replace("guest:guest@", "guest:wrong@");
    let bus = RabbitBus::connect(&wrong, test_options()).await.unwrap();
    let said = problem(&bus).await;
    assert!(said.contains("ACCESS_REFUSED"), "{said}");
    assert!(!said.contains("wrong"), "no password in {said}");
    bus.close().await;

    let wrong = broker_url().replace("/%2f", "/nowhere");
    let bus = RabbitBus::connect(&wrong, test_options()).await.unwrap();
    let said = problem(&bus).await;
    assert!(said.contains("nowhere"), "{said}");
    bus.close().await;

    for nonsense in ["", "http://example.com"] {
        let error = RabbitBus::connect(nonsense, test_options()).await;
        let error = error.err().expect("no address").0;
        assert!(error.starts_with("bus address"), "{error}");
    }
}
