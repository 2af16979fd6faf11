//! A data folder of every layout that there was is opened, with what is in it; one of a later layout is refused by name.
//!
//! `fixtures/layouts/<number>` has the databases of such a folder as SQL: one vendor, and one event that waits in quarantine.

#![expect(clippy::unwrap_used, reason = "a panic is the test's failure")]

mod common;

use std::path::{Path, PathBuf};

use aws_sdk_dynamodb::types::AttributeValue;
use common::{Scripted, options_in, start};
use rusqlite::Connection;
use sluice_local::Cloud;

const DATABASES: [&str; 5] = ["dynamodb", "relay", "s3", "sqs", "stepfunctions"];
const INGEST_ID: &str = "01M8NAZGM4CTTKTCMRHCE1VWB7";

fn layouts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/layouts");
    let mut found: Vec<PathBuf> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

/// As the data folder must be.
fn private(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).unwrap();
}

fn versions(folder: &Path) -> Vec<i64> {
    let version = |name| {
        let database = Connection::open(folder.join(format!("{name}.sqlite"))).unwrap();
        database.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    };
    DATABASES.map(version).to_vec()
}

#[tokio::test]
async fn a_folder_of_every_layout_is_opened_with_what_is_in_it() {
    for layout in layouts() {
        let folder = tempfile::tempdir().unwrap();
        for name in DATABASES {
            let sql = std::fs::read_to_string(layout.join(format!("{name}.sql"))).unwrap();
            let database = Connection::open(folder.path().join(format!("{name}.sqlite"))).unwrap();
            // A dump has the rows of a table before the tables that they refer to.
            database.pragma_update(None, "foreign_keys", false).unwrap();
            database.execute_batch(&sql).unwrap();
        }
        private(folder.path());
        for _ in 0..2 {
            let cloud = start(options_in(folder.path()), Scripted::idle()).await;
            cloud.wait_idle().await;
            let sdk = cloud.sdk_config();
            let row = aws_sdk_dynamodb::Client::new(&sdk)
                .get_item()
                .table_name("sluice-ledger")
                .key("vendorId", AttributeValue::S("acme".into()))
                .key("externalEventId", AttributeValue::S("e-1".into()))
                .send()
                .await
                .unwrap()
                .item
                .unwrap();
            assert_eq!(row["ingestId"].as_s().unwrap(), INGEST_ID, "{}", layout.display());
            let raw = row["rawRef"].as_m().unwrap();
            let object = aws_sdk_s3::Client::new(&sdk)
                .get_object()
                .bucket(raw["bucket"].as_s().unwrap())
                .key(raw["key"].as_s().unwrap())
                .send()
                .await
                .unwrap();
            assert!(object.body.collect().await.unwrap().into_bytes().starts_with(b"{\"vendorId\":\"acme\""));
            let sqs = aws_sdk_sqs::Client::new(&sdk);
            assert!(sqs.get_queue_url().queue_name("sluice-dlq").send().await.is_ok());
            let arn = format!("arn:aws:states:us-east-1:000000000000:execution:sluice-recover:{INGEST_ID}-0");
            let states = aws_sdk_sfn::Client::new(&sdk);
            assert!(states.describe_execution().execution_arn(arn).send().await.is_ok());
            cloud.shutdown().await;
            assert!(
                versions(folder.path()).iter().all(|version| *version >= 1),
                "{:?}",
                versions(folder.path())
            );
        }
    }
}

#[tokio::test]
async fn a_database_of_a_later_layout_is_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    start(options_in(folder.path()), Scripted::idle()).await.shutdown().await;
    for name in DATABASES {
        let file = folder.path().join(format!("{name}.sqlite"));
        let version = |version: i64| {
            Connection::open(&file).unwrap().pragma_update(None, "user_version", version).unwrap();
        };
        let before = versions(folder.path());
        version(99);
        let error = Cloud::start(options_in(folder.path())).await.unwrap_err();
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            text.push_str(&format!(": {cause}"));
            source = cause.source();
        }
        assert!(text.contains(&format!("{name}.sqlite")) && text.contains("layout 99"), "{text}");
        version(before[DATABASES.iter().position(|it| *it == name).unwrap()]);
    }
    start(options_in(folder.path()), Scripted::idle()).await.shutdown().await;
}
