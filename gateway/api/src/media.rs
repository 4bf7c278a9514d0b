//! Files: taken by visitors and agents alike, given to whoever has the name.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use patchbay_message::Media;
use patchbay_store::blobs::{BlobError, BlobMeta, BlobToken, Blobs, NewBlob, sniff, whole};

use crate::Problem;

/// Names are cut to this, bytes.
const NAME_BYTES_MAX: usize = 128;

/// Keeps a file and describes it. The type is read from the bytes, never from the name.
///
/// # Errors
/// 413 past `bytes_max`, 415 for a type not in `types` (`image/*` style), 503 if it cannot be kept.
pub async fn keep(
    blobs: &dyn Blobs,
    name: Option<&str>,
    bytes_max: u64,
    types: &[String],
    body: Bytes,
) -> Result<Media, Problem> {
    let size = u64::try_from(body.len()).unwrap_or(u64::MAX);
    if size == 0 {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "empty",
            "the file is empty",
        ));
    }
    if size > bytes_max {
        let detail = format!("a file may be {bytes_max} bytes at most");
        return Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            detail,
        ));
    }
    let mime = sniff(&body);
    if !types.iter().any(|pattern| fits(pattern, mime)) {
        let detail = format!("files of type {mime} are not taken here");
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported",
            detail,
        ));
    }
    let dimensions = imagesize::blob_size(&body).ok();
    let pixels = |n: usize| u32::try_from(n).ok();
    let name = name.map(clean_name).filter(|name| !name.is_empty());
    let new = NewBlob {
        mime: mime.to_owned(),
        name: name.clone(),
        bytes_max,
    };
    let (token, _) = blobs
        .put(whole(body), &new)
        .await
        .map_err(|error| problem(&error))?;
    Ok(Media {
        url: format!("/media/{}", token.as_str()),
        mime: mime.to_owned(),
        size,
        name,
        caption: None,
        width: dimensions.and_then(|d| pixels(d.width)),
        height: dimensions.and_then(|d| pixels(d.height)),
    })
}

/// Gives a file to whoever knows its name.
pub async fn give(blobs: &dyn Blobs, token: &str) -> Response {
    let found = match BlobToken::parse(token) {
        Some(token) => blobs.get(&token).await,
        None => Ok(None),
    };
    match found {
        Ok(Some((meta, stream))) => (headers(&meta), Body::from_stream(stream)).into_response(),
        Ok(None) => Problem::new(StatusCode::NOT_FOUND, "not_found", "there is no such file")
            .into_response(),
        Err(error) => problem(&error).into_response(),
    }
}

fn problem(error: &BlobError) -> Problem {
    tracing::warn!(%error, "blob");
    Problem::unavailable("files cannot be kept or read right now")
}

fn fits(pattern: &str, mime: &str) -> bool {
    match pattern.strip_suffix("/*") {
        Some(family) => family == "*" || mime.split('/').next() == Some(family),
        None => pattern == mime,
    }
}

/// A name for people only: no path, no control characters.
fn clean_name(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut clean: String = name.chars().filter(|c| !c.is_control()).collect();
    while clean.len() > NAME_BYTES_MAX {
        clean.pop();
    }
    clean
}

/// Headers under which a stranger's file does no harm on our origin.
fn headers(meta: &BlobMeta) -> HeaderMap {
    let fixed = HeaderValue::from_static;
    let inline = ["image/", "audio/", "video/"]
        .iter()
        .any(|family| meta.mime.starts_with(family));
    let kind = if inline { "inline" } else { "attachment" };
    let name = meta
        .name
        .as_deref()
        .map(|name| format!("; filename*=UTF-8''{}", percent(name)));
    let disposition = format!("{kind}{}", name.unwrap_or_default());
    let all: [(HeaderName, HeaderValue); 7] = [
        (header::CONTENT_TYPE, value(&meta.mime)),
        (header::CONTENT_LENGTH, HeaderValue::from(meta.size)),
        (header::CONTENT_DISPOSITION, value(&disposition)),
        (header::X_CONTENT_TYPE_OPTIONS, fixed("nosniff")),
        (
            header::CONTENT_SECURITY_POLICY,
            fixed("sandbox; default-src 'none'"),
        ),
        (
            header::CACHE_CONTROL,
            fixed("private, max-age=86400, immutable"),
        ),
        // The widget shows it on other sites; the unguessable name is the permission.
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            fixed("cross-origin"),
        ),
    ];
    all.into_iter().collect()
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("application/octet-stream"))
}

/// Percent-encodes all but the attribute characters of RFC 8187.
fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_in_disguise_is_given_as_text() {
        for body in [
            "<!DOCTYPE html><script>1</script>",
            "<html><body>",
            "<?xml version='1.0'?><svg/>",
        ] {
            assert_eq!(sniff(body.as_bytes()), "text/plain", "{body}");
        }
        assert_eq!(sniff(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), "image/png");
        assert_eq!(sniff(b"\0\x01\x02"), "application/octet-stream");
    }

    #[test]
    fn a_name_has_no_path_and_no_control_characters() {
        assert_eq!(clean_name("../../etc/pa\nsswd"), "passwd");
        assert_eq!(clean_name("C:\\a\\照片.png"), "照片.png");
        assert!(clean_name(&"长".repeat(500)).len() <= NAME_BYTES_MAX);
    }
}
