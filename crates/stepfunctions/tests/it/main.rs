//! Tests of the service from outside: through [`sluice_stepfunctions::Engine`] and the wire.

#![allow(clippy::unwrap_used, reason = "tests")]

mod durability;
mod kill;
mod pipeline;
mod sdk;
mod simulator;
mod support;
mod wire;
