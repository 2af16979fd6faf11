//! 10,000 events in random order, each delivered up to five times, while calls fail before and after they take effect and
//! invocations run side by side: canonical state and divergence are those of a model.
//!
//! The model knows nothing of how merging is done. It has all statements, sorted as they were accepted, and the definitions.
#![expect(clippy::unwrap_used, reason = "a test's own constants")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use sluice_core::port::{Snapshot, Written};
use sluice_core::state::{
    Change, Contribution, Effects, Entity, EntityList, LifeCycle, Source, StateDivergence,
};
use sluice_core::testing::{Failure, World};

use super::tests::{Line, batch, deps, failures, ingest_id, normalize};
use super::*;

const EVENTS: u64 = 10_000;

/// splitmix64: the same numbers for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn shuffle<T>(&mut self, list: &mut [T]) {
        for at in (1..list.len()).rev() {
            list.swap(at, usize::try_from(self.below(at as u64 + 1)).unwrap());
        }
    }

    fn line(&mut self) -> Line {
        // Few moments and few values, so that ties, agreement and disagreement are all frequent.
        let occurred = i64::try_from(self.below(40)).unwrap();
        let mut data = json!({});
        if self.below(10) < 6 {
            data["warehouseId"] = format!("W{}", self.below(4)).into();
            data["sku"] = format!("S#{}", self.below(60)).into();
            for member in ["quantityOnHand", "quantityAvailable", "quantityReserved", "unit"] {
                if self.below(2) == 0 {
                    data[member] = self.below(4).into();
                }
            }
            return ("InventoryUpdated", occurred, data);
        }
        if self.below(4) == 0 {
            data["shipmentId"] = format!("S#{}", self.below(60)).into();
            for member in ["shippedOn", "lines", "carriers"] {
                if self.below(2) == 0 {
                    data[member] = json!([self.below(3)]);
                }
            }
            return ("ShipmentNotified", occurred, data);
        }
        data["orderId"] = format!("ORD-{}", self.below(300)).into();
        for member in ["note", "totals", "paymentStatus"] {
            if self.below(2) == 0 {
                data[member] = json!({"of": self.below(3)});
            }
        }
        (
            ["OrderPlaced", "OrderUpdated", "OrderCancelled"][usize::try_from(self.below(3)).unwrap()],
            occurred,
            data,
        )
    }

    fn lines(&mut self) -> Vec<Line> {
        let count = match self.below(1_000) {
            0 => 130,
            1..100 => 2 + self.below(6),
            _ => 1,
        };
        (0..count).map(|_| self.line()).collect()
    }
}

/// Lets other invocations in before every call, so that they meet; counts the contributions that are read.
struct Interleaved(World, Arc<AtomicUsize>);

#[async_trait]
impl CanonicalStore for Interleaved {
    async fn read(&self, events: &[IngestId], entities: &[Entity]) -> Result<Snapshot, Fault> {
        tokio::task::yield_now().await;
        self.0.read(events, entities).await
    }

    async fn history(&self, entity: &Entity, after: Option<Source>) -> Result<Vec<Contribution>, Fault> {
        tokio::task::yield_now().await;
        let history = self.0.history(entity, after).await?;
        self.1.fetch_add(history.len(), Ordering::SeqCst);
        Ok(history)
    }

    async fn divergences(&self, entity: &Entity) -> Result<Vec<StateDivergence>, Fault> {
        tokio::task::yield_now().await;
        self.0.divergences(entity).await
    }

    async fn entities(&self, effects: &Effects) -> Result<Vec<Entity>, Fault> {
        tokio::task::yield_now().await;
        self.0.entities(effects).await
    }

    async fn put_list(&self, id: IngestId, list: &EntityList, rows: &[Vec<Entity>]) -> Result<(), Fault> {
        tokio::task::yield_now().await;
        self.0.put_list(id, list, rows).await
    }

    async fn remove_list(&self, id: IngestId, list: &EntityList) -> Result<(), Fault> {
        tokio::task::yield_now().await;
        self.0.remove_list(id, list).await
    }

    async fn commit(&self, change: &Change) -> Result<Written, Fault> {
        tokio::task::yield_now().await;
        CanonicalStore::commit(&self.0, change).await
    }
}

/// A statement, as the model sees it.
struct Said {
    accepted: (u64, usize),
    kind: &'static str,
    occurred: i64,
    fields: BTreeMap<String, String>,
}

