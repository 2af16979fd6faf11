//! Tests of the service from outside: through [`sluice_stepfunctions::Engine`] and the wire.

#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(clippy::needless_pass_by_value, reason = "`json!` literals are handed over")]

mod callbacks;
mod durability;
mod kill;
mod map_simulator;
mod maps;
mod pipeline;
mod recorded;
mod sdk;
mod simulator;
mod support;
mod wire;
