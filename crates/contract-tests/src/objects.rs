//! Stores of objects.

use bytes::Bytes;
use futures::future::join_all;
use sluice_core::Code;
use sluice_core::digest::Sha256Hex;
use sluice_core::id::ObjectRef;
use sluice_core::port::{BundleStore, NormalizedStore, RawHeaders, RawStore, UploadStore};

fn headers(bytes: &[u8]) -> RawHeaders {
    RawHeaders {
        content_type: "application/json".into(),
        content_encoding: None,
        sha256: Sha256Hex::of(bytes),
    }
}

/// [`RawStore`]: written once; the same again is success, other bytes are refused and change nothing.
pub async fn raw(store: &dyn RawStore) {
    let put = async |key: &str, bytes: &'static [u8]| {
        store.put_if_absent(key, Bytes::from_static(bytes), &headers(bytes)).await
    };
    let first = put("raw/v/a.json", b"one").await.unwrap();
    assert_eq!(first.key, "raw/v/a.json");
    assert_eq!(store.get(&first).await.unwrap(), "one");
    assert_eq!(put("raw/v/a.json", b"one").await.unwrap(), first, "a retry");
    assert_eq!(put("raw/v/a.json", b"two").await.unwrap_err().code, Code::RawDigestMismatch);
    assert_eq!(store.get(&first).await.unwrap(), "one");
    let missing = ObjectRef { key: "raw/v/none.json".into(), ..first };
    assert_eq!(store.get(&missing).await.unwrap_err().code, Code::RawMissing);
    assert_eq!(store.get(&put("raw/v/empty.json", b"").await.unwrap()).await.unwrap(), "");

    // Of many at once one holds, and all others are told so.
    let bodies: [&[u8]; 4] = [b"w", b"x", b"y", b"z"];
    let put = bodies.map(|bytes| put("raw/v/b.json", bytes));
    let results = join_all(put).await;
    let kept: Vec<usize> = (0..4).filter(|at| results[*at].is_ok()).collect();
    assert_eq!(kept.len(), 1, "{results:?}");
    let held = store.get(results[kept[0]].as_ref().unwrap()).await.unwrap();
    assert_eq!(held, bodies[kept[0]]);
}

/// [`NormalizedStore`]: under the digest of the document, written once.
pub async fn normalized(store: &dyn NormalizedStore) {
    let put = async |key: &str, bytes: &'static [u8]| {
        store.put_if_absent(key, Bytes::from_static(bytes), &Sha256Hex::of(bytes)).await.unwrap()
    };
    let first = put("normalized/T/2026/11/21/id/one.json", b"one\n").await;
    assert_eq!(first.key, "normalized/T/2026/11/21/id/one.json");
    assert_eq!(put(&first.key, b"one\n").await, first, "a retry");
    let second = put("normalized/T/2026/11/21/id/two.json", b"two\n").await;
    for (at, bytes) in [(&first, "one\n"), (&second, "two\n")] {
        assert_eq!(store.get(at).await.unwrap(), bytes);
    }
    // Whoever was told of an object finds its very bytes, whatever somebody writes there.
    put(&first.key, b"other\n").await;
    assert_eq!(store.get(&first).await.unwrap(), "one\n");
    let missing = ObjectRef { key: "normalized/T/none.json".into(), ..first };
    assert_eq!(store.get(&missing).await.unwrap_err().code, Code::NormalizedMissing);
}

/// [`UploadStore`]: there until it is removed; another body than the one staged is never given.
pub async fn uploads(store: &dyn UploadStore) {
    let staged = store.put("uploads/a", Bytes::from_static(b"body")).await.unwrap();
    assert_eq!((staged.bytes, &staged.sha256), (4, &Sha256Hex::of(b"body")));
    assert_eq!(store.get(&staged).await.unwrap(), "body");
    let mut other = staged.clone();
    other.sha256 = Sha256Hex::of(b"another");
    assert_eq!(store.get(&other).await.unwrap_err().code, Code::InputMalformed);
    for _ in 0..2 {
        store.remove(&staged).await.unwrap();
        assert_eq!(store.get(&staged).await.unwrap_err().code, Code::InputMalformed);
    }
}

/// [`BundleStore`]: an object is what its key says; listed in the order of their keys, page by page.
pub async fn bundles(store: &dyn BundleStore) {
    let put = async |key: String, bytes: &'static [u8]| {
        store.put_if_absent(&key, Bytes::from_static(bytes)).await.unwrap();
    };
    assert_eq!(store.get("blobs/none").await.unwrap_err().code, Code::BundleMissing);
    assert_eq!(store.list("blobs/").await.unwrap(), Vec::<String>::new());
    put("blobs/1".into(), b"one").await;
    put("blobs/1".into(), b"two").await;
    assert_eq!(store.get("blobs/1").await.unwrap(), "one");
    // More than a page of a listing, in no order.
    let numbers: Vec<u32> = (0..1_050).map(|number| number * 11 % 1_050).collect();
    for chunk in numbers.chunks(50) {
        join_all(chunk.iter().map(|number| put(format!("list/{number:04}"), b"x"))).await;
    }
    put("lis".into(), b"x").await;
    put("list".into(), b"x").await;
    let listed = store.list("list/").await.unwrap();
    assert_eq!(listed, (0..1_050).map(|number| format!("list/{number:04}")).collect::<Vec<_>>());
}
