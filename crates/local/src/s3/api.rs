//! The S3 operations on [`Store`] (Amazon S3 API Reference, 2006-03-01).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::{Bytes, BytesMut};
use futures::TryStreamExt as _;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::*;
use s3s::{Body, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

use super::store::{Condition, Headers, Object as Stored, Page, Refusal, Store, just_after};
use crate::wire;

/// Most keys in one page.
const KEYS_MAX: i32 = 1_000;

pub(super) struct Api(pub(super) Arc<Store>);

fn internal(error: rusqlite::Error) -> S3Error {
    S3Error::with_source(S3ErrorCode::InternalError, Box::new(error))
}

fn timestamp(ms: i64) -> Timestamp {
    (SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap_or_default())).into()
}

fn write_once_denied(what: &str) -> S3Error {
    S3Error::with_message(
        S3ErrorCode::AccessDenied,
        format!("the bucket is write-once: its policy denies {what}"),
    )
}

impl Api {
    fn bucket(&self, name: &str) -> S3Result<super::store::Bucket> {
        let found = self.0.bucket(name).map_err(internal)?;
        found.ok_or_else(|| s3_error!(NoSuchBucket, "The specified bucket does not exist"))
    }

    fn object(&self, bucket: &str, key: &str) -> S3Result<Stored> {
        let bucket = self.bucket(bucket)?;
        self.0.head(bucket.id, key).map_err(internal)?.ok_or_else(no_such_key)
    }

    fn page(
        &self,
        bucket: &str,
        prefix: Option<&str>,
        delimiter: Option<&str>,
        from: &str,
        max: Option<i32>,
    ) -> S3Result<(Page, i32)> {
        let max = max.unwrap_or(KEYS_MAX);
        if max < 0 {
            return Err(s3_error!(
                InvalidArgument,
                "Argument maxKeys must be an integer between 0 and 2147483647"
            ));
        }
        let bucket = self.bucket(bucket)?;
        let limit = usize::try_from(max.min(KEYS_MAX)).unwrap_or_default();
        if limit == 0 {
            return Ok((Page::default(), max));
        }
        let page =
            self.0.list(bucket.id, prefix.unwrap_or_default(), delimiter, from, limit).map_err(internal)?;
        Ok((page, max))
    }
}

fn no_such_key() -> S3Error {
    s3_error!(NoSuchKey, "The specified key does not exist.")
}

async fn collect(body: Option<StreamingBlob>) -> S3Result<Bytes> {
    let Some(mut body) = body else { return Ok(Bytes::new()) };
    let broken = |error| S3Error::with_source(S3ErrorCode::IncompleteBody, error);
    let first: Bytes = body.try_next().await.map_err(broken)?.unwrap_or_default();
    let Some(second) = body.try_next().await.map_err(broken)? else { return Ok(first) };
    let mut all = BytesMut::from(first);
    all.extend_from_slice(&second);
    while let Some(chunk) = body.try_next().await.map_err(broken)? {
        all.extend_from_slice(&chunk);
    }
    Ok(all.freeze())
}

/// Verifies the digests that came with the object, and returns those to keep: the ones that came, else CRC64NVME, which S3
/// computes by itself ("Checking object integrity", User Guide).
fn checksums(input: &PutObjectInput, data: &[u8]) -> S3Result<Vec<(String, String)>> {
    if let Some(wanted) = &input.content_md5 {
        let wanted = STANDARD.decode(wanted).ok().filter(|digest| digest.len() == 16);
        let wanted =
            wanted.ok_or_else(|| s3_error!(InvalidDigest, "The Content-MD5 you specified was invalid."))?;
        if wanted != Md5::checksum(data).as_ref() {
            return Err(s3_error!(
                BadDigest,
                "The Content-MD5 you specified did not match what we received."
            ));
        }
    }
    let sent = [
        ("CRC32", &input.checksum_crc32),
        ("CRC32C", &input.checksum_crc32c),
        ("CRC64NVME", &input.checksum_crc64nvme),
        ("SHA1", &input.checksum_sha1),
        ("SHA256", &input.checksum_sha256),
    ];
    let mut sent: Vec<(&str, Option<&String>)> = sent
        .into_iter()
        .filter_map(|(name, value)| value.as_ref().map(|value| (name, Some(value))))
        .collect();
    if sent.is_empty() {
        sent.push(("CRC64NVME", None));
    }
    let mut kept = Vec::with_capacity(sent.len());
    for (name, wanted) in sent {
        let computed = checksum(name, data);
        if wanted.is_some_and(|wanted| *wanted != computed) {
            return Err(S3Error::with_message(
                S3ErrorCode::BadDigest,
                format!("The {name} you specified did not match the calculated checksum."),
            ));
        }
        kept.push((name.to_owned(), computed));
    }
    Ok(kept)
}

