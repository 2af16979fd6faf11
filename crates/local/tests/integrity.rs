//! What a start finds in a data folder: a damaged database, and a table older than what was handed on from it.

#![expect(clippy::unwrap_used, reason = "a panic is the test's failure")]

mod common;

use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;

use aws_sdk_dynamodb::types::AttributeValue;
use common::{Scripted, options_in, start};
use sluice_local::{Cloud, StartError};

/// Puts rows into the ledger, waits until the relay has handed them on, and stops.
async fn write(folder: &Path, rows: std::ops::Range<u32>) {
    let cloud = start(options_in(folder), Scripted::idle()).await;
    let client = aws_sdk_dynamodb::Client::new(&cloud.sdk_config());
    for row in rows {
        let text = |text: String| AttributeValue::S(text);
        let put = client.put_item().table_name("sluice-ledger").item("vendorId", text("v".into()));
        put.item("externalEventId", text(format!("e-{row}"))).send().await.unwrap();
    }
    cloud.wait_idle().await;
    cloud.shutdown().await;
}

async fn refused(folder: &Path) -> StartError {
    Cloud::start(options_in(folder)).await.err().unwrap_or_else(|| panic!("it started"))
}

fn remove(folder: &Path, name: &str) {
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(folder.join(format!("{name}{suffix}")));
    }
}

#[tokio::test]
async fn a_table_that_is_older_than_what_was_handed_on_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let aside = tempfile::tempdir().unwrap();
    write(folder.path(), 0..3).await;
    let copy = aside.path().join("dynamodb.sqlite");
    std::fs::copy(folder.path().join("dynamodb.sqlite"), &copy).unwrap();
    write(folder.path(), 3..6).await;

    // As if what was written last had been lost with its log.
    remove(folder.path(), "dynamodb.sqlite");
    std::fs::copy(&copy, folder.path().join("dynamodb.sqlite")).unwrap();
    let error = refused(folder.path()).await;
    assert!(
        matches!(&error, StartError::Behind { table, handled, last } if table == "sluice-ledger" && handled > last),
        "{error}"
    );

    // A table that was made anew has handed on nothing either.
    remove(folder.path(), "dynamodb.sqlite");
    let error = refused(folder.path()).await;
    assert!(matches!(&error, StartError::Behind { last: 0, .. }), "{error}");
    assert!(error.to_string().contains("delete relay.sqlite"), "{error}");

    // And that is how one goes on.
    remove(folder.path(), "relay.sqlite");
    write(folder.path(), 0..2).await;
}

#[tokio::test]
async fn a_damaged_database_is_named_at_the_start() {
    for name in ["s3.sqlite", "dynamodb.sqlite", "stepfunctions.sqlite"] {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), 0..200).await;
        let path = folder.path().join(name);
        // What is in the log would cover what is damaged.
        let database = rusqlite::Connection::open(&path).unwrap();
        database.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        drop(database);
        let mut file = std::fs::File::options().write(true).open(&path).unwrap();
        let size = file.metadata().unwrap().len();
        // Every page but the first, whose header would be missed at once.
        file.seek(SeekFrom::Start(4_096)).unwrap();
        file.write_all(&vec![0x5a; usize::try_from(size - 4_096).unwrap()]).unwrap();
        drop(file);
        let error = refused(folder.path()).await;
        assert!(
            matches!(&error, StartError::Damaged { path, .. } if path.ends_with(name)),
            "{name}: {error}"
        );
        assert!(error.to_string().contains("is damaged"), "{error}");
    }
}
