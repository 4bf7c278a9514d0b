//! Lists: complete and stable pages, filters, messages.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::house::{House, said, until};

/// Every id, page by page.
async fn pages(house: &House, token: &str, query: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut cursor = String::new();
    for _ in 0..50 {
        let path = format!("/conversations?limit=3&{query}&cursor={cursor}");
        let page = house.get(&path, token).await;
        all.extend(page.all("id"));
        match page.body["next"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => return all,
        }
    }
    panic!("pages without an end");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_complete_and_stable_while_others_write() {
    let house = House::new().await;
    let (_, token) = house.agent("Ann", "agent").await;
    let mut known = HashSet::new();
    for n in 0..11 {
        known.insert(house.say(&format!("v{n}"), "Hello?").await);
    }
    let all = pages(&house, &token, "").await;
    assert_eq!(all.len(), 11);
    assert_eq!(all.iter().cloned().collect::<HashSet<_>>(), known);
    // A conversation that moves to the front while we page is no reason to miss another one.
    let first = house.get("/conversations?limit=4", &token).await;
    let next = first.body["next"].as_str().unwrap().to_owned();
    let moved = all.last().unwrap();
    house.reply(moved, &token, "Hi!", "k1").await.ok();
    house.say("v99", "I am new").await;
    let mut seen: HashSet<String> = first.all("id").into_iter().collect();
    let rest = house
        .get(&format!("/conversations?limit=200&cursor={next}"), &token)
        .await;
    for id in rest.all("id") {
        assert!(seen.insert(id), "no conversation twice");
    }
    seen.insert(moved.clone());
    assert!(known.is_subset(&seen));
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_keep_what_was_asked_for() {
    let house = House::new().await;
    let (ann, token) = house.agent("Ann", "agent").await;
    let (_, bob) = house.agent("Bob", "agent").await;
    let mine = house.say("mona", "Hello?").await;
    let theirs = house.say("theo", "Hello?").await;
    let waits = house.say("wanda", "Hello?").await;
    house.reply(&mine, &token, "Hi!", "k1").await.ok();
    house.reply(&theirs, &bob, "Hi!", "k1").await.ok();
    let path = format!("/conversations/{waits}");
    until("the last one to wait", || async {
        (house.get(&path, &token).await.ok()["state"] == "waiting").then_some(())
    })
    .await;
    for (query, wanted) in [
        ("view=mine", vec![&mine]),
        ("view=waiting", vec![&waits]),
        ("view=all&channel=web-main", vec![&waits, &theirs, &mine]),
        ("channel=sms-main", vec![]),
        ("state=pending", vec![&theirs, &mine]),
        ("state=waiting,new", vec![&waits]),
        (&format!("agent={ann}"), vec![&mine]),
        ("q=MONA", vec![&mine]),
        ("q=Visitor%20t", vec![&theirs]),
        ("q=100%25", vec![]),
    ] {
        let found = house.get(&format!("/conversations?{query}"), &token).await;
        let found: HashSet<String> = found.all("id").into_iter().collect();
        let wanted: HashSet<String> = wanted.into_iter().cloned().collect();
        assert_eq!(found, wanted, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_come_by_pos_from_either_end() {
    let house = House::new().await;
    let (_, token) = house.agent("Ann", "agent").await;
    let id = house.say("v1", "0").await;
    for n in 1..10 {
        house.say("v1", &n.to_string()).await;
    }
    let path = format!("/conversations/{id}/messages");
    let all = house.get(&path, &token).await;
    let numbers = all.all("pos");
    let wanted: Vec<String> = (1..=numbers.len()).map(|n| n.to_string()).collect();
    assert_eq!(numbers, wanted);
    assert_eq!(all.body["next"], Value::Null);
    let newest = house.get(&format!("{path}?limit=4"), &token).await;
    assert_eq!(newest.all("pos"), wanted[wanted.len() - 4..]);
    let before = newest.body["next"].as_str().unwrap();
    let older = house.get(&format!("{path}?before={before}"), &token).await;
    assert_eq!(older.all("pos"), wanted[..wanted.len() - 4]);
    let newer = house.get(&format!("{path}?after=3&limit=2"), &token).await;
    assert_eq!(newer.all("pos"), ["4", "5"]);
    assert_eq!(all.body["items"][0]["from"]["kind"], "contact");
    assert_eq!(all.body["items"][0]["from"]["name"], "Visitor v1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_and_their_conversation_look_as_documented() {
    let house = House::new().await;
    let (_, token) = house.agent("Ann", "agent").await;
    let id = house.say("v1", "Hello?").await;
    let shown = house.get(&format!("/conversations/{id}"), &token).await;
    let shown = shown.ok();
    let wanted = [
        "id",
        "version",
        "state",
        "channel",
        "contact",
        "group",
        "agent",
        "waiting_since",
        "position",
        "created_at",
        "updated_at",
        "last_message",
        "unread",
        "replying",
    ];
    for field in wanted {
        assert!(
            shown.get(field).is_some(),
            "{field} is missing in {shown:#}"
        );
    }
    assert_eq!(
        shown["channel"],
        serde_json::json!({ "id": "web-main", "kind": "webchat" })
    );
    assert_eq!(shown["contact"]["address"], "v1");
    assert_eq!(shown["unread"], 1);
    assert_eq!(shown["last_message"]["from"], "contact");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_shows_how_often_it_may_still_be_answered() {
    let house = House::new().await;
    let (_, token) = house.agent("Ann", "agent").await;
    let free = house.say("free", "Hello?").await;
    let shown = house.get(&format!("/conversations/{free}"), &token).await;
    assert!(
        shown.ok().get("reply_window").is_none(),
        "nothing limits it"
    );
    let end = "2099-01-01T00:00:00.000Z";
    let window = |quota: u32| {
        let reply = json!({ "handle": "h", "expires_at": end, "quota": quota });
        json!({ "reply": reply })
    };
    house.publish(said("ada", "one", &window(3))).await;
    house.publish(said("ada", "two", &window(5))).await;
    let id = house.heard("ada", "two").await;
    let shown = house.get(&format!("/conversations/{id}"), &token).await;
    let found = &shown.ok()["reply_window"];
    assert_eq!(found, &json!({ "remaining": 8, "until": end }));
    let ended = json!({ "reply": { "handle": "h", "expires_at": "2020-01-01T00:00:00.000Z" } });
    house.publish(said("bob", "late", &ended)).await;
    let id = house.heard("bob", "late").await;
    let shown = house.get(&format!("/conversations/{id}"), &token).await;
    let found = &shown.ok()["reply_window"];
    assert_eq!(found["remaining"], 0);
    assert_eq!(found["until"], "2020-01-01T00:00:00.000Z");
}
