//! The names of tables, buckets, queues and machines, from `state-machines/topology.json`: the list
//! that CDK and the local cloud deploy.

use std::sync::LazyLock;

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Topology {
    tables: Vec<Named>,
    buckets: Vec<Named>,
    queues: Vec<Named>,
    state_machines: Vec<Named>,
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
    /// Table of balances.
    pub balance: String,
    /// Table of canonical state.
    pub canonical_state: String,
    /// Table of contradictions.
    pub divergence: String,
    /// Table of profiles and findings of drift.
    pub drift: String,
    /// Table of operations.
    pub operations: String,
    /// Bucket of verbatim requests.
    pub raw: String,
    /// Bucket of canonical documents.
    pub normalized: String,
    /// Bucket of published bundles.
    pub mappers: String,
    /// Bucket of replays: manifests and results.
    pub replays: String,
    /// The dead-letter queue.
    pub dlq: String,
    /// The state machine that replays.
    pub replay: String,
    /// The state machine of events that need a person.
    pub recover: String,
    /// The state machine that drives operations.
    pub operate: String,
}

/// What CDK appends to the names of buckets on AWS, where they are global; the setting
/// `bucketSuffix` of `cdk/`.
pub const BUCKET_SUFFIX: &str = "SLUICE_BUCKET_SUFFIX";

static NAMES: LazyLock<Names> = LazyLock::new(|| read(""));

static NAMES_ON_AWS: LazyLock<Names> = LazyLock::new(|| {
    read(&match std::env::var(BUCKET_SUFFIX) {
        Ok(suffix) if !suffix.is_empty() => format!("-{suffix}"),
        _ => String::new(),
    })
});

/// With `suffix` at the end of the names of buckets.
fn read(suffix: &str) -> Names {
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
        balance: name(&topology.tables, "Balance"),
        canonical_state: name(&topology.tables, "CanonicalState"),
        divergence: name(&topology.tables, "Divergence"),
        drift: name(&topology.tables, "Drift"),
        operations: name(&topology.tables, "Operations"),
        raw: name(&topology.buckets, "Raw") + suffix,
        normalized: name(&topology.buckets, "Normalized") + suffix,
        mappers: name(&topology.buckets, "Mappers") + suffix,
        replays: name(&topology.buckets, "Replays") + suffix,
        dlq: name(&topology.queues, "Dlq"),
        replay: name(&topology.state_machines, "Replay"),
        recover: name(&topology.state_machines, "Recover"),
        operate: name(&topology.state_machines, "Operate"),
    }
}

/// The names on the local cloud.
pub fn names() -> &'static Names {
    &NAMES
}

/// The names on AWS, with the suffix of [`BUCKET_SUFFIX`].
pub fn names_on_aws() -> &'static Names {
    &NAMES_ON_AWS
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
        let on_aws = super::read("-111122223333-eu-central-1");
        assert_eq!(
            (on_aws.raw.as_str(), on_aws.ledger.as_str()),
            ("sluice-raw-111122223333-eu-central-1", "sluice-ledger")
        );
        assert_eq!((names.replay.as_str(), names.replays.as_str()), ("sluice-replay", "sluice-replays"));
    }
}
