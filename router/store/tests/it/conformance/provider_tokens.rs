//! Tokens that providers gave us.

use std::time::Duration;

use patchbay_message::InstanceId;
use patchbay_store::{ProviderToken, TokenFetch};

use crate::world::{Dyn, LONG, until};

const ACCOUNT: &str = "wechat:wx1";
const HOUR: Duration = Duration::from_secs(3600);

fn got(value: &str, renewed: bool) -> TokenFetch {
    TokenFetch::Got {
        value: value.to_owned(),
        expires_in: HOUR,
        renewed,
    }
}

fn failed(retry_in: Duration) -> TokenFetch {
    TokenFetch::Failed {
        failure: "busy".to_owned(),
        retry_in,
    }
}

async fn begin(store: &Dyn, generation: u64, who: &InstanceId) -> bool {
    let begun = store.begin_token(ACCOUNT, generation, who, LONG, None);
    begun.await.expect("the store answers")
}

async fn end(store: &Dyn, generation: u64, who: &InstanceId, fetched: &TokenFetch) -> bool {
    let ended = store.end_token(ACCOUNT, generation, who, fetched);
    ended.await.expect("the store answers")
}

async fn read(store: &Dyn) -> ProviderToken {
    let found = store.provider_token(ACCOUNT).await;
    found.expect("the store answers").expect("it was asked for")
}

/// Fetches the first one.
async fn first(store: &Dyn, value: &str) {
    let me = InstanceId::new();
    assert!(begin(store, 0, &me).await);
    assert!(end(store, 0, &me, &got(value, false)).await);
}

pub(crate) async fn one_of_many_fetches(store: &Dyn) {
    assert_eq!(store.provider_token(ACCOUNT).await.unwrap(), None);
    let who: Vec<InstanceId> = (0..16).map(|_| InstanceId::new()).collect();
    let tries = who.iter().map(|who| begin(store, 0, who));
    let taken = futures_util::future::join_all(tries).await;
    let won: Vec<&InstanceId> = (who.iter().zip(taken))
        .filter_map(|(who, taken)| taken.then_some(who))
        .collect();
    assert_eq!(won.len(), 1, "exactly one of sixteen fetches");
    assert!(read(store).await.fetching);
    assert!(
        begin(store, 0, won[0]).await,
        "who has the right may ask again"
    );
    let other = store.begin_token("wechat:wx2", 0, &who[0], LONG, None);
    assert!(other.await.unwrap(), "accounts do not wait for each other");
}

pub(crate) async fn come_back_as_they_were_kept(store: &Dyn) {
    let value = "t".repeat(2000);
    first(store, &value).await;
    let found = read(store).await;
    assert_eq!(found.value.as_deref(), Some(&*value));
    assert_eq!(found.generation, 1);
    assert_eq!((found.renewed, found.fetching), (None, false));
    assert_eq!(
        (found.failures, found.failure, found.retry_in),
        (0, None, Duration::ZERO)
    );
    assert!(found.left <= HOUR && found.left > HOUR - LONG);
    assert!(
        found.age + found.left <= HOUR + Duration::from_millis(1),
        "one clock"
    );
    let shown = format!("{:?}", read(store).await);
    assert!(!shown.contains(&value), "Debug shows no token");
}

pub(crate) async fn are_new_when_they_differ_or_were_renewed(store: &Dyn) {
    first(store, "a").await;
    let me = InstanceId::new();
    assert!(
        !begin(store, 0, &me).await,
        "there is a newer one than nothing"
    );
    for (after, fetched, generation) in [
        (1, got("a", false), 1),
        (1, got("b", false), 2),
        (2, got("b", true), 3),
    ] {
        assert!(begin(store, after, &me).await);
        assert!(end(store, after, &me, &fetched).await);
        assert_eq!(read(store).await.generation, generation, "{fetched:?}");
    }
}

pub(crate) async fn a_late_fetcher_keeps_nothing(store: &Dyn) {
    let (slow, quick) = (InstanceId::new(), InstanceId::new());
    let ttl = Duration::from_millis(50);
    let begun = store.begin_token(ACCOUNT, 0, &slow, ttl, None).await;
    assert!(begun.unwrap());
    until("the right has run out", || async {
        begin(store, 0, &quick).await.then_some(())
    })
    .await;
    assert!(!end(store, 0, &slow, &got("late", false)).await);
    assert!(!end(store, 0, &slow, &failed(LONG)).await);
    assert!(end(store, 0, &quick, &got("good", false)).await);
    assert!(!end(store, 0, &quick, &got("twice", false)).await);
    let found = read(store).await;
    assert_eq!(found.value.as_deref(), Some("good"));
    assert_eq!(found.failures, 0);
}

pub(crate) async fn a_failure_makes_everybody_wait(store: &Dyn) {
    first(store, "a").await;
    let me = InstanceId::new();
    for n in 1..=2 {
        assert!(begin(store, 1, &me).await);
        let pause = if n == 1 { Duration::ZERO } else { LONG };
        assert!(end(store, 1, &me, &failed(pause)).await);
        let found = read(store).await;
        assert_eq!(
            (found.failures, found.failure.as_deref()),
            (n, Some("busy"))
        );
        assert_eq!(
            found.value.as_deref(),
            Some("a"),
            "what is there stays there"
        );
    }
    assert!(!begin(store, 1, &me).await, "the pause is not over");
    let found = read(store).await;
    assert!(found.retry_in > Duration::ZERO && found.retry_in <= LONG);
}

pub(crate) async fn renewals_are_far_apart(store: &Dyn) {
    first(store, "a").await;
    let me = InstanceId::new();
    let renew = |generation, apart| store.begin_token(ACCOUNT, generation, &me, LONG, Some(apart));
    assert!(renew(1, LONG).await.unwrap(), "the first one is free");
    assert!(read(store).await.renewed.is_some());
    assert!(end(store, 1, &me, &got("b", true)).await);
    assert!(!renew(2, LONG).await.unwrap(), "so soon after the last one");
    assert!(begin(store, 2, &me).await, "a plain fetch is no renewal");
    assert!(renew(2, Duration::ZERO).await.unwrap());
}
