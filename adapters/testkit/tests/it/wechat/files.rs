//! Temporary files.

use std::time::Duration;

use patchbay_testkit::fakes::wechat::Media;
use reqwest::multipart::{Form, Part};
use serde_json::Value;

use super::Caller;

const JPEG: &[u8] = b"\xff\xd8\xff\xe0 a picture";

async fn upload(caller: &Caller, media: &str, part: &'static str, bytes: Vec<u8>) -> Value {
    let form = Form::new().part(part, Part::bytes(bytes).file_name("a.jpg"));
    let url = format!(
        "{}/cgi-bin/media/upload?access_token={}&type={media}",
        caller.wechat.url(),
        caller.token
    );
    let answer = caller.http.post(url).multipart(form).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.json().await.unwrap()
}

async fn get(caller: &Caller, media_id: &str) -> (String, Vec<u8>) {
    let url = format!(
        "{}/cgi-bin/media/get?access_token={}&media_id={media_id}",
        caller.wechat.url(),
        caller.token
    );
    let answer = caller.http.get(url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let content_type = answer.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    (content_type, answer.bytes().await.unwrap().to_vec())
}

#[tokio::test]
async fn what_was_uploaded_can_be_fetched_for_three_days() {
    let mut caller = Caller::official().await;
    let uploaded = upload(&caller, "image", "media", JPEG.to_vec()).await;
    assert_eq!(uploaded["type"], "image");
    assert!(uploaded["created_at"].is_i64());
    let id = uploaded["media_id"].as_str().unwrap();
    assert_eq!(
        get(&caller, id).await,
        ("image/jpeg".to_owned(), JPEG.to_vec())
    );
    caller.wechat.advance(Duration::from_secs(3 * 86_400));
    caller.renew().await;
    let (content_type, body) = get(&caller, id).await;
    assert!(
        content_type.starts_with("application/json"),
        "{content_type}"
    );
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["errcode"], 40007);
}

#[tokio::test]
async fn films_are_fetched_from_an_address_and_thumbs_have_a_key_of_their_own() {
    let caller = Caller::official().await;
    let film = b"\0\0\0\x18ftypmp42".to_vec();
    let id = caller.app.attach(Media::Video, &film);
    let (_, body) = get(&caller, &id).await;
    let body: Value = serde_json::from_slice(&body).unwrap();
    let url = body["video_url"].as_str().unwrap();
    let fetched = caller
        .http
        .get(url)
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    assert_eq!(fetched, film);
    let thumb = upload(&caller, "thumb", "media", JPEG.to_vec()).await;
    assert!(
        thumb["thumb_media_id"].is_string() && thumb["media_id"].is_null(),
        "{thumb}"
    );
}

#[tokio::test]
async fn files_that_are_none_are_refused() {
    let caller = Caller::official().await;
    let large = |head: &[u8], bytes: usize| [head, &vec![0; bytes]].concat();
    for (media, part, bytes, errcode) in [
        ("sculpture", "media", JPEG.to_vec(), 40004),
        ("image", "media", b"GIF, or so they say".to_vec(), 40005),
        ("voice", "media", JPEG.to_vec(), 40005),
        ("thumb", "media", b"\x89PNG\r\n\x1a\n".to_vec(), 40005),
        ("image", "media", Vec::new(), 40006),
        ("image", "file", JPEG.to_vec(), 41005),
        ("thumb", "media", large(JPEG, 64 << 10), 45001),
        ("voice", "media", large(b"#!AMR", 2 << 20), 45001),
        ("image", "media", large(JPEG, 10 << 20), 45001),
    ] {
        let answer = upload(&caller, media, part, bytes).await;
        assert_eq!(answer["errcode"], errcode, "{media} {part} {answer}");
    }
    let plain = caller
        .post("/cgi-bin/media/upload", "no form".to_owned())
        .await;
    assert_eq!(plain["errcode"], 40004, "not even a type");
    let body: Value = serde_json::from_slice(&get(&caller, "nobody's").await.1).unwrap();
    assert_eq!(body["errcode"], 40007);
}
