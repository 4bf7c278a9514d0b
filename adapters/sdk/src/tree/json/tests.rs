use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
fn a_push_is_read_as_from_xml() {
    let push = parse(
        br#"{"FromUserName":"o\u0031","MsgId":6054768590064713728,"Lat":23.5,"On":true,"None":null,
             "List":[{"Id":"1"},{"Id":2}],"One":{"Id":3},"Empty":[]}"#,
    )
    .unwrap();
    assert_eq!(push.text_of("FromUserName"), Some("o1"));
    assert_eq!(push.text_of("MsgId"), Some("6054768590064713728"));
    let ids: Vec<_> = push
        .all("List")
        .map(|item| item.text_of("Id").unwrap())
        .collect();
    assert_eq!(ids, ["1", "2"]);
    assert_eq!(
        push.to_json(),
        json!({
            "FromUserName": "o1", "MsgId": "6054768590064713728", "Lat": "23.5", "On": "true", "None": "",
            "List": [{ "Id": "1" }, { "Id": "2" }], "One": { "Id": "3" },
        })
    );
    assert!(matches!(
        push.get("MsgId").unwrap().name,
        Cow::Borrowed("MsgId")
    ));
}

#[test]
fn too_much_and_too_deep_are_refused() {
    let deep = |n: usize| format!("{}1{}", "{\"a\":".repeat(n), "}".repeat(n));
    assert!(parse(deep(DEPTH_MAX - 1).as_bytes()).is_ok());
    assert!(matches!(
        parse(deep(DEPTH_MAX).as_bytes()),
        Err(Reject::Malformed(_))
    ));
    let many = |n: usize| format!("{{\"a\":[{}]}}", vec!["1"; n].join(","));
    assert!(parse(many(TREES_MAX - 2).as_bytes()).is_ok());
    assert!(matches!(
        parse(many(TREES_MAX - 1).as_bytes()),
        Err(Reject::Malformed(_))
    ));
    assert!(matches!(
        parse(&vec![b' '; BYTES_MAX + 1]),
        Err(Reject::TooLarge(_))
    ));
}

#[test]
fn what_is_no_object_is_refused_without_its_content() {
    for broken in ["", "[\"secret\"]", "{\"secret\"", "{} {}", "{\"a\":secret}"] {
        let Err(Reject::Malformed(why)) = parse(broken.as_bytes()) else {
            panic!("{broken} is read");
        };
        assert!(!why.contains("secret"), "{broken}: {why}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn any_text_comes_out_as_it_went_in(text in any::<String>()) {
        let json = json!({ "Content": text }).to_string();
        let push = parse(json.as_bytes()).unwrap();
        prop_assert_eq!(&push.get("Content").unwrap().text, &text);
    }
}
