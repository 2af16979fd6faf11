//! The bucket of normalized documents. A key has the digest of its document, so an object is written once and never again.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use sluice_core::digest::Sha256Hex;
use sluice_core::id::ObjectRef;
use sluice_core::port::NormalizedStore;
use sluice_core::{Code, Fault};

use crate::error::fault;
use crate::raw::checksum;

/// The bucket.
#[derive(Debug, Clone)]
pub struct S3NormalizedStore {
    client: Client,
    bucket: String,
}

impl S3NormalizedStore {
    /// Over a bucket.
    pub fn new(sdk: &SdkConfig, bucket: impl Into<String>) -> Self {
        Self { client: crate::client::s3(sdk), bucket: bucket.into() }
    }
}

#[async_trait]
impl NormalizedStore for S3NormalizedStore {
    async fn put_if_absent(&self, key: &str, bytes: Bytes, sha256: &Sha256Hex) -> Result<ObjectRef, Fault> {
        let at = ObjectRef { bucket: self.bucket.clone(), key: key.to_owned() };
        let put = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .if_none_match("*")
            .content_type("application/x-ndjson")
            .checksum_sha256(checksum(sha256))
            .body(ByteStream::from(bytes))
            .send()
            .await;
        match put {
            Ok(_) => Ok(at),
            Err(error) if error.raw_response().is_some_and(|answer| answer.status().as_u16() == 412) => {
                Ok(at)
            }
            Err(error) => Err(fault("write the normalized document", error)),
        }
    }

    async fn get(&self, at: &ObjectRef) -> Result<Bytes, Fault> {
        crate::raw::get(&self.client, &at.bucket, &at.key, Code::NormalizedMissing).await
    }
}
