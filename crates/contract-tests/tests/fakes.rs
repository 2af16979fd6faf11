//! The ports in memory keep what the ports promise.

use sluice_contract_tests::{canonical, ledger, objects, ops, vendors};
use sluice_core::testing::World;

macro_rules! suites {
    ($($name:ident: $suite:path),+ $(,)?) => {
        $(#[tokio::test]
        async fn $name() {
            $suite(&World::new()).await;
        })+
    };
}

suites! {
    raw: objects::raw,
    normalized: objects::normalized,
    uploads: objects::uploads,
    bundles: objects::bundles,
    commits_of_the_ledger: ledger::commits,
    generations: ledger::generations,
    holds: ledger::holds,
    life_cycle: ledger::life_cycle,
    correcting: ledger::correcting,
    telling_again: ledger::telling_again,
    conflicts: ledger::conflicts,
    commits_of_canonical_state: canonical::commits,
    rivals: canonical::rivals,
    history: canonical::history,
    lists: canonical::lists,
    pointers: vendors::pointers,
    counts: vendors::counts,
    drift: ops::drift,
    balance: ops::balance,
    health: ops::health,
    reruns: ops::reruns,
    bus: ops::bus,
}

#[tokio::test]
async fn directory() {
    let world = World::new();
    vendors::directory(&world, &world).await;
}

#[tokio::test]
async fn quarantine() {
    let world = World::new();
    ledger::quarantine(&world, async || world.state().quarantine.values().next().cloned()).await;
}

#[tokio::test]
async fn dead_letters() {
    let world = World::new();
    let received =
        async || world.state().dead_letters.iter().map(|letter| letter.body.clone()).collect::<Vec<_>>();
    ops::dead_letters(&world, "arn:aws:sqs:us-east-1:000000000000:q", received).await;
}

#[test]
fn clock() {
    ops::clock(&World::new());
}
