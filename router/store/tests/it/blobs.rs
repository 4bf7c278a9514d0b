//! What every place for blobs keeps, over a folder and a real S3-compatible server.

use std::{collections::HashSet, io, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, future::join_all, stream};
use patchbay_message::{Clock as _, SystemClock};
use patchbay_store::blobs::{
    self, BlobError, BlobStream, BlobToken, Blobs, FileBlobs, NewBlob, S3Blobs, S3Options, collect,
    whole,
};

const MIB: u64 = 1024 * 1024;

/// A fresh place, and what has to live as long.
struct Place {
    blobs: Arc<dyn Blobs>,
    _folder: Option<tempfile::TempDir>,
}

async fn file() -> Place {
    let folder = tempfile::tempdir().unwrap();
    Place {
        blobs: Arc::new(FileBlobs::open(folder.path()).await.unwrap()),
        _folder: Some(folder),
    }
}

fn s3_url() -> String {
    std::env::var("PATCHBAY_TEST_S3")
        .expect("PATCHBAY_TEST_S3 is not set: run the tests by `make test`")
}

async fn s3() -> Place {
    let mut options = S3Options::from_url(&s3_url()).unwrap();
    options.prefix = format!("{}/", uuid::Uuid::now_v7());
    Place {
        blobs: Arc::new(S3Blobs::open(options).unwrap()),
        _folder: None,
    }
}

fn photo(bytes_max: u64) -> NewBlob {
    NewBlob {
        mime: "image/png".into(),
        name: Some("Foto 1 – 照片.png".into()),
        bytes_max,
    }
}

/// Bytes that differ everywhere, in chunks of an odd size.
fn noise(bytes: usize) -> (Bytes, BlobStream) {
    let all: Bytes = (0..bytes as u64)
        .map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8)
        .collect();
    let chunks: Vec<_> = all
        .chunks(70_001)
        .map(|c| Ok(Bytes::copy_from_slice(c)))
        .collect();
    (all, Box::pin(stream::iter(chunks)))
}

async fn body_of(blobs: &dyn Blobs, token: &BlobToken) -> Option<Bytes> {
    let (_, body) = blobs.get(token).await.unwrap()?;
    Some(collect(body, 64 << 20).await.unwrap())
}

async fn comes_back_as_it_was_put(place: Place) {
    for bytes in [0, 1, 70_000, 3 << 20] {
        let (all, body) = noise(bytes);
        let put_after = SystemClock.now();
        let (token, meta) = place.blobs.put(body, &photo(4 * MIB)).await.unwrap();
        assert_eq!(meta.size, bytes as u64);

        let (found, body) = place.blobs.get(&token).await.unwrap().unwrap();
        assert_eq!(found, meta);
        assert_eq!(found.mime, "image/png");
        assert_eq!(found.name.as_deref(), Some("Foto 1 – 照片.png"));
        assert!(found.created_at >= put_after);
        assert!(collect(body, 4 << 20).await.unwrap() == all, "{bytes}");
    }
}

async fn parts_are_read_from_the_middle(place: Place) {
    let (all, body) = noise(300_000);
    let (token, meta) = place.blobs.put(body, &photo(MIB)).await.unwrap();
    for (from, bytes) in [
        (0, 1),
        (0, 0),
        (100_000, 150_000),
        (299_999, 50),
        (150_000, u64::MAX),
        (300_000, 1),
        (400_000, u64::MAX),
    ] {
        let (found, body) = place
            .blobs
            .read(&token, from, bytes)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(found, meta, "{from} {bytes}");
        let start = usize::try_from(from).unwrap().min(all.len());
        let length = usize::try_from(bytes)
            .unwrap_or(usize::MAX)
            .min(all.len() - start);
        let part = collect(body, 4 << 20).await.unwrap();
        assert!(part == all[start..start + length], "{from} {bytes}");
    }
}

