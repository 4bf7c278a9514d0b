//! What is not from the platform, or not for this account, is refused with the right status, counted,
//! and reaches nobody.

use std::time::Duration;

use patchbay_testkit::fakes::wechat::{Attempt, Envelope, Mode, Push, Seal};

use super::{ALICE, APPID, BOB, House, KEY, TOKEN, account, texts};
use crate::harness::{config::Pair, eventually};

const PATIENCE: Duration = Duration::from_secs(60);

/// The status of one envelope.
async fn status(house: &House, envelope: &Envelope) -> u16 {
    match house.app.post(envelope).await {
        Attempt::Answered { status, .. } => status,
        other => panic!("{other:?}"),
    }
}

fn text(house: &House) -> Envelope {
    house.app.envelope(BOB, &Push::text("let me in"))
}

/// Signs an envelope's address anew, with another time, body or both.
fn signed(envelope: Envelope, seal: &Seal, at: &str, body: String) -> Envelope {
    let nonce = envelope.parameter("nonce").expect("a nonce").to_owned();
    let signature = seal.sign(&[at, &nonce]);
    let envelope = envelope.with("timestamp", at).with("signature", &signature);
    Envelope { body, ..envelope }
}

/// An envelope whose sealed part is this.
fn sealed(envelope: Envelope, seal: &Seal, encrypt: &str) -> Envelope {
    let of = |name| envelope.parameter(name).expect("a parameter").to_owned();
    let signature = seal.sign(&[&of("timestamp"), &of("nonce"), encrypt]);
    let body = format!("<xml><ToUserName>gh</ToUserName><Encrypt>{encrypt}</Encrypt></xml>");
    let envelope = envelope
        .with("encrypt_type", "aes")
        .with("msg_signature", &signature);
    Envelope { body, ..envelope }
}

/// Nothing of what was refused has come in; something that is taken comes in after it.
async fn nothing_came(house: &House) {
    assert!(
        house
            .app
            .push(ALICE, Push::text("the only one"))
            .await
            .taken()
    );
    let conversation = house.conversation(ALICE).await;
    let messages = house.ada.messages(&conversation).await;
    assert_eq!(texts(&messages, "inbound"), ["the only one"]);
    let all = house.ada.get("/conversations?view=all").await;
    assert_eq!(all["items"].as_array().map(Vec::len), Some(1), "{all}");
}

/// Posts an envelope that has to be refused.
async fn refuse(house: &House, expected: u16, what: &str, envelope: Envelope) {
    assert_eq!(status(house, &envelope).await, expected, "{what}");
}

/// At least so many were counted under each reason.
async fn counted(house: &House, reasons: &[(&str, f64)]) {
    for (reason, least) in reasons {
        let label = format!("reason=\"{reason}\"");
        let name = "patchbay_ingress_rejected_total";
        let counted = house.metric(name, &label).await;
        assert!(counted >= *least, "{reason}: {counted}");
    }
}

#[tokio::test]
async fn without_proof_in_plain_mode() {
    let house = House::new(Pair::Embedded, Mode::Plain).await;
    let (seal, now_s) = (house.app.seal(), house.wechat.now_ms() / 1000);
    let (good, other) = (text(&house), Seal::new("AnotherWord", KEY, APPID));
    let forged = good.clone().with("signature", &"0".repeat(40));
    let signed_at = |seal: &Seal, at: &str| {
        let body = good.body.clone();
        signed(good.clone(), seal, at, body)
    };
    let at = |seconds: i64| (now_s + seconds).to_string();
    let strange = signed_at(&other, &at(0));
    let (old, ahead) = (signed_at(&seal, &at(-601)), signed_at(&seal, &at(660)));
    let timeless = signed_at(&seal, "yesterday");
    let sealed = sealed(good.clone(), &seal, &seal.seal(good.body.as_bytes()));
    let unsigned = good.clone().without("signature");
    refuse(&house, 401, "no signature", unsigned).await;
    refuse(&house, 401, "a forged one", forged).await;
    let moved = good.clone().with("nonce", "1");
    refuse(&house, 401, "one of another nonce", moved).await;
    refuse(&house, 401, "one of another token", strange).await;
    refuse(&house, 401, "ten minutes old", old).await;
    refuse(&house, 401, "eleven minutes ahead", ahead).await;
    refuse(&house, 401, "no time", timeless).await;
    refuse(&house, 403, "sealed", sealed).await;
    let reasons = [("unauthorized", 5.0), ("stale", 2.0), ("forbidden", 1.0)];
    counted(&house, &reasons).await;
    nothing_came(&house).await;
}

