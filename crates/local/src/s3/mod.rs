//! S3: `s3s` for the protocol, [`store`] for the objects.
//!
//! What it adds to `s3s` before a request gets there: signatures are dropped unread (any credentials are good on loopback),
//! `aws-chunked` bodies are decoded, `x-amz-content-sha256` is verified.
//!
//! Limits: an object is at most [`OBJECT_BYTES_MAX`] and is held in memory while it is written or read; multipart uploads,
//! versions, tags and ACLs are answered `NotImplemented`. A write-once bucket refuses what the bucket policy refuses on AWS:
//! a put without `If-None-Match: *`, and every delete.

mod api;
mod chunked;
pub(crate) mod store;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use s3s::crypto::{Checksum as _, Sha256};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, S3Error, S3ErrorCode, s3_error};

use crate::topology;
use crate::wire;
pub(crate) use store::LAYOUTS;
use store::Store;

/// Largest object, in bytes (64 MiB).
pub(crate) const OBJECT_BYTES_MAX: usize = 64 * 1024 * 1024;

const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const DECODED_LENGTH: HeaderName = HeaderName::from_static("x-amz-decoded-content-length");
const TRAILER: HeaderName = HeaderName::from_static("x-amz-trailer");

/// The service.
pub(crate) struct S3 {
    store: Arc<Store>,
    service: S3Service,
}

impl std::fmt::Debug for S3 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("S3")
    }
}

impl S3 {
    /// Opens or creates the file.
    pub(crate) fn open(path: &Path) -> rusqlite::Result<Self> {
        let store = Arc::new(Store::open(path)?);
        let service = S3ServiceBuilder::new(api::Api(Arc::clone(&store))).build();
        Ok(Self { store, service })
    }

    /// Creates the buckets.
    pub(crate) fn ensure_buckets(&self, buckets: &[topology::Bucket]) -> rusqlite::Result<()> {
        for bucket in buckets {
            if !self.store.create_bucket(&bucket.name, bucket.write_once, wire::now_ms())? {
                self.store.set_write_once(&bucket.name, bucket.write_once)?;
            }
        }
        Ok(())
    }

    /// The objects that expire.
    pub(crate) fn expiring(&self, buckets: &[topology::Bucket]) -> Expiring {
        let days = buckets.iter().filter_map(|bucket| Some((bucket.name.clone(), bucket.expire_days?)));
        Expiring { store: Arc::clone(&self.store), days: days.collect() }
    }

    /// The objects, for a service beside S3 that reads and writes them without a request.
    pub(crate) fn objects(&self) -> Objects {
        Objects(Arc::clone(&self.store))
    }

    /// One request, path style.
    pub(crate) async fn handle(&self, request: Request<Body>) -> Response<Body> {
        let head_only = request.method() == Method::HEAD;
        let response = match prepare(request).await {
            Ok(request) => self.service.call(request).await.unwrap_or_else(|error| {
                tracing::error!(?error, "an S3 request failed");
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                response
            }),
            Err(error) => error.to_http_response().unwrap_or_else(|_| Response::new(Body::empty())),
        };
        let response = wire::with_request_id(response, HeaderName::from_static("x-amz-request-id"));
        if head_only { response.map(|_| Body::empty()) } else { response }
    }
}

/// The objects of all buckets.
#[derive(Debug, Clone)]
pub(crate) struct Objects(Arc<Store>);

/// The objects of the buckets that have a lifecycle.
#[derive(Debug, Clone)]
pub(crate) struct Expiring {
    store: Arc<Store>,
    days: Vec<(String, u32)>,
}

impl Expiring {
    /// Deletes what is as old as its bucket keeps it, `now` being in milliseconds.
    pub(crate) fn sweep(&self, now: i64) -> rusqlite::Result<usize> {
        let mut deleted = 0;
        for (name, days) in &self.days {
            let Some(bucket) = self.store.bucket(name)? else { continue };
            deleted += self.store.delete_before(bucket.id, now - i64::from(*days) * 86_400_000)?;
        }
        Ok(deleted)
    }
}

/// A part of an object.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) bytes: Bytes,
    pub(crate) etag: String,
    /// Bytes of the whole object.
    pub(crate) size: u64,
}

/// Why an object cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ObjectError {
    #[error("The specified bucket does not exist")]
    NoSuchBucket,
    #[error("The specified key does not exist.")]
    NoSuchKey,
    #[error("the bucket is write-once: its policy denies PutObject without If-None-Match: *")]
    WriteOnce,
    #[error("an object of the local cloud is at most 64 MiB, this has {0} bytes")]
    TooLarge(usize),
    #[error(transparent)]
    Store(#[from] rusqlite::Error),
}

impl ObjectError {
    /// S3's name for it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::NoSuchBucket => "NoSuchBucket",
            Self::NoSuchKey => "NoSuchKey",
            Self::WriteOnce => "AccessDenied",
            Self::TooLarge(_) => "EntityTooLarge",
            Self::Store(_) => "InternalError",
        }
    }
}

