use proptest::prelude::*;

use super::*;
use crate::{Reject, verify};

/// Samples of the providers: who signed and sealed them, and what is inside.
struct Sample {
    token: &'static str,
    key: &'static str,
    receiver: &'static str,
    timestamp: &'static str,
    nonce: &'static str,
    signature: &'static str,
    sealed: &'static str,
    plain: &'static str,
}

/// A push to a mini-program, from the provider's documentation.
const PUSH_JSON: Sample = Sample {
    token: "AAAAA",
    key: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    receiver: "wxba5fad812f8e6fb9",
    timestamp: "1714112445",
    nonce: "415670741",
    signature: "046e02f8204d34f8ba5fa3b1db94908f3df2e9b3",
    sealed: "+qdx1OKCy+5JPCBFWw70tm0fJGb2Jmeia4FCB7kao+/Q5c/ohsOzQHi8khUOb05JCpj0JB4RvQMkUyus8TPxLKJGQqcvZqzDpVzazhZv6JsXUnnR8XGT740XgXZUXQ7vJVnAG+tE8NUd4yFyjPy7GgiaviNrlCTj+l5kdfMuFUPpRSrfMZuMcp3Fn2Pede2IuQrKEYwKSqFIZoNqJ4M8EajAsjLY2km32IIjdf8YL/P50F7mStwntrA2cPDrM1kb6mOcfBgRtWygb3VIYnSeOBrebufAlr7F9mFUPAJGj04=",
    plain: r#"{"ToUserName":"gh_97417a04a28d","FromUserName":"o9AgO5Kd5ggOC-bXrbNODIiE3bGY","CreateTime":1714112445,"MsgType":"event","Event":"debug_demo","debug_str":"hello world"}"#,
};

/// The answer to it.
const ANSWER_JSON: Sample = Sample {
    token: "AAAAA",
    key: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    receiver: "wxba5fad812f8e6fb9",
    timestamp: "1713424427",
    nonce: "415670741",
    signature: "1b9339964ed2e271e7c7b6ff2b0ef902fc94dea1",
    sealed: "ELGduP2YcVatjqIS+eZbp80MNLoAUWvzzyJxgGzxZO/5sAvd070Bs6qrLARC9nVHm48Y4hyRbtzve1L32tmxSQ==",
    plain: r#"{"demo_resp":"good luck"}"#,
};

/// A push to an official account; its key has bits left over.
const PUSH_XML: Sample = Sample {
    token: "spamtest",
    key: "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
    receiver: "wx2c2769f8efd9abc2",
    timestamp: "1409735669",
    nonce: "1320562132",
    signature: "5d197aaffba7e9b25a30732f161a50dee96bd5fa",
    sealed: "hyzAe4OzmOMbd6TvGdIOO6uBmdJoD0Fk53REIHvxYtJlE2B655HuD0m8KUePWB3+LrPXo87wzQ1QLvbeUgmBM4x6F8PGHQHFVAFmOD2LdJF9FrXpbUAh0B5GIItb52sn896wVsMSHGuPE328HnRGBcrS7C41IzDWyWNlZkyyXwon8T332jisa+h6tEDYsVticbSnyU8dKOIbgU6ux5VTjg3yt+WGzjlpKn6NPhRjpA912xMezR4kw6KWwMrCVKSVCZciVGCgavjIQ6X8tCOp3yZbGpy0VxpAe+77TszTfRd5RJSVO/HTnifJpXgCSUdUue1v6h0EIBYYI1BD1DlD+C0CR8e6OewpusjZ4uBl9FyJvnhvQl+q5rv1ixrcpCumEPo5MJSgM9ehVsNPfUM669WuMyVWQLCzpu9GhglF2PE=",
    plain: r#"<xml><ToUserName><![CDATA[gh_10f6c3c3ac5a]]></ToUserName>
<FromUserName><![CDATA[oyORnuP8q7ou2gfYjqLzSIWZf0rs]]></FromUserName>
<CreateTime>1409735668</CreateTime>
<MsgType><![CDATA[text]]></MsgType>
<Content><![CDATA[abcdteT]]></Content>
<MsgId>6054768590064713728</MsgId>
</xml>"#,
};

/// An answer of ours in the provider's documentation is sealed with these.
const RANDOM: [u8; 16] = *b"707722b803182950";

fn key(text: &str) -> SealKey {
    SealKey::parse(&Secret::new(text)).unwrap()
}

fn opened(sample: &Sample) -> String {
    let plain = key(sample.key)
        .open(sample.sealed, sample.receiver)
        .unwrap();
    String::from_utf8(plain).unwrap()
}

#[test]
fn samples_are_signed_and_open() {
    for sample in [PUSH_JSON, ANSWER_JSON, PUSH_XML] {
        let parts = [sample.timestamp, sample.nonce, sample.sealed].map(str::as_bytes);
        let tokens = [Secret::new("another token"), Secret::new(sample.token)];
        assert!(verify::check_sorted_sha1(&tokens, parts, sample.signature).is_ok());
        let others = verify::check_sorted_sha1(&tokens[..1], parts, sample.signature);
        assert_eq!(others, Err(Reject::Unauthorized));
        assert_eq!(opened(&sample), sample.plain);
    }
}

#[test]
fn a_sample_is_sealed_to_the_byte() {
    let sample = ANSWER_JSON;
    let sealed = key(sample.key).seal(RANDOM, sample.plain.as_bytes(), sample.receiver);
    assert_eq!(sealed, sample.sealed);
}

