//! What others would compute: code that shares nothing with ours checks our fixtures.

use std::process::Command;

#[test]
fn python_agrees_with_every_token_and_mac_of_web_chat() {
    let said = run("webchat/check.py");
    assert!(
        number(&said, "identities") >= 2 && number(&said, "tokens") >= 6,
        "{said}"
    );
}

#[test]
fn python_agrees_with_every_login_of_mqtt() {
    let said = run("mqtt/check.py");
    assert!(
        number(&said, "signatures") >= 3 && number(&said, "derived") >= 1,
        "{said}"
    );
}

#[test]
fn python_and_openssl_agree_with_every_push_and_answer_of_wechat() {
    let said = run("wechat/check.py");
    assert!(
        number(&said, "signed") >= 50
            && number(&said, "answers") >= 2
            && number(&said, "refused") >= 4,
        "{said}"
    );
}

#[test]
fn python_and_openssl_agree_with_every_push_of_wecom() {
    let said = run("wecom/check.py");
    assert!(number(&said, "signed") >= 15, "{said}");
}

#[test]
fn python_and_openssl_agree_with_every_doorbell_of_wecom() {
    let said = run("wecom-kf/check.py");
    assert!(number(&said, "signed") >= 8, "{said}");
}

fn run(script: &str) -> String {
    let output = Command::new("python3")
        .arg(super::fixtures().join(script))
        .output()
        .expect("python3 is there");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{errors}");
    said
}

/// The number in front of a word: a script that found nothing agrees with everything.
fn number(said: &str, word: &str) -> u32 {
    let pairs = said.split_whitespace().zip(said.split_whitespace().skip(1));
    let mut numbers = pairs.filter(|(_, next)| *next == word);
    numbers.find_map(|(n, _)| n.parse().ok()).unwrap_or(0)
}