#[tokio::test]
async fn out_of_form_in_plain_mode() {
    let house = House::new(Pair::Embedded, Mode::Plain).await;
    let (seal, now_s) = (house.app.seal(), house.wechat.now_ms() / 1000);
    let good = text(&house);
    let body = |body: String| signed(good.clone(), &seal, &now_s.to_string(), body);
    let foreign = body(good.body.replace("gh_97417a04a28d", "gh_0"));
    let entities = format!("<!DOCTYPE xml [<!ENTITY a \"b\">]>{}", good.body);
    let deep = format!("{}{}", "<a>".repeat(100), "</a>".repeat(100));
    let large = format!("<xml>{}</xml>", "x".repeat(1 << 20));
    refuse(&house, 403, "another account's", foreign).await;
    refuse(&house, 400, "no XML", body("let me in".to_owned())).await;
    refuse(&house, 400, "cut", body(good.body[..100].to_owned())).await;
    refuse(&house, 400, "with entities", body(entities)).await;
    refuse(&house, 400, "deep", body(deep)).await;
    refuse(&house, 413, "large", body(large)).await;
    counted(&house, &[("forbidden", 1.0), ("bad_frame", 4.0)]).await;
    nothing_came(&house).await;
}

#[tokio::test]
async fn without_proof_in_safe_mode() {
    let house = House::new(Pair::Embedded, Mode::Safe).await;
    let good = text(&house);
    let seal = house.app.seal();
    let forged = good.clone().with("msg_signature", &"0".repeat(40));
    // Good for this address, and for nothing that is sealed.
    let of_address = good.parameter("signature").expect("a signature");
    let of_address = good.clone().with("msg_signature", of_address);
    let body = text(&house).body;
    let exchanged = Envelope {
        body,
        ..good.clone()
    };
    let strange = Seal::new("AnotherWord", KEY, APPID);
    let strange = sealed(good.clone(), &strange, encrypt_of(&good));
    let unsigned = good.clone().without("msg_signature");
    refuse(&house, 401, "no signature of what is sealed", unsigned).await;
    refuse(&house, 401, "a forged one", forged).await;
    refuse(&house, 401, "that of the address", of_address).await;
    refuse(&house, 401, "sealed otherwise than signed", exchanged).await;
    refuse(&house, 401, "signed by another token", strange).await;
    for seconds in [-601, 660] {
        let at = (house.wechat.now_ms() / 1000 + seconds).to_string();
        let envelope = good.clone().with("timestamp", &at);
        let envelope = sealed(envelope, &seal, encrypt_of(&good));
        refuse(&house, 401, "of another time", envelope).await;
    }
    counted(&house, &[("unauthorized", 5.0), ("stale", 2.0)]).await;
    nothing_came(&house).await;
}

#[tokio::test]
async fn for_somebody_else_or_open_in_safe_mode() {
    let house = House::new(Pair::Embedded, Mode::Safe).await;
    let (good, seal) = (text(&house), house.app.seal());
    let inside =
        "<xml><ToUserName>gh_97417a04a28d</ToUserName><FromUserName>o</FromUserName></xml>";
    // Signed with our token, as a stranger who had it could.
    let sealed_by = |by: &Seal| sealed(good.clone(), &seal, &by.seal(inside.as_bytes()));
    let foreign = sealed_by(&Seal::new(TOKEN, KEY, "wx0000000000000000"));
    let other_key = sealed_by(&Seal::new(TOKEN, &("B".repeat(42) + "A"), APPID));
    let nonsense = sealed(good.clone(), &seal, &seal.seal(b"let me in"));
    let gateway = house.processes[0].url();
    let plain = account(&house.wechat, Mode::Plain, &gateway);
    let open = plain.envelope(BOB, &Push::text("let me in"));
    account(&house.wechat, Mode::Safe, &gateway);
    refuse(&house, 401, "sealed for another app", foreign).await;
    refuse(&house, 401, "sealed by another key", other_key).await;
    let nobody = sealed(good.clone(), &seal, "AAAA");
    refuse(&house, 401, "sealed by nobody", nobody).await;
    refuse(&house, 403, "open", open.clone()).await;
    let said = open.with("encrypt_type", "aes");
    refuse(&house, 401, "open, said to be sealed", said).await;
    let unknown = good.clone().with("encrypt_type", "des");
    refuse(&house, 401, "an unknown seal", unknown).await;
    refuse(&house, 400, "sealed nonsense", nonsense).await;
    counted(&house, &[("unauthorized", 5.0), ("forbidden", 1.0)]).await;
    nothing_came(&house).await;
}

/// What is sealed in an envelope.
fn encrypt_of(envelope: &Envelope) -> &str {
    let rest = envelope.body.split("<Encrypt><![CDATA[").nth(1);
    rest.and_then(|rest| rest.split("]]>").next())
        .expect("a sealed envelope")
}

#[tokio::test]
async fn what_is_caught_on_its_way_and_sent_again_is_no_second_message() {
    for mode in [Mode::Plain, Mode::Safe] {
        let house = House::new(Pair::Embedded, mode).await;
        let envelope = house.app.envelope(ALICE, &Push::text("the only one"));
        for _ in 0..3 {
            assert_eq!(status(&house, &envelope).await, 200, "{mode:?}");
        }
        let conversation = house.conversation(ALICE).await;
        assert!(house.app.push(ALICE, Push::text("the end")).await.taken());
        let messages = eventually("the end", PATIENCE, || async {
            let messages = house.ada.messages(&conversation).await;
            (messages.last()?["content"][0]["text"] == "the end").then_some(messages)
        })
        .await;
        assert_eq!(
            texts(&messages, "inbound"),
            ["the only one", "the end"],
            "{mode:?}"
        );
    }
}
