//! DynamoDB and S3: what a call costs, how long it takes, and when it is throttled.

use rustc_hash::FxHashMap;

use crate::limits::{Key, Partitions};
use crate::quotas::Quotas;
use crate::random::{Latency, Random, mix};
use crate::topology::{ModelError, Table, Topology};

/// A row of the ledger, 520 to 936 bytes (docs/performance.md), is one unit; so is each of its
/// index entries.
const ROW: f64 = 1.0;

/// DynamoDB's own value for a new table on demand.
const WARM_WRITES: u64 = 4_000;
const WARM_READS: u64 = 12_000;

/// Characters of a ULID's last place: Crockford's base 32.
const ULID: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A table with the throughput of its partitions.
#[derive(Debug)]
pub(crate) struct Throughput {
    pub(crate) writes: Partitions,
    reads: Partitions,
}

impl Throughput {
    fn new(table: Option<&Table>, quotas: &Quotas, index: bool) -> Result<Self, ModelError> {
        let warm = table.and_then(|table| table.warm_throughput);
        let (writes, reads) = warm.map_or((WARM_WRITES, WARM_READS), |warm| (warm.writes, warm.reads));
        let (write_rate, read_rate) =
            (quotas.whole("dynamodb.partition_writes")?, quotas.whole("dynamodb.partition_reads")?);
        let count = writes.div_ceil(write_rate).max(reads.div_ceil(read_rate));
        let split = quotas.whole("dynamodb.split_after_seconds")?;
        #[expect(clippy::cast_precision_loss, reason = "rates are small")]
        let partitions = |rate: u64| Partitions::new(count, rate as f64, split);
        let lag = quotas.value("dynamodb.index_lag_seconds")?;
        let writes = partitions(write_rate);
        Ok(Self { writes: if index { writes.with_lag(lag) } else { writes }, reads: partitions(read_rate) })
    }
}

/// What was used, for the bill.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Used {
    pub(crate) ledger_writes: f64,
    pub(crate) index_writes: f64,
    pub(crate) canonical_writes: f64,
    pub(crate) quarantine_writes: f64,
    pub(crate) reads: f64,
    pub(crate) puts: u64,
    pub(crate) gets: u64,
    pub(crate) lists: u64,
}

/// How an event's rows lie in the index by status.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    /// A new row.
    Insert,
    /// From one status to another: two entries of the index.
    Move { from: u64, to: u64 },
    /// The same status again.
    Same(u64),
}

/// The tables and buckets.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) ledger: Throughput,
    pub(crate) by_status: Throughput,
    pub(crate) by_ingest_id: Throughput,
    quarantine: Throughput,
    canonical: Throughput,
    puts: Partitions,
    gets: Partitions,
    shards: u64,
    hashed: bool,
    latencies: Latencies,
    pub(crate) used: Used,
    /// Version of an entity, and whether a transaction holds it.
    entities: FxHashMap<u64, (u32, bool)>,
}

#[derive(Debug)]
pub(crate) struct Latencies {
    pub(crate) write: Latency,
    pub(crate) read: Latency,
    pub(crate) transaction: Latency,
    pub(crate) put: Latency,
    pub(crate) get: Latency,
}

impl Store {
    pub(crate) fn new(topology: &Topology, quotas: &Quotas) -> Result<Self, ModelError> {
        let table = |id: &str| topology.tables.iter().find(|table| table.id == id);
        let ledger = table("Ledger");
        if ledger.is_none() {
            return Err(ModelError::Missing { kind: "table", id: "Ledger".to_owned() });
        }
        let split = quotas.whole("s3.split_after_seconds")?;
        Ok(Self {
            ledger: Throughput::new(ledger, quotas, false)?,
            by_status: Throughput::new(ledger, quotas, true)?,
            by_ingest_id: Throughput::new(ledger, quotas, true)?,
            quarantine: Throughput::new(table("Quarantine"), quotas, false)?,
            canonical: Throughput::new(table("CanonicalState"), quotas, false)?,
            // So many partitions that no two prefixes share one.
            puts: Partitions::new(1 << 40, quotas.value("s3.puts_per_second")?, split),
            gets: Partitions::new(1 << 40, quotas.value("s3.gets_per_second")?, split),
            shards: quotas.whole("design.status_shards")?,
            hashed: quotas.whole("design.status_hashed")? != 0,
            latencies: Latencies {
                write: quotas.latency("dynamodb_write")?,
                read: quotas.latency("dynamodb_read")?,
                transaction: quotas.latency("dynamodb_transaction")?,
                put: quotas.latency("s3_put")?,
                get: quotas.latency("s3_get")?,
            },
            used: Used::default(),
            entities: FxHashMap::default(),
        })
    }

    /// Where an event is in the index by status: `sluice_core::record::Status::shard`.
    fn status_key(&self, status: u64, event: u32) -> u64 {
        let random = mix(u64::from(event), 17);
        let last = if self.hashed { random } else { u64::from(ULID[(random % 32) as usize]) };
        mix(status, last % self.shards)
    }

