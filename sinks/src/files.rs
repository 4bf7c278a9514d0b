//! Files of ours: on their way into requests, where adapters only name them; and those that came in.

use std::{fmt, sync::Arc};

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use patchbay_sdk::{Effect, HttpOut, Insert, Request, SendError};
use patchbay_store::blobs::{BlobError, BlobMeta, BlobToken, Blobs, NewBlob, whole};

/// In front of a blob's token in what media calls its address.
const MEDIA: &str = "/media/";

/// Where files of ours are; nowhere by default.
#[derive(Clone, Default)]
pub struct Files(Option<Arc<dyn Blobs>>);

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Files").field(&self.0.is_some()).finish()
    }
}

impl From<Arc<dyn Blobs>> for Files {
    fn from(blobs: Arc<dyn Blobs>) -> Self {
        Self(Some(blobs))
    }
}

impl Files {
    /// The request with the file it names in its body. It is read as a whole: the adapter's
    /// `bytes_max` is the bound of what one request holds in memory.
    ///
    /// # Errors
    /// [`SendError::Payload`] for a file that is not there or too large, [`SendError::Retry`] if it
    /// cannot be read now.
    pub(crate) async fn filled(&self, request: Request) -> Result<Request, SendError> {
        let Request::Http(mut out) = request else {
            return Ok(request);
        };
        if let Effect::Upload(upload) = &mut out.effect
            && let Some(insert) = upload.insert.take()
        {
            out.body = self.body(&out, &insert).await?.freeze();
        }
        Ok(Request::Http(out))
    }

    /// Keeps a file that came in.
    ///
    /// # Errors
    /// As [`Blobs::put`]; [`BlobError::Config`] if there is no place for files.
    pub(crate) async fn keep(
        &self,
        bytes: Bytes,
        new: &NewBlob,
    ) -> Result<(BlobToken, BlobMeta), BlobError> {
        match &self.0 {
            Some(blobs) => blobs.put(whole(bytes), new).await,
            None => Err(BlobError::Config("there is no place for files".to_owned())),
        }
    }

    async fn body(&self, out: &HttpOut, insert: &Insert) -> Result<BytesMut, SendError> {
        let gone = || SendError::Payload("a file of the message is not there".to_owned());
        let token = insert.media.strip_prefix(MEDIA).and_then(BlobToken::parse);
        let (Some(token), Some(blobs)) = (token, &self.0) else {
            return Err(gone());
        };
        let found = blobs.get(&token).await.map_err(|error| failed(&error))?;
        let (meta, mut stream) = found.ok_or_else(gone)?;
        if meta.size > insert.bytes_max {
            let sentence = format!(
                "a file has {} bytes, {} at most are taken",
                meta.size, insert.bytes_max
            );
            return Err(SendError::Payload(sentence));
        }
        let at = insert.at.min(out.body.len());
        let size = usize::try_from(meta.size).unwrap_or_default();
        let mut body = BytesMut::with_capacity(out.body.len() + size);
        body.extend_from_slice(&out.body[..at]);
        let broken = |_| SendError::Retry(None);
        while let Some(piece) = stream.try_next().await.map_err(broken)? {
            body.extend_from_slice(&piece);
        }
        body.extend_from_slice(&out.body[at..]);
        Ok(body)
    }
}

fn failed(error: &BlobError) -> SendError {
    match error {
        BlobError::Unavailable(_) | BlobError::Body(_) => SendError::Retry(None),
        BlobError::Damaged(_) | BlobError::Config(_) | BlobError::TooLarge(_) => {
            SendError::Payload("a file of the message cannot be read".to_owned())
        }
    }
}

#[cfg(test)]
mod tests;
