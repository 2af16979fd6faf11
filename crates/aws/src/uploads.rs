//! The bucket of uploads: bodies between the front door and the raw store. Whatever is forgotten there expires by the bucket's
//! lifecycle.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use sluice_core::digest::Sha256Hex;
use sluice_core::id::ObjectRef;
use sluice_core::intake::Staged;
use sluice_core::port::UploadStore;
use sluice_core::{Code, Fault};

use crate::error::fault;
use crate::raw::checksum;

/// The bucket.
#[derive(Debug, Clone)]
pub struct S3UploadStore {
    client: Client,
    bucket: String,
}

impl S3UploadStore {
    /// Over a bucket.
    pub fn new(sdk: &SdkConfig, bucket: impl Into<String>) -> Self {
        Self { client: crate::client::s3(sdk), bucket: bucket.into() }
    }
}

#[async_trait]
impl UploadStore for S3UploadStore {
    async fn put(&self, key: &str, bytes: Bytes) -> Result<Staged, Fault> {
        let r#ref = ObjectRef { bucket: self.bucket.clone(), key: key.to_owned() };
        let staged = Staged { r#ref, sha256: Sha256Hex::of(&bytes), bytes: bytes.len() as u64 };
        self.client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .checksum_sha256(checksum(&staged.sha256))
            .body(ByteStream::from(bytes))
            .send()
            .await
            .map_err(|error| fault("stage a body", error))?;
        Ok(staged)
    }

    async fn get(&self, at: &Staged) -> Result<Bytes, Fault> {
        let bytes =
            crate::raw::get(&self.client, &at.r#ref.bucket, &at.r#ref.key, Code::InputMalformed).await?;
        if Sha256Hex::of(&bytes) == at.sha256 {
            return Ok(bytes);
        }
        Err(Fault::new(Code::InputMalformed, format!("{} is not the body that was staged", at.r#ref.key)))
    }

    async fn remove(&self, at: &Staged) -> Result<(), Fault> {
        let delete = self.client.delete_object().bucket(&at.r#ref.bucket).key(&at.r#ref.key).send();
        delete.await.map(|_| ()).map_err(|error| fault("remove a staged body", error))
    }
}
