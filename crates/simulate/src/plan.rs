//! `cargo xtask simulate plan`: which quotas must be raised for a rate in a Region, measured by the
//! simulation itself.
//!
//! The rate is simulated with every quota lifted and nothing warm; what was asked for at most, with
//! headroom, is held against the defaults.

use crate::cost::Prices;
use crate::quotas::Quotas;
use crate::scenario::Scenario;
use crate::topology::{Api, Deployment, ModelError};
use crate::world::World;
use crate::{Error, simulate};

/// What is asked for beyond what was needed.
const HEADROOM: f64 = 1.5;

/// So high that it is never met.
const LIFTED: f64 = 10_000_000.0;
const LIFTED_CONCURRENCY: u64 = 10_000_000;

/// Quotas that the simulation measures, and what each is called in [`World::peaks`].
const MEASURED: [(&str, &str); 9] = [
    ("api_gateway.requests_per_second", "requests"),
    ("step_functions.sync_concurrency", "synchronous executions"),
    ("step_functions.express_start_rate", "Express starts"),
    ("step_functions.standard_start_rate", "Standard starts"),
    ("step_functions.transition_rate", "Standard transitions"),
    ("lambda.account_concurrency", "Lambda concurrency"),
    ("eventbridge.put_events_per_second", "PutEvents"),
    ("eventbridge.invocations_per_second", "invocations by the bus"),
    ("dynamodb.table_writes", "writes of Ledger"),
];

impl World {
    /// The most that was asked for of what quotas bound.
    pub(crate) fn peaks(&self) -> Vec<(&'static str, f64)> {
        #[expect(clippy::cast_precision_loss, reason = "concurrency is small")]
        let whole = |value: u64| value as f64;
        let lambda: u64 = self.functions.iter().map(|function| function.running.peak()).sum();
        let normalize = self.function("Normalize").map_or(0, |it| self.functions[it].running.peak());
        let mut peaks = vec![
            ("requests", self.front.peak()),
            ("synchronous executions", whole(self.starts.sync.peak())),
            ("Express starts", self.starts.express.peak()),
            ("Standard starts", self.starts.standard.peak()),
            ("Standard transitions", self.starts.transitions.peak()),
            ("Lambda concurrency", whole(lambda)),
            ("PutEvents", self.bus_put.peak()),
            ("invocations by the bus", self.bus_invocations.peak()),
            ("concurrency of Normalize", whole(normalize)),
        ];
        for (table, sum, hottest) in self.store.peaks() {
            match table {
                "Ledger" => {
                    peaks.push(("writes of Ledger", sum));
                    peaks.push(("writes of Ledger's hottest partition", hottest));
                }
                "Ledger by-status" => {
                    peaks.push(("writes of by-status", sum));
                    peaks.push(("writes of by-status's hottest partition", hottest));
                }
                "CanonicalState" => peaks.push(("writes of CanonicalState", sum)),
                _ => {}
            }
        }
        peaks
    }
}