/// The same document, told as that of a correction.
fn corrected(body: &str) -> String {
    let mut event: Value = serde_json::from_str(body).unwrap();
    event["detail-type"] = "event.corrected".into();
    event["detail"]["correction"] = json!({
        "operationId": ingest_id(EVENTS), "bundle": "c".repeat(64), "oldSha256": "d".repeat(64),
        "newSha256": event["detail"]["normalized"]["sha256"], "by": "ana", "reason": "pieces, not packs",
    });
    event.to_string()
}

fn vendor(accepted: u64) -> &'static str {
    ["vendorA", "vendorB"][usize::try_from(accepted % 2).unwrap()]
}

fn by_entity(events: &BTreeMap<u64, Vec<Line>>) -> BTreeMap<String, Vec<Said>> {
    let mut all: BTreeMap<String, Vec<Said>> = BTreeMap::new();
    for (accepted, lines) in events {
        for (number, (kind, occurred, data)) in lines.iter().enumerate() {
            let text = |member: &str| data[member].as_str().unwrap().replace('#', "%23");
            let entity = match *kind {
                "InventoryUpdated" => format!("inventory#{}#{}", text("warehouseId"), text("sku")),
                "ShipmentNotified" => format!("shipment#{}#{}", vendor(*accepted), text("shipmentId")),
                _ => format!("order#{}#{}", vendor(*accepted), text("orderId")),
            };
            let identity = ["warehouseId", "sku", "orderId", "shipmentId"];
            let fields =
                data.as_object().unwrap().iter().filter(|(name, _)| !identity.contains(&name.as_str()));
            let fields = fields.map(|(name, value)| (name.clone(), value.to_string())).collect();
            let said = Said { accepted: (*accepted, number), kind, occurred: *occurred, fields };
            all.entry(entity).or_default().push(said);
        }
    }
    all
}

type Rows = BTreeSet<(String, String, String, String, Option<String>)>;

/// Members with their values, the life cycle, and every disagreement as (entity, id, member, stated, held).
fn expected(entity: &str, said: &[Said]) -> (BTreeMap<String, String>, Option<LifeCycle>, Rows) {
    let mut members = BTreeMap::new();
    let names: BTreeSet<&String> = said.iter().flat_map(|it| it.fields.keys()).collect();
    for name in names {
        let last =
            said.iter().filter(|it| it.fields.contains_key(name)).max_by_key(|it| (it.occurred, it.accepted));
        members.insert(name.clone(), last.unwrap().fields[name].clone());
    }
    let any = |kind: &str| said.iter().any(|it| it.kind == kind);
    let life_cycle = if any("OrderCancelled") {
        Some(LifeCycle::Cancelled)
    } else if any("OrderUpdated") {
        Some(LifeCycle::Updated)
    } else {
        any("OrderPlaced").then_some(LifeCycle::Placed)
    };
    let mut rows = Rows::new();
    for it in said {
        let before: Vec<&Said> = said.iter().filter(|other| other.accepted < it.accepted).collect();
        let mut row = |kind: &str, member: &str, stated: &str, held: Option<String>| {
            let id = format!("{}#{:04}#{kind}", ingest_id(it.accepted.0), it.accepted.1);
            rows.insert((entity.to_owned(), id, member.to_owned(), stated.to_owned(), held));
        };
        for (name, value) in &it.fields {
            let holds = before.iter().filter(|other| other.fields.contains_key(name));
            let Some(holds) = holds.max_by_key(|other| (other.occurred, other.accepted)) else { continue };
            if holds.fields[name] != *value && holds.occurred >= it.occurred {
                let kind = if holds.occurred == it.occurred { "conflict" } else { "stale" };
                row(kind, name, value, Some(holds.fields[name].clone()));
            }
        }
        let of = |kind: &'static str| before.iter().filter(move |other| other.kind == kind);
        let stated = match it.kind {
            "OrderPlaced" => "\"placed\"",
            "OrderUpdated" => "\"updated\"",
            "OrderCancelled" => "\"cancelled\"",
            _ => continue,
        };
        if it.kind != "OrderPlaced" {
            match of("OrderPlaced").map(|other| other.occurred).min() {
                None => row("not_placed", "lifeCycle", stated, None),
                Some(placed) if it.occurred < placed => {
                    row("before_placed", "lifeCycle", stated, Some("\"placed\"".into()));
                }
                Some(_) => {}
            }
        }
        if it.kind == "OrderCancelled" {
            if of("OrderUpdated").any(|other| other.occurred > it.occurred) {
                row("after_cancel", "lifeCycle", stated, Some("\"updated\"".into()));
            }
        } else if of("OrderCancelled").any(|other| other.occurred < it.occurred) {
            row("after_cancel", "lifeCycle", stated, Some("\"cancelled\"".into()));
        }
    }
    (members, life_cycle, rows)
}

