//! Blobs as files in a folder: `<folder>/<two characters>/<token>`, and `<folder>/tmp` for what is
//! still arriving.
//!
//! One file holds body and meta, so that one rename shows both or neither: the body from byte 0, the
//! meta as JSON after it, and a fixed [`Footer`] last. The body is fsynced before the rename and the
//! folder after it, so a token outlives a power cut.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use patchbay_message::{Clock as _, SystemClock, Time};
use serde::{Deserialize, Serialize};
use tokio::{
    fs::File,
    io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _, SeekFrom},
};

use super::{BlobError, BlobMeta, BlobStream, BlobToken, Blobs, NewBlob};

/// Ends every whole blob file; the digit is the format's version.
const MAGIC: &[u8; 8] = b"pbblob1\n";
/// Bytes of a [`Footer`].
const FOOTER_BYTES: u64 = 12;
/// Meta as JSON, bytes; what claims more is damaged.
const META_BYTES_MAX: u64 = 4096;
/// Read at once, bytes.
const CHUNK_BYTES: usize = 64 * 1024;
/// An unfinished put older than this belongs to a process that is gone.
const UNFINISHED_AGE: Duration = Duration::from_secs(24 * 3600);

/// A folder of blobs. Several processes may use one folder at the same time.
#[derive(Debug, Clone)]
pub struct FileBlobs {
    folder: PathBuf,
}

/// The meta as it is written.
#[derive(Serialize, Deserialize)]
struct Written {
    mime: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    size: u64,
    created_at: Time,
}

impl FileBlobs {
    /// Opens the folder, makes it if it is not there, and proves that it can be written to.
    ///
    /// # Errors
    /// [`BlobError::Config`] if it cannot.
    pub async fn open(folder: impl Into<PathBuf>) -> Result<Self, BlobError> {
        let this = Self {
            folder: folder.into(),
        };
        let trial = this.temp(&BlobToken::new());
        let tried = async {
            make_private(&this.folder.join("tmp")).await?;
            sync_folder(&this.folder).await?;
            tokio::fs::write(&trial, b"").await?;
            tokio::fs::remove_file(&trial).await
        };
        match tried.await {
            Ok(()) => Ok(this),
            Err(error) => Err(BlobError::Config(format!(
                "{}: {error}",
                this.folder.display()
            ))),
        }
    }

    fn path(&self, token: &BlobToken) -> PathBuf {
        let token = token.as_str();
        self.folder.join(&token[..2]).join(token)
    }

    fn temp(&self, token: &BlobToken) -> PathBuf {
        self.folder.join("tmp").join(token.as_str())
    }

    /// Renames the finished file to where readers look, and makes the name durable.
    async fn publish(&self, temp: &Path, token: &BlobToken) -> io::Result<()> {
        let path = self.path(token);
        let folder = path.parent().expect("a blob's path has a folder");
        if let Err(error) = tokio::fs::rename(temp, &path).await {
            if error.kind() != io::ErrorKind::NotFound {
                return Err(error);
            }
            make_private(folder).await?;
            sync_folder(&self.folder).await?;
            tokio::fs::rename(temp, &path).await?;
        }
        sync_folder(folder).await
    }
}

#[async_trait]
impl Blobs for FileBlobs {
    async fn put(
        &self,
        mut body: BlobStream,
        new: &NewBlob,
    ) -> Result<(BlobToken, BlobMeta), BlobError> {
        let token = BlobToken::new();
        let temp = Unfinished(self.temp(&token));
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .open(&temp.0)
            .await
            .map_err(unavailable)?;
        let mut size = 0_u64;
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(BlobError::Body)?;
            size += chunk.len() as u64;
            if size > new.bytes_max {
                return Err(BlobError::TooLarge(new.bytes_max));
            }
            file.write_all(&chunk).await.map_err(unavailable)?;
        }
        let meta = BlobMeta::new(new, size, SystemClock.now());
        file.write_all(&footer(&meta)).await.map_err(unavailable)?;
        file.flush().await.map_err(unavailable)?;
        file.sync_all().await.map_err(unavailable)?;
        drop(file);
        self.publish(&temp.0, &token).await.map_err(unavailable)?;
        Ok((token, meta))
    }

    async fn read(
        &self,
        token: &BlobToken,
        from: u64,
        bytes: u64,
    ) -> Result<Option<(BlobMeta, BlobStream)>, BlobError> {
        let mut file = match File::open(self.path(token)).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unavailable(error)),
        };
        let meta = read_meta(&mut file).await?;
        let from = from.min(meta.size);
        file.seek(SeekFrom::Start(from))
            .await
            .map_err(unavailable)?;
        let left = bytes.min(meta.size - from);
        Ok(Some((meta, chunks(file, left))))
    }

    async fn delete(&self, token: &BlobToken) -> Result<(), BlobError> {
        match tokio::fs::remove_file(self.path(token)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unavailable(error)),
            _ => Ok(()),
        }
    }

    async fn sweep(&self, before: Time, limit: u32) -> Result<u64, BlobError> {
        let folder = self.folder.clone();
        let now = SystemClock.now();
        tokio::task::spawn_blocking(move || {
            sweep_folder(&folder.join("tmp"), now.minus(UNFINISHED_AGE), u64::MAX)?;
            sweep_fan(&folder, before, u64::from(limit))
        })
        .await
        .map_err(io::Error::other)
        .flatten()
        .map_err(unavailable)
    }
}

