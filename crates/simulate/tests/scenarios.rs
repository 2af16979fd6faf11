//! Each scenario in a small form: what comes out is asserted as counts, so that a change of a
//! definition, of the topology or of the model that changes an outcome is seen.

#![expect(clippy::unwrap_used, reason = "a test may stop")]

use std::collections::BTreeMap;

use sluice_simulate::{
    Deployment, Fault, NAMES, Prices, Quotas, Report, Scenario, Service, Trouble, plan, simulate, svg, table,
};

const QUOTAS: &str = include_str!("../../../docs/quotas.toml");

fn deployment() -> Deployment {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../state-machines");
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(format!("{folder}/{name}")).unwrap();
        files.insert(name, text);
    }
    let topology = files.remove("topology.json").unwrap();
    Deployment::parse(&topology, files).unwrap()
}

fn prices() -> Prices {
    Prices::parse(include_str!("../../../docs/prices.toml")).unwrap()
}

fn run_on(deployment: &Deployment, scenario: Scenario, seed: u64) -> Report {
    let quotas = Quotas::parse(QUOTAS, scenario.region()).unwrap();
    simulate(scenario, deployment, &quotas, &prices(), seed).unwrap()
}

fn run(scenario: Scenario) -> Report {
    run_on(&deployment(), scenario, 1)
}

fn named(name: &str) -> Scenario {
    Scenario::named(name).unwrap()
}

/// A scenario of some hundred events: an unoptimised build takes a third of a second for them.
fn small(name: &str) -> Scenario {
    named(name).shortened(0.01).at_rate(100.0)
}

/// What holds whatever happens: nothing is lost, nothing is doubled, and every event is somewhere.
fn nothing_lost(report: &Report) {
    assert_eq!((report.lost(), report.doubled()), (0, 0), "{}", report.to_text());
    assert!(report.drained_after_s().is_some(), "{}", report.to_text());
    let answered: u64 = [200, 202, 429, 503].map(|status| report.answered(status)).iter().sum();
    assert_eq!(answered, report.answers.values().sum::<u64>(), "no other answer than these");
    assert!(report.accepted() >= report.answered(202), "every 202 has its row");
}

#[test]
fn steady_load_is_applied_and_repeats_are_answered_as_duplicates() {
    let report = run(small("steady"));
    nothing_lost(&report);
    assert!(report.events > 500 && report.answered(200) > 3, "{}", report.to_text());
    assert_eq!(report.applied(), report.events);
    assert_eq!((report.healthy_quarantined(), report.unavailable()), (0, 0));
    assert!(report.acknowledged_p95_ms() > 50.0 && report.acknowledged_p95_ms() < 1_000.0);
    assert!(report.dollars_per_million() > 10.0 && report.dollars_per_million() < 100.0);
}

#[test]
fn a_seed_gives_the_same_bytes_and_another_seed_others() {
    let text = |seed| {
        let report = run_on(&deployment(), named("burst").shortened(0.02).at_rate(100.0), seed);
        format!("{}{}{}", report.to_text(), report.to_json(), svg(&report))
    };
    assert_eq!(text(7), text(7));
    assert_ne!(text(7), text(8));
}

#[test]
fn a_vendor_over_its_plan_is_refused_and_loses_nothing() {
    let mut refused = 0;
    for name in ["one-vendor", "burst-one-vendor"] {
        let report = run(small(name));
        nothing_lost(&report);
        refused += report.answered(429);
    }
    assert_eq!(refused, 0, "the plan of a scenario is twice what its vendor sends");
    let quotas = Quotas::parse(QUOTAS, "us-east-1").unwrap();
    let slow = quotas.with("deployed.api_rate", 20.0).with("deployed.api_burst", 20.0);
    let scenario = small("one-vendor");
    let report = simulate(scenario, &deployment(), &slow, &prices(), 1).unwrap();
    nothing_lost(&report);
    assert!(report.answered(429) > 300, "{}", report.to_text());
    assert_eq!(report.applied(), report.accepted());
}

#[test]
fn a_cold_burst_throttles_and_what_was_accepted_is_applied() {
    let report = run(named("burst").shortened(0.01).at_rate(1_000.0));
    nothing_lost(&report);
    assert!(report.note("cold starts of Accept") > 50, "{}", report.to_text());
    assert!(report.acknowledged_p95_ms() > run(small("steady")).acknowledged_p95_ms());
}

