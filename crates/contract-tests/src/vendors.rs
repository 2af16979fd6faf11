//! Pointers to active mappers.

use futures::future::join_all;
use serde_json::{Value, json};
use sluice_core::bundle::{ActiveMapper, Arm, ChangeKind, MapperChange};
use sluice_core::contract::Contract;
use sluice_core::id::{EventType, VendorId};
use sluice_core::port::{Freshness, MapperPointers, VendorDirectory};

use crate::{at, digest};

fn contract(event_type: &str, more: &Value) -> Contract {
    let mut contract = json!({
        "vendorId": "v", "eventType": event_type,
        "payload": {"defaultVersion": "1", "versions": {"1": "schema/1.schema.json"}},
        "canonical": {"type": "InventoryUpdated", "version": "1.0"},
    });
    for (name, value) in more.as_object().unwrap() {
        contract[name] = value.clone();
    }
    serde_json::from_value(contract).unwrap()
}

fn pointer(event_type: &str, bundle: &str, revision: u64) -> (ActiveMapper, MapperChange) {
    let pointer = ActiveMapper {
        bundle: digest(bundle),
        contract: contract(event_type, &json!({})),
        revision,
        activated_at: at(revision.cast_signed()),
        activated_by: "me".into(),
        reason: "a test".into(),
        canary: None,
    };
    let change = MapperChange {
        vendor_id: "v".parse().unwrap(),
        event_type: event_type.parse().unwrap(),
        revision,
        kind: ChangeKind::Promote,
        at: at(revision.cast_signed()),
        by: "me".into(),
        reason: "a test".into(),
        from: None,
        to: digest(bundle),
        canary: None,
        counts: None,
        forced: None,
    };
    (pointer, change)
}

/// [`MapperPointers::replace`]: under the revision, with the history or not at all.
pub async fn pointers(store: &dyn MapperPointers) {
    let (vendor, orders): (VendorId, EventType) = ("v".parse().unwrap(), "orders".parse().unwrap());
    assert_eq!(store.current(&vendor, &orders).await.unwrap(), None);
    assert_eq!(store.history(&vendor, None).await.unwrap(), []);
    let replace = async |(pointer, change): (ActiveMapper, MapperChange)| {
        store.replace(&pointer, &change).await.unwrap()
    };
    assert!(!replace(pointer("orders", "early", 2)).await, "there is no revision 1");
    assert!(replace(pointer("orders", "a", 1)).await);
    assert!(!replace(pointer("orders", "other", 1)).await);
    assert!(!replace(pointer("orders", "late", 3)).await);
    assert_eq!(store.current(&vendor, &orders).await.unwrap().unwrap().bundle, digest("a"));

    // Of many at once one replaces the pointer, and the history has that one alone.
    let rivals: Vec<_> = (0..6).map(|number| pointer("orders", &format!("rival-{number}"), 2)).collect();
    let results = join_all(rivals.iter().map(|(pointer, change)| store.replace(pointer, change))).await;
    let won: Vec<usize> = (0..rivals.len()).filter(|at| *results[*at].as_ref().unwrap()).collect();
    assert_eq!(won.len(), 1, "{results:?}");
    assert_eq!(store.current(&vendor, &orders).await.unwrap(), Some(rivals[won[0]].0.clone()));

    // Enough revisions to need two digits, and another event type of a name that begins alike.
    for revision in 3..=11 {
        assert!(replace(pointer("orders", "b", revision)).await);
    }
    assert!(replace(pointer("orders2", "c", 1)).await);
    let history = store.history(&vendor, Some(&orders)).await.unwrap();
    assert_eq!(
        history.iter().map(|change| change.revision).collect::<Vec<_>>(),
        (1..=11).collect::<Vec<_>>()
    );
    assert_eq!(history[1], rivals[won[0]].1);
    assert_eq!(store.history(&vendor, None).await.unwrap().len(), 12);
    assert_eq!(store.history(&"w".parse().unwrap(), None).await.unwrap(), []);
}

/// [`MapperPointers::count_outcome`]: counts of many at once add up, by revision.
pub async fn counts(store: &dyn MapperPointers) {
    let (vendor, orders): (VendorId, EventType) = ("v".parse().unwrap(), "orders".parse().unwrap());
    assert_eq!(store.counts(&vendor, &orders, 1).await.unwrap().candidate.events, 0);
    let outcome = |arm, failed| store.count_outcome(&vendor, &orders, 1, arm, failed);
    let counted =
        join_all((0..30).map(|number| {
            outcome(if number % 3 == 0 { Arm::Candidate } else { Arm::Active }, number % 5 == 0)
        }));
    counted.await.into_iter().for_each(|counts| assert!(counts.is_ok()));
    let counts = store.counts(&vendor, &orders, 1).await.unwrap();
    assert_eq!((counts.candidate.events, counts.active.events), (10, 20));
    assert_eq!((counts.candidate.failed, counts.active.failed), (2, 4));
    assert_eq!(store.counts(&vendor, &orders, 2).await.unwrap().active.events, 0);
}

/// [`VendorDirectory`]: what is not there, and what [`MapperPointers::replace`] brought there.
pub async fn directory(directory: &dyn VendorDirectory, pointers: &dyn MapperPointers) {
    let (vendor, orders): (VendorId, EventType) = ("v".parse().unwrap(), "orders".parse().unwrap());
    assert_eq!(directory.owner_of_key(&digest("key")).await.unwrap(), None);
    assert_eq!(directory.profile(&vendor, Freshness::Cached).await.unwrap(), None);
    assert!(directory.contracts(&"nobody".parse().unwrap()).await.unwrap().is_empty());
    for revision in 1..=3 {
        let (next, change) = pointer("orders", &revision.to_string(), revision);
        // A cached answer of before must not be in the way of a fresh one.
        directory.active_mapper(&vendor, &orders, Freshness::Cached).await.unwrap();
        assert!(pointers.replace(&next, &change).await.unwrap());
        let fresh = directory.active_mapper(&vendor, &orders, Freshness::Fresh).await.unwrap();
        assert_eq!(fresh, Some(next));
    }
    let (other, change) = pointer("adjustments", "x", 1);
    assert!(pointers.replace(&other, &change).await.unwrap());
    let contracts = directory.contracts(&vendor).await.unwrap();
    let types: Vec<&str> = contracts.iter().map(|mapper| mapper.contract.event_type.as_str()).collect();
    assert_eq!(types, ["adjustments", "orders"], "in the order of event types");
}
