//! Signatures against examples that others published.

use base64::{Engine, engine::general_purpose::STANDARD};
use patchbay_message::{Authenticity, Party};
use patchbay_sdk::{
    Reject, Secret, Session,
    verify::{
        self, Encoding, MacAlgorithm, MacKey, PublicAlgorithm, PublicKey, SIGNATURES_MAX,
        check_mac, check_public,
    },
};

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

/// The example of a device's login in Aliyun's documentation of IoT Platform ("Establish MQTT
/// connections over TCP"): HMAC-SHA1, upper-case hex there.
#[test]
fn alink_login() {
    let signed: &[&[u8]] = &[b"clientId12345deviceNamedeviceproductKeypktimestamp789"];
    let given = hex::decode("FAFD82A3D602B37FB0FA8B7892F24A477F851A14").expect("hex");
    let keys = [Secret::new("other"), Secret::new("secret")];
    let proof = verify::check_hmac_sha1(&keys, signed, &given).expect("the second key fits");
    assert_eq!(proof.authenticity(), &Authenticity::Signature);
    let other = verify::check_hmac_sha1(&keys[..1], signed, &given);
    assert_eq!(other, Err(Reject::Unauthorized));
}

/// RFC 2202, test case 2 for HMAC-SHA-1.
#[test]
fn rfc_2202() {
    let mac = verify::hmac_sha1(
        &Secret::new("Jefe"),
        &[b"what do ya want ", b"for nothing?"],
    );
    assert_eq!(hex::encode(mac), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
}

#[test]
fn a_password_is_taken_whole_and_an_old_one_while_it_is_listed() {
    let accepted = [Secret::new("new password"), Secret::new("old password")];
    for good in ["new password", "old password"] {
        let proof = verify::by_password(&accepted, good.as_bytes()).expect("listed");
        assert_eq!(proof.authenticity(), &Authenticity::Token);
    }
    for wrong in ["", "new", "new password ", "New password"] {
        let outcome = verify::by_password(&accepted, wrong.as_bytes());
        assert_eq!(outcome, Err(Reject::Unauthorized), "{wrong}");
    }
    assert!(verify::by_password(&[], b"").is_err(), "nothing is listed");
}

#[test]
fn a_certificate_is_known_by_its_whole_name() {
    let by = |name| verify::by_certificate("lathe-1.acme.example", name);
    assert_eq!(
        by(Some("lathe-1.acme.example")).map(|proof| proof.authenticity().clone()),
        Ok(Authenticity::Tls)
    );
    assert!(by(Some("lathe-1.acme.example.evil.example")).is_err() && by(None).is_err());
}

#[test]
fn a_link_that_proves_nothing_vouches_for_nothing() {
    use patchbay_sdk::MqttProof;
    let by = |proof| verify::by_link(proof).map(|proof| proof.authenticity().clone());
    assert_eq!(by(MqttProof::Tls), Ok(Authenticity::Tls));
    assert_eq!(by(MqttProof::Login), Ok(Authenticity::Token));
    assert!(by(MqttProof::None).is_err() && by(MqttProof::Session).is_err());
}

fn key(algorithm: MacAlgorithm, secret: &str, encoding: Encoding) -> MacKey {
    MacKey::parse(algorithm, &Secret::new(secret), encoding).expect("a key of this form")
}

/// Twilio's own test of its request validator: URL, then names and values in order, HMAC-SHA1.
#[test]
fn twilio_form() {
    let key = key(MacAlgorithm::HmacSha1, "12345", Encoding::Utf8);
    let parts: [&[u8]; 6] = [
        b"https://mycompany.com/myapp.php?foo=1&bar=2",
        b"CallSidCA1234567890ABCDE",
        b"Caller+14158675309",
        b"Digits1234",
        b"From+14158675309",
        b"To+18005551212",
    ];
    let given = Encoding::Base64.read("RSOYDt4T1cUTdK1PDd93/VVr8B8=");
    let given = [given.expect("base64")];
    let keys = [key];
    assert!(check_mac(&keys, &parts, &given).is_ok());
    assert_eq!(
        check_mac(&keys, &parts[..5], &given),
        Err(Reject::Unauthorized)
    );
}

/// The example of Standard Webhooks: a key in base64, and one good signature among several.
#[test]
fn standard_webhooks_v1() {
    let key = key(
        MacAlgorithm::HmacSha256,
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        Encoding::Base64,
    );
    let parts: [&[u8]; 3] = [
        b"msg_p5jXN8AQM9LWM0D4loKWxJek.",
        b"1614265330.",
        br#"{"test": 2432232314}"#,
    ];
    let good = Encoding::Base64.read("g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    let good = good.expect("base64");
    let keys = [key];
    let other = vec![0; good.len()];
    assert!(check_mac(&keys, &parts, &[other.clone(), good.clone()]).is_ok());
    let mut many = vec![other; SIGNATURES_MAX];
    many.push(good.clone());
    assert!(
        check_mac(&keys, &parts, &many).is_err(),
        "one past the bound"
    );
    assert!(check_mac(&keys, &parts, &[good[..31].to_vec()]).is_err());
    assert!(check_mac(&keys, &parts, &[]).is_err());
    assert!(check_mac(&[], &parts, &[good]).is_err());
}

/// RFC 4231, test case 2.
#[test]
fn rfc_4231_sha512() {
    let key = key(MacAlgorithm::HmacSha512, "4a656665", Encoding::Hex);
    let found = hex::encode(key.mac(&[b"what do ya want ", b"for nothing?"]));
    let expected = "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737";
    assert_eq!(found, expected);
}

#[test]
fn a_key_is_of_its_form_and_is_not_shown() {
    let parse = |text: &str, encoding| {
        MacKey::parse(MacAlgorithm::HmacSha256, &Secret::new(text), encoding)
    };
    assert!(parse("", Encoding::Utf8).is_none());
    assert!(parse("no hex", Encoding::Hex).is_none());
    assert!(parse("a*b", Encoding::Base64).is_none());
    assert_eq!(
        Encoding::Base64.read("-_-_"),
        Encoding::Base64.read("+/+/"),
        "either alphabet"
    );
    let shown = format!("{:?}", parse("the secret itself", Encoding::Utf8));
    assert!(!shown.contains("secret"), "{shown}");
}

/// Discord's scheme; made with PyNaCl from the seed 00 01 02 ... 1f.
#[test]
fn discord_ed25519() {
    let public = hex::decode("03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8");
    let public = public.expect("hex");
    let key = PublicKey::parse(PublicAlgorithm::Ed25519, &public).expect("a key");
    let given = hex::decode(
        "c1098e97d711377f30225d53d94b89d43537f92e5b3afaddc590781b1f9f9d4b2eeab335d370be3b9a090bc61a85b86448bc140dcd195f1569c2bff181257607",
    );
    let given = [given.expect("hex")];
    let keys = [key];
    let body = br#"{"type":1}"#;
    assert!(check_public(&keys, &[b"1700000000", body], &given).is_ok());
    let other = check_public(&keys, &[b"1700000001", body], &given);
    assert_eq!(other, Err(Reject::Unauthorized));
    assert!(check_public(&keys, &[b"1700000000", body], &[given[0][..63].to_vec()]).is_err());
    assert!(PublicKey::parse(PublicAlgorithm::Ed25519, &public[..31]).is_none());
}

/// SendGrid's own example of its event webhook: raw bytes, the line end at their end too.
#[test]
fn sendgrid_ecdsa() {
    let spki = Encoding::Base64.read(
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g==",
    );
    let spki = spki.expect("base64");
    let key = PublicKey::parse(PublicAlgorithm::EcdsaP256, &spki).expect("a key");
    let given = Encoding::Base64.read(
        "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM=",
    );
    let given = [given.expect("base64")];
    let body = concat!(
        r#"[{"email":"hello@world.com","event":"dropped","reason":"Bounced Address","sg_event_id":"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA","sg_message_id":"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0","smtp-id":"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>","timestamp":1600112492}]"#,
        "\r\n"
    );
    let keys = [key];
    let parts: [&[u8]; 2] = [b"1600112502", body.as_bytes()];
    assert!(check_public(&keys, &parts, &given).is_ok());
    let trimmed: [&[u8]; 2] = [parts[0], body.trim_end().as_bytes()];
    assert_eq!(
        check_public(&keys, &trimmed, &given),
        Err(Reject::Unauthorized)
    );
    assert!(check_public(&[], &parts, &given).is_err());
    assert!(PublicKey::parse(PublicAlgorithm::EcdsaP256, &spki[1..]).is_none());
}

/// Made with the openssl program: `genrsa 2048`, `dgst -sha256 -sign`.
#[test]
fn openssl_rsa() {
    let public = Encoding::Base64.read(
        "MIIBCgKCAQEAnTwNyw0NLlKz12jOEwbhMdms5jsowaZ0+izFTJUS238Ld6xuryzxoHQ4BqboG+9P/fsrHrDWC0/u7z6YXxOsvCqdgTneuhcNoCxAeayUY1xSGvIK60tg6fliTJofZcFr/tnhjh8UKddKvOLmIsJAer/BFdxk5KIDx/kmXdeFKbrfKGYnwb/xV+mf63Fq6DIx4EMwuFmp3Ifvjif3E/Qds9/44QMUERb89Nhmh16+ii+ASla1zHzxXmIQLaPMdbrQXotZHak02qxbAf/PxwuSBV3ElcJkTXMy8Ocw/FL6gXPG7pt95Gll8dRIQv5zskd6mEKc4+Z+O10b+88Yrh4KswIDAQAB",
    );
    let public = public.expect("base64");
    let key = PublicKey::parse(PublicAlgorithm::RsaSha256, &public).expect("a key");
    let given = Encoding::Base64.read(
        "ASga6Xgx5Ba8DZAw9blr4pLVaidYv1jcln84paEdtFMluOvIFnB1yzFTyX0x7FA5S+xtEso87f02MxC7zaCURR9e2w+JiNmOHu4UJQBEwxSCBHHLVH7a4OokkR8mwn8fTQFRfpSy/LT4JzNkx1fUYOLqPzWI5WRYy7bBVP+8a0PMSJ/q9OT6BZbtfrFpkp/xKmieqDdYng6eGuCZrx01JnUBqRHPoOSKX5Vso6VWmHm4jMjmQk3MNvUExIZwNVWMv4cL01gT1ijI2ON4vdluibBP84nDaVCTXv4cyywkS+wj9lLO01wLtnP1jlk3hMI1p45ouZwGub/KbdGo/gXUIg==",
    );
    let given = [given.expect("base64")];
    let keys = [key];
    assert!(check_public(&keys, &[b"a=1&", b"b=x y"], &given).is_ok());
    let other = check_public(&keys, &[b"a=1&", b"b=x z"], &given);
    assert_eq!(other, Err(Reject::Unauthorized));
    let no_key = PublicKey::parse(PublicAlgorithm::RsaSha256, b"none").expect("shows later");
    assert!(check_public(&[no_key], &[b"a=1&", b"b=x y"], &given).is_err());
}