    /// Where an event's row is: below its vendor. A split puts it by its external id, which is
    /// taken to be in no order.
    fn ledger_key(vendor: u32, event: u32) -> Key {
        Key { partition: mix(u64::from(vendor), 1), within: mix(u64::from(event), 2) }
    }

    /// A write of a row of the ledger with its indexes; `None`: throttled.
    pub(crate) fn write_ledger(
        &mut self,
        now: u64,
        vendor: u32,
        event: u32,
        change: Change,
        random: &mut Random,
    ) -> Option<u64> {
        let key = Self::ledger_key(vendor, event);
        let id_key = mix(u64::from(event), 3);
        let status: &[u64] = &match change {
            Change::Insert => vec![self.status_key(1, event)],
            Change::Move { from, to } => vec![self.status_key(from, event), self.status_key(to, event)],
            Change::Same(status) => vec![self.status_key(status, event)],
        };
        let free = self.ledger.writes.has(now, key, ROW)
            & self.by_ingest_id.writes.has(now, id_key, ROW)
            & status.iter().all(|key| self.by_status.writes.has(now, *key, ROW));
        if !free {
            return None;
        }
        self.ledger.writes.take(now, key, ROW);
        self.by_ingest_id.writes.take(now, id_key, ROW);
        for key in status {
            self.by_status.writes.take(now, *key, ROW);
        }
        self.used.ledger_writes += ROW;
        #[expect(clippy::cast_precision_loss, reason = "two at most")]
        let entries = 1.0 + status.len() as f64;
        self.used.index_writes += entries * ROW;
        Some(self.latencies.write.draw(random))
    }

    /// The stream's shard of a row: a shard for each partition of the table.
    pub(crate) fn shard(&mut self, vendor: u32, event: u32) -> u64 {
        self.ledger.writes.place(Self::ledger_key(vendor, event))
    }

    /// A row of the quarantine, with its entry in the index by group.
    pub(crate) fn write_quarantine(
        &mut self,
        now: u64,
        vendor: u32,
        event: u32,
        random: &mut Random,
    ) -> Option<u64> {
        let key = mix(u64::from(vendor), 4);
        // Two keys in a table of one partition key a vendor: the row, and `<fingerprint>#<shard>`.
        let group = mix(mix(u64::from(vendor), 5), u64::from(event % 8));
        if !self.quarantine.writes.has(now, key, ROW) || !self.quarantine.writes.has(now, group, ROW) {
            return None;
        }
        self.quarantine.writes.take(now, key, ROW);
        self.quarantine.writes.take(now, group, ROW);
        self.used.quarantine_writes += 2.0 * ROW;
        Some(self.latencies.write.draw(random))
    }

    /// A read of `units` from the ledger.
    pub(crate) fn read(&mut self, now: u64, key: u64, units: f64, random: &mut Random) -> Option<u64> {
        if !self.ledger.reads.has(now, key, units) {
            return None;
        }
        self.ledger.reads.take(now, key, units);
        self.used.reads += units;
        Some(self.latencies.read.draw(random))
    }

    /// A read of rows of canonical state, with their versions.
    pub(crate) fn read_entities(
        &mut self,
        now: u64,
        events: &[u32],
        entities: &[u64],
        random: &mut Random,
    ) -> Option<(u64, Vec<u32>)> {
        if !entities.iter().all(|entity| self.canonical.reads.has(now, mix(*entity, 6), 1.0)) {
            return None;
        }
        for entity in entities {
            self.canonical.reads.take(now, mix(*entity, 6), 1.0);
        }
        #[expect(clippy::cast_precision_loss, reason = "a batch is small")]
        let rows = (events.len() + entities.len()) as f64;
        self.used.reads += rows;
        let versions = entities.iter().map(|it| self.entities.get(it).map_or(0, |held| held.0)).collect();
        Some((self.latencies.read.draw(random), versions))
    }

    /// Begins a transaction of the entities' states and contributions and the events' effects.
    /// `None`: throttled; else how long it takes, and whether it will be written.
    pub(crate) fn begin_transaction(
        &mut self,
        now: u64,
        events: &[u32],
        entities: &[u64],
        versions: &[u32],
        random: &mut Random,
    ) -> Option<(u64, bool)> {
        // A row in a transaction takes two units: the effects of an event; state and contribution
        // of an entity.
        let units = |entity: &u64| (mix(*entity, 6), 4.0 * ROW);
        let effects = |event: &u32| (mix(u64::from(*event), 7), 2.0 * ROW);
        let rows: Vec<(u64, f64)> = events.iter().map(effects).chain(entities.iter().map(units)).collect();
        if !rows.iter().all(|(key, units)| self.canonical.writes.has(now, *key, *units)) {
            return None;
        }
        let mut sum = 0.0;
        for (key, units) in rows {
            self.canonical.writes.take(now, key, units);
            sum += units;
        }
        self.used.canonical_writes += sum;
        let free = entities.iter().zip(versions).all(|(entity, version)| {
            let (held, locked) = self.entities.get(entity).copied().unwrap_or_default();
            held == *version && !locked
        });
        if free {
            for entity in entities {
                self.entities.entry(*entity).or_default().1 = true;
            }
        }
        Some((self.latencies.transaction.draw(random), free))
    }

