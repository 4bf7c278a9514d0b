//! Blobs in an S3-compatible bucket: one object each, the meta in its headers.
//!
//! One PUT makes an object visible whole or not at all, and its answer means that it is durable. An
//! upload is spooled first, so that a PUT knows its length and can be tried again. Reading what is
//! absent answers 404 only if the credentials may list the bucket, as `sweep` needs anyway.

mod options;
mod spool;

use std::{io, time::Duration};

use async_trait::async_trait;
use bytes::Buf as _;
use futures_util::{TryStreamExt as _, future::try_join_all, stream};
use patchbay_message::{Clock as _, SystemClock, Time};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use reqwest::{
    Client, Method, Response, StatusCode, Url,
    header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue, RANGE},
};
use rusty_s3::{Bucket, Credentials, S3Action, actions::ListObjectsV2};

pub use self::options::S3Options;
use self::spool::Spool;
use super::{BlobError, BlobMeta, BlobStream, BlobToken, Blobs, MIME_UNKNOWN, NewBlob, collect};

/// The largest object one PUT may carry, bytes:
/// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html>
pub const S3_PUT_BYTES_MAX: u64 = 5 * 1024 * 1024 * 1024;
/// How often a request is tried.
const TRIES_MAX: u32 = 4;
/// The pause before the second try; it doubles, and a random part of it is waited.
const PAUSE_MIN: Duration = Duration::from_millis(200);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(3);
/// For how long a signature is good: longer than the slowest upload, and clocks differ.
const SIGNATURE_TTL: Duration = Duration::from_secs(3600);
/// A listing's or an error's body, bytes.
const XML_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Objects deleted at the same time by a sweep.
const DELETES_MAX: usize = 8;
/// The namespace of a listing, and how some servers (Google's too) write it.
const XMLNS: &str = "\"http://s3.amazonaws.com/doc/2006-03-01/\"";
const XMLNS_OLD: &str = "\"http://doc.s3.amazonaws.com/2006-03-01/\"";
const NAME_HEADER: &str = "x-amz-meta-name";
const CREATED_HEADER: &str = "x-amz-meta-created-at";

/// A bucket of blobs, path-style.
#[derive(Debug)]
pub struct S3Blobs {
    http: Client,
    bucket: Bucket,
    credentials: Credentials,
    prefix: String,
}

/// A request that can be sent more than once.
struct Call<'a> {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Option<&'a Spool>,
}

impl Call<'_> {
    fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: None,
        }
    }
}

impl S3Blobs {
    /// Prepares the client; nothing is sent yet.
    ///
    /// # Errors
    /// [`BlobError::Config`] if endpoint or bucket make no URL.
    pub fn open(options: S3Options) -> Result<Self, BlobError> {
        let http = options.client()?;
        let bucket = options.bucket()?;
        Ok(Self {
            http,
            bucket,
            credentials: Credentials::new(options.key, options.secret),
            prefix: options.prefix,
        })
    }

    fn object(&self, token: &BlobToken) -> String {
        format!("{}{}", self.prefix, token.as_str())
    }

