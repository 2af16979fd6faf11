//! Canonical state and its divergence.

use std::collections::BTreeSet;

use futures::future::join_all;
use sluice_core::Code;
use sluice_core::limits::TRANSACTION_ROWS_MAX;
use sluice_core::port::{CanonicalStore, Written};
use sluice_core::state::{
    Change, Contribution, DivergenceKind, Effects, Entity, EntityChange, EntityList, Mark, Source, State,
    StateDivergence, View,
};

use crate::{at, digest, ingest_id};

fn entity(sku: &str) -> Entity {
    Entity::inventory("W", sku)
}

fn source(number: u32, line: u32) -> Source {
    Source { ingest_id: ingest_id(number), line }
}

fn contribution(number: u32, line: u32) -> Contribution {
    Contribution {
        mark: Mark { occurred_at: at(i64::from(number)), source: source(number, line) },
        vendor_id: "v".parse().unwrap(),
        event_type: "InventoryUpdated".parse().unwrap(),
        schema_version: "1.0".parse().unwrap(),
        fields: [("quantityOnHand".to_owned(), number.to_string())].into(),
    }
}

fn divergence(entity: &Entity, number: u32) -> StateDivergence {
    let mark = contribution(number, 0).mark;
    StateDivergence {
        subject: entity.clone(),
        id: format!("{}#stale", mark.source),
        kind: DivergenceKind::Stale,
        vendor_id: "v".parse().unwrap(),
        ingest_id: mark.source.ingest_id,
        event_type: "InventoryUpdated".parse().unwrap(),
        mark,
        at: mark.source.ingest_id.received_at(),
        claims: Vec::new(),
    }
}

fn state(entity: &Entity, version: u64) -> State {
    State {
        entity: entity.clone(),
        version,
        contributions: version,
        last: None,
        view: View::default(),
        base: None,
        divergence_due: false,
    }
}

fn change(entity: &Entity, version: u64, put: Vec<Contribution>) -> EntityChange {
    EntityChange {
        next: state(entity, version),
        put,
        remove: Vec::new(),
        diverged: Vec::new(),
        undiverged: Vec::new(),
        complete: true,
    }
}

fn effects(number: u32, version: u64) -> Effects {
    Effects {
        ingest_id: ingest_id(number),
        version,
        sha256: digest("d"),
        normalized_at: at(0),
        entities: BTreeSet::from([entity("a")]),
        listed: None,
        through: None,
        first: true,
        done: true,
    }
}

fn only(change: EntityChange) -> Change {
    Change { effects: Vec::new(), entities: vec![change] }
}

/// [`CanonicalStore::commit`]: all or nothing under every version, and what is read afterwards.
pub async fn commits(store: &dyn CanonicalStore) {
    let (a, b) = (entity("a"), entity("b"));
    let nothing = store.read(&[ingest_id(1)], std::slice::from_ref(&a)).await.unwrap();
    assert!(nothing.effects.is_empty() && nothing.states.is_empty());
    let mut first = change(&a, 1, vec![contribution(1, 0)]);
    first.diverged.push(divergence(&a, 1));
    let all = Change {
        effects: vec![effects(1, 1)],
        entities: vec![first, change(&b, 1, vec![contribution(1, 1)])],
    };
    assert_eq!(store.commit(&all).await.unwrap(), Written::Written);
    let read = store.read(&[ingest_id(1), ingest_id(2)], &[b.clone(), a.clone(), entity("c")]).await.unwrap();
    assert_eq!(read.effects, [effects(1, 1)]);
    let mut states = read.states;
    states.sort_by(|one, other| one.entity.cmp(&other.entity));
    assert_eq!(states, [state(&a, 1), state(&b, 1)]);
    assert_eq!(store.divergences(&a).await.unwrap(), [divergence(&a, 1)]);

    // One row of many has another version: none of them is written, whichever it is.
    let stale = [
        Change { effects: vec![effects(1, 1)], entities: vec![change(&a, 2, vec![contribution(2, 0)])] },
        Change { effects: vec![effects(2, 2)], entities: vec![change(&a, 2, vec![contribution(2, 0)])] },
        Change { effects: vec![effects(2, 1)], entities: vec![change(&a, 1, vec![contribution(2, 0)])] },
        Change {
            effects: vec![effects(2, 1)],
            entities: vec![change(&a, 2, vec![contribution(2, 0)]), change(&b, 3, Vec::new())],
        },
    ];
    for change in stale {
        assert_eq!(store.commit(&change).await.unwrap(), Written::Conflict, "{change:?}");
    }
    assert_eq!(store.history(&a, None).await.unwrap(), [contribution(1, 0)]);
    assert!(store.read(&[ingest_id(2)], &[]).await.unwrap().effects.is_empty());

    // What is taken back goes in the same transaction as what takes its place.
    let mut next = change(&a, 2, vec![contribution(2, 0)]);
    next.remove.push(source(1, 0));
    next.undiverged.push(divergence(&a, 1).id);
    next.diverged.push(divergence(&a, 2));
    assert_eq!(store.commit(&only(next)).await.unwrap(), Written::Written);
    assert_eq!(store.history(&a, None).await.unwrap(), [contribution(2, 0)]);
    assert_eq!(store.divergences(&a).await.unwrap(), [divergence(&a, 2)]);
    assert_eq!(store.read(&[], std::slice::from_ref(&a)).await.unwrap().states, [state(&a, 2)]);
}

