//! `state-machines/topology.json`, as far as load depends on it. `crates/local` checks the file;
//! here unknown members are no concern.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::quotas::{QuotaError, Quotas};

/// The parts that the simulation runs.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Topology {
    pub(crate) state_machines: Vec<StateMachine>,
    pub(crate) functions: Vec<Function>,
    pub(crate) tables: Vec<Table>,
    pub(crate) queues: Vec<Queue>,
    #[serde(default)]
    pub(crate) api: Option<Api>,
    pub(crate) streams: Vec<Stream>,
    pub(crate) rules: Vec<Rule>,
    #[serde(default)]
    pub(crate) pipes: Vec<Pipe>,
    pub(crate) routes: Vec<Route>,
    pub(crate) schedules: Vec<Schedule>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct StateMachine {
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) definition: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Function {
    pub(crate) id: String,
    pub(crate) timeout_seconds: u64,
    pub(crate) memory_mb: u64,
    #[serde(default)]
    pub(crate) reserved_concurrency: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Table {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) warm_throughput: Option<Warm>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Warm {
    pub(crate) reads: u64,
    pub(crate) writes: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Queue {
    pub(crate) id: String,
    pub(crate) visibility_timeout_seconds: u64,
    #[serde(default)]
    pub(crate) redrive: Option<Redrive>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Redrive {
    pub(crate) max_receive_count: u32,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Api {
    pub(crate) rate_per_second: f64,
    pub(crate) burst: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stream {
    pub(crate) batch_size: usize,
    #[serde(default)]
    pub(crate) parallelization_factor: Option<u64>,
    #[serde(default)]
    pub(crate) maximum_record_age_seconds: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) target: Target,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Target {
    #[serde(default)]
    pub(crate) state_machine: Option<String>,
    #[serde(default)]
    pub(crate) queue: Option<String>,
}

/// From a queue to an Express machine, which is waited for.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Pipe {
    pub(crate) queue: String,
    pub(crate) state_machine: String,
    pub(crate) batch_size: usize,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Route {
    pub(crate) event_type: String,
    pub(crate) queue: String,
    pub(crate) batch_size: usize,
    #[serde(default)]
    pub(crate) maximum_concurrency: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Schedule {
    pub(crate) rate_minutes: u64,
    pub(crate) function: String,
}

impl Topology {
    /// Fills in what is deployed and is no part of the file, from `[deployed]` of
    /// `docs/quotas.toml`.
    pub(crate) fn complete(&mut self, quotas: &Quotas) -> Result<(), QuotaError> {
        if self.api.is_none() {
            let (rate_per_second, burst) =
                (quotas.value("deployed.api_rate")?, quotas.value("deployed.api_burst")?);
            self.api = Some(Api { rate_per_second, burst });
        }
        for function in &mut self.functions {
            let name = match function.id.as_str() {
                "Normalize" => "deployed.reserved_normalize",
                "Reconcile" => "deployed.reserved_reconcile",
                _ => continue,
            };
            function.reserved_concurrency.get_or_insert(quotas.whole(name)?);
        }
        for table in self.tables.iter_mut().filter(|table| table.id == "Ledger") {
            let (reads, writes) =
                (quotas.whole("deployed.ledger_warm_reads")?, quotas.whole("deployed.ledger_warm_writes")?);
            table.warm_throughput.get_or_insert(Warm { reads, writes });
        }
        for stream in &mut self.streams {
            stream.maximum_record_age_seconds.get_or_insert(quotas.whole("deployed.record_age_seconds")?);
        }
        Ok(())
    }
}

/// Why the model cannot be made of the project's files.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// `topology.json` is not of the shape that the model needs.
    #[error("state-machines/topology.json cannot be simulated: {0}")]
    Topology(#[from] serde_json::Error),
    /// Something that the model is about is not declared.
    #[error("state-machines/topology.json has no {kind} {id}: the simulation is about it")]
    Missing {
        /// What kind of thing.
        kind: &'static str,
        /// Its id.
        id: String,
    },
    /// A definition is missing or wrong.
    #[error("state-machines/{file} cannot be simulated: {fault}")]
    Definition {
        /// The file.
        file: String,
        /// What is wrong.
        fault: String,
    },
    /// A figure is missing.
    #[error(transparent)]
    Quota(#[from] QuotaError),
    /// An execution waits for something that the model does not have.
    #[error("{0}")]
    Unsupported(String),
}

/// What is deployed: the topology, and the definitions by file name.
#[derive(Clone, Debug)]
pub struct Deployment {
    pub(crate) topology: Topology,
    pub(crate) definitions: BTreeMap<String, String>,
}

impl Deployment {
    /// Of the texts of `topology.json` and of the definitions beside it, by file name.
    ///
    /// # Errors
    /// When a file is not of the shape that the model needs.
    pub fn parse(topology: &str, definitions: BTreeMap<String, String>) -> Result<Self, ModelError> {
        let topology: Topology = serde_json::from_str(topology)?;
        Ok(Self { topology, definitions })
    }
}