async fn too_large_is_refused_and_the_bound_itself_is_not(place: Place) {
    for bound in [1_000, 2 << 20] {
        let (_, body) = noise(bound + 1);
        let refused = place.blobs.put(body, &photo(bound as u64)).await;
        assert!(matches!(refused, Err(BlobError::TooLarge(max)) if max == bound as u64));
        let (_, body) = noise(bound);
        place.blobs.put(body, &photo(bound as u64)).await.unwrap();
    }
    // The refused ones left nothing: two blobs are all there is.
    let later = SystemClock.now().plus(Duration::from_secs(60));
    assert_eq!(place.blobs.sweep(later, 100).await.unwrap(), 2);
}

async fn a_sender_that_breaks_off_leaves_nothing(place: Place) {
    for bytes in [100_000, 2 << 20] {
        let (_, body) = noise(bytes);
        let broken = body.chain(stream::iter([Err(io::ErrorKind::ConnectionReset.into())]));
        let refused = place.blobs.put(Box::pin(broken), &photo(4 * MIB)).await;
        assert!(matches!(refused, Err(BlobError::Body(_))));
    }
    let later = SystemClock.now().plus(Duration::from_secs(60));
    assert_eq!(place.blobs.sweep(later, 100).await.unwrap(), 0);
}

async fn absent_and_deleted_are_none(place: Place) {
    let absent = BlobToken::parse(&"A".repeat(43)).unwrap();
    assert!(place.blobs.get(&absent).await.unwrap().is_none());
    assert!(place.blobs.read(&absent, 5, 5).await.unwrap().is_none());
    place.blobs.delete(&absent).await.unwrap();

    let (_, body) = noise(10);
    let (token, _) = place.blobs.put(body, &photo(MIB)).await.unwrap();
    place.blobs.delete(&token).await.unwrap();
    assert!(place.blobs.get(&token).await.unwrap().is_none());
    place.blobs.delete(&token).await.unwrap();
}

async fn many_at_once_do_not_mix(place: Place) {
    let puts = (0..40_u8).map(|n| {
        let blobs = Arc::clone(&place.blobs);
        async move {
            let all = Bytes::from(vec![n; 50_000 + usize::from(n)]);
            let (token, _) = blobs.put(whole(all.clone()), &photo(MIB)).await.unwrap();
            (token, all)
        }
    });
    let put = join_all(puts).await;
    let tokens: HashSet<_> = put
        .iter()
        .map(|(token, _)| token.as_str().to_owned())
        .collect();
    assert_eq!(tokens.len(), 40);
    for (token, all) in &put {
        assert!(body_of(&*place.blobs, token).await.unwrap() == all);
    }
}

async fn sweep_takes_the_old_within_its_bound(place: Place) {
    for _ in 0..12 {
        let (_, body) = noise(10);
        place.blobs.put(body, &photo(MIB)).await.unwrap();
    }
    let hour = Duration::from_secs(3600);
    let now = SystemClock.now();
    assert_eq!(place.blobs.sweep(now.minus(hour), 100).await.unwrap(), 0);
    assert_eq!(place.blobs.sweep(now.plus(hour), 5).await.unwrap(), 5);
    assert_eq!(place.blobs.sweep(now.plus(hour), 100).await.unwrap(), 7);
    assert_eq!(place.blobs.sweep(now.plus(hour), 100).await.unwrap(), 0);
}