#[test]
fn whatever_service_fails_nothing_is_lost_and_unavailability_is_told() {
    for (service, trouble) in [
        (Service::S3, Trouble::Down),
        (Service::DynamoDb, Trouble::Throttled(0.5)),
        (Service::Lambda, Trouble::Throttled(0.3)),
        (Service::EventBridge, Trouble::Down),
        (Service::Sqs, Trouble::Down),
        (Service::StepFunctions, Trouble::Throttled(0.5)),
    ] {
        // Retries outlast three seconds; only what is down for longer is told to vendors.
        let to = if service == Service::S3 { 60.0 } else { 4.0 };
        let fault = Fault { service, trouble, from: 1.0, to };
        let report = run(named("steady").shortened(0.01).at_rate(40.0).with_fault(fault));
        nothing_lost(&report);
        let refuses = service == Service::S3;
        assert!(!refuses || report.unavailable() > 50, "{service:?}: {}", report.to_text());
        // Only what a vendor waits for may become a 503.
        let behind = matches!(service, Service::EventBridge | Service::Sqs | Service::StepFunctions);
        assert!(!behind || report.unavailable() == 0, "{service:?}: {}", report.to_text());
    }
}

#[test]
fn a_slow_store_makes_normalize_wait() {
    // So few invocations at once that the slowness matters at a small rate.
    let quotas = Quotas::parse(QUOTAS, "us-east-1").unwrap().with("deployed.reserved_normalize", 20.0);
    let scenario = named("slow-store").shortened(0.1).at_rate(60.0);
    let report = simulate(scenario, &deployment(), &quotas, &prices(), 1).unwrap();
    nothing_lost(&report);
    assert!(report.note("throttled calls of Normalize") > 100, "{}", report.to_text());
    assert!(report.normalized_p95_ms() > 1_000.0);
    // Overload is no fault of an event (ADR 0087).
    assert_eq!(report.healthy_quarantined(), 0, "{}", report.to_text());
}

#[test]
fn a_mass_failure_ends_in_quarantine_all_of_it() {
    let report = run(small("mass-failure"));
    nothing_lost(&report);
    assert_eq!(report.quarantined(), report.accepted());
    assert_eq!(report.healthy_quarantined(), 0);
}

/// However slowly Step Functions starts their executions (ADR 0088).
#[test]
fn a_mass_failure_is_in_quarantine_long_before_its_executions_have_started() {
    let quotas = Quotas::parse(QUOTAS, "us-east-1")
        .unwrap()
        .with("step_functions.standard_start_burst", 50.0)
        .with("step_functions.standard_start_rate", 2.0);
    let report = simulate(small("mass-failure"), &deployment(), &quotas, &prices(), 1).unwrap();
    nothing_lost(&report);
    assert_eq!(report.quarantined(), report.accepted(), "{}", report.to_text());
    assert!(report.note("throttled Standard starts") > 100, "{}", report.to_text());
    assert!(report.drained_after_s().unwrap() < 60.0, "{}", report.to_text());
    assert_eq!((report.unstarted(), report.note("reruns by Reconcile")), (0, 0));
}

#[test]
fn only_the_vendor_without_a_mapper_is_quarantined() {
    let report = run(small("misconfigured"));
    nothing_lost(&report);
    let share = report.accepted() / report.quarantined().max(1);
    assert!((12..=40).contains(&share), "one vendor of twenty, not of {share}");
    assert_eq!(report.healthy_quarantined(), 0);
    assert_eq!(report.applied() + report.quarantined(), report.accepted());
}

#[test]
fn a_hot_article_makes_transactions_conflict() {
    let report = run(named("hot-article").shortened(0.01));
    nothing_lost(&report);
    let calm = run(named("steady").shortened(0.01));
    assert!(
        report.note("conflicts of transactions") > 5 * calm.note("conflicts of transactions") + 50,
        "{} {}",
        report.to_text(),
        calm.note("conflicts of transactions")
    );
}

