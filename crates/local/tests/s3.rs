//! S3 as AWS's own SDK sees it, over a socket.

#![expect(clippy::unwrap_used, reason = "a panic is the test's failure")]

mod common;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode, Delete, ObjectIdentifier};
use common::idle_cloud;

fn status<E>(error: &SdkError<E>) -> u16 {
    error.raw_response().map(|response| response.status().as_u16()).unwrap_or_default()
}

fn code<E: ProvideErrorMetadata>(error: &SdkError<E>) -> String {
    error.code().unwrap_or_default().to_owned()
}

async fn get(client: &Client, bucket: &str, key: &str) -> Vec<u8> {
    let object = client.get_object().bucket(bucket).key(key).send().await.unwrap();
    object.body.collect().await.unwrap().to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_512_writers_that_race_for_a_key_exactly_one_wins() {
    let cloud = idle_cloud().await;
    for (config, key) in [(cloud.loopback_sdk_config(), "socket"), (cloud.sdk_config(), "in-process")] {
        let client = Client::new(&config);
        let writers = (0..512).map(|number| {
            let put = client.put_object().bucket("sluice-raw").key(key).if_none_match("*");
            let put = put.body(ByteStream::from(format!("writer {number}").into_bytes())).send();
            async move { (number, put.await) }
        });
        let results = futures::future::join_all(writers).await;
        let winners: Vec<_> =
            results.iter().filter(|(_, result)| result.is_ok()).map(|(number, _)| number).collect();
        assert_eq!(winners.len(), 1, "{key}");
        for (_, result) in &results {
            if let Err(error) = result {
                assert_eq!((status(error), code(error).as_str()), (412, "PreconditionFailed"));
            }
        }
        assert_eq!(get(&client, "sluice-raw", key).await, format!("writer {}", winners[0]).into_bytes());
    }
}

#[tokio::test]
async fn a_write_once_bucket_refuses_what_its_policy_would() {
    let cloud = idle_cloud().await;
    let client = Client::new(&cloud.loopback_sdk_config());
    let put = || client.put_object().bucket("sluice-raw").key("k").body(ByteStream::from_static(b"one"));
    let error = put().send().await.unwrap_err();
    assert_eq!((status(&error), code(&error).as_str()), (403, "AccessDenied"));
    put().if_none_match("*").send().await.unwrap();
    let error = put().if_match("*").send().await.unwrap_err();
    assert_eq!(code(&error), "AccessDenied");
    let error = client.delete_object().bucket("sluice-raw").key("k").send().await.unwrap_err();
    assert_eq!((status(&error), code(&error).as_str()), (403, "AccessDenied"));
    let delete =
        Delete::builder().objects(ObjectIdentifier::builder().key("k").build().unwrap()).build().unwrap();
    let deleted = client.delete_objects().bucket("sluice-raw").delete(delete).send().await.unwrap();
    assert_eq!(deleted.errors()[0].code(), Some("AccessDenied"));
    assert_eq!(get(&client, "sluice-raw", "k").await, b"one");
}

#[tokio::test]
async fn an_object_comes_back_as_it_was_put() {
    let cloud = idle_cloud().await;
    let client = Client::new(&cloud.loopback_sdk_config());
    let key = "a b/ünïcode+plus%25 &?=#'.json";
    let put = client
        .put_object()
        .bucket("sluice-normalized")
        .key(key)
        .content_type("application/json")
        .content_encoding("gzip")
        .cache_control("no-store")
        .metadata("ingest-id", "01J")
        .metadata("note", "plain")
        .checksum_algorithm(ChecksumAlgorithm::Sha256)
        .body(ByteStream::from_static(b"0123456789"))
        .send()
        .await
        .unwrap();
    let etag = put.e_tag().unwrap().to_owned();
    assert_eq!(etag, "\"781e5e245d69b566979b86e28d23f2c7\"", "the MD5 of the bytes");
    let head = client.head_object().bucket("sluice-normalized").key(key).checksum_mode(ChecksumMode::Enabled);
    let head = head.send().await.unwrap();
    assert_eq!(head.content_length(), Some(10));
    assert_eq!(head.checksum_sha256(), put.checksum_sha256());
    assert!(head.checksum_sha256().is_some());
    let got = client.get_object().bucket("sluice-normalized").key(key).checksum_mode(ChecksumMode::Enabled);
    let got = got.send().await.unwrap();
    assert_eq!(got.content_type(), Some("application/json"));
    assert_eq!(got.content_encoding(), Some("gzip"));
    assert_eq!(got.cache_control(), Some("no-store"));
    assert_eq!(got.metadata().unwrap()["ingest-id"], "01J");
    assert_eq!(got.e_tag(), Some(etag.as_str()));
    assert!(got.last_modified().is_some());
    assert_eq!(got.body.collect().await.unwrap().to_vec(), b"0123456789");

    let ranges = [
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-2", "89", "bytes 8-9/10"),
    ];
    for (range, bytes, content_range) in ranges {
        let part =
            client.get_object().bucket("sluice-normalized").key(key).range(range).send().await.unwrap();
        assert_eq!(part.content_range(), Some(content_range));
        assert_eq!(part.body.collect().await.unwrap().to_vec(), bytes.as_bytes(), "{range}");
    }
    let beyond =
        client.get_object().bucket("sluice-normalized").key(key).range("bytes=10-").send().await.unwrap_err();
    assert_eq!(status(&beyond), 416);

    let unchanged =
        client.get_object().bucket("sluice-normalized").key(key).if_none_match(&etag).send().await;
    assert_eq!(status(&unchanged.unwrap_err()), 304);
    let changed = client.get_object().bucket("sluice-normalized").key(key).if_match("\"other\"").send().await;
    assert_eq!(status(&changed.unwrap_err()), 412);

    let missing = client.get_object().bucket("sluice-normalized").key("nope").send().await.unwrap_err();
    assert!(missing.into_service_error().is_no_such_key());
    let missing = client.head_object().bucket("sluice-normalized").key("nope").send().await.unwrap_err();
    assert!(missing.into_service_error().is_not_found());
    let missing = client.get_object().bucket("no-such-bucket").key("k").send().await.unwrap_err();
    assert_eq!(code(&missing), "NoSuchBucket");
}

#[tokio::test]
async fn digests_are_verified_whichever_way_they_come() {
    let cloud = idle_cloud().await;
    let client = Client::new(&cloud.loopback_sdk_config());
    let put =
        || client.put_object().bucket("sluice-normalized").key("k").body(ByteStream::from_static(b"abc"));
    let wrong = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let error = put().checksum_sha256(wrong).send().await.unwrap_err();
    assert_eq!((status(&error), code(&error).as_str()), (400, "BadDigest"));
    put().checksum_sha256("ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=").send().await.unwrap();
    let error = put().content_md5("AAAAAAAAAAAAAAAAAAAAAA==").send().await.unwrap_err();
    assert_eq!(code(&error), "BadDigest");
    put().content_md5("kAFQmDzST7DWlj99KOF/cg==").send().await.unwrap();

    // A body whose length is known but whose bytes are streamed is sent aws-chunked with a CRC in its trailer.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.bin");
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    std::fs::write(&path, &bytes).unwrap();
    for (config, key) in
        [(cloud.loopback_sdk_config(), "streamed"), (cloud.sdk_config(), "streamed-in-process")]
    {
        let client = Client::new(&config);
        let body = ByteStream::from_path(&path).await.unwrap();
        let put =
            client.put_object().bucket("sluice-normalized").key(key).content_encoding("gzip").body(body);
        put.send().await.unwrap();
        let got = client.get_object().bucket("sluice-normalized").key(key).send().await.unwrap();
        assert_eq!(got.content_encoding(), Some("gzip"), "aws-chunked is gone");
        assert!(got.checksum_crc32().is_some() || got.checksum_crc64_nvme().is_some());
        assert!(got.body.collect().await.unwrap().to_vec() == bytes);
    }
}

#[tokio::test]
async fn listings_are_ordered_paged_and_folded() {
    let cloud = idle_cloud().await;
    let client = Client::new(&cloud.sdk_config());
    client.create_bucket().bucket("listing").send().await.unwrap();
    let mut keys: Vec<String> = (0..25)
        .map(|number| format!("raw/v{}/2026/11/{:02}/{number:03}.json", number % 3, number % 5))
        .collect();
    keys.extend(["raw/z".to_owned(), "é".to_owned(), "a&<>".to_owned()]);
    for key in &keys {
        client
            .put_object()
            .bucket("listing")
            .key(key)
            .body(ByteStream::from_static(b"x"))
            .send()
            .await
            .unwrap();
    }
    keys.sort();

    let mut pages = client.list_objects_v2().bucket("listing").max_keys(7).into_paginator().send();
    let (mut listed, mut count) = (Vec::new(), 0);
    while let Some(page) = pages.next().await {
        let page = page.unwrap();
        assert!(page.key_count().unwrap() <= 7);
        listed.extend(page.contents().iter().map(|object| object.key().unwrap().to_owned()));
        count += 1;
    }
    assert_eq!((listed, count), (keys.clone(), 4));

    let folded = client
        .list_objects_v2()
        .bucket("listing")
        .prefix("raw/")
        .delimiter("/")
        .max_keys(2)
        .send()
        .await
        .unwrap();
    let prefixes: Vec<_> = folded.common_prefixes().iter().map(|it| it.prefix().unwrap()).collect();
    assert_eq!(prefixes, ["raw/v0/", "raw/v1/"]);
    assert_eq!(folded.is_truncated(), Some(true));
    let next = folded.next_continuation_token().unwrap();
    let folded =
        client.list_objects_v2().bucket("listing").prefix("raw/").delimiter("/").continuation_token(next);
    let folded = folded.send().await.unwrap();
    assert_eq!(folded.common_prefixes()[0].prefix(), Some("raw/v2/"));
    assert_eq!(folded.contents()[0].key(), Some("raw/z"));
    assert_eq!(folded.is_truncated(), Some(false));

    let after = client.list_objects_v2().bucket("listing").start_after("raw/z").send().await.unwrap();
    assert_eq!(after.contents().iter().map(|it| it.key().unwrap()).collect::<Vec<_>>(), ["é"]);
    let encoded = client.list_objects_v2().bucket("listing").prefix("a&");
    let encoded = encoded.encoding_type(aws_sdk_s3::types::EncodingType::Url).send().await.unwrap();
    assert_eq!(encoded.contents()[0].key(), Some("a%26%3C%3E"));
    let first = client
        .list_objects()
        .bucket("listing")
        .prefix("raw/")
        .delimiter("/")
        .max_keys(1)
        .send()
        .await
        .unwrap();
    assert_eq!(first.next_marker(), Some("raw/v0/"));
    let second = client.list_objects().bucket("listing").prefix("raw/").delimiter("/").marker("raw/v0/");
    assert_eq!(second.send().await.unwrap().common_prefixes()[0].prefix(), Some("raw/v1/"));
}

#[tokio::test]
async fn buckets_are_managed_and_an_ordinary_one_can_be_emptied() {
    let cloud = idle_cloud().await;
    let client = Client::new(&cloud.loopback_sdk_config());
    client.create_bucket().bucket("own").send().await.unwrap();
    let again = client.create_bucket().bucket("own").send().await.unwrap_err();
    assert!(again.into_service_error().is_bucket_already_owned_by_you());
    let names = client.list_buckets().send().await.unwrap();
    let names: Vec<_> = names.buckets().iter().map(|it| it.name().unwrap().to_owned()).collect();
    let of_sluice = ["sluice-mappers", "sluice-normalized", "sluice-raw", "sluice-replays", "sluice-uploads"];
    assert_eq!(names, [&["own"], &of_sluice[..]].concat());
    client.head_bucket().bucket("own").send().await.unwrap();
    assert!(
        client.head_bucket().bucket("none").send().await.unwrap_err().into_service_error().is_not_found()
    );
    let location = client.get_bucket_location().bucket("own").send().await.unwrap();
    // us-east-1 is the empty constraint.
    assert_eq!(location.location_constraint().map_or("", |constraint| constraint.as_str()), "");

    for key in ["a", "b"] {
        client.put_object().bucket("own").key(key).body(ByteStream::from_static(b"1")).send().await.unwrap();
        client.put_object().bucket("own").key(key).body(ByteStream::from_static(b"2")).send().await.unwrap();
        assert_eq!(get(&client, "own", key).await, b"2", "overwritten");
    }
    assert_eq!(code(&client.delete_bucket().bucket("own").send().await.unwrap_err()), "BucketNotEmpty");
    let ids = ["a", "b", "never"].map(|key| ObjectIdentifier::builder().key(key).build().unwrap());
    let delete = Delete::builder().set_objects(Some(ids.to_vec())).build().unwrap();
    let deleted = client.delete_objects().bucket("own").delete(delete).send().await.unwrap();
    assert_eq!((deleted.deleted().len(), deleted.errors().len()), (3, 0));
    client.delete_object().bucket("own").key("never").send().await.unwrap();
    client.delete_bucket().bucket("own").send().await.unwrap();

    let multipart =
        client.create_multipart_upload().bucket("sluice-normalized").key("k").send().await.unwrap_err();
    assert_eq!((status(&multipart), code(&multipart).as_str()), (501, "NotImplemented"));
}

#[tokio::test]
async fn a_presigned_url_works_without_its_signature_being_read() {
    let cloud = idle_cloud().await;
    let client = Client::new(&cloud.loopback_sdk_config());
    client
        .put_object()
        .bucket("sluice-normalized")
        .key("k")
        .body(ByteStream::from_static(b"x"))
        .send()
        .await
        .unwrap();
    let expiry =
        aws_sdk_s3::presigning::PresigningConfig::expires_in(std::time::Duration::from_secs(60)).unwrap();
    let url = client.get_object().bucket("sluice-normalized").key("k").presigned(expiry).await.unwrap();
    let response = reqwest::get(url.uri()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.text().await.unwrap(), "x");
}