fn checksum(name: &str, data: &[u8]) -> String {
    let mut hasher = ChecksumHasher::default();
    match name {
        "CRC32" => hasher.crc32 = Some(s3s::crypto::Checksum::new()),
        "CRC32C" => hasher.crc32c = Some(s3s::crypto::Checksum::new()),
        "SHA1" => hasher.sha1 = Some(s3s::crypto::Checksum::new()),
        "SHA256" => hasher.sha256 = Some(s3s::crypto::Checksum::new()),
        _ => hasher.crc64nvme = Some(s3s::crypto::Checksum::new()),
    }
    hasher.update(data);
    let sum = hasher.finalize();
    let all = [
        sum.checksum_crc32,
        sum.checksum_crc32c,
        sum.checksum_crc64nvme,
        sum.checksum_sha1,
        sum.checksum_sha256,
    ];
    all.into_iter().flatten().next().unwrap_or_default()
}

fn stored_checksum(headers: &Headers, name: &str) -> Option<String> {
    headers.checksums.iter().find(|(algorithm, _)| algorithm == name).map(|(_, value)| value.clone())
}

fn matches(condition: &ETagCondition, etag: &str) -> bool {
    condition.is_any() || condition.as_etag().is_some_and(|it| it.value() == etag)
}

/// "Conditional reads" (User Guide): an entity tag decides before a date does.
fn check_read(
    object: &Stored,
    if_match: Option<&IfMatch>,
    if_none_match: Option<&IfNoneMatch>,
    if_modified_since: Option<&Timestamp>,
    if_unmodified_since: Option<&Timestamp>,
) -> S3Result<()> {
    let precondition_failed = || {
        Err(s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold"))
    };
    // Dates in HTTP have whole seconds.
    let modified = timestamp(object.modified_ms / 1_000 * 1_000);
    match (if_match, if_unmodified_since) {
        (Some(condition), _) if !matches(condition, &object.etag) => return precondition_failed(),
        (None, Some(since)) if modified > *since => return precondition_failed(),
        _ => {}
    }
    let unchanged = match (if_none_match, if_modified_since) {
        (Some(condition), _) => matches(condition, &object.etag),
        (None, Some(since)) => modified <= *since,
        (None, None) => false,
    };
    if unchanged { Err(s3_error!(NotModified)) } else { Ok(()) }
}

fn metadata(headers: &Headers) -> Option<Metadata> {
    (!headers.metadata.is_empty()).then(|| headers.metadata.iter().cloned().collect())
}

/// `encoding-type=url`: keys may hold what XML cannot.
fn encoded(text: &str, encoding: Option<&EncodingType>) -> String {
    if encoding.map(EncodingType::as_str) != Some(EncodingType::URL) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn listing(page: &Page, encoding: Option<&EncodingType>) -> (ObjectList, CommonPrefixList) {
    let objects = page.objects.iter().map(|it| Object {
        key: Some(encoded(&it.key, encoding)),
        size: Some(i64::try_from(it.size).unwrap_or(i64::MAX)),
        e_tag: Some(ETag::Strong(it.etag.clone())),
        last_modified: Some(timestamp(it.modified_ms)),
        storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
        ..Object::default()
    });
    let prefixes = page.common_prefixes.iter().map(|it| CommonPrefix { prefix: Some(encoded(it, encoding)) });
    (objects.collect(), prefixes.collect())
}

#[async_trait::async_trait]
impl s3s::S3 for Api {
    async fn put_object(&self, req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let mut input = req.input;
        let bucket = self.bucket(&input.bucket)?;
        let condition = match (&input.if_none_match, &input.if_match) {
            (Some(ETagCondition::Any), None) => Condition::Absent,
            (None, None) => Condition::None,
            (None, Some(ETagCondition::Any)) => Condition::Present(None),
            (None, Some(ETagCondition::ETag(etag))) => Condition::Present(Some(etag.value().to_owned())),
            _ => {
                return Err(s3_error!(
                    NotImplemented,
                    "A header you provided implies functionality that is not implemented"
                ));
            }
        };
        if bucket.write_once && condition != Condition::Absent {
            return Err(write_once_denied("PutObject without If-None-Match: *"));
        }
        let data = collect(input.body.take()).await?;
        let checksums = checksums(&input, &data)?;
        let etag = hex::encode(Md5::checksum(&data));
        let headers = Headers {
            content_type: input.content_type,
            content_encoding: input.content_encoding,
            content_disposition: input.content_disposition,
            content_language: input.content_language,
            cache_control: input.cache_control,
            metadata: input.metadata.unwrap_or_default().into_iter().collect(),
            checksums,
        };
        let put = self.0.put(bucket.id, &input.key, &data, &etag, &headers, &condition, wire::now_ms());
        match put.map_err(internal)? {
            Ok(()) => {}
            Err(Refusal::NoSuchKey) => return Err(no_such_key()),
            Err(Refusal::PreconditionFailed) => {
                return Err(s3_error!(
                    PreconditionFailed,
                    "At least one of the pre-conditions you specified did not hold"
                ));
            }
        }
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(ETag::Strong(etag)),
            checksum_crc32: stored_checksum(&headers, "CRC32"),
            checksum_crc32c: stored_checksum(&headers, "CRC32C"),
            checksum_crc64nvme: stored_checksum(&headers, "CRC64NVME"),
            checksum_sha1: stored_checksum(&headers, "SHA1"),
            checksum_sha256: stored_checksum(&headers, "SHA256"),
            checksum_type: Some(ChecksumType::from_static(ChecksumType::FULL_OBJECT)),
            ..PutObjectOutput::default()
        }))
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = req.input;
        refuse_version(input.version_id.as_deref())?;
        let bucket = self.bucket(&input.bucket)?;
        let (object, data) = self.0.get(bucket.id, &input.key).map_err(internal)?.ok_or_else(no_such_key)?;
        check_read(
            &object,
            input.if_match.as_ref(),
            input.if_none_match.as_ref(),
            input.if_modified_since.as_ref(),
            input.if_unmodified_since.as_ref(),
        )?;
        let (data, content_range) = match input.range {
            None => (data, None),
            Some(range) => {
                let part = range.check(object.size)?;
                let content_range = format!("bytes {}-{}/{}", part.start, part.end - 1, object.size);
                let bounds = usize::try_from(part.start).ok().zip(usize::try_from(part.end).ok());
                let (start, end) = bounds.ok_or_else(|| s3_error!(InvalidRange))?;
                (data.slice(start..end), Some(content_range))
            }
        };
        let headers = &object.headers;
        let with_checksums = input.checksum_mode.is_some() && content_range.is_none();
        let sum = |name| with_checksums.then(|| stored_checksum(headers, name)).flatten();
        Ok(S3Response::new(GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(i64::try_from(data.len()).unwrap_or(i64::MAX)),
            body: Some(StreamingBlob::from(Body::from(data))),
            content_range,
            content_type: Some(headers.content_type.clone().unwrap_or_else(default_type)),
            content_encoding: headers.content_encoding.clone(),
            content_disposition: headers.content_disposition.clone(),
            content_language: headers.content_language.clone(),
            cache_control: headers.cache_control.clone(),
            checksum_crc32: sum("CRC32"),
            checksum_crc32c: sum("CRC32C"),
            checksum_crc64nvme: sum("CRC64NVME"),
            checksum_sha1: sum("SHA1"),
            checksum_sha256: sum("SHA256"),
            checksum_type: with_checksums.then(|| ChecksumType::from_static(ChecksumType::FULL_OBJECT)),
            e_tag: Some(ETag::Strong(object.etag.clone())),
            last_modified: Some(timestamp(object.modified_ms)),
            metadata: metadata(headers),
            ..GetObjectOutput::default()
        }))
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = req.input;
        refuse_version(input.version_id.as_deref())?;
        let object = self.object(&input.bucket, &input.key)?;
        check_read(
            &object,
            input.if_match.as_ref(),
            input.if_none_match.as_ref(),
            input.if_modified_since.as_ref(),
            input.if_unmodified_since.as_ref(),
        )?;
        let headers = &object.headers;
        let sum = |name| input.checksum_mode.as_ref().and_then(|_| stored_checksum(headers, name));
        Ok(S3Response::new(HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(i64::try_from(object.size).unwrap_or(i64::MAX)),
            content_type: Some(headers.content_type.clone().unwrap_or_else(default_type)),
            content_encoding: headers.content_encoding.clone(),
            content_disposition: headers.content_disposition.clone(),
            content_language: headers.content_language.clone(),
            cache_control: headers.cache_control.clone(),
            checksum_crc32: sum("CRC32"),
            checksum_crc32c: sum("CRC32C"),
            checksum_crc64nvme: sum("CRC64NVME"),
            checksum_sha1: sum("SHA1"),
            checksum_sha256: sum("SHA256"),
            e_tag: Some(ETag::Strong(object.etag.clone())),
            last_modified: Some(timestamp(object.modified_ms)),
            metadata: metadata(headers),
            ..HeadObjectOutput::default()
        }))
    }

    async fn delete_object(
        &self,
        req: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        refuse_version(req.input.version_id.as_deref())?;
        let bucket = self.bucket(&req.input.bucket)?;
        if bucket.write_once {
            return Err(write_once_denied("DeleteObject"));
        }
        self.0.delete(bucket.id, &req.input.key).map_err(internal)?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(
        &self,
        req: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let bucket = self.bucket(&req.input.bucket)?;
        let quiet = req.input.delete.quiet.unwrap_or_default();
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for object in req.input.delete.objects {
            if bucket.write_once {
                let error = write_once_denied("DeleteObject");
                errors.push(Error {
                    code: Some(error.code().as_str().to_owned()),
                    key: Some(object.key),
                    message: error.message().map(str::to_owned),
                    version_id: None,
                });
                continue;
            }
            self.0.delete(bucket.id, &object.key).map_err(internal)?;
            if !quiet {
                deleted.push(DeletedObject { key: Some(object.key), ..DeletedObject::default() });
            }
        }
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted: (!deleted.is_empty()).then_some(deleted),
            errors: (!errors.is_empty()).then_some(errors),
            ..DeleteObjectsOutput::default()
        }))
    }

    async fn list_objects_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = req.input;
        let from = match (&input.continuation_token, &input.start_after) {
            (Some(token), _) => {
                let decoded =
                    URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                decoded.ok_or_else(|| {
                    s3_error!(InvalidArgument, "The continuation token provided is incorrect")
                })?
            }
            (None, Some(key)) => just_after(key),
            (None, None) => String::new(),
        };
        let (page, max) = self.page(
            &input.bucket,
            input.prefix.as_deref(),
            input.delimiter.as_deref(),
            &from,
            input.max_keys,
        )?;
        let encoding = input.encoding_type.as_ref();
        let (contents, common_prefixes) = listing(&page, encoding);
        Ok(S3Response::new(ListObjectsV2Output {
            key_count: Some(i32::try_from(page.len()).unwrap_or(i32::MAX)),
            max_keys: Some(max.min(KEYS_MAX)),
            is_truncated: Some(page.next.is_some()),
            next_continuation_token: page.next.map(|next| URL_SAFE_NO_PAD.encode(next)),
            continuation_token: input.continuation_token,
            contents: Some(contents),
            common_prefixes: Some(common_prefixes),
            delimiter: input.delimiter.map(|it| encoded(&it, encoding)),
            prefix: Some(encoded(input.prefix.as_deref().unwrap_or_default(), encoding)),
            start_after: input.start_after.map(|it| encoded(&it, encoding)),
            name: Some(input.bucket),
            encoding_type: input.encoding_type,
            ..ListObjectsV2Output::default()
        }))
    }

    async fn list_objects(
        &self,
        req: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        let input = req.input;
        // A marker that is a common prefix stands for all that is below it.
        let from = match (&input.marker, input.delimiter.as_deref()) {
            (Some(marker), Some(delimiter)) if !delimiter.is_empty() && marker.ends_with(delimiter) => {
                format!("{marker}\u{10FFFF}")
            }
            (Some(marker), _) => just_after(marker),
            (None, _) => String::new(),
        };
        let (page, max) = self.page(
            &input.bucket,
            input.prefix.as_deref(),
            input.delimiter.as_deref(),
            &from,
            input.max_keys,
        )?;
        let encoding = input.encoding_type.as_ref();
        let last = page.objects.last().map(|it| &it.key).max(page.common_prefixes.last());
        let next_marker = page.next.as_ref().and(last).map(|it| encoded(it, encoding));
        let (contents, common_prefixes) = listing(&page, encoding);
        Ok(S3Response::new(ListObjectsOutput {
            max_keys: Some(max.min(KEYS_MAX)),
            is_truncated: Some(page.next.is_some()),
            next_marker,
            marker: Some(input.marker.as_deref().map(|it| encoded(it, encoding)).unwrap_or_default()),
            contents: Some(contents),
            common_prefixes: Some(common_prefixes),
            delimiter: input.delimiter.map(|it| encoded(&it, encoding)),
            prefix: Some(encoded(input.prefix.as_deref().unwrap_or_default(), encoding)),
            name: Some(input.bucket),
            encoding_type: input.encoding_type,
            ..ListObjectsOutput::default()
        }))
    }

    async fn create_bucket(
        &self,
        req: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        let name = req.input.bucket;
        if !self.0.create_bucket(&name, false, wire::now_ms()).map_err(internal)? {
            let message =
                "Your previous request to create the named bucket succeeded and you already own it.";
            return Err(s3_error!(BucketAlreadyOwnedByYou, "{message}"));
        }
        Ok(S3Response::new(CreateBucketOutput { location: Some(format!("/{name}")) }))
    }

    async fn delete_bucket(
        &self,
        req: S3Request<DeleteBucketInput>,
    ) -> S3Result<S3Response<DeleteBucketOutput>> {
        let bucket = self.bucket(&req.input.bucket)?;
        if bucket.write_once {
            return Err(write_once_denied("DeleteBucket"));
        }
        if !self.0.delete_bucket(bucket.id).map_err(internal)? {
            return Err(s3_error!(BucketNotEmpty, "The bucket you tried to delete is not empty"));
        }
        Ok(S3Response::new(DeleteBucketOutput {}))
    }

    async fn head_bucket(&self, req: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        self.bucket(&req.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput {
            bucket_region: Some(crate::arn::REGION.to_owned()),
            ..HeadBucketOutput::default()
        }))
    }

    async fn list_buckets(
        &self,
        _req: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        let buckets = self.0.buckets().map_err(internal)?.into_iter().map(|it| Bucket {
            name: Some(it.name),
            creation_date: Some(timestamp(it.created_ms)),
            bucket_region: Some(crate::arn::REGION.to_owned()),
        });
        let owner =
            Owner { display_name: Some("local".to_owned()), id: Some(crate::arn::ACCOUNT.to_owned()) };
        Ok(S3Response::new(ListBucketsOutput {
            buckets: Some(buckets.collect()),
            owner: Some(owner),
            ..ListBucketsOutput::default()
        }))
    }

    async fn get_bucket_location(
        &self,
        req: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.bucket(&req.input.bucket)?;
        // us-east-1 has no location constraint.
        Ok(S3Response::new(GetBucketLocationOutput::default()))
    }
}

fn default_type() -> String {
    "binary/octet-stream".to_owned()
}

fn refuse_version(version: Option<&str>) -> S3Result<()> {
    match version {
        None | Some("null") => Ok(()),
        Some(_) => Err(s3_error!(NoSuchVersion, "the local cloud keeps no versions")),
    }
}
