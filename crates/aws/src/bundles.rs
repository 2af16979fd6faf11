//! The mappers bucket: immutable objects under keys made of their digests.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use sluice_core::port::BundleStore;
use sluice_core::{Code, Fault};

use crate::error::fault;

/// The bucket.
#[derive(Debug, Clone)]
pub struct S3BundleStore {
    client: Client,
    bucket: String,
}

impl S3BundleStore {
    /// Over a bucket.
    pub fn new(sdk: &SdkConfig, bucket: impl Into<String>) -> Self {
        Self { client: crate::client::s3(sdk), bucket: bucket.into() }
    }
}

#[async_trait]
impl BundleStore for S3BundleStore {
    async fn get(&self, key: &str) -> Result<Bytes, Fault> {
        crate::raw::get(&self.client, &self.bucket, key, Code::BundleMissing).await
    }

    async fn put_if_absent(&self, key: &str, bytes: Bytes) -> Result<(), Fault> {
        let put = self.client.put_object().bucket(&self.bucket).key(key).if_none_match("*");
        match put.body(ByteStream::from(bytes)).send().await {
            Ok(_) => Ok(()),
            // The key says what it is: what is there is the same.
            Err(SdkError::ServiceError(service)) if service.raw().status().as_u16() == 412 => Ok(()),
            Err(error) => Err(fault("write an object of a bundle", error)),
        }
    }
    async fn list(&self, prefix: &str) -> Result<Vec<String>, Fault> {
        let mut keys = Vec::new();
        let mut from: Option<String> = None;
        loop {
            let answer = self
                .client
                .list_objects_v2()
                .bucket(&self.bucket)
                .prefix(prefix)
                .set_continuation_token(from)
                .send()
                .await
                .map_err(|error| fault("list the objects of a bundle", error))?;
            keys.extend(answer.contents.unwrap_or_default().into_iter().filter_map(|object| object.key));
            from = answer.next_continuation_token;
            if from.is_none() {
                return Ok(keys);
            }
        }
    }
}
