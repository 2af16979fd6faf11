//! The names of tables, buckets, queues and machines, from `state-machines/topology.json`: the list that CDK and the local
//! cloud deploy.

use std::sync::LazyLock;

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Topology {
    tables: Vec<Named>,
    buckets: Vec<Named>,
    queues: Vec<Named>,
}

#[derive(Debug, Deserialize)]
struct Named {
    id: String,
    name: String,
}

/// What the commands read and write.
#[derive(Debug)]
pub struct Names {
    /// Table of accepted events.
    pub ledger: String,
    /// Table of vendors, keys and active mappers.
    pub vendors: String,
    /// Table of quarantined events.
    pub quarantine: String,
    /// Table of profiles and findings of drift.
    pub drift: String,
    /// Bucket of verbatim requests.
    pub raw: String,
    /// Bucket of canonical documents.
    pub normalized: String,
    /// Bucket of published bundles.
    pub mappers: String,
    /// The dead-letter queue.
    pub dlq: String,
}

static NAMES: LazyLock<Names> = LazyLock::new(|| {
    let topology: Topology = serde_json::from_str(include_str!("../../../state-machines/topology.json"))
        .unwrap_or_else(|error| unreachable!("topology.json is built in and tested: {error}"));
    let name = |list: &[Named], id: &str| {
        let named = list.iter().find(|named| named.id == id);
        named
            .map(|named| named.name.clone())
            .unwrap_or_else(|| unreachable!("topology.json has {id}: tested"))
    };
    Names {
        ledger: name(&topology.tables, "Ledger"),
        vendors: name(&topology.tables, "Vendors"),
        quarantine: name(&topology.tables, "Quarantine"),
        drift: name(&topology.tables, "Drift"),
        raw: name(&topology.buckets, "Raw"),
        normalized: name(&topology.buckets, "Normalized"),
        mappers: name(&topology.buckets, "Mappers"),
        dlq: name(&topology.queues, "Dlq"),
    }
});

/// The names.
pub fn names() -> &'static Names {
    &NAMES
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_topology_names_what_the_commands_use() {
        let names = super::names();
        assert_eq!((names.ledger.as_str(), names.dlq.as_str()), ("sluice-ledger", "sluice-dlq"));
        assert_eq!(
            (names.mappers.as_str(), names.quarantine.as_str()),
            ("sluice-mappers", "sluice-quarantine")
        );
    }
}
