//! Blobs: files that messages name. Two places to keep them: a folder ([`FileBlobs`]) and an
//! S3-compatible bucket ([`S3Blobs`]).
//!
//! A blob is whole and durable before its token exists, so whatever is published with a token can
//! be fetched. The token is the only key to it: 256 random bits that cannot be guessed. Blobs never
//! change; they go by `delete` or, past their age, by `sweep`.

mod file;
mod s3;

use std::{fmt, io, path::Path, pin::Pin, sync::Arc};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
pub use file::FileBlobs;
use futures_util::{Stream, StreamExt as _, stream};
use patchbay_message::Time;
pub use s3::{S3_PUT_BYTES_MAX, S3Blobs, S3Options};

/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;
/// Characters of a token: [`TOKEN_BYTES`] in base64url without padding.
const TOKEN_CHARS: usize = 43;
/// A type on the wire, bytes. Longer ones become [`MIME_UNKNOWN`].
const MIME_BYTES_MAX: usize = 128;
/// What a blob without a usable type is.
const MIME_UNKNOWN: &str = "application/octet-stream";
/// A file name for people, bytes; the rest is cut off.
const NAME_BYTES_MAX: usize = 255;

/// A blob's body on its way in or out.
pub type BlobStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// A body that is in memory already.
#[must_use]
pub fn whole(body: Bytes) -> BlobStream {
    Box::pin(stream::iter((!body.is_empty()).then_some(Ok(body))))
}

/// Names a blob and is the right to read it: never log it. 43 characters of base64url.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct BlobToken(String);

impl BlobToken {
    fn new() -> Self {
        Self(URL_SAFE_NO_PAD.encode(rand::random::<[u8; TOKEN_BYTES]>()))
    }

    /// The token a text spells, if it spells one: `None` for anything a [`Blobs`] never made, so
    /// that a path from a stranger never reaches a file system or a bucket.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let good = text.len() == TOKEN_CHARS
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        good.then(|| Self(text.to_owned()))
    }

    /// The token as text, for a URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for BlobToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobToken({}..)", &self.0[..4])
    }
}

/// What is said of a blob when it is put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBlob {
    /// Its type, as read from the bytes. What is no type is kept as `application/octet-stream`.
    pub mime: String,
    /// File name for people; never a path. Cut to 255 bytes.
    pub name: Option<String>,
    /// More bytes than this are refused with [`BlobError::TooLarge`], and nothing is kept.
    pub bytes_max: u64,
}

/// What is known of a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobMeta {
    /// Its type.
    pub mime: String,
    /// File name for people.
    pub name: Option<String>,
    /// Bytes.
    pub size: u64,
    /// When it was put.
    pub created_at: Time,
}

impl BlobMeta {
    fn new(new: &NewBlob, size: u64, created_at: Time) -> Self {
        Self {
            mime: clean_mime(&new.mime),
            name: new.name.as_deref().and_then(clean_name),
            size,
            created_at,
        }
    }
}

/// What can go wrong, by what the caller does about it.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// Tell the sender. Nothing was kept.
    #[error("the file is larger than {0} bytes")]
    TooLarge(u64),
    /// The body broke off on its way in (the sender went away). Nothing was kept.
    #[error("the file did not arrive whole")]
    Body(#[source] io::Error),
    /// There is a blob, but not as it was written. A human is needed.
    #[error("the file is damaged: {0}")]
    Damaged(String),
    /// The place cannot be used as it is configured. A human is needed.
    #[error("blobs cannot be kept: {0}")]
    Config(String),
    /// Wait and try again.
    #[error("blobs unavailable: {0}")]
    Unavailable(String),
}

