use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use patchbay_sdk::{Effect, Upload};
use patchbay_store::blobs::{NewBlob, open, whole};

use super::*;

fn upload(media: &str, bytes_max: u64) -> Request {
    Request::Http(HttpOut {
        method: Method::POST,
        url: "https://api.example/upload".to_owned(),
        headers: HeaderMap::new(),
        body: Bytes::from_static(b"before|after"),
        effect: Effect::Upload(Box::new(Upload {
            reuse: None,
            insert: Some(Insert {
                at: 7,
                media: media.to_owned(),
                bytes_max,
            }),
        })),
        timeout: Duration::from_secs(1),
    })
}

async fn kept(folder: &std::path::Path) -> (Files, String) {
    let blobs = open("file", folder).await.expect("a folder");
    let new = NewBlob {
        mime: "image/png".to_owned(),
        name: None,
        bytes_max: 100,
    };
    let body = whole(Bytes::from_static(b"\x89PNG"));
    let (token, _) = blobs.put(body, &new).await.expect("kept");
    (Files::from(blobs), format!("/media/{}", token.as_str()))
}

#[tokio::test]
async fn a_file_stands_where_the_adapter_wants_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let (files, media) = kept(folder.path()).await;
    let filled = files.filled(upload(&media, 4)).await.expect("filled");
    let Request::Http(out) = filled else {
        panic!("still a request by HTTP");
    };
    assert_eq!(out.body, Bytes::from_static(b"before|\x89PNGafter"));
    assert_eq!(out.effect, Effect::Upload(Box::default()));
}

#[tokio::test]
async fn a_file_that_is_too_large_or_not_there_is_told_and_not_tried_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let (files, media) = kept(folder.path()).await;
    let gone = format!("/media/{}", "A".repeat(43));
    for (files, media, bytes_max) in [
        (&files, &media, 3),
        (&files, &gone, 100),
        (&files, &"/media/../secret".to_owned(), 100),
        (&files, &"https://elsewhere.example/1".to_owned(), 100),
        (&Files::default(), &media, 100),
    ] {
        let found = files.filled(upload(media, bytes_max)).await;
        assert!(
            matches!(found, Err(SendError::Payload(_))),
            "{media}: {found:?}"
        );
    }
}
