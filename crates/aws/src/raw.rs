//! The raw bucket: write-once. The bucket policy on AWS demands `If-None-Match`; this adapter always sends it.

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::primitives::ByteStream;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sluice_core::digest::Sha256Hex;
use sluice_core::id::ObjectRef;
use sluice_core::port::{RawHeaders, RawStore};
use sluice_core::{Code, Fault};

use crate::error::fault;

/// Object metadata that holds the digest in hexadecimal.
const SHA256_METADATA: &str = "sha256";

/// The bucket.
#[derive(Debug, Clone)]
pub struct S3RawStore {
    client: Client,
    bucket: String,
}

impl S3RawStore {
    /// Over a bucket.
    pub fn new(sdk: &SdkConfig, bucket: impl Into<String>) -> Self {
        Self { client: crate::client::s3(sdk), bucket: bucket.into() }
    }

    async fn held_digest(&self, key: &str) -> Result<Option<String>, Fault> {
        let head = self.client.head_object().bucket(&self.bucket).key(key).send().await;
        let head = head.map_err(|error| fault("look at the raw object that exists", error))?;
        Ok(head.metadata.and_then(|metadata| metadata.get(SHA256_METADATA).cloned()))
    }
}

#[async_trait]
impl RawStore for S3RawStore {
    async fn put_if_absent(&self, key: &str, bytes: Bytes, headers: &RawHeaders) -> Result<ObjectRef, Fault> {
        let at = ObjectRef { bucket: self.bucket.clone(), key: key.to_owned() };
        let result = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .if_none_match("*")
            .content_type(&headers.content_type)
            .set_content_encoding(headers.content_encoding.clone())
            .metadata(SHA256_METADATA, headers.sha256.as_str())
            .checksum_sha256(checksum(&headers.sha256))
            .body(ByteStream::from(bytes))
            .send()
            .await;
        match result {
            Ok(_) => Ok(at),
            Err(SdkError::ServiceError(service)) if service.raw().status().as_u16() == 412 => {
                if self.held_digest(key).await?.as_deref() == Some(headers.sha256.as_str()) {
                    return Ok(at);
                }
                Err(Fault::new(
                    Code::RawDigestMismatch,
                    format!("the raw object {key} exists with other bytes"),
                ))
            }
            Err(error) => Err(fault("write the raw object", error)),
        }
    }

    async fn get(&self, at: &ObjectRef) -> Result<Bytes, Fault> {
        get(&self.client, &at.bucket, &at.key, Code::RawMissing).await
    }
}

/// Reads an object whole; a key that is not there is `missing`.
pub(crate) async fn get(client: &Client, bucket: &str, key: &str, missing: Code) -> Result<Bytes, Fault> {
    match client.get_object().bucket(bucket).key(key).send().await {
        Ok(object) => {
            let bytes = object.body.collect().await.map_err(|error| {
                Fault::new(Code::Unavailable, format!("failed to read the object {key} to its end"))
                    .with_source(error)
            })?;
            Ok(bytes.into_bytes())
        }
        Err(SdkError::ServiceError(service)) if service.err().is_no_such_key() => {
            Err(Fault::new(missing, format!("there is no object {key} in the bucket {bucket}")))
        }
        Err(error) => Err(fault("read an object", error)),
    }
}

/// Header value of a digest.
pub(crate) fn checksum(sha256: &Sha256Hex) -> String {
    STANDARD.encode(sha256.to_bytes())
}
