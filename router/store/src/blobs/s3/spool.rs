//! An upload on its way to the bucket: small ones wait in memory, larger ones in a temporary file.

use std::io;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use reqwest::Body;
use tempfile::NamedTempFile;
use tokio::{fs::File, io::AsyncWriteExt as _};
use tokio_util::io::ReaderStream;

use crate::blobs::{BlobError, BlobStream};

/// Past this an upload waits on disk, bytes.
const MEMORY_BYTES_MAX: usize = 1024 * 1024;

/// A body that can be sent more than once.
pub(super) enum Spool {
    Memory(Bytes),
    File { file: NamedTempFile, size: u64 },
}

impl Spool {
    /// Takes the whole body in.
    pub(super) async fn fill(mut body: BlobStream, bytes_max: u64) -> Result<Self, BlobError> {
        let mut memory = BytesMut::new();
        let mut size = 0_u64;
        let mut file: Option<(NamedTempFile, File)> = None;
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(BlobError::Body)?;
            size += chunk.len() as u64;
            if size > bytes_max {
                return Err(BlobError::TooLarge(bytes_max));
            }
            match &mut file {
                Some((_, file)) => file.write_all(&chunk).await.map_err(no_room)?,
                None if memory.len() + chunk.len() <= MEMORY_BYTES_MAX => {
                    memory.extend_from_slice(&chunk);
                }
                None => {
                    let named = NamedTempFile::new().map_err(no_room)?;
                    let mut new = File::from_std(named.reopen().map_err(no_room)?);
                    new.write_all(&memory).await.map_err(no_room)?;
                    new.write_all(&chunk).await.map_err(no_room)?;
                    memory = BytesMut::new();
                    file = Some((named, new));
                }
            }
        }
        match file {
            None => Ok(Self::Memory(memory.freeze())),
            Some((file, mut writer)) => {
                writer.flush().await.map_err(no_room)?;
                Ok(Self::File { file, size })
            }
        }
    }

    pub(super) fn size(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { size, .. } => *size,
        }
    }

    /// The body from its beginning.
    pub(super) fn body(&self) -> Result<Body, BlobError> {
        match self {
            Self::Memory(bytes) => Ok(bytes.clone().into()),
            Self::File { file, .. } => {
                let reader = File::from_std(file.reopen().map_err(no_room)?);
                Ok(Body::wrap_stream(ReaderStream::new(reader)))
            }
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape `map_err` wants")]
fn no_room(error: io::Error) -> BlobError {
    BlobError::Unavailable(format!("spool an upload: {error}"))
}