/// Delivers messages in a random order and in batches of random size, some of them side by side, until none is left.
async fn deliver_all(world: &World, chance: &mut Chance, mut messages: Vec<(String, String)>) {
    let deps = Deps { canonical: Arc::new(Interleaved(world.clone(), Arc::default())), ..deps(world) };
    chance.shuffle(&mut messages);
    let mut round = 0;
    while !messages.is_empty() {
        round += 1;
        let mut batches = Vec::new();
        for _ in 0..1 + chance.below(3) {
            let size = usize::try_from(1 + chance.below(10)).unwrap();
            batches.push(messages.split_off(messages.len().saturating_sub(size)));
        }
        if chance.below(4) == 0 && round < 100_000 {
            let failures = [Failure::None, Failure::None, Failure::Before, Failure::After];
            let next: Vec<Failure> =
                (0..chance.below(12)).map(|_| failures[usize::try_from(chance.below(4)).unwrap()]).collect();
            world.fail_next(next);
        }
        let answers =
            futures::future::join_all(batches.iter().map(|messages| handle(&deps, batch(messages)))).await;
        for (batch, answer) in batches.into_iter().zip(answers) {
            let again = failures(&answer.unwrap());
            let again = batch.into_iter().filter(|(id, _)| again.contains(id));
            for message in again {
                let at = usize::try_from(chance.below(messages.len() as u64 + 1)).unwrap();
                messages.insert(at, message);
            }
        }
    }
}

#[tokio::test]
async fn state_and_divergence_are_those_of_the_model_whatever_the_delivery() {
    let seed = std::env::var("SLUICE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_121);
    let mut chance = Chance(seed);
    let world = World::new();
    let mut events: BTreeMap<u64, Vec<Line>> = BTreeMap::new();
    let (mut early, mut late) = (Vec::new(), Vec::new());
    for accepted in 0..EVENTS {
        let lines = chance.lines();
        let body = normalize(&world, accepted, vendor(accepted), 0, &lines);
        for copy in 0..1 + chance.below(5) {
            let when = if chance.below(2) == 0 { &mut early } else { &mut late };
            when.push((format!("{accepted}-{copy}"), body.clone()));
        }
        events.insert(accepted, lines);
    }
    deliver_all(&world, &mut chance, early).await;
    // A changed mapper: other lines for some events, some of whose first messages are still on their way.
    for _ in 0..EVENTS / 50 {
        let accepted = chance.below(EVENTS);
        let lines = chance.lines();
        let made = 1 + u32::try_from(chance.below(50)).unwrap();
        let body = normalize(&world, accepted, vendor(accepted), made, &lines);
        // Twice for one event would need two documents in order, which `made` does not give.
        if late.iter().any(|(id, _)| *id == format!("{accepted}-remapped-0")) {
            let again = events[&accepted].clone();
            let (_, body) = late.iter().find(|(id, _)| *id == format!("{accepted}-remapped-0")).unwrap();
            let detail: Value = serde_json::from_str(body).unwrap();
            let at = detail["detail"]["normalized"]["at"].as_str().unwrap();
            let made: u32 = at[17..19].parse().unwrap();
            normalize(&world, accepted, vendor(accepted), made, &again);
            continue;
        }
        // By a replay, or by a correction, which names what it takes the place of.
        let body = if chance.below(2) == 0 { corrected(&body) } else { body };
        for copy in 0..1 + chance.below(5) {
            late.push((format!("{accepted}-remapped-{copy}"), body.clone()));
        }
        events.insert(accepted, lines);
    }
    deliver_all(&world, &mut chance, late).await;

    let state = world.state();
    assert!(state.dead_letters.is_empty(), "seed {seed}: {:?}", state.dead_letters.first());
    let mut model_rows = Rows::new();
    let model = by_entity(&events);
    for (entity, said) in &model {
        let (members, life_cycle, rows) = expected(entity, said);
        let held = &state.states[&entity.parse::<Entity>().unwrap()];
        let held_members: BTreeMap<String, String> =
            held.view.fields.iter().map(|(name, field)| (name.clone(), field.value.clone())).collect();
        assert_eq!(held_members, members, "seed {seed}: {entity}");
        assert_eq!(held.view.life_cycle(), life_cycle, "seed {seed}: {entity}");
        assert_eq!(held.contributions, said.len() as u64, "seed {seed}: {entity}");
        model_rows.extend(rows);
    }
    let left: Vec<_> = state
        .states
        .values()
        .filter(|held| held.contributions > 0 && !model.contains_key(held.entity.as_str()))
        .collect();
    assert!(left.is_empty(), "seed {seed}: {left:?}");
    let held_rows: Rows = state
        .state_divergence
        .values()
        .flat_map(|row| {
            row.claims.iter().map(|claim| {
                (
                    row.subject.to_string(),
                    row.id.clone(),
                    claim.member.clone(),
                    claim.stated.clone(),
                    claim.held.clone(),
                )
            })
        })
        .collect();
    let missing: Vec<_> = model_rows.difference(&held_rows).take(5).collect();
    let surplus: Vec<_> = held_rows.difference(&model_rows).take(5).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "seed {seed}: missing {missing:#?}, surplus {surplus:#?}"
    );
    for kind in ["stale", "conflict", "not_placed", "before_placed", "after_cancel"] {
        let count = held_rows.iter().filter(|row| row.1.ends_with(kind)).count();
        assert!(count > 50, "{kind} is hardly ever met: {count}");
    }
}

