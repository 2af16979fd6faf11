//! The rules of merging, one by one, and that the order of delivery is none of them.
#![expect(clippy::unwrap_used, reason = "a test's own constants")]

use proptest::prelude::*;

use super::*;
use crate::canonical::SCHEMAS;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_795_255_200 + seconds).unwrap()
}

/// A statement accepted as number `accepted`, of the moment `occurred`.
fn said(accepted: u32, event_type: &str, occurred: i64, fields: &[(&str, &str)]) -> Contribution {
    let ingest_id = IngestId::mint(at(i64::from(accepted)), 1);
    Contribution {
        mark: Mark { occurred_at: at(occurred), source: Source { ingest_id, line: 0 } },
        vendor_id: "vendorA".parse().unwrap(),
        event_type: event_type.parse().unwrap(),
        schema_version: "1.0".parse().unwrap(),
        fields: fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    }
}

fn entity() -> Entity {
    Entity::inventory("ROA", "SKU-1")
}

/// Merges in order; the last state and what each found, as `accepted kind member held stated`.
fn merged(said: &[Contribution]) -> (State, Vec<String>) {
    let mut state = State::empty(&entity());
    let mut found = Vec::new();
    for (index, contribution) in said.iter().enumerate() {
        let merged = merge(state, contribution);
        for row in &merged.divergences {
            for claim in &row.claims {
                let held = claim.held.as_deref().unwrap_or("-");
                found.push(format!("{index} {} {} {held} {}", row.kind.as_str(), claim.member, claim.stated));
            }
        }
        state = merged.next;
    }
    (state, found)
}

fn values(state: &State) -> Vec<(&str, &str)> {
    state.view.fields.iter().map(|(name, field)| (name.as_str(), field.value.as_str())).collect()
}

const LEVEL: &str = "InventoryUpdated";

#[test]
fn every_canonical_type_has_rules() {
    for (name, _, _) in SCHEMAS {
        assert!(is_mergeable(&name.parse().unwrap()), "{name}");
    }
}

#[test]
fn the_newest_statement_of_each_member_holds() {
    let (state, found) = merged(&[
        said(1, LEVEL, 10, &[("onHand", "5")]),
        said(2, LEVEL, 20, &[("reserved", "1")]),
        said(3, LEVEL, 30, &[("onHand", "4"), ("unit", "\"EA\"")]),
    ]);
    assert_eq!(values(&state), [("onHand", "4"), ("reserved", "1"), ("unit", "\"EA\"")]);
    assert_eq!(found, [""; 0]);
    assert_eq!(state.contributions, 3);
}

#[test]
fn an_older_statement_fills_what_no_newer_one_has_said_and_is_stale_for_the_rest() {
    let (state, found) = merged(&[
        said(1, LEVEL, 30, &[("onHand", "4"), ("unit", "\"EA\"")]),
        said(2, LEVEL, 10, &[("onHand", "5"), ("reserved", "2"), ("unit", "\"EA\"")]),
    ]);
    assert_eq!(values(&state), [("onHand", "4"), ("reserved", "2"), ("unit", "\"EA\"")]);
    assert_eq!(found, ["1 stale onHand 4 5"], "an older statement that agrees is no disagreement");
}

#[test]
fn of_two_statements_of_one_moment_the_one_accepted_later_holds() {
    let (state, found) =
        merged(&[said(1, LEVEL, 10, &[("onHand", "4")]), said(2, LEVEL, 10, &[("onHand", "5")])]);
    assert_eq!(values(&state), [("onHand", "5")]);
    assert_eq!(found, ["1 conflict onHand 4 5"]);
    let (_, found) =
        merged(&[said(1, LEVEL, 10, &[("onHand", "4")]), said(2, LEVEL, 10, &[("onHand", "4")])]);
    assert_eq!(found, [""; 0]);
}

