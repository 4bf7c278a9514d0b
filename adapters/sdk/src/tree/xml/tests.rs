use proptest::prelude::*;
use serde_json::json;

use super::*;

fn why(xml: &str) -> String {
    match parse(xml.as_bytes()) {
        Err(Reject::Malformed(why) | Reject::TooLarge(why)) => why,
        other => panic!("{xml} is read as {other:?}"),
    }
}

#[test]
fn a_push_is_read() {
    let xml = "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<xml><ToUserName><![CDATA[gh_1]]></ToUserName>\n \
               <Content><![CDATA[1 < 2 & <b>]]></Content><MsgId>6054768590064713728</MsgId>\
               <List><Id>1</Id></List><List><Id>2</Id></List><Empty/><!-- nothing --></xml>\n";
    let xml = xml.trim_start_matches('\u{feff}');
    let push = parse(xml.as_bytes()).unwrap();
    assert_eq!(push.name, "xml");
    assert_eq!(push.text_of("Content"), Some("1 < 2 & <b>"));
    assert_eq!(push.text_of("Empty"), None);
    assert_eq!(
        push.to_json(),
        json!({
            "ToUserName": "gh_1", "Content": "1 < 2 & <b>", "MsgId": "6054768590064713728",
            "List": [{ "Id": "1" }, { "Id": "2" }], "Empty": "",
        })
    );
}

#[test]
fn names_and_texts_are_not_copied() {
    let push = parse(b"<xml a='1'><To at=\"2\"><![CDATA[gh_1]]></To></xml>").unwrap();
    let to = push.get("To").unwrap();
    assert!(matches!(to.name, Cow::Borrowed("To")));
    assert!(matches!(to.text, Cow::Borrowed("gh_1")));
}

#[test]
fn text_in_pieces_is_one_text() {
    let read = |xml: &str| parse(xml.as_bytes()).unwrap().text.into_owned();
    assert_eq!(
        read("<a>1 &lt; 2 &amp;&#38;&#x4f60; <![CDATA[]]]]><![CDATA[>]]></a>"),
        "1 < 2 &&你 ]]>"
    );
    assert_eq!(read("<a>&quot;&apos;&gt;</a>"), "\"'>");
}

#[test]
fn what_could_do_harm_is_refused() {
    let laughs =
        "<!DOCTYPE lolz [<!ENTITY lol \"lol\"><!ENTITY lol2 \"&lol;&lol;\">]><lolz>&lol2;</lolz>";
    assert!(why(laughs).starts_with("document types"));
    let file = "<!DOCTYPE a [<!ENTITY f SYSTEM \"file:///etc/passwd\">]><a>&f;</a>";
    assert!(why(file).starts_with("document types"));
    assert!(why("<a>&secret;</a>").starts_with("an unknown entity"));
    assert!(why("<a><?php x ?></a>").starts_with("processing instructions"));
    let deep = format!(
        "{}{}",
        "<a>".repeat(DEPTH_MAX + 1),
        "</a>".repeat(DEPTH_MAX + 1)
    );
    assert!(why(&deep).starts_with("too deep"));
    assert!(why(&format!("<a>{}</a>", "<b/>".repeat(TREES_MAX))).starts_with("too many"));
    assert!(why(&"<a>".repeat(BYTES_MAX)).starts_with("XML of"));
}

#[test]
fn bounds_are_the_last_that_is_read() {
    let deep = format!("{}{}", "<a>".repeat(DEPTH_MAX), "</a>".repeat(DEPTH_MAX));
    assert!(parse(deep.as_bytes()).is_ok());
    assert!(parse(format!("<a>{}</a>", "<b/>".repeat(TREES_MAX - 1)).as_bytes()).is_ok());
}

#[test]
fn what_is_broken_is_told_by_place_and_not_by_content() {
    for broken in [
        "",
        " ",
        "secret",
        "<a>secret",
        "<a></b>",
        "</a>",
        "<a/>secret",
        "<a/><b/>",
        "<a",
        "<a><![CDATA[secret</a>",
    ] {
        let why = why(broken);
        assert!(why.contains("near byte"), "{broken}: {why}");
        assert!(!why.contains("secret"), "{broken}: {why}");
    }
    assert!(parse(b"<a>\xff</a>").is_err());
}

proptest! {
    #[test]
    fn any_text_comes_out_as_it_went_in(text in "\\PC*") {
        let text = text.replace("]]>", "");
        let xml = format!("<xml><Content><![CDATA[{text}]]></Content></xml>");
        let push = parse(xml.as_bytes()).unwrap();
        prop_assert_eq!(&push.get("Content").unwrap().text, &text);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn nothing_like_xml_makes_it_panic(text in "(<|>|/|&|;|!|\\[|\\]|CDATA|#x?[0-9a-f]{0,9}|-|\\?|a|b| |=|\"|\u{4f60}){0,60}") {
        let _ = parse(text.as_bytes());
    }
}
