//! Signatures against examples that others published.

use base64::{Engine, engine::general_purpose::STANDARD};
use patchbay_message::{Authenticity, Party};
use patchbay_sdk::{Reject, Secret, Session, verify};

/// LINE's documentation of its webhook signature.
#[test]
fn line_webhook() {
    let keys = [
        Secret::new("old"),
        Secret::new("8c570fa6dd201bb328f1c1eac23a96d8"),
    ];
    let body = br#"{"destination":"U8e742f61d673b39c7fff3cecb7536ef0","events":[]}"#;
    let given = STANDARD
        .decode("GhRKmvmHys4Pi8DxkF4+EayaH0OqtJtaZxgTD9fMDLs=")
        .expect("base64");
    let proof = verify::check_hmac_sha256(&keys, &[body], &given).expect("the second key fits");
    assert_eq!(proof.authenticity(), &Authenticity::Signature);
    let other = verify::check_hmac_sha256(&keys, &[body, b" "], &given);
    assert_eq!(other, Err(Reject::Unauthorized));
}

/// RFC 4231, test case 2, in parts as well as whole.
#[test]
fn rfc_4231() {
    let key = Secret::new("Jefe");
    let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    let whole: &[&[u8]] = &[b"what do ya want for nothing?"];
    let parts: &[&[u8]] = &[b"what do ya ", b"", b"want for nothing?"];
    for message in [whole, parts] {
        assert_eq!(hex::encode(verify::hmac_sha256(&key, message)), expected);
    }
}

#[test]
fn nothing_fits_no_key_and_nothing_shorter_fits() {
    let key = [Secret::new("k")];
    let mac = verify::hmac_sha256(&key[0], &[b"m"]);
    assert!(verify::check_hmac_sha256(&[], &[b"m"], &mac).is_err());
    for n in 0..mac.len() {
        assert!(
            verify::check_hmac_sha256(&key, &[b"m"], &mac[..n]).is_err(),
            "{n} bytes"
        );
    }
    assert!(verify::check_hmac_sha256(&key, &[b"m"], &[&mac[..], b"x"].concat()).is_err());
}

#[test]
fn a_connection_is_proven_once_somebody_speaks_for_it() {
    let mut session = Session::default();
    assert!(verify::by_connection(&session).is_none());
    session.party = Some(Party::default());
    let proof = verify::by_connection(&session).expect("proven");
    assert_eq!(proof.authenticity(), &Authenticity::Token);
}