/// A file that is removed again unless it was renamed away.
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "an unfinished blob is left to the sweep");
            }
            _ => {}
        }
    }
}

/// Meta, its length, and the magic.
fn footer(meta: &BlobMeta) -> Vec<u8> {
    let written = Written {
        mime: meta.mime.clone(),
        name: meta.name.clone(),
        size: meta.size,
        created_at: meta.created_at,
    };
    let mut footer = serde_json::to_vec(&written).expect("texts and numbers are always JSON");
    let length = u32::try_from(footer.len()).expect("type and name are bounded");
    footer.extend_from_slice(&length.to_le_bytes());
    footer.extend_from_slice(MAGIC);
    footer
}

/// Reads the footer and checks that the file is as long as it says.
async fn read_meta(file: &mut File) -> Result<BlobMeta, BlobError> {
    let damaged = |what: &str| BlobError::Damaged(what.to_owned());
    let length = file.metadata().await.map_err(unavailable)?.len();
    if length < FOOTER_BYTES {
        return Err(damaged("it has no footer"));
    }
    let tail = read_at(file, length - FOOTER_BYTES, FOOTER_BYTES).await?;
    let (meta_bytes, magic) = tail.split_at(4);
    if magic != MAGIC {
        return Err(damaged("it has no footer"));
    }
    let meta_bytes =
        u32::from_le_bytes(meta_bytes.try_into().expect("four bytes were split off")).into();
    if meta_bytes > META_BYTES_MAX || meta_bytes > length - FOOTER_BYTES {
        return Err(damaged("its footer is too long"));
    }
    let body_bytes = length - FOOTER_BYTES - meta_bytes;
    let meta = read_at(file, body_bytes, meta_bytes).await?;
    let meta: Written =
        serde_json::from_slice(&meta).map_err(|_| damaged("its footer cannot be read"))?;
    if meta.size != body_bytes {
        return Err(damaged("it is not as long as it was"));
    }
    Ok(BlobMeta {
        mime: meta.mime,
        name: meta.name,
        size: meta.size,
        created_at: meta.created_at,
    })
}

async fn read_at(file: &mut File, from: u64, bytes: u64) -> Result<Vec<u8>, BlobError> {
    let mut part = Vec::new();
    file.seek(SeekFrom::Start(from))
        .await
        .map_err(unavailable)?;
    file.take(bytes)
        .read_to_end(&mut part)
        .await
        .map_err(unavailable)?;
    if part.len() as u64 == bytes {
        Ok(part)
    } else {
        Err(BlobError::Damaged("it ends early".into()))
    }
}

/// The next `left` bytes of a file.
fn chunks(file: File, left: u64) -> BlobStream {
    Box::pin(stream::try_unfold(
        (file, left),
        async |(mut file, left)| {
            if left == 0 {
                return Ok(None);
            }
            let want = usize::try_from(left).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
            let mut chunk = BytesMut::zeroed(want);
            let read = file.read(&mut chunk).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            chunk.truncate(read);
            let chunk: Bytes = chunk.freeze();
            Ok(Some((chunk, (file, left - read as u64))))
        },
    ))
}

/// What visitors upload is nobody's business but ours.
async fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = tokio::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    builder.mode(0o700);
    builder.create(folder).await
}

/// Makes names that were added to a folder durable.
async fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder).await?.sync_all().await
}

/// Sweeps every folder of two characters below `folder`.
fn sweep_fan(folder: &Path, before: Time, limit: u64) -> io::Result<u64> {
    let mut gone = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if gone < limit && entry.file_name().len() == 2 && entry.file_type()?.is_dir() {
            gone += sweep_folder(&entry.path(), before, limit - gone)?;
        }
    }
    Ok(gone)
}

/// Removes files last written before a time: blobs never change, so that is when they were put.
fn sweep_folder(folder: &Path, before: Time, limit: u64) -> io::Result<u64> {
    let mut gone = 0;
    for entry in fs::read_dir(folder)? {
        if gone == limit {
            break;
        }
        match remove_if_older(&entry?, before) {
            Ok(removed) => gone += u64::from(removed),
            // Somebody else was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(gone)
}

fn remove_if_older(entry: &fs::DirEntry, before: Time) -> io::Result<bool> {
    let meta = entry.metadata()?;
    let written = meta.modified()?.duration_since(SystemTime::UNIX_EPOCH);
    let written = Time::from_ms(0).plus(written.unwrap_or_default());
    if !meta.is_file() || written >= before {
        return Ok(false);
    }
    fs::remove_file(entry.path())?;
    Ok(true)
}

#[expect(clippy::needless_pass_by_value, reason = "the shape `map_err` wants")]
fn unavailable(error: io::Error) -> BlobError {
    BlobError::Unavailable(error.to_string())
}