    fn sign<'a>(&'a self, action: &impl S3Action<'a>) -> Url {
        action.sign(SIGNATURE_TTL)
    }

    /// Sends a request until an answer says yes or no for good.
    async fn send(&self, call: Call<'_>) -> Result<Response, BlobError> {
        let mut pause = PAUSE_MIN;
        let mut tried = 1;
        loop {
            let mut request = self.http.request(call.method.clone(), call.url.clone());
            request = request.headers(call.headers.clone());
            if let Some(spool) = call.body {
                request = request.body(spool.body()?);
            }
            let failure = match request.send().await {
                Ok(answer) if !worth_a_retry(answer.status()) => return Ok(answer),
                Ok(answer) => format!("answer {}", answer.status()),
                Err(error) => cause(error),
            };
            if tried == TRIES_MAX {
                return Err(BlobError::Unavailable(failure));
            }
            tracing::warn!(error = failure, tried, "S3 request is tried again");
            tokio::time::sleep(pause.mul_f64(fastrand::f64())).await;
            pause = (pause * 2).min(PAUSE_MAX);
            tried += 1;
        }
    }

    async fn upload(
        &self,
        token: &BlobToken,
        spool: &Spool,
        meta: &BlobMeta,
    ) -> Result<(), BlobError> {
        let object = self.object(token);
        let mut action = self.bucket.put_object(Some(&self.credentials), &object);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, spool.size().into());
        for (name, value) in meta_headers(meta) {
            let sent = HeaderValue::from_str(&value).expect("meta is visible ASCII");
            headers.insert(name, sent);
            action.headers_mut().insert(name, value);
        }
        let call = Call {
            headers,
            body: Some(spool),
            ..Call::new(Method::PUT, self.sign(&action))
        };
        accept(self.send(call).await?).await.map(drop)
    }

    async fn remove(&self, object: &str) -> Result<(), BlobError> {
        let action = self.bucket.delete_object(Some(&self.credentials), object);
        let call = Call::new(Method::DELETE, self.sign(&action));
        let answer = self.send(call).await?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(()),
            _ => accept(answer).await.map(drop),
        }
    }

    /// One page of the bucket: objects last written before a time, and where the next page begins.
    async fn page(
        &self,
        before: Time,
        after: Option<&str>,
    ) -> Result<(Vec<String>, Option<String>), BlobError> {
        let mut action = self.bucket.list_objects_v2(Some(&self.credentials));
        action.with_prefix(&self.prefix);
        if let Some(after) = after {
            action.with_continuation_token(after);
        }
        let call = Call::new(Method::GET, self.sign(&action));
        let answer = self.send(call).await?;
        let body = collect(stream_of(accept(answer).await?), XML_BYTES_MAX)
            .await
            .map_err(|error| BlobError::Unavailable(error.to_string()))?;
        let page = std::str::from_utf8(&body)
            .ok()
            .and_then(|text| ListObjectsV2::parse_response(&text.replace(XMLNS_OLD, XMLNS)).ok())
            .ok_or_else(|| BlobError::Unavailable("the listing cannot be read".into()))?;
        let old = page.contents.into_iter().filter(|object| {
            let token = object.key.strip_prefix(&self.prefix);
            let written = object.last_modified.as_deref().and_then(|t| t.parse().ok());
            token.and_then(BlobToken::parse).is_some() && written.is_some_and(|t: Time| t < before)
        });
        Ok((
            old.map(|object| object.key).collect(),
            page.next_continuation_token,
        ))
    }
}

#[async_trait]
impl Blobs for S3Blobs {
    async fn put(
        &self,
        body: BlobStream,
        new: &NewBlob,
    ) -> Result<(BlobToken, BlobMeta), BlobError> {
        let spool = Spool::fill(body, new.bytes_max.min(S3_PUT_BYTES_MAX)).await?;
        let meta = BlobMeta::new(new, spool.size(), SystemClock.now());
        let token = BlobToken::new();
        self.upload(&token, &spool, &meta).await?;
        Ok((token, meta))
    }

    async fn read(
        &self,
        token: &BlobToken,
        from: u64,
        bytes: u64,
    ) -> Result<Option<(BlobMeta, BlobStream)>, BlobError> {
        let object = self.object(token);
        let action = self.bucket.get_object(Some(&self.credentials), &object);
        let mut call = Call::new(Method::GET, self.sign(&action));
        if let Some(range) = wanted_range(from, bytes) {
            call.headers.insert(RANGE, range);
        }
        let answer = self.send(call).await?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(None),
            // Empty objects and parts past the end: ask for the meta alone.
            StatusCode::RANGE_NOT_SATISFIABLE => self.read_nothing(&object).await,
            _ => {
                let answer = accept(answer).await?;
                let meta = read_meta(answer.headers())?;
                let skip = from.saturating_sub(first_byte(answer.headers()));
                Ok(Some((meta, cut(stream_of(answer), skip, bytes))))
            }
        }
    }

    async fn delete(&self, token: &BlobToken) -> Result<(), BlobError> {
        self.remove(&self.object(token)).await
    }

    async fn sweep(&self, before: Time, limit: u32) -> Result<u64, BlobError> {
        let mut gone = 0;
        let mut after = None;
        loop {
            let (mut old, next) = self.page(before, after.as_deref()).await?;
            old.truncate((limit - gone) as usize);
            for some in old.chunks(DELETES_MAX) {
                try_join_all(some.iter().map(|object| self.remove(object))).await?;
                gone += u32::try_from(some.len()).expect("a chunk is small");
            }
            match next {
                Some(next) if gone < limit => after = Some(next),
                _ => return Ok(u64::from(gone)),
            }
        }
    }
}

