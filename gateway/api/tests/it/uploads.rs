//! Files for replies: the type is what the bytes are, and every bound has its answer.

use serde_json::Value;

use crate::house::{House, options};

/// The smallest header a picture is known by: 3 by 2 pixels.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x03\0\0\0\x02\x08\x02\0\0\0";

async fn upload(house: &House, token: &str, name: &str, body: Vec<u8>) -> crate::call::Answer {
    let path = format!("/uploads?name={name}");
    let call = house.call("POST", &path).token(token);
    call.raw("application/octet-stream", body).send().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_kept_as_what_its_bytes_are() {
    let house = House::new().await;
    let (_, token) = house.agent("Ann", "agent").await;
    // The name lies, the bytes do not.
    let kept = upload(&house, &token, "..%2Fnotes.txt", PNG.into()).await;
    assert_eq!(kept.status, 201);
    let kept = kept.ok();
    assert_eq!(kept["mime"], "image/png");
    assert_eq!(kept["name"], "notes.txt");
    assert_eq!(kept["size"], PNG.len());
    assert_eq!((&kept["width"], &kept["height"]), (&3.into(), &2.into()));
    assert!(kept["url"].as_str().unwrap().starts_with("/media/"));
    let html = upload(&house, &token, "a.png", b"<!doctype html><script>".into()).await;
    assert_eq!(html.ok()["mime"], "text/plain");
    let nameless = house.call("POST", "/uploads").token(&token);
    let nameless = nameless.raw("text/plain", "a note").send().await.ok();
    assert!(nameless.get("name").is_none_or(Value::is_null));
}

#[tokio::test(flavor = "multi_thread")]
async fn too_large_too_strange_and_empty_are_refused() {
    let house = House::new().await;
    let (_, token) = house.agent("Ann", "agent").await;
    let max = usize::try_from(options().upload_bytes_max).unwrap();
    let mut large = PNG.to_vec();
    large.resize(max + 1, 0);
    let sentence = upload(&house, &token, "a.png", large.clone()).await;
    let sentence = sentence.problem(413, "too_large");
    assert!(sentence.contains(&max.to_string()), "{sentence}");
    large.truncate(max);
    upload(&house, &token, "a.png", large).await.ok();
    let strange = upload(&house, &token, "a.png", b"\x7fELF\x02\x01\x01\0".into()).await;
    strange.problem(415, "unsupported");
    let empty = upload(&house, &token, "a.png", Vec::new()).await;
    empty.problem(400, "empty");
}