#[tokio::test]
async fn a_replay_of_a_hot_entity_reads_its_history_once() {
    const EVENTS: u64 = 300;
    let world = World::new();
    let read = Arc::new(AtomicUsize::new(0));
    let canonical = Arc::new(Interleaved(world.clone(), Arc::clone(&read)));
    let deps = Deps { canonical, ..deps(&world) };
    let line = |number: u64, reserved: bool| -> Vec<Line> {
        let mut data = json!({"warehouseId": "W", "sku": "hot", "quantityOnHand": number});
        if reserved {
            data["quantityReserved"] = number.into();
        }
        vec![("InventoryUpdated", i64::try_from(number).unwrap(), data)]
    };
    for made in [0, 1] {
        read.store(0, Ordering::SeqCst);
        for number in 0..EVENTS {
            let body = normalize(&world, number, "vendorA", made, &line(number, made == 1));
            let answer = handle(&deps, batch(&[("m".to_owned(), body)])).await.unwrap();
            assert!(failures(&answer).is_empty());
        }
    }
    let read = read.load(Ordering::SeqCst);
    assert!(read <= 2 * usize::try_from(EVENTS).unwrap(), "{read} contributions for {EVENTS} events");
    let held = world.state().states[&"inventory#W#hot".parse::<Entity>().unwrap()].clone();
    assert_eq!(held.view.fields["quantityReserved"].value, (EVENTS - 1).to_string());
    assert_eq!(held.contributions, EVENTS);

    // Another writer's change is never overlooked: a function with an empty memory comes to the same.
    let other = Deps { canonical: Arc::new(world.clone()), ..tests::deps(&world) };
    for (deps, number, made) in [(&other, 5, 2), (&deps, 7, 2), (&other, 9, 2), (&deps, 5, 3)] {
        let body = normalize(&world, number, "vendorA", made, &line(number + u64::from(made), false));
        handle(deps, batch(&[("m".to_owned(), body)])).await.unwrap();
    }
    let said: BTreeMap<u64, Vec<Line>> = (0..EVENTS)
        .map(|number| {
            let changed = match number {
                5 => line(8, false),
                7 | 9 => line(number + 2, false),
                number => line(number, true),
            };
            (number, changed)
        })
        .collect();
    let (members, _, rows) = expected("inventory#W#hot", &by_entity(&said)["inventory#W#hot"]);
    let state = world.state();
    let held = &state.states[&"inventory#W#hot".parse::<Entity>().unwrap()];
    let held: BTreeMap<String, String> =
        held.view.fields.iter().map(|(name, field)| (name.clone(), field.value.clone())).collect();
    assert_eq!(held, members);
    assert_eq!(state.state_divergence.len(), rows.iter().map(|row| &row.1).collect::<BTreeSet<_>>().len());
}