/// The runbook, as Markdown.
///
/// # Errors
/// When the project's files cannot be simulated.
pub fn plan(
    rate: f64,
    vendors: u32,
    deployment: &Deployment,
    quotas: &Quotas,
    prices: &Prices,
    seed: u64,
) -> Result<String, Error> {
    let region = quotas.region();
    let mut lifted = quotas.clone();
    for (name, _) in MEASURED {
        lifted = lifted.with(name, LIFTED);
    }
    for name in
        ["api_gateway.burst", "step_functions.express_start_burst", "step_functions.standard_start_burst"]
    {
        lifted = lifted.with(name, LIFTED);
    }
    lifted = lifted.with("step_functions.transition_burst", LIFTED);
    let mut deployed = deployment.clone();
    deployed.topology.complete(quotas).map_err(ModelError::from)?;
    let mut open = deployed.clone();
    open.topology.api = Some(Api { rate_per_second: LIFTED, burst: LIFTED });
    for function in open.topology.functions.iter_mut().filter(|function| function.id == "Normalize") {
        // As many as the account has.
        function.reserved_concurrency = Some(LIFTED_CONCURRENCY);
    }
    lifted = lifted.with("lambda.account_concurrency", LIFTED + LIFTED);
    let mut scenario = Scenario::of(rate, 30.0, vendors).in_region(region);
    "plan".clone_into(&mut scenario.name);
    scenario.rejected = 0.01;
    scenario.seconds_max = 900.0;
    let report = simulate(scenario, &open, &lifted, prices, seed)?;
    let peak = |name: &str| report.peaks.iter().find(|(it, _)| *it == name).map_or(0.0, |(_, value)| *value);

    let mut text = format!(
        "# Quotas for {rate} events/s in {region}\n\n\
         Written by `cargo xtask simulate plan --rate {rate} --region {region} --vendors {vendors}` (seed {seed}): what 30 s of that \
         rate, one event of a hundred rejected,\nasked for at most in any second, times {HEADROOM}. \
         Raise these before the load comes; AWS may take days.\n\n\
        "
    );
    let mut raise = String::new();
    let mut enough = String::new();
    for (name, measured) in MEASURED {
        let quota = quotas.quota(name).map_err(ModelError::from)?;
        let default = quotas.value(name).map_err(ModelError::from)?;
        let needed = peak(measured);
        let ask = round(needed * HEADROOM);
        let called = quota.name.as_deref().unwrap_or(name);
        if ask > default {
            let code = quota.code.as_deref().unwrap_or("-");
            raise += &format!("| {called} | {code} | {default} | {} | **{ask}** |\n", needed.ceil());
        } else {
            enough += &format!("| {called} | {default} | {} |\n", needed.ceil());
        }
    }
    text += &match raise.as_str() {
        "" => "No quota must be raised.\n".to_owned(),
        rows => format!(
            "| quota | code | default in {region} | needed | ask for |\n|---|---|---|---|---|\n{rows}"
        ),
    };
    text += &format!(
        "\nEnough as they are:\n\n| quota | default in {region} | needed |\n|---|---|---|\n{enough}\n\
         ## Settings of the deployment\n\n| setting | deployed | needed |\n|---|---|---|\n"
    );
    let api = deployed.topology.api.map_or(0.0, |api| api.rate_per_second);
    text += &format!("| `apiRatePerSecond` (cdk) | {api} | {} |\n", round(peak("requests") * HEADROOM));
    for function in &deployed.topology.functions {
        if let Some(reserved) = function.reserved_concurrency.filter(|_| function.id == "Normalize") {
            let needed = round(peak("concurrency of Normalize") * HEADROOM);
            text += &format!("| `reservedConcurrency` of Normalize | {reserved} | {needed} |\n");
        }
    }
    for (what, partition) in [
        ("writes of Ledger", "writes of Ledger's hottest partition"),
        ("writes of by-status", "writes of by-status's hottest partition"),
        ("writes of CanonicalState", ""),
    ] {
        let table = what.trim_start_matches("writes of ");
        let warm = deployed
            .topology
            .tables
            .iter()
            .find(|it| it.id == table || table == "by-status" && it.id == "Ledger");
        let warm = warm.and_then(|it| it.warm_throughput).map_or(4_000, |warm| warm.writes);
        text += &format!("| warm write units of {table} | {warm} | {} |\n", round(peak(what) * HEADROOM));
        let hottest = peak(partition);
        if !partition.is_empty() && hottest > 1_000.0 {
            text += &format!(
                "| one partition of {table} | 1000, fixed | {}: no quota helps, the key must be spread |\n",
                hottest.ceil()
            );
        }
    }
    Ok(text)
}

/// To two figures, upwards.
fn round(value: f64) -> f64 {
    let magnitude = 10_f64.powi(libm::floor(libm::log10(value.max(1.0))) as i32 - 1).max(1.0);
    (value / magnitude).ceil() * magnitude
}

#[cfg(test)]
mod tests {
    #![expect(clippy::float_cmp, reason = "exact figures")]
    use super::*;

    #[test]
    fn what_to_ask_for_is_rounded_upwards() {
        assert_eq!([0.0, 7.2, 101.0, 7_501.0].map(round), [0.0, 8.0, 110.0, 7_600.0]);
    }
}