#[test]
fn signatures_over_the_address_alone_are_checked() {
    // Both from the provider's documentation: the check of an address, and a plain push.
    for (timestamp, nonce, signature) in [
        (
            "1714036504",
            "1514711492",
            "f464b24fc39322e44b38aa78f5edd27bd1441696",
        ),
        (
            "1714037059",
            "486452656",
            "899cf89e464efb63f54ddac96b0a0a235f53aa78",
        ),
    ] {
        let check = |timestamp: &str, given: &str| {
            let parts = [timestamp.as_bytes(), nonce.as_bytes()];
            verify::check_sorted_sha1(&[Secret::new("AAAAA")], parts, given)
        };
        assert!(check(timestamp, signature).is_ok());
        assert!(check("1714036505", signature).is_err());
        for odd in [
            "",
            "f4",
            "not hex at all, and of forty characters!!",
            &signature[..38],
        ] {
            assert_eq!(check(timestamp, odd), Err(Reject::Unauthorized));
        }
    }
}

#[test]
fn another_receiver_or_key_does_not_open() {
    let sample = PUSH_XML;
    assert_eq!(
        key(sample.key).open(sample.sealed, "wx0000000000000000"),
        Err(Unreadable)
    );
    assert_eq!(key(sample.key).open(sample.sealed, ""), Err(Unreadable));
    assert_eq!(
        key(PUSH_JSON.key).open(sample.sealed, sample.receiver),
        Err(Unreadable)
    );
}

#[test]
fn a_key_has_43_characters_of_base64() {
    for good in [
        PUSH_JSON.key,
        PUSH_XML.key,
        "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C",
    ] {
        assert!(SealKey::parse(&Secret::new(good)).is_some(), "{good}");
    }
    let with_pad = format!("{}=", PUSH_JSON.key);
    for bad in [
        "",
        "short",
        &with_pad,
        &"!".repeat(KEY_CHARS),
        &PUSH_JSON.key[1..],
    ] {
        assert!(SealKey::parse(&Secret::new(bad)).is_none(), "{bad}");
    }
}

/// Seals plain bytes as they are, so that every check behind the cipher is reached.
fn sealed_raw(mut bytes: Vec<u8>) -> String {
    let key = key(PUSH_XML.key);
    let n = bytes.len();
    cbc::Encryptor::<aes::Aes256>::new((&*key.0).into(), key.iv().into())
        .encrypt_padded::<NoPadding>(&mut bytes, n)
        .unwrap();
    STANDARD.encode(bytes)
}

#[test]
fn a_bad_pad_or_length_does_not_open() {
    let plain = |length: u32, pad: u8| {
        let mut bytes = vec![7; RANDOM_BYTES];
        bytes.extend(length.to_be_bytes());
        bytes.extend(b"hi");
        bytes.extend(b"receiver12");
        let pads = PAD_BLOCK - bytes.len() % PAD_BLOCK;
        bytes.extend(vec![pad; pads]);
        bytes
    };
    let open = |bytes: Vec<u8>| key(PUSH_XML.key).open(&sealed_raw(bytes), "receiver12");
    assert_eq!(plain(2, 32).len() % PAD_BLOCK, 0);
    assert_eq!(open(plain(2, 32)), Ok(b"hi".to_vec()));
    for (length, pad) in [
        (2, 0),
        (2, 33),
        (2, 255),
        (2, 31),
        (3, 32),
        (1, 32),
        (u32::MAX, 32),
        (12, 32),
    ] {
        assert_eq!(
            open(plain(length, pad)),
            Err(Unreadable),
            "length {length}, pad {pad}"
        );
    }
    let mut uneven = plain(2, 32);
    uneven[40] = 31;
    assert_eq!(open(uneven), Err(Unreadable));
    assert_eq!(open(vec![32; 32]), Err(Unreadable));
    assert_eq!(open(vec![16; 16]), Err(Unreadable));
}

#[test]
fn debug_shows_no_key() {
    assert_eq!(format!("{:?}", key(PUSH_XML.key)), "SealKey");
}

proptest! {
    #[test]
    fn what_was_sealed_opens(
        message in proptest::collection::vec(any::<u8>(), 0..200),
        receiver in "[a-z0-9]{0,24}",
        random in any::<[u8; 16]>(),
    ) {
        let key = key(PUSH_XML.key);
        let sealed = key.seal(random, &message, &receiver);
        prop_assert_eq!(STANDARD.decode(&sealed).unwrap().len() % PAD_BLOCK, 0);
        prop_assert_eq!(key.open(&sealed, &receiver), Ok(message));
        prop_assert_eq!(key.open(&sealed, &format!("{receiver}x")), Err(Unreadable));
    }

    #[test]
    fn no_text_makes_it_panic(sealed in "[A-Za-z0-9+/=]{0,100}", text in any::<String>()) {
        let _ = key(PUSH_XML.key).open(&sealed, "r");
        let _ = key(PUSH_XML.key).open(&text, "r");
    }

    #[test]
    fn no_plain_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 1..128), receiver in "\\PC{0,4}") {
        let mut bytes = bytes;
        bytes.resize(bytes.len().next_multiple_of(AES_BLOCK), 1);
        let _ = key(PUSH_XML.key).open(&sealed_raw(bytes), &receiver);
    }
}
