//! The outbox: what is committed goes out, whatever the bus and the router do meanwhile.

use patchbay_bus::{Message, Queue};
use patchbay_message::AgentId;
use patchbay_router::RouterOptions;
use patchbay_store::Conversation;

use crate::{
    house::{House, house, options, ordered, reply, until},
    moody::{Moody, REFUSES, TAKES},
};

async fn opened(house: &House, agent: AgentId) -> Conversation {
    house.say("v1", "Hello?").await;
    house
        .conversation("v1", |row| row.agent_id == Some(agent))
        .await
}

fn replies(on: &Conversation, agent: AgentId, n: usize) -> Vec<(Queue, Message)> {
    (0..n)
        .map(|n| ordered(on, reply(agent, &n.to_string())))
        .collect()
}

async fn outbox_is_empty(house: &House, p: u16) {
    until("an empty outbox", || async {
        let rows = house.store.outbox(&format!("inbound.{p}"), 0, 1000).await;
        rows.unwrap().is_empty().then_some(())
    })
    .await;
}

fn numbers(sent: &[patchbay_message::Envelope]) -> Vec<u64> {
    sent.iter()
        .filter_map(|envelope| envelope.out_seq)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_bus_stops_neither_draining_nor_loses_what_does_not_fit_into_memory() {
    let house = house();
    let ann = house.agent("Ann", 1).await;
    let bus = Moody::new(&house.bus, None, REFUSES);
    let small = RouterOptions {
        relay_memory_max: 5,
        relay_batch_max: 3,
        batch_max: 4,
        ..options()
    };
    let status = small.status.clone();
    let router = house.router_on(bus.clone(), small);
    let row = opened(&house, ann).await;
    house.publish(replies(&row, ann, 60)).await;
    // All of it is routed while nothing can go out.
    house.history("v1", 61).await;
    until("the problem to be shown", || async {
        (!status.ready()).then_some(())
    })
    .await;
    bus.feels(TAKES);
    let sent = house.sent(60).await;
    assert_eq!(numbers(&sent), (1..=60).collect::<Vec<u64>>());
    outbox_is_empty(&house, row.partition).await;
    until("a ready router", || async { status.ready().then_some(()) }).await;
    // And on it goes from memory.
    house.publish(replies(&row, ann, 3)).await;
    assert_eq!(numbers(&house.sent(3).await), [61, 62, 63]);
    outbox_is_empty(&house, row.partition).await;
    router.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_left_in_the_outbox_goes_out_first() {
    let house = house();
    let ann = house.agent("Ann", 1).await;
    let dying = house.router_on(Moody::new(&house.bus, None, REFUSES), options());
    let row = opened(&house, ann).await;
    house.publish(replies(&row, ann, 5)).await;
    house.history("v1", 6).await;
    dying.kill().await;
    let left = house
        .store
        .outbox(&format!("inbound.{}", row.partition), 0, 100)
        .await;
    assert_eq!(left.unwrap().len(), 5, "committed, and never published");
    house.publish(replies(&row, ann, 2)).await;
    let router = house.router();
    let sent = house.sent(7).await;
    assert_eq!(numbers(&sent), (1..=7).collect::<Vec<u64>>());
    outbox_is_empty(&house, row.partition).await;
    router.stop().await;
}
