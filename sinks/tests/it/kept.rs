//! Blobs in memory.

use std::collections::HashMap;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use patchbay_message::{Clock, SystemClock, Time};
use patchbay_store::blobs::{
    BlobError, BlobMeta, BlobStream, BlobToken, Blobs, NewBlob, collect, whole,
};

#[derive(Default)]
pub(crate) struct Kept {
    all: Mutex<HashMap<String, (BlobMeta, Bytes)>>,
}

#[async_trait]
impl Blobs for Kept {
    async fn put(
        &self,
        body: BlobStream,
        new: &NewBlob,
    ) -> Result<(BlobToken, BlobMeta), BlobError> {
        let body = collect(body, usize::try_from(new.bytes_max).expect("small")).await?;
        let mut all = self.all.lock();
        let token = BlobToken::parse(&format!("{:043}", all.len())).expect("43 digits");
        let meta = BlobMeta {
            mime: new.mime.clone(),
            name: new.name.clone(),
            size: body.len() as u64,
            created_at: SystemClock.now(),
        };
        all.insert(token.as_str().to_owned(), (meta.clone(), body));
        Ok((token, meta))
    }

    async fn read(
        &self,
        token: &BlobToken,
        _: u64,
        _: u64,
    ) -> Result<Option<(BlobMeta, BlobStream)>, BlobError> {
        let found = self.all.lock().get(token.as_str()).cloned();
        Ok(found.map(|(meta, body)| (meta, whole(body))))
    }

    async fn delete(&self, token: &BlobToken) -> Result<(), BlobError> {
        self.all.lock().remove(token.as_str());
        Ok(())
    }

    async fn sweep(&self, _: Time, _: u32) -> Result<u64, BlobError> {
        Ok(0)
    }
}