/// [`CanonicalStore::commit`] of two writers: one of them wins, and the other leaves nothing behind, however much it had to write.
pub async fn rivals(store: &dyn CanonicalStore) {
    let a = entity("a");
    let rivals: Vec<Change> =
        (1..=6).map(|number| only(change(&a, 1, vec![contribution(number, 0)]))).collect();
    let results = join_all(rivals.iter().map(|rival| store.commit(rival))).await;
    let won: Vec<usize> =
        (0..rivals.len()).filter(|at| *results[*at].as_ref().unwrap() == Written::Written).collect();
    assert_eq!(won.len(), 1, "{results:?}");
    assert_eq!(store.history(&a, None).await.unwrap(), rivals[won[0]].entities[0].put);

    // A writer that read version 0, and has more to say of divergence than one transaction holds.
    let mut late = change(&a, 1, vec![contribution(9, 0)]);
    late.diverged = (0..150).map(|number| divergence(&a, number)).collect();
    let late = only(late);
    assert!(late.rows() > TRANSACTION_ROWS_MAX);
    assert!(!matches!(store.commit(&late).await, Ok(Written::Written)));
    assert_eq!(store.divergences(&a).await.unwrap(), [], "of a writer that did not win");
    // Nor is a part of it written where it would have won.
    let mut large = change(&a, 2, vec![contribution(9, 0)]);
    large.diverged = (0..150).map(|number| divergence(&a, number)).collect();
    assert_eq!(store.commit(&only(large)).await.unwrap_err().code, Code::RowMalformed);
    assert_eq!(store.divergences(&a).await.unwrap(), []);
    assert_eq!(store.read(&[], std::slice::from_ref(&a)).await.unwrap().states, [state(&a, 1)]);

    // The most that one transaction holds.
    let mut most = change(&a, 2, vec![contribution(9, 0)]);
    most.diverged = (0..98).map(|number| divergence(&a, number)).collect();
    assert_eq!(store.commit(&only(most)).await.unwrap(), Written::Written);
    let held = store.divergences(&a).await.unwrap();
    assert_eq!(held.len(), 98);
    assert!(held.is_sorted_by(|one, other| one.id < other.id));
    assert_eq!(store.divergences(&entity("A")).await.unwrap(), [], "of another entity");
}

/// [`CanonicalStore::history`]: in the order of acceptance, lines as numbers, page by page, of this entity alone.
pub async fn history(store: &dyn CanonicalStore) {
    let (a, beside) = (entity("a"), entity("a1"));
    let lines = [0, 1, 9_999, 10_000, 10_001, 100_000, 1_000_000];
    let mut expected: Vec<Contribution> = Vec::new();
    let mut version = 0;
    for number in (1..=40).rev() {
        let put: Vec<Contribution> = lines.iter().map(|line| contribution(number, *line)).collect();
        expected.extend(put.clone());
        version += 1;
        assert_eq!(store.commit(&only(change(&a, version, put))).await.unwrap(), Written::Written);
    }
    let other = only(change(&beside, 1, vec![contribution(5, 3)]));
    assert_eq!(store.commit(&other).await.unwrap(), Written::Written);
    expected.sort_by_key(|row| row.mark.source);
    assert_eq!(store.history(&a, None).await.unwrap(), expected);
    for after in [source(1, 0), source(20, 9_999), source(20, 10_000), source(40, 1_000_000), source(50, 0)] {
        let rest: Vec<Contribution> =
            expected.iter().filter(|row| row.mark.source > after).cloned().collect();
        assert_eq!(store.history(&a, Some(after)).await.unwrap(), rest, "{after}");
    }
    assert_eq!(store.history(&entity("none"), None).await.unwrap(), []);
    // More keys than one call asks for.
    let many: Vec<Entity> = (0..250).map(|number| entity(&format!("x{number}"))).collect();
    for chunk in many.chunks(90) {
        let entities = chunk.iter().map(|entity| change(entity, 1, Vec::new())).collect();
        let written = store.commit(&Change { effects: Vec::new(), entities }).await.unwrap();
        assert_eq!(written, Written::Written);
    }
    assert_eq!(store.read(&[], &many).await.unwrap().states.len(), 250);
}

/// [`CanonicalStore::put_list`], [`CanonicalStore::entities`] and [`CanonicalStore::remove_list`].
pub async fn lists(store: &dyn CanonicalStore) {
    let entities: Vec<Entity> = (0..1_000).map(|number| entity(&format!("{number:0400}"))).collect();
    let (list, rows) = EntityList::of(1, &digest("d"), &entities);
    assert!(list.rows > 1);
    let named = Effects { listed: Some(list.clone()), entities: BTreeSet::new(), ..effects(1, 1) };
    assert_eq!(store.entities(&named).await.unwrap_err().code, Code::ConcurrentWrite);
    for _ in 0..2 {
        store.put_list(ingest_id(1), &list, &rows).await.unwrap();
        assert_eq!(store.entities(&named).await.unwrap(), entities);
    }
    assert_eq!(store.entities(&effects(1, 1)).await.unwrap(), [entity("a")]);
    for _ in 0..2 {
        store.remove_list(ingest_id(1), &list).await.unwrap();
        assert_eq!(store.entities(&named).await.unwrap_err().code, Code::ConcurrentWrite);
    }
}