/// Reconcile looks for rows that are RECEIVED. A row whose change to NORMALIZED was never told is not
/// among them: its event is not applied, and nobody hears of it.
#[test]
fn of_lost_records_only_those_of_accepted_events_are_found() {
    let report = run(named("stale-stream").shortened(0.05).at_rate(20.0).losing_records(0.02));
    let records = report.note("records lost");
    assert!(records > 20 && report.note("reruns by Reconcile") > 5, "{}", report.to_text());
    assert!(report.lost() > 5 && report.lost() < records, "{}", report.to_text());
    assert_eq!(report.lost() + report.applied() + report.quarantined(), report.accepted());
    assert_eq!((report.doubled(), report.drained_after_s()), (0, None));
}

#[test]
fn a_small_region_delays_and_loses_nothing() {
    let report = run(named("region-small").shortened(0.005));
    nothing_lost(&report);
    assert_eq!(report.region, "eu-central-1");
}

#[test]
fn a_full_hour_is_more_than_reconcile_can_count() {
    let report = run(named("full-hour").shortened(0.6).at_rate(10.0));
    nothing_lost(&report);
    assert!(report.note("runs of Reconcile") >= 1);
    assert_eq!(report.note("runs of Reconcile that timed out"), 1, "{}", report.to_text());
}

#[test]
fn every_scenario_has_its_row_in_the_table() {
    let reports: Vec<Report> = NAMES
        .iter()
        .filter(|name| **name != "stale-stream")
        .map(|name| run(named(name).shortened(0.001).at_rate(200.0)))
        .collect();
    let table = table(&reports);
    assert_eq!(table.lines().count(), reports.len() + 2, "{table}");
    for report in &reports {
        nothing_lost(report);
        let json = report.to_json();
        for member in
            ["scenario", "seed", "events", "lost", "doubled", "healthyQuarantined", "dollarsPerMillion"]
        {
            assert!(!json[member].is_null(), "{member} of {json}");
        }
        assert!(json["acknowledged"]["refused429"].is_u64() && json["recover"]["unstarted"].is_u64());
        assert!(svg(report).ends_with("</svg>\n"));
    }
}

#[test]
fn the_plan_names_what_must_be_raised_and_nothing_else() {
    let quotas = Quotas::parse(QUOTAS, "eu-central-1").unwrap();
    let small = plan(50.0, 5, &deployment(), &quotas, &prices(), 1).unwrap();
    assert!(!small.contains("L-5540C5E3"), "{small}");
    let tight = quotas.with("eventbridge.invocations_per_second", 20.0);
    let raised = plan(50.0, 5, &deployment(), &tight, &prices(), 1).unwrap();
    assert!(raised.contains("L-5540C5E3") && raised.contains("eu-central-1"), "{raised}");
}

/// A fact whose source is `<file>: <CONSTANT>` is compared with that constant.
#[test]
fn the_facts_of_the_design_are_those_of_the_code() {
    let quotas = Quotas::parse(QUOTAS, "us-east-1").unwrap();
    let mut compared = 0;
    for name in quotas.names().filter(|name| name.starts_with("design.")) {
        let (file, constant) = quotas.quota(name).unwrap().source.split_once(": ").unwrap();
        if !constant.chars().all(|it| it.is_ascii_uppercase() || it == '_') {
            continue;
        }
        let path = format!("{}/../../{file}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {path}: {error}"));
        let line = text.lines().find(|line| line.contains(&format!("const {constant}:")));
        let line = line.unwrap_or_else(|| panic!("{name}: {file} has no constant {constant}"));
        let value = line.split_once('=').unwrap().1.trim().trim_end_matches(';').replace('_', "");
        assert_eq!(value, quotas.value(name).unwrap().to_string(), "{name}: {line}");
        compared += 1;
    }
    assert!(compared >= 4, "{compared}");
}

/// What stands in CDK only: the value, and the text that says so.
#[test]
fn what_is_deployed_is_what_cdk_says() {
    let quotas = Quotas::parse(QUOTAS, "us-east-1").unwrap();
    let mut compared = 0;
    for name in quotas.names().filter(|name| name.starts_with("deployed.")) {
        let (file, said) = quotas.quota(name).unwrap().source.split_once(": ").unwrap();
        let text = std::fs::read_to_string(format!("{}/../../{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        assert_eq!(text.matches(said).count(), 1, "{name}: {file} says {said:?} once");
        let value = said.rsplit(' ').next().unwrap().replace('_', "");
        assert_eq!(value, quotas.value(name).unwrap().to_string(), "{name}");
        compared += 1;
    }
    assert_eq!(compared, 7);
}