#[test]
fn a_life_cycle_that_cannot_be_is_recorded_and_a_cancellation_is_final() {
    let (state, found) = merged(&[
        said(1, "OrderUpdated", 5, &[("note", "1")]),
        said(2, "OrderPlaced", 10, &[("note", "2")]),
        said(3, "OrderUpdated", 7, &[("channel", "1")]),
        said(4, "OrderCancelled", 20, &[("reason", "1")]),
        said(5, "OrderUpdated", 30, &[("note", "3")]),
        said(6, "OrderUpdated", 15, &[("test", "1")]),
        said(7, "OrderPlaced", 40, &[("note", "4")]),
    ]);
    assert_eq!(
        found,
        [
            r#"0 not_placed lifeCycle - "updated""#,
            r#"2 before_placed lifeCycle "placed" "updated""#,
            r#"4 after_cancel lifeCycle "cancelled" "updated""#,
            r#"6 after_cancel lifeCycle "cancelled" "placed""#,
        ]
    );
    assert_eq!(state.view.life_cycle(), Some(LifeCycle::Cancelled));
    assert_eq!(state.view.fields["note"].value, "4", "what is said afterwards is not lost");

    let (state, found) = merged(&[
        said(1, "OrderPlaced", 1, &[]),
        said(2, "OrderUpdated", 9, &[]),
        said(3, "OrderCancelled", 5, &[]),
    ]);
    assert_eq!(found, [r#"2 after_cancel lifeCycle "updated" "cancelled""#]);
    assert_eq!(state.view.life_cycle(), Some(LifeCycle::Cancelled));
    assert_eq!(merged(&[said(1, "OrderPlaced", 1, &[])]).0.view.life_cycle(), Some(LifeCycle::Placed));
    assert_eq!(merged(&[said(1, LEVEL, 1, &[])]).0.view.life_cycle(), None);
}

#[test]
fn a_long_value_is_repeated_as_its_digest() {
    let long = format!("\"{}\"", "x".repeat(CLAIM_BYTES_MAX));
    let (state, found) =
        merged(&[said(1, LEVEL, 10, &[("title", &long)]), said(2, LEVEL, 10, &[("title", "\"y\"")])]);
    assert!(found[0].starts_with("1 conflict title \"sha256:"), "{found:?}");
    assert_eq!(state.view.fields["title"].value, "\"y\"");
    let adds = vec![said(1, LEVEL, 1, &[("title", &"x".repeat(STATE_BYTES_MAX))])];
    assert_eq!(append(&entity(), None, adds).unwrap_err().code, Code::StateTooLarge);
}

#[test]
fn keys_of_entities_are_unambiguous() {
    let entity = Entity::inventory("A#B", "50%");
    assert_eq!(entity.as_str(), "inventory#A%23B#50%25");
    assert_eq!(entity.identity(), [("warehouseId", "A#B".to_owned()), ("sku", "50%".to_owned())]);
    assert_ne!(Entity::inventory("A#B", "C"), Entity::inventory("A", "B#C"));
    assert_eq!(entity.as_str().parse::<Entity>().unwrap(), entity);
    assert_eq!(Entity::inventory("W", "cafe\u{301}"), Entity::inventory("W", "caf\u{e9}"));
    let shipment = Entity::of(canonical::SHIPMENT, ["edi-partner", "S#1"]);
    assert_eq!(shipment.as_str(), "shipment#edi-partner#S%231");
    assert_eq!(shipment.as_str().parse(), Ok(shipment.clone()));
    assert_eq!(
        shipment.identity(),
        [("vendorId", "edi-partner".to_owned()), ("shipmentId", "S#1".to_owned())]
    );
    assert_eq!(
        "price#a#b".parse::<Entity>().unwrap_err().to_string(),
        "an entity is inventory#<warehouseId>#<sku> or order#<vendorId>#<orderId> or \
         shipment#<vendorId>#<shipmentId>, with %23 for a # and %25 for a % within a part"
    );
    for bad in ["", "inventory#a", "price#a#b", "order#a#", "inventory#a#b#c"] {
        assert!(bad.parse::<Entity>().is_err(), "{bad}");
    }
    let source = Source { ingest_id: IngestId::mint(at(0), 7), line: 12 };
    assert_eq!(Source::try_from(source.to_string()).unwrap(), source);
}

/// What a store would hold of one entity.
#[derive(Default)]
struct Store {
    state: Option<State>,
    rows: BTreeMap<Source, Contribution>,
    divergence: BTreeMap<String, StateDivergence>,
    whole_histories: usize,
}

impl Store {
    fn write(&mut self, change: EntityChange) {
        assert_eq!(change.next.version, self.state.as_ref().map_or(0, |state| state.version) + 1);
        assert!(change.rows() <= ENTITY_CHANGE_ROWS_MAX, "{} rows", change.rows());
        assert!(!(change.complete && change.next.divergence_due));
        self.rows.extend(change.put.into_iter().map(|row| (row.mark.source, row)));
        for source in change.remove {
            self.rows.remove(&source).unwrap();
        }
        self.divergence.extend(change.diverged.into_iter().map(|row| (row.id.clone(), row)));
        for id in change.undiverged {
            self.divergence.remove(&id).unwrap();
        }
        self.state = Some(change.next);
    }

    #[expect(clippy::needless_pass_by_value, reason = "a test states the contributions in place")]
    fn deliver(&mut self, adds: Vec<Contribution>, replaces: &BTreeSet<IngestId>) {
        loop {
            let state = self.state.clone();
            if replaces.is_empty() && can_append(state.as_ref(), &adds) {
                let change = append(&entity(), state, adds.clone()).unwrap();
                let complete = change.complete;
                self.write(change);
                if complete {
                    return;
                }
                continue;
            }
            let from = history_from(state.as_ref(), &adds, replaces);
            self.whole_histories += usize::from(from.is_none());
            let history: Vec<_> =
                self.rows.values().filter(|row| Some(row.mark.source) > from).cloned().collect();
            let due = state.as_ref().is_some_and(|state| state.divergence_due);
            let held = due.then(|| self.divergence.values().cloned().collect());
            match rewrite(&entity(), state, history, held, adds.clone(), replaces).unwrap() {
                None => return,
                Some(change) => {
                    let complete = change.complete;
                    self.write(change);
                    if complete {
                        return;
                    }
                }
            }
        }
    }

    /// The same by the definition: all in order, at once.
    fn check(&self) {
        let (view, found, _) = fold(&entity(), View::default(), &self.rows, 0);
        let state = self.state.clone().unwrap();
        assert_eq!(state.view, view);
        assert_eq!(self.divergence, found);
        assert_eq!(state.contributions, self.rows.len() as u64);
        assert_eq!(state.last, self.rows.keys().next_back().copied());
    }
}

fn statements() -> impl Strategy<Value = Vec<Contribution>> {
    let types = prop::sample::select(vec![LEVEL, "OrderPlaced", "OrderUpdated", "OrderCancelled"]);
    let fields = prop::collection::vec((prop::sample::select(vec!["a", "b", "c"]), 0..3_u8), 0..4);
    prop::collection::vec((types, 0..12_i64, fields), 1..200).prop_map(|all| {
        type Drawn = (&'static str, i64, Vec<(&'static str, u8)>);
        let statement = |(index, (event_type, occurred, fields)): (usize, Drawn)| {
            let fields: Vec<(&str, String)> =
                fields.into_iter().map(|(name, value)| (name, value.to_string())).collect();
            let fields: Vec<(&str, &str)> =
                fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            said(u32::try_from(index).unwrap(), event_type, occurred, &fields)
        };
        all.into_iter().enumerate().map(statement).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_order_of_delivery_makes_no_difference(
        statements in statements().prop_shuffle_later(),
        replaced in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let (in_order, delivered) = statements;
        let mut store = Store::default();
        for (index, contribution) in delivered.iter().enumerate() {
            store.deliver(vec![contribution.clone()], &BTreeSet::new());
            if index % 17 == 0 {
                store.check();
            }
        }
        store.check();
        let (state, _) = merged(&in_order);
        prop_assert_eq!(&store.state.as_ref().unwrap().view, &state.view);

        // A second delivery of an event that is in changes nothing.
        let version = store.state.as_ref().unwrap().version;
        for contribution in &delivered {
            store.deliver(vec![contribution.clone()], &BTreeSet::from([contribution.mark.source.ingest_id]));
        }
        prop_assert_eq!(store.state.as_ref().unwrap().version, version);

        // Some events say something else, or nothing of this entity any more.
        for index in replaced {
            let mut contribution = delivered[index.index(delivered.len())].clone();
            let replaces = BTreeSet::from([contribution.mark.source.ingest_id]);
            contribution.fields.insert("a".into(), "\"remapped\"".into());
            let adds = if index.index(2) == 0 { vec![contribution] } else { vec![] };
            store.deliver(adds, &replaces);
            store.check();
        }
    }
}

/// A list in order, and the same shuffled: entirely, or only a little.
trait Shuffled {
    fn prop_shuffle_later(self) -> BoxedStrategy<(Vec<Contribution>, Vec<Contribution>)>;
}

impl<S: Strategy<Value = Vec<Contribution>> + 'static> Shuffled for S {
    fn prop_shuffle_later(self) -> BoxedStrategy<(Vec<Contribution>, Vec<Contribution>)> {
        self.prop_flat_map(|in_order| {
            let wholly = Just(in_order.clone()).prop_shuffle();
            let swaps = prop::collection::vec(any::<prop::sample::Index>(), 0..20);
            let slightly = (Just(in_order.clone()), swaps).prop_map(|(mut list, swaps)| {
                for swap in swaps {
                    let at = swap.index(list.len());
                    let other = (at + 3).min(list.len() - 1);
                    list.swap(at, other);
                }
                list
            });
            (Just(in_order), prop_oneof![wholly, slightly])
        })
        .boxed()
    }
}

#[test]
fn a_delivery_that_is_a_little_late_reads_a_little() {
    let mut store = Store::default();
    let mut all: Vec<Contribution> = (0..400)
        .map(|index| said(index, LEVEL, i64::from(index), &[("onHand", &index.to_string())]))
        .collect();
    let far = all.remove(3);
    let near = all.remove(370);
    for contribution in all {
        store.deliver(vec![contribution], &BTreeSet::new());
    }
    let base = store.state.as_ref().unwrap().base.clone().unwrap();
    assert!((400 - 2 * 32..400 - 32).contains(&(base.contributions as usize)), "{}", base.contributions);
    let before = store.whole_histories;
    store.deliver(vec![near], &BTreeSet::new());
    assert_eq!(store.whole_histories, before);
    store.deliver(vec![far], &BTreeSet::new());
    assert_eq!(store.whole_histories, before + 1);
    store.check();
    assert_eq!(store.divergence.len(), 0, "in the order of acceptance nothing was ever stale");
}

/// A store of 150 statements, and one accepted before them that makes each of them stale.
fn with_a_late_one() -> (Store, Contribution) {
    let mut store = Store::default();
    for index in 1..=150 {
        let value = index.to_string();
        store.deliver(vec![said(index, LEVEL, i64::from(index), &[("onHand", &value)])], &BTreeSet::new());
    }
    (store, said(0, LEVEL, 1_000, &[("onHand", "\"late\"")]))
}

#[test]
fn divergence_that_one_transaction_does_not_hold_follows_under_the_versions() {
    let (mut store, late) = with_a_late_one();
    let writes = store.state.as_ref().unwrap().version;
    store.deliver(vec![late], &BTreeSet::new());
    store.check();
    assert_eq!((store.divergence.len(), store.state.as_ref().unwrap().divergence_due), (150, false));
    // The statement, and twice divergence.
    assert_eq!(store.state.as_ref().unwrap().version, writes + 3);
}

#[test]
fn divergence_that_a_crash_left_due_is_brought_in_by_whoever_writes_next() {
    let (mut store, late) = with_a_late_one();
    let (state, history) = (store.state.clone(), store.rows.values().cloned().collect());
    let first = rewrite(&entity(), state, history, None, vec![late.clone()], &BTreeSet::new());
    let first = first.unwrap().unwrap();
    assert!(first.next.divergence_due && !first.complete && first.diverged.is_empty());
    store.write(first);
    // Whoever wrote that is gone. Another event is not appended as if nothing were due.
    let other = said(200, LEVEL, 2_000, &[("onHand", "7")]);
    assert!(!can_append(store.state.as_ref(), std::slice::from_ref(&other)));
    store.deliver(vec![other], &BTreeSet::new());
    store.check();
    assert!(!store.state.as_ref().unwrap().divergence_due);
    // The redelivery of the first finds that there is nothing left to do.
    let version = store.state.as_ref().unwrap().version;
    store.deliver(vec![late], &BTreeSet::new());
    assert_eq!(store.state.as_ref().unwrap().version, version);
}

#[test]
fn many_disagreements_at_once_are_appended_in_parts() {
    let mut store = Store::default();
    // Each of them is stale, and of no placed order, and after a cancellation.
    let first =
        [said(0, "OrderCancelled", 500, &[]), said(1, "OrderUpdated", 900, &[("a", "0"), ("b", "0")])];
    store.deliver(first.to_vec(), &BTreeSet::new());
    let many: Vec<Contribution> =
        (2..40).map(|index| said(index, "OrderUpdated", 600, &[("a", &index.to_string())])).collect();
    store.deliver(many, &BTreeSet::new());
    store.check();
    assert!(store.divergence.len() > 99, "{}", store.divergence.len());
}

#[test]
fn sources_sort_as_text_whatever_the_line() {
    let ingest_id = IngestId::mint(Timestamp::from_second(1_795_255_200).unwrap(), 7);
    let lines = [0, 1, 999, 9_999, 10_000, 10_001, 99_999, 100_000, 999_999, 1_000_000, u32::MAX];
    let texts: Vec<String> = lines.map(|line| Source { ingest_id, line }.to_string()).to_vec();
    assert!(texts.is_sorted(), "{texts:?}");
    for (line, text) in lines.into_iter().zip(texts) {
        assert_eq!(Source::try_from(text), Ok(Source { ingest_id, line }));
    }
}

#[test]
fn a_large_order_does_without_its_base_rather_than_not_be_held() {
    let entity = Entity::order(&"shop".parse().unwrap(), "1");
    let long = format!("\"{}\"", "x".repeat(200_000));
    let mut current: Option<State> = None;
    let mut history: Vec<Contribution> = Vec::new();
    for number in 0..100_u64 {
        let mark = Mark {
            occurred_at: Timestamp::from_second(1_795_000_000 + i64::try_from(number).unwrap()).unwrap(),
            source: Source {
                ingest_id: IngestId::mint(Timestamp::from_second(1_795_255_200).unwrap(), number.into()),
                line: 0,
            },
        };
        let add = Contribution {
            mark,
            vendor_id: "shop".parse().unwrap(),
            event_type: "OrderUpdated".parse().unwrap(),
            schema_version: "1.0".parse().unwrap(),
            fields: [("lines".to_owned(), long.clone())].into(),
        };
        let next = if can_append(current.as_ref(), std::slice::from_ref(&add)) {
            append(&entity, current, vec![add.clone()]).unwrap()
        } else {
            let adds = vec![add.clone()];
            rewrite(&entity, current, history.clone(), None, adds, &BTreeSet::new()).unwrap().unwrap()
        };
        history.push(add);
        assert_eq!((next.next.contributions, next.next.base.is_none()), (number + 1, true));
        current = Some(next.next);
    }
}
