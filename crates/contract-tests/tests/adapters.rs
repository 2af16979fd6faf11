//! The adapters of `sluice-aws` keep what the ports promise, over AWS's protocols as the local cloud speaks them.

#![expect(clippy::unwrap_used, reason = "a panic is the test's failure")]

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use sluice_aws::SdkConfig;
use sluice_contract_tests::{canonical, ingest_id, ledger, objects, ops, vendors};
use sluice_local::{BoxError, Cloud, Data, FunctionError, FunctionSetup, Functions, Options};

/// Functions that answer `{}`.
struct Idle;

#[async_trait]
impl Functions for Idle {
    async fn invoke(&self, _: &str, _: Value) -> Result<Value, FunctionError> {
        Ok(json!({}))
    }
}

/// A cloud of its own, so that its stores are empty.
async fn cloud() -> Cloud {
    let options = Options { ingest_port: 0, aws_port: 0, data: Data::Ephemeral, ..Options::default() };
    let make = |_: &FunctionSetup<'_>| -> Result<Arc<dyn Functions>, BoxError> { Ok(Arc::new(Idle)) };
    Cloud::start_with_functions(options, Box::new(make)).await.unwrap()
}

macro_rules! suites {
    ($($name:ident: $suite:path, $adapter:expr);+ $(;)?) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let cloud = cloud().await;
            let adapter: fn(&SdkConfig) -> _ = $adapter;
            $suite(&adapter(&cloud.sdk_config())).await;
            cloud.shutdown().await;
        })+
    };
}

fn canonical_store(sdk: &SdkConfig) -> sluice_aws::canonical::DynamoCanonical {
    sluice_aws::canonical::DynamoCanonical::new(sdk, "sluice-canonical-state", "sluice-divergence")
}

fn ledger_table(sdk: &SdkConfig) -> sluice_aws::ledger::DynamoLedger {
    sluice_aws::ledger::DynamoLedger::new(sdk, "sluice-ledger")
}

fn vendors_table(sdk: &SdkConfig) -> sluice_aws::vendors::DynamoVendors {
    sluice_aws::vendors::DynamoVendors::new(sdk, "sluice-vendors")
}

fn balances(sdk: &SdkConfig) -> sluice_aws::balance::DynamoBalance {
    sluice_aws::balance::DynamoBalance::new(sdk, "sluice-balance")
}