async fn names_and_types_from_strangers_are_made_harmless(place: Place) {
    for (mime, name, kept_mime, kept_name) in [
        (
            "text/plain\r\nx-evil: 1",
            "a\r\nb.txt",
            "application/octet-stream",
            Some("ab.txt"),
        ),
        (
            "text/plain; charset=utf-8",
            "../../etc/passwd",
            "text/plain; charset=utf-8",
            Some("passwd"),
        ),
        ("", "..\\..\\", "application/octet-stream", None),
        ("bad", "\u{0}", "application/octet-stream", None),
    ] {
        let new = NewBlob {
            mime: mime.into(),
            name: Some(name.into()),
            bytes_max: MIB,
        };
        let (_, body) = noise(10);
        let (token, _) = place.blobs.put(body, &new).await.unwrap();
        let (meta, _) = place.blobs.get(&token).await.unwrap().unwrap();
        assert_eq!(
            (meta.mime.as_str(), meta.name.as_deref()),
            (kept_mime, kept_name)
        );
    }
    let new = NewBlob {
        mime: "a/b".into(),
        name: Some("é".repeat(200)),
        bytes_max: MIB,
    };
    let (token, _) = place.blobs.put(whole(Bytes::new()), &new).await.unwrap();
    let (meta, _) = place.blobs.get(&token).await.unwrap().unwrap();
    assert_eq!(meta.name.unwrap(), "é".repeat(127));
}