impl Objects {
    /// At most `bytes_max` bytes from `offset` on; none at the end.
    pub(crate) fn read(
        &self,
        bucket: &str,
        key: &str,
        offset: u64,
        bytes_max: u64,
    ) -> Result<Part, ObjectError> {
        let bucket = self.0.bucket(bucket)?.ok_or(ObjectError::NoSuchBucket)?;
        let (object, bytes) =
            self.0.part(bucket.id, key, offset, bytes_max)?.ok_or(ObjectError::NoSuchKey)?;
        Ok(Part { bytes, etag: object.etag, size: object.size })
    }

    /// Writes an object, or replaces it.
    pub(crate) fn write(
        &self,
        bucket: &str,
        key: &str,
        data: &[u8],
        content_type: &str,
    ) -> Result<(), ObjectError> {
        let bucket = self.0.bucket(bucket)?.ok_or(ObjectError::NoSuchBucket)?;
        if bucket.write_once {
            return Err(ObjectError::WriteOnce);
        }
        if data.len() > OBJECT_BYTES_MAX {
            return Err(ObjectError::TooLarge(data.len()));
        }
        let etag = hex::encode(s3s::crypto::Md5::checksum(data));
        let headers =
            store::Headers { content_type: Some(content_type.to_owned()), ..store::Headers::default() };
        let condition = store::Condition::None;
        let put = self.0.put(bucket.id, key, data, &etag, &headers, &condition, wire::now_ms())?;
        put.map_err(|refusal| unreachable!("nothing was asked of the object, and it was {refusal:?}"))
    }
}

/// Takes away what only matters to a verifier of signatures, and the coding of the body.
async fn prepare(request: Request<Body>) -> Result<Request<Body>, S3Error> {
    let (mut parts, mut body) = request.into_parts();
    parts.headers.remove(AUTHORIZATION);
    parts.uri = without_signature(&parts.uri);
    let declared = parts.headers.remove(CONTENT_SHA256);
    if !matches!(parts.method, Method::PUT | Method::POST) {
        return Ok(Request::from_parts(parts, body));
    }
    let mut data =
        body.store_all_limited(OBJECT_BYTES_MAX + OBJECT_BYTES_MAX / 8).await.map_err(|error| {
            // The length is the one thing that can be over the limit; anything else is the connection.
            let length =
                parts.headers.get(CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse::<usize>().ok());
            if length.is_none_or(|length| length > OBJECT_BYTES_MAX) {
                s3_error!(EntityTooLarge, "an object of the local cloud is at most 64 MiB")
            } else {
                S3Error::with_source(S3ErrorCode::IncompleteBody, error)
            }
        })?;
    let declared = declared.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
    if declared.starts_with("STREAMING-") || is_aws_chunked(&parts.headers) {
        data = dechunk(&mut parts.headers, &data)?;
    } else if declared.len() == 64 && declared != hex::encode(Sha256::checksum(&data)) {
        let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
        let code = S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into());
        let mut error = S3Error::with_message(code, message);
        error.set_status_code(StatusCode::BAD_REQUEST);
        return Err(error);
    }
    if data.len() > OBJECT_BYTES_MAX {
        return Err(s3_error!(EntityTooLarge, "an object of the local cloud is at most 64 MiB"));
    }
    parts.headers.remove(TRANSFER_ENCODING);
    parts.headers.insert(CONTENT_LENGTH, data.len().into());
    Ok(Request::from_parts(parts, Body::from(data)))
}

fn is_aws_chunked(headers: &HeaderMap) -> bool {
    let codings = headers.get_all(CONTENT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    codings.flat_map(|value| value.split(',')).any(|coding| coding.trim().eq_ignore_ascii_case("aws-chunked"))
}

/// Decodes the body; its trailing headers become headers.
fn dechunk(headers: &mut HeaderMap, body: &Bytes) -> Result<Bytes, S3Error> {
    let (data, trailers) = chunked::decode(body)
        .map_err(|error| S3Error::with_source(S3ErrorCode::IncompleteBody, Box::new(error)))?;
    if let Some(declared) = headers.remove(DECODED_LENGTH)
        && declared.to_str().ok().and_then(|text| text.parse().ok()) != Some(data.len())
    {
        return Err(s3_error!(IncompleteBody, "the decoded length is not x-amz-decoded-content-length"));
    }
    headers.remove(TRAILER);
    let codings = headers.get_all(CONTENT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let others: Vec<&str> = codings
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("aws-chunked"))
        .collect();
    let others = HeaderValue::from_str(&others.join(",")).ok().filter(|value| !value.is_empty());
    headers.remove(CONTENT_ENCODING);
    if let Some(others) = others {
        headers.insert(CONTENT_ENCODING, others);
    }
    for (name, value) in trailers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    Ok(data)
}

/// A presigned URL without its signature.
fn without_signature(uri: &Uri) -> Uri {
    let Some(query) = uri.query().filter(|query| query.contains("X-Amz-Signature=")) else {
        return uri.clone();
    };
    let signing = [
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-SignedHeaders",
        "X-Amz-Signature",
        "X-Amz-Security-Token",
    ];
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| !signing.contains(&pair.split('=').next().unwrap_or_default()))
        .collect();
    let path =
        if kept.is_empty() { uri.path().to_owned() } else { format!("{}?{}", uri.path(), kept.join("&")) };
    path.parse().unwrap_or_else(|_| uri.clone())
}
