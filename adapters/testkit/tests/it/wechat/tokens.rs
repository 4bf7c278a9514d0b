//! Access tokens and their two families.

use std::time::Duration;

use patchbay_testkit::fakes::wechat::{FORCED_PER_DAY, Family};

use super::{ALICE, Caller, SECRET};
use patchbay_testkit::fakes::wechat::Sign;

const S: fn(u64) -> Duration = Duration::from_secs;

async fn plain(caller: &Caller) -> String {
    let query = format!(
        "/cgi-bin/token?grant_type=client_credential&appid=wx5823bf96d3bd56c7&secret={SECRET}"
    );
    let answer = caller.get(&query).await;
    assert_eq!(answer["expires_in"], 7200);
    answer["access_token"].as_str().unwrap().to_owned()
}

/// What a message with this token comes to.
async fn try_with(caller: &mut Caller, token: &str) -> i64 {
    token.clone_into(&mut caller.token);
    caller.app.sign(ALICE, Sign::Message);
    caller.text(ALICE, "hello").await
}

#[tokio::test]
async fn stable_tokens_stay_the_same_until_shortly_before_their_end() {
    let mut caller = Caller::official().await;
    let first = caller.token.clone();
    assert!(first.len() >= 200, "longer than people expect");
    assert_eq!(caller.stable(false).await["access_token"], first);
    caller.wechat.advance(S(6800));
    let same = caller.stable(false).await;
    assert_eq!(same["access_token"], first);
    assert!(
        (395..=400).contains(&same["expires_in"].as_i64().unwrap()),
        "{same}"
    );
    caller.wechat.advance(S(120));
    let second = caller.stable(false).await;
    assert_ne!(second["access_token"], first);
    assert_eq!(second["expires_in"], 7200);
    let second = second["access_token"].as_str().unwrap().to_owned();
    assert_eq!(
        try_with(&mut caller, &first).await,
        0,
        "old and new are both good"
    );
    assert_eq!(try_with(&mut caller, &second).await, 0);
    caller.wechat.advance(S(300));
    assert_eq!(try_with(&mut caller, &first).await, 42001);
    assert_eq!(try_with(&mut caller, &second).await, 0);
    assert_eq!(caller.app.tokens_issued(Family::Stable), 2);
}

#[tokio::test]
async fn a_forced_refresh_ends_the_old_token_and_has_its_limits() {
    let mut caller = Caller::official().await;
    let first = caller.token.clone();
    let second = caller.stable(true).await["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_ne!(first, second);
    assert_eq!(try_with(&mut caller, &first).await, 40001);
    assert_eq!(
        caller.stable(true).await["access_token"],
        second,
        "within 30 s nothing is refreshed"
    );
    assert_eq!(caller.app.tokens_forced(), 1);
    for _ in 1..FORCED_PER_DAY {
        caller.wechat.advance(S(30));
        assert!(caller.stable(true).await["access_token"].is_string());
    }
    caller.wechat.advance(S(30));
    assert_eq!(caller.stable(true).await["errcode"], 45009);
    assert!(caller.stable(false).await["access_token"].is_string());
}

#[tokio::test]
async fn plain_tokens_replace_each_other_and_leave_the_stable_one_alone() {
    let mut caller = Caller::official().await;
    let stable = caller.token.clone();
    let (first, second) = (plain(&caller).await, plain(&caller).await);
    assert_ne!(first, second);
    assert_eq!(try_with(&mut caller, &first).await, 0, "for five minutes");
    caller.wechat.advance(S(300));
    assert_eq!(try_with(&mut caller, &first).await, 40001);
    assert_eq!(try_with(&mut caller, &second).await, 0);
    assert_eq!(try_with(&mut caller, &stable).await, 0);
    assert_eq!(caller.app.tokens_issued(Family::Plain), 2);
    assert_eq!(caller.app.tokens_issued(Family::Stable), 1);
}

#[tokio::test]
async fn tokens_that_are_none_are_refused() {
    let mut caller = Caller::official().await;
    assert_eq!(try_with(&mut caller, "").await, 41001);
    assert_eq!(try_with(&mut caller, "made-up").await, 40014);
    let real = caller.stable(false).await["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    caller.app.expire_tokens();
    assert_eq!(try_with(&mut caller, &real).await, 42001);
    let refusals = caller.wechat.refusals();
    let codes: Vec<_> = refusals
        .iter()
        .map(|refusal| refusal.refused.errcode)
        .collect();
    assert_eq!(codes, [41001, 40014, 42001]);
}

#[tokio::test]
async fn nobody_gets_a_token_for_the_wrong_words() {
    let caller = Caller::official().await;
    for (grant, appid, secret, errcode) in [
        ("password", "wx5823bf96d3bd56c7", SECRET, 40002),
        ("client_credential", "wx0", SECRET, 40013),
        ("client_credential", "wx5823bf96d3bd56c7", "guessed", 40125),
    ] {
        let query = format!("/cgi-bin/token?grant_type={grant}&appid={appid}&secret={secret}");
        assert_eq!(caller.get(&query).await["errcode"], errcode);
        let asked = serde_json::json!({ "grant_type": grant, "appid": appid, "secret": secret });
        assert_eq!(caller.code("/cgi-bin/stable_token", &asked).await, errcode);
    }
    assert_eq!(caller.get("/cgi-bin/stable_token").await["errcode"], 43002);
}
