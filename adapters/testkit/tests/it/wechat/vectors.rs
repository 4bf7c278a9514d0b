//! The fake's own signing and sealing against examples of the platform's documentation.

use patchbay_testkit::fakes::wechat::Seal;

const JSON: &str = r#"{"ToUserName":"gh_97417a04a28d","FromUserName":"o9AgO5Kd5ggOC-bXrbNODIiE3bGY","CreateTime":1714112445,"MsgType":"event","Event":"debug_demo","debug_str":"hello world"}"#;
const SEALED: &str = "+qdx1OKCy+5JPCBFWw70tm0fJGb2Jmeia4FCB7kao+/Q5c/ohsOzQHi8khUOb05JCpj0JB4RvQMkUyus8TPxLKJGQqcvZqzDpVzazhZv6JsXUnnR8XGT740XgXZUXQ7vJVnAG+tE8NUd4yFyjPy7GgiaviNrlCTj+l5kdfMuFUPpRSrfMZuMcp3Fn2Pede2IuQrKEYwKSqFIZoNqJ4M8EajAsjLY2km32IIjdf8YL/P50F7mStwntrA2cPDrM1kb6mOcfBgRtWygb3VIYnSeOBrebufAlr7F9mFUPAJGj04=";
const LEGACY: &str = "hyzAe4OzmOMbd6TvGdIOO6uBmdJoD0Fk53REIHvxYtJlE2B655HuD0m8KUePWB3+LrPXo87wzQ1QLvbeUgmBM4x6F8PGHQHFVAFmOD2LdJF9FrXpbUAh0B5GIItb52sn896wVsMSHGuPE328HnRGBcrS7C41IzDWyWNlZkyyXwon8T332jisa+h6tEDYsVticbSnyU8dKOIbgU6ux5VTjg3yt+WGzjlpKn6NPhRjpA912xMezR4kw6KWwMrCVKSVCZciVGCgavjIQ6X8tCOp3yZbGpy0VxpAe+77TszTfRd5RJSVO/HTnifJpXgCSUdUue1v6h0EIBYYI1BD1DlD+C0CR8e6OewpusjZ4uBl9FyJvnhvQl+q5rv1ixrcpCumEPo5MJSgM9ehVsNPfUM669WuMyVWQLCzpu9GhglF2PE=";

fn mini_program() -> Seal {
    Seal::new("AAAAA", &"A".repeat(43), "wxba5fad812f8e6fb9")
}

#[test]
fn signs_as_the_documentation_does() {
    let seal = mini_program();
    for (parts, signature) in [
        (
            ["1714036504", "1514711492"],
            "f464b24fc39322e44b38aa78f5edd27bd1441696",
        ),
        (
            ["1714037059", "486452656"],
            "899cf89e464efb63f54ddac96b0a0a235f53aa78",
        ),
        (
            ["1714112445", "415670741"],
            "6c5c811b55cc85e0e1b54100749188c20beb3f5d",
        ),
    ] {
        assert_eq!(seal.sign(&parts), signature);
    }
    let sealed = seal.sign(&["1714112445", "415670741", SEALED]);
    assert_eq!(sealed, "046e02f8204d34f8ba5fa3b1db94908f3df2e9b3");
}

#[test]
fn seals_and_opens_as_the_documentation_does() {
    let seal = mini_program();
    assert_eq!(
        seal.seal_with(JSON.as_bytes(), *b"a8eedb185eb2fecf"),
        SEALED
    );
    assert_eq!(seal.open(SEALED).unwrap(), JSON.as_bytes());
    let reply = seal.seal_with(br#"{"demo_resp":"good luck"}"#, *b"707722b803182950");
    assert_eq!(
        seal.sign(&["1713424427", "415670741", &reply]),
        "1b9339964ed2e271e7c7b6ff2b0ef902fc94dea1"
    );
}

#[test]
fn opens_with_a_key_whose_last_bits_are_not_zero() {
    let seal = Seal::new("spamtest", super::KEY, "wx2c2769f8efd9abc2");
    let signature = seal.sign(&["1409735669", "1320562132", LEGACY]);
    assert_eq!(signature, "5d197aaffba7e9b25a30732f161a50dee96bd5fa");
    let plain = String::from_utf8(seal.open(LEGACY).unwrap()).unwrap();
    assert!(
        plain.contains("<Content><![CDATA[abcdteT]]></Content>"),
        "{plain}"
    );
}

#[test]
fn opens_nothing_that_was_sealed_for_somebody_else_or_changed() {
    let other = Seal::new("AAAAA", &"A".repeat(43), "wx0000000000000000");
    assert_eq!(other.open(SEALED).unwrap_err(), "sealed for somebody else");
    let seal = mini_program();
    assert_eq!(
        seal.open(&SEALED[..SEALED.len() - 4]).unwrap_err(),
        "not whole blocks"
    );
    assert_eq!(seal.open("???").unwrap_err(), "not base64");
    assert!(seal.open(&SEALED.replace("+qdx1", "+qdx2")).is_err());
    assert!(seal.open(&SEALED.replace("j04=", "j08=")).is_err());
}