    /// Ends a transaction that [`Self::begin_transaction`] said will be written.
    pub(crate) fn end_transaction(&mut self, entities: &[u64]) {
        for entity in entities {
            if let Some((version, locked)) = self.entities.get_mut(entity) {
                *version += 1;
                *locked = false;
            }
        }
    }

    /// An object below a prefix.
    pub(crate) fn put(&mut self, now: u64, prefix: u64, random: &mut Random) -> Option<u64> {
        if !self.puts.has(now, prefix, 1.0) {
            return None;
        }
        self.puts.take(now, prefix, 1.0);
        self.used.puts += 1;
        Some(self.latencies.put.draw(random))
    }

    /// Objects below prefixes, at once: the slowest counts.
    pub(crate) fn get(&mut self, now: u64, prefixes: &[u64], random: &mut Random) -> Option<u64> {
        let mut longest = 0;
        for prefix in prefixes {
            if !self.gets.has(now, *prefix, 1.0) {
                return None;
            }
            self.gets.take(now, *prefix, 1.0);
            self.used.gets += 1;
            longest = longest.max(self.latencies.get.draw(random));
        }
        Some(longest)
    }

    /// Where throttling was: ledger, index by status, canonical state, objects.
    pub(crate) fn throttled(&self) -> [(&'static str, u64); 5] {
        [
            ("ledger", self.ledger.writes.throttled()),
            ("by-status", self.by_status.writes.throttled()),
            ("quarantine", self.quarantine.writes.throttled()),
            ("canonical state", self.canonical.writes.throttled()),
            ("objects", self.puts.throttled() + self.gets.throttled()),
        ]
    }

    /// Units a second that the table with the most of them was asked for.
    pub(crate) fn peaks(&self) -> [(&'static str, f64, f64); 4] {
        let of = |name, it: &Throughput| (name, it.writes.peak(), it.writes.hottest());
        [
            of("Ledger", &self.ledger),
            of("Ledger by-status", &self.by_status),
            of("Ledger by-ingest-id", &self.by_ingest_id),
            of("CanonicalState", &self.canonical),
        ]
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use std::collections::BTreeSet;

    use super::*;

    fn store() -> Store {
        let quotas = Quotas::parse(include_str!("../../../docs/quotas.toml"), "us-east-1").unwrap();
        let mut topology: Topology =
            serde_json::from_str(include_str!("../../../state-machines/topology.json")).unwrap();
        topology.complete(&quotas).unwrap();
        Store::new(&topology, &quotas).unwrap()
    }

    fn written_in_ten_seconds(store: &mut Store, vendors: u32, rate: u32) -> u32 {
        let mut random = Random::new(1);
        let mut written = 0;
        for n in 0..rate * 10 {
            let now = u64::from(n) * 1_000_000 / u64::from(rate);
            written +=
                u32::from(store.write_ledger(now, n % vendors, n, Change::Insert, &mut random).is_some());
        }
        written
    }

    #[test]
    fn one_vendor_has_one_partition_of_the_ledger() {
        let one = written_in_ten_seconds(&mut store(), 1, 2_000);
        assert!((10_000..=11_100).contains(&one), "{one}");
        assert!(written_in_ten_seconds(&mut store(), 200, 2_000) > 19_000);
    }

    #[test]
    fn an_index_under_pressure_throttles_its_table() {
        let mut store = store();
        store.by_status.writes = Partitions::new(1, 100.0, 1_000_000).with_lag(1.0);
        let written = written_in_ten_seconds(&mut store, 200, 2_000);
        assert!((1_100..=1_300).contains(&written), "the index's rate, not the table's: {written}");
        assert!(store.by_status.writes.throttled() > 17_000);
    }

    #[test]
    fn shards_by_the_last_character_leave_two_of_sixteen_empty() {
        let mut store = store();
        for (hashed, shards) in [(false, 14), (true, 16)] {
            (store.hashed, store.shards) = (hashed, 16);
            let keys: BTreeSet<u64> = (0..10_000).map(|event| store.status_key(1, event)).collect();
            assert_eq!(keys.len(), shards, "no character of a ULID is 12 or 15 modulo 16");
        }
    }

    #[test]
    fn of_two_transactions_on_one_entity_the_second_is_not_written() {
        let (mut store, mut random) = (store(), Random::new(1));
        let (_, versions) = store.read_entities(0, &[1], &[7], &mut random).unwrap();
        assert!(store.begin_transaction(0, &[1], &[7], &versions, &mut random).unwrap().1);
        assert!(!store.begin_transaction(0, &[2], &[7], &versions, &mut random).unwrap().1, "it is held");
        store.end_transaction(&[7]);
        assert!(
            !store.begin_transaction(0, &[2], &[7], &versions, &mut random).unwrap().1,
            "it has moved on"
        );
        let (_, versions) = store.read_entities(0, &[2], &[7], &mut random).unwrap();
        assert!(store.begin_transaction(0, &[2], &[7], &versions, &mut random).unwrap().1);
    }
}
