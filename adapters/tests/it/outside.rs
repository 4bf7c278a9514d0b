//! What others would compute: code that shares nothing with ours checks our fixtures.

use std::process::Command;

#[test]
fn python_agrees_with_every_token_and_mac_of_web_chat() {
    let script = super::fixtures().join("webchat/check.py");
    let output = Command::new("python3")
        .arg(&script)
        .output()
        .expect("python3 is there");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{errors}");
    // A script that found nothing agrees with everything.
    let n = |word: &str| {
        let number = said.split_whitespace().zip(said.split_whitespace().skip(1));
        number
            .filter(|(_, next)| *next == word)
            .find_map(|(n, _)| n.parse::<u32>().ok())
    };
    assert!(
        n("identities") >= Some(2) && n("tokens") >= Some(6),
        "{said}"
    );
}
