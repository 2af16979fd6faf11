//! The Lambda function `sluice-reconcile`; everything it does is in the library.

use std::process::ExitCode;

use sluice_reconcile::{Deps, handle};

#[tokio::main]
async fn main() -> ExitCode {
    sluice_aws::lambda::main("reconcile", Deps::from_environment, |deps, input| Box::pin(handle(deps, input)))
        .await
}