macro_rules! over_both {
    ($($test:ident)*) => {
        mod in_a_folder { $(#[tokio::test] async fn $test() { super::$test(super::file().await).await; })* }
        mod in_s3 { $(#[tokio::test] async fn $test() { super::$test(super::s3().await).await; })* }
    };
}

over_both! {
    comes_back_as_it_was_put
    parts_are_read_from_the_middle
    too_large_is_refused_and_the_bound_itself_is_not
    a_sender_that_breaks_off_leaves_nothing
    absent_and_deleted_are_none
    many_at_once_do_not_mix
    sweep_takes_the_old_within_its_bound
    names_and_types_from_strangers_are_made_harmless
}

#[test]
fn only_what_could_be_a_token_becomes_one() {
    let good = "abcDEF012_-".repeat(4)[..43].to_owned();
    assert_eq!(BlobToken::parse(&good).unwrap().as_str(), good);
    for bad in [
        "",
        "..",
        "../../../../../../../../../etc/passwd.......",
        &good[..42],
        &format!("{good}a"),
        &format!("{}/{}", &good[..2], &good[2..42]),
        &format!("{}\\{}", &good[..2], &good[2..42]),
        &format!("{}%2e{}", &good[..20], &good[..20]),
        &format!("{}\0", &good[..42]),
        &format!("{}é", &good[..41]),
    ] {
        assert!(BlobToken::parse(bad).is_none(), "{bad:?}");
    }
    let token = BlobToken::parse(&good).unwrap();
    assert!(
        !format!("{token:?}").contains(&good[5..]),
        "a log would show it"
    );
}

/// Every file below a folder.
fn files(folder: &std::path::Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries
        .flat_map(|entry| {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

#[tokio::test]
async fn a_put_that_died_before_its_rename_shows_nothing_and_is_swept_away() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = FileBlobs::open(folder.path()).await.unwrap();
    let token = BlobToken::parse(&"x".repeat(43)).unwrap();
    // What kill -9 leaves: bytes in `tmp`, nothing where readers look.
    let left = folder.path().join("tmp").join(token.as_str());
    std::fs::write(&left, b"half a pho").unwrap();

    let blobs_again = FileBlobs::open(folder.path()).await.unwrap();
    assert!(blobs_again.get(&token).await.unwrap().is_none());
    // A put that may still be going on is left alone ...
    assert_eq!(blobs.sweep(SystemClock.now(), 100).await.unwrap(), 0);
    assert!(left.exists());
    // ... one that is two days old is not.
    let old = std::fs::metadata(&left).unwrap().modified().unwrap() - Duration::from_secs(172_800);
    std::fs::File::options()
        .write(true)
        .open(&left)
        .unwrap()
        .set_modified(old)
        .unwrap();
    blobs.sweep(SystemClock.now(), 100).await.unwrap();
    assert!(files(folder.path()).is_empty());
}

#[tokio::test]
async fn a_put_that_is_given_up_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = FileBlobs::open(folder.path()).await.unwrap();
    let (_, body) = noise(200_000);
    let endless = body.chain(stream::pending());
    let new = photo(MIB);
    let put = blobs.put(Box::pin(endless), &new);
    let gave_up = tokio::time::timeout(Duration::from_millis(300), put).await;
    assert!(gave_up.is_err());
    assert!(files(folder.path()).is_empty());
}

#[tokio::test]
async fn a_damaged_file_is_said_to_be_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let blobs = FileBlobs::open(folder.path()).await.unwrap();
    let (_, body) = noise(1_000);
    let (token, _) = blobs.put(body, &photo(MIB)).await.unwrap();
    let path = files(folder.path()).remove(0);
    let good = std::fs::read(&path).unwrap();

    let mut lengthened = good.clone();
    lengthened.splice(500..500, [0; 7]);
    let mut no_meta = good.clone();
    let meta_at = good.len() - 20;
    no_meta[meta_at] = 0;
    for bad in [
        &good[..good.len() - 1],
        &good[1..],
        &good[..5],
        &[],
        &lengthened,
        &no_meta,
    ] {
        std::fs::write(&path, bad).unwrap();
        let found = blobs.get(&token).await;
        assert!(
            matches!(found, Err(BlobError::Damaged(_))),
            "{} bytes",
            bad.len()
        );
    }
    std::fs::write(&path, &good).unwrap();
    assert!(blobs.get(&token).await.unwrap().is_some());
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_said_at_start() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let refused = blobs::open("file", file.path()).await;
    assert!(matches!(refused.err(), Some(BlobError::Config(_))));
}

#[tokio::test]
async fn urls_open_the_place_they_name() {
    let folder = tempfile::tempdir().unwrap();
    blobs::open("file", folder.path()).await.unwrap();
    assert!(folder.path().join("blobs/tmp").is_dir());
    let other = folder.path().join("other");
    blobs::open(&format!("file:{}", other.display()), folder.path())
        .await
        .unwrap();
    assert!(other.join("tmp").is_dir());
    blobs::open(&s3_url(), folder.path()).await.unwrap();

    let options =
        S3Options::from_url("s3+https://KEY:a%2Fb%2Bc@s3.example:9000/files/in/here?region=eu-1")
            .unwrap();
    assert_eq!(options.endpoint.as_str(), "https://s3.example:9000/");
    assert_eq!(
        (options.key.as_str(), options.secret.as_str()),
        ("KEY", "a/b+c")
    );
    assert_eq!(
        (
            options.bucket.as_str(),
            options.prefix.as_str(),
            options.region.as_str()
        ),
        ("files", "in/here/", "eu-1")
    );
    assert!(!format!("{options:?}").contains("a/b"));
    for bad in [
        "",
        "nonsense",
        "ftp://k:s@h/b",
        "https://k:s@h/",
        "https://h/b",
        "https://k@h/b",
    ] {
        assert!(S3Options::from_url(bad).is_err(), "{bad}");
    }
}

#[tokio::test]
async fn a_bucket_with_wrong_credentials_or_no_server_is_unavailable() {
    let mut options = S3Options::from_url(&s3_url()).unwrap();
    options.key = "nobody".into();
    let blobs = S3Blobs::open(options.clone()).unwrap();
    let refused = blobs.put(noise(10).1, &photo(MIB)).await.unwrap_err();
    assert!(
        matches!(&refused, BlobError::Unavailable(why) if why.contains("403")),
        "{refused}"
    );

    // A port that nobody listens on.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    options.endpoint = format!("http://{address}").parse().unwrap();
    let blobs = S3Blobs::open(options).unwrap();
    let refused = blobs.put(noise(10).1, &photo(MIB)).await.unwrap_err();
    assert!(matches!(refused, BlobError::Unavailable(_)), "{refused}");
    assert!(!refused.to_string().contains("Signature"), "{refused}");
}
