//! The load of Sluice on AWS, simulated: `cargo xtask simulate`.
//!
//! A seeded discrete-event simulation in virtual time. It runs the deployed state machines on the
//! project's own interpreter, with their retries and catches, over the deployed topology, and
//! models the services around them by `docs/quotas.toml`: what is throttled, how long a call takes,
//! what a fault of a service does. Every event is followed by its identity; what is lost, doubled
//! or wrongly quarantined is found by comparison, not assumed. `docs/simulation.md` says what is
//! modelled and what is not.
//!
//! Nothing here knows AWS's SDK, a clock, a network or a disk: files are given as texts, and one
//! seed gives one report, byte for byte.

mod agenda;
mod applying;
mod books;
mod chart;
mod cost;
mod flow;
mod invocations;
mod limits;
mod machines;
mod plan;
mod quotas;
mod random;
mod report;
mod scenario;
mod store;
mod topology;
mod world;

pub use chart::svg;
pub use cost::{Item, PriceError, Prices};
pub use plan::plan;
pub use quotas::{Quota, QuotaError, Quotas};
pub use report::{Report, table};
pub use scenario::{Fault, NAMES, Scenario, Service, Trouble, UnknownScenario};
pub use topology::{Deployment, ModelError};

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The project's files cannot be simulated.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A price is missing.
    #[error(transparent)]
    Price(#[from] PriceError),
}

/// Simulates one scenario to its end.
///
/// # Errors
/// When the project's files cannot be simulated, or a price is missing.
pub fn simulate(
    scenario: Scenario,
    deployment: &Deployment,
    quotas: &Quotas,
    prices: &Prices,
    seed: u64,
) -> Result<Report, Error> {
    let mut world = world::World::new(scenario, deployment, quotas, seed)?;
    world.run()?;
    Ok(Report::of(&world, seed, prices)?)
}