/// A place where blobs are kept.
#[async_trait]
pub trait Blobs: Send + Sync + 'static {
    /// Keeps a body. When this answers, the blob is durable and whole; if it does not, there is
    /// nothing to be seen of it.
    ///
    /// # Errors
    /// [`BlobError::TooLarge`], [`BlobError::Body`], [`BlobError::Unavailable`].
    async fn put(
        &self,
        body: BlobStream,
        new: &NewBlob,
    ) -> Result<(BlobToken, BlobMeta), BlobError>;

    /// The part of a blob that begins at byte `from`, at most `bytes` long; `None` if there is no
    /// such blob. The meta's `size` is that of the whole blob; a part past its end is empty.
    ///
    /// # Errors
    /// [`BlobError::Damaged`], [`BlobError::Unavailable`]; and later, in the stream, an IO error.
    async fn read(
        &self,
        token: &BlobToken,
        from: u64,
        bytes: u64,
    ) -> Result<Option<(BlobMeta, BlobStream)>, BlobError>;

    /// A whole blob; `None` if there is no such blob.
    ///
    /// # Errors
    /// As [`Self::read`].
    async fn get(&self, token: &BlobToken) -> Result<Option<(BlobMeta, BlobStream)>, BlobError> {
        self.read(token, 0, u64::MAX).await
    }

    /// Removes a blob; one that is not there is removed already.
    ///
    /// # Errors
    /// [`BlobError::Unavailable`].
    async fn delete(&self, token: &BlobToken) -> Result<(), BlobError>;

    /// Removes blobs put before `before`, at most `limit` of them, and what interrupted puts left
    /// behind; answers how many blobs went.
    ///
    /// # Errors
    /// [`BlobError::Unavailable`]; what was removed until then stays removed.
    async fn sweep(&self, before: Time, limit: u32) -> Result<u64, BlobError>;
}

/// Opens the place a URL names: `file` (the folder `blobs` below `data_dir`), `file:FOLDER`, or an
/// S3 bucket as [`S3Options::from_url`] reads it.
///
/// # Errors
/// [`BlobError::Config`] if the URL cannot be understood or the folder cannot be made.
pub async fn open(url: &str, data_dir: &Path) -> Result<Arc<dyn Blobs>, BlobError> {
    if url == "file" {
        return Ok(Arc::new(FileBlobs::open(data_dir.join("blobs")).await?));
    }
    if let Some(folder) = url.strip_prefix("file:") {
        let folder = folder.strip_prefix("//").unwrap_or(folder);
        return Ok(Arc::new(FileBlobs::open(folder).await?));
    }
    Ok(Arc::new(S3Blobs::open(S3Options::from_url(url)?)?))
}

/// Reads a whole stream into memory.
///
/// # Errors
/// [`BlobError::TooLarge`] past `bytes_max`, [`BlobError::Body`] if the stream breaks off.
pub async fn collect(mut body: BlobStream, bytes_max: usize) -> Result<Bytes, BlobError> {
    let mut all = Vec::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(BlobError::Body)?;
        if all.len() + chunk.len() > bytes_max {
            return Err(BlobError::TooLarge(bytes_max as u64));
        }
        all.extend_from_slice(&chunk);
    }
    Ok(all.into())
}

/// The type of a file by its first bytes; what is text and nothing else is plain text.
#[must_use]
pub fn sniff(body: &[u8]) -> &'static str {
    if let Some(kind) = infer::get(body) {
        return match kind.mime_type() {
            // A browser would run these in our name; they are given as text.
            "text/html" | "text/xml" | "image/svg+xml" => "text/plain",
            mime => mime,
        };
    }
    let text = std::str::from_utf8(body).is_ok_and(|text| !text.contains('\0'));
    if text {
        "text/plain"
    } else {
        "application/octet-stream"
    }
}

/// A type travels in headers, so only visible ASCII of a sane length passes.
fn clean_mime(mime: &str) -> String {
    let good = mime.len() <= MIME_BYTES_MAX
        && mime.contains('/')
        && mime.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
    if good { mime } else { MIME_UNKNOWN }.to_owned()
}

/// The last part of a path, without control characters, cut at a character's border.
fn clean_name(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut clean: String = last.chars().filter(|c| !c.is_control()).collect();
    clean.truncate(clean.floor_char_boundary(NAME_BYTES_MAX));
    let clean = clean.trim();
    (!clean.is_empty()).then(|| clean.to_owned())
}