suites! {
    raw: objects::raw, |sdk| sluice_aws::raw::S3RawStore::new(sdk, "sluice-raw");
    normalized: objects::normalized, |sdk| sluice_aws::normalized::S3NormalizedStore::new(sdk, "sluice-normalized");
    uploads: objects::uploads, |sdk| sluice_aws::uploads::S3UploadStore::new(sdk, "sluice-uploads");
    bundles: objects::bundles, |sdk| sluice_aws::bundles::S3BundleStore::new(sdk, "sluice-mappers");
    commits_of_the_ledger: ledger::commits, ledger_table;
    generations: ledger::generations, ledger_table;
    holds: ledger::holds, ledger_table;
    life_cycle: ledger::life_cycle, ledger_table;
    correcting: ledger::correcting, ledger_table;
    telling_again: ledger::telling_again, ledger_table;
    conflicts: ledger::conflicts, |sdk| sluice_aws::divergence::DynamoDivergence::new(sdk, "sluice-divergence");
    commits_of_canonical_state: canonical::commits, canonical_store;
    rivals: canonical::rivals, canonical_store;
    history: canonical::history, canonical_store;
    lists: canonical::lists, canonical_store;
    pointers: vendors::pointers, vendors_table;
    counts: vendors::counts, vendors_table;
    drift: ops::drift, |sdk| sluice_aws::drift::DynamoDrift::new(sdk, "sluice-drift");
    balance: ops::balance, balances;
    health: ops::health, balances;
    reruns: ops::reruns, |sdk| sluice_aws::recoveries::SfnReruns::new(
        sdk,
        "arn:aws:states:us-east-1:000000000000:stateMachine:sluice-recover",
    );
    bus: ops::bus, |sdk| sluice_aws::bus::EventBridgeBus::new(sdk, "sluice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn directory() {
    let cloud = cloud().await;
    let table = vendors_table(&cloud.sdk_config());
    vendors::directory(&table, &table).await;
    cloud.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quarantine() {
    let cloud = cloud().await;
    let table = sluice_aws::quarantine::DynamoQuarantine::new(&cloud.sdk_config(), "sluice-quarantine");
    let look = async || table.find(&"v".parse().unwrap(), ingest_id(1)).await.unwrap();
    ledger::quarantine(&table, look).await;
    cloud.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters() {
    let cloud = cloud().await;
    let sdk = cloud.sdk_config();
    let client = aws_sdk_sqs::Client::new(&sdk);
    let url = client.get_queue_url().queue_name("sluice-orders-dlq").send().await.unwrap().queue_url.unwrap();
    let receive = async || {
        let received = client.receive_message().queue_url(&url).max_number_of_messages(10).send().await;
        let messages = received.unwrap().messages.unwrap_or_default();
        messages.into_iter().filter_map(|message| message.body).collect::<Vec<_>>()
    };
    let letters = sluice_aws::dead_letters::SqsDeadLetters::new(&sdk);
    ops::dead_letters(&letters, "arn:aws:sqs:us-east-1:000000000000:sluice-orders", receive).await;
    cloud.shutdown().await;
}

#[test]
fn clock() {
    ops::clock(&sluice_aws::clock::SystemClock);
}

mod edits {
    //! Concurrent edits of a vendor.

    use futures::future::join_all;
    use sluice_aws::vendors::{VendorChange, VendorEdit};
    use sluice_contract_tests::digest;
    use sluice_core::Fault;
    use sluice_core::port::{Freshness, VendorDirectory as _};
    use sluice_core::record::VendorProfile;

    use super::*;

    fn profile(keys: &[&str]) -> VendorProfile {
        serde_json::from_value(json!({"vendorId": "v", "enabled": true,
            "apiKeySha256": keys.iter().map(|key| digest(key)).collect::<Vec<_>>()}))
        .unwrap()
    }

    fn edited(profile: VendorProfile, what: &str) -> Result<Option<VendorEdit>, Fault> {
        let change = Some(VendorChange::new(what.into(), "me".into()));
        Ok(Some(VendorEdit { profile, change }))
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_edit_undoes_another() {
        let cloud = cloud().await;
        let sdk = cloud.sdk_config();
        let table = vendors_table(&sdk);
        assert!(table.add_vendor(&profile(&["old", "kept"])).await.unwrap());
        assert!(!table.add_vendor(&profile(&["other"])).await.unwrap(), "somebody's by now");
        let vendor = "v".parse().unwrap();

        // While one edit is being made, another one disables the vendor and revokes a key.
        let mut first = true;
        let (others, handle) = (vendors_table(&sdk), tokio::runtime::Handle::current());
        let edit = |held: Option<VendorProfile>| {
            if std::mem::take(&mut first) {
                let vendor = "v".parse().unwrap();
                let disable = others.edit_vendor(&vendor, |held| {
                    let mut profile = held.unwrap();
                    profile.enabled = false;
                    profile.api_key_sha256.retain(|key| *key != digest("old"));
                    edited(profile, "disabled")
                });
                tokio::task::block_in_place(|| handle.block_on(disable)).unwrap().unwrap();
            }
            let mut profile = held.unwrap();
            profile.webhook_secrets.push("secret".into());
            edited(profile, "secret")
        };
        let result = table.edit_vendor(&vendor, edit).await.unwrap().unwrap();
        assert!(!result.enabled, "a disabled vendor does not come back");
        assert_eq!((result.api_key_sha256, result.webhook_secrets.len()), (vec![digest("kept")], 1));
        let fresh = vendors_table(&sdk);
        assert_eq!(fresh.owner_of_key(&digest("old")).await.unwrap(), None, "nor does a revoked key");
        assert_eq!(fresh.owner_of_key(&digest("kept")).await.unwrap(), Some(vendor.clone()));

        let many = join_all((0..8).map(|number| {
            let table = vendors_table(&sdk);
            async move {
                let edit = |held: Option<VendorProfile>| {
                    let mut profile = held.unwrap();
                    profile.webhook_secrets.push(format!("secret-{number}"));
                    edited(profile, &format!("secret {number}"))
                };
                table.edit_vendor(&"v".parse().unwrap(), edit).await
            }
        }));
        many.await.into_iter().for_each(|edited| assert!(edited.unwrap().is_some()));
        let held = vendors_table(&sdk).profile(&vendor, Freshness::Cached).await.unwrap().unwrap();
        assert_eq!(held.webhook_secrets.len(), 9, "{:?}", held.webhook_secrets);
        let history = table.changes(&vendor).await.unwrap();
        assert_eq!(history.len(), 10, "one line an edit: {history:?}");
        cloud.shutdown().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_key_has_one_owner_and_a_row_of_before_there_were_revisions_is_edited() {
        let cloud = cloud().await;
        let sdk = cloud.sdk_config();
        let table = vendors_table(&sdk);
        let mut other = profile(&["shared"]);
        other.vendor_id = "w".parse().unwrap();
        assert!(table.add_vendor(&other).await.unwrap());
        let refused = table.add_vendor(&profile(&["own", "shared"])).await.unwrap_err();
        assert_eq!(refused.code, sluice_core::Code::ConfigurationInvalid);
        assert_eq!(table.owner_of_key(&digest("own")).await.unwrap(), None, "nothing of it is written");

        assert!(table.add_vendor(&profile(&["own"])).await.unwrap());
        let client = aws_sdk_dynamodb::Client::new(&sdk);
        let text = |text: &str| aws_sdk_dynamodb::types::AttributeValue::S(text.into());
        let strip = client.update_item().table_name("sluice-vendors").key("vendorId", text("v"));
        strip.key("record", text("profile")).update_expression("REMOVE revision").send().await.unwrap();
        for enabled in [false, true] {
            let edit =
                |held: Option<VendorProfile>| edited(VendorProfile { enabled, ..held.unwrap() }, "switched");
            assert!(table.edit_vendor(&"v".parse().unwrap(), edit).await.unwrap().is_some());
        }
        assert!(table.profile(&"v".parse().unwrap(), Freshness::Cached).await.unwrap().unwrap().enabled);
        cloud.shutdown().await;
    }
}