impl S3Blobs {
    async fn read_nothing(
        &self,
        object: &str,
    ) -> Result<Option<(BlobMeta, BlobStream)>, BlobError> {
        let action = self.bucket.head_object(Some(&self.credentials), object);
        let call = Call::new(Method::HEAD, self.sign(&action));
        let answer = self.send(call).await?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(None),
            _ => {
                let meta = read_meta(accept(answer).await?.headers())?;
                Ok(Some((meta, Box::pin(stream::empty()))))
            }
        }
    }
}

/// The headers a PUT keeps with the object; they are signed, so nobody on the way changes them.
fn meta_headers(meta: &BlobMeta) -> Vec<(&'static str, String)> {
    let mut headers = vec![
        ("content-type", meta.mime.clone()),
        (CREATED_HEADER, meta.created_at.to_string()),
    ];
    if let Some(name) = &meta.name {
        let name = utf8_percent_encode(name, NON_ALPHANUMERIC).to_string();
        headers.push((NAME_HEADER, name));
    }
    headers
}

fn read_meta(headers: &HeaderMap) -> Result<BlobMeta, BlobError> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    // `bytes 0-9/100`: the whole size stands last.
    let whole = text(CONTENT_RANGE.as_str()).and_then(|range| range.rsplit('/').next());
    let size = whole.or_else(|| text(CONTENT_LENGTH.as_str()));
    let name = text(NAME_HEADER).map(|name| percent_decode_str(name).decode_utf8_lossy());
    let (Some(size), Some(created_at)) = (
        size.and_then(|size| size.parse().ok()),
        text(CREATED_HEADER).and_then(|at| at.parse().ok()),
    ) else {
        return Err(BlobError::Damaged("its size or time is missing".into()));
    };
    Ok(BlobMeta {
        mime: text(CONTENT_TYPE.as_str())
            .unwrap_or(MIME_UNKNOWN)
            .to_owned(),
        name: name.map(Into::into),
        size,
        created_at,
    })
}

/// The `Range` header; none for the whole. A range cannot be empty, so one byte is the least.
fn wanted_range(from: u64, bytes: u64) -> Option<HeaderValue> {
    let last = from.saturating_add(bytes.max(1) - 1);
    let range = match (from, bytes) {
        (0, u64::MAX) => return None,
        (_, u64::MAX) => format!("bytes={from}-"),
        _ => format!("bytes={from}-{last}"),
    };
    Some(HeaderValue::try_from(range).expect("digits are visible ASCII"))
}

/// The first byte an answer carries: `bytes 5-9/100`; the very first if the range was overlooked.
fn first_byte(headers: &HeaderMap) -> u64 {
    let range = headers.get(CONTENT_RANGE).and_then(|r| r.to_str().ok());
    let first = range.and_then(|range| range.strip_prefix("bytes ")?.split('-').next());
    first.and_then(|first| first.parse().ok()).unwrap_or(0)
}

/// Leaves `skip` bytes out and ends after `take`: servers may answer with more than was asked for.
fn cut(body: BlobStream, skip: u64, take: u64) -> BlobStream {
    Box::pin(stream::try_unfold(
        (body, skip, take),
        async |(mut body, mut skip, take)| {
            while take > 0
                && let Some(mut chunk) = body.try_next().await?
            {
                let length = chunk.len();
                chunk.advance(usize::try_from(skip).map_or(length, |skip| skip.min(length)));
                skip -= (length - chunk.len()) as u64;
                chunk.truncate(usize::try_from(take).unwrap_or(usize::MAX));
                if !chunk.is_empty() {
                    let take = take - chunk.len() as u64;
                    return Ok(Some((chunk, (body, skip, take))));
                }
            }
            Ok(None)
        },
    ))
}

fn worth_a_retry(status: StatusCode) -> bool {
    status.is_server_error()
        || status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT
}

/// An answer of success; anything else says in a word what is wrong (`AccessDenied`, ...).
async fn accept(answer: Response) -> Result<Response, BlobError> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let body = collect(stream_of(answer), XML_BYTES_MAX)
        .await
        .unwrap_or_default();
    let body = String::from_utf8_lossy(&body);
    let code = body
        .split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"))
        .map_or("", |(code, _)| code);
    Err(BlobError::Unavailable(format!(
        "S3 answers {status} {code}"
    )))
}

fn stream_of(answer: Response) -> BlobStream {
    let body = answer.bytes_stream();
    Box::pin(body.map_err(|error| io::Error::other(cause(error))))
}

/// What went wrong, without the URL: it carries a signature.
fn cause(error: reqwest::Error) -> String {
    use std::error::Error as _;
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}
