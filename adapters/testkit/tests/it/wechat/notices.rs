//! Template messages and subscriptions.

use patchbay_testkit::fakes::wechat::{Kind, Sign, Standing, Way};
use serde_json::{Value, json};

use super::{ALICE, BOB, Caller};

const TEMPLATE: &str = "/cgi-bin/message/template/send";
const SUBSCRIBE: &str = "/cgi-bin/message/subscribe/send";

fn notice(to: &str, template: &str, data: &Value) -> Value {
    json!({ "touser": to, "template_id": template, "data": data })
}

#[tokio::test]
async fn a_template_reaches_followers_outside_of_any_window() {
    let caller = Caller::official().await;
    caller.app.template("T1", &["first", "remark"]);
    caller.app.stand(ALICE, Standing::Follows);
    let good = json!({ "first": { "value": "你好" }, "remark": { "value": "bye" } });
    let answer = caller
        .post(TEMPLATE, notice(ALICE, "T1", &good).to_string())
        .await;
    assert_eq!(answer["errcode"], 0);
    assert!(answer["msgid"].is_i64(), "{answer}");
    let shown = caller.app.shown(ALICE);
    assert_eq!(
        (shown[0].way, &shown[0].content["data"]),
        (Way::Template, &good)
    );
    for (to, template, data, errcode) in [
        (ALICE, "T2", good.clone(), 40037),
        (ALICE, "T1", json!({ "first": { "value": "x" } }), 47003),
        (
            ALICE,
            "T1",
            json!({ "first": { "value": "x" }, "remark": { "value": "x" }, "more": {} }),
            47003,
        ),
        (BOB, "T1", good.clone(), 40003),
        ("", "T1", good.clone(), 40003),
        (ALICE, "", good.clone(), 40097),
    ] {
        assert_eq!(
            caller.code(TEMPLATE, &notice(to, template, &data)).await,
            errcode
        );
    }
    caller.app.stand(ALICE, Standing::Stranger);
    assert_eq!(
        caller.code(TEMPLATE, &notice(ALICE, "T1", &good)).await,
        43004
    );
    let subscription = notice(ALICE, "T1", &good);
    assert_eq!(
        caller.code(SUBSCRIBE, &subscription).await,
        404_000,
        "of mini-programs only"
    );
}

#[tokio::test]
async fn a_subscription_lasts_as_often_as_the_user_agreed() {
    let caller = Caller::of(Kind::MiniProgram).await;
    caller.app.template("S1", &["thing1"]);
    caller.app.sign(ALICE, Sign::Enter);
    let asked = notice(ALICE, "S1", &json!({ "thing1": { "value": "x" } }));
    assert_eq!(caller.code(SUBSCRIBE, &asked).await, 43101);
    caller.app.subscribe(ALICE, "S1", 2);
    for errcode in [0, 0, 43101] {
        assert_eq!(caller.code(SUBSCRIBE, &asked).await, errcode);
    }
    assert_eq!(
        caller.code(TEMPLATE, &asked).await,
        404_000,
        "of official accounts only"
    );
    assert_eq!(caller.app.shown(ALICE).len(), 2);
}
