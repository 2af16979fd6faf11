//! The Lambda function `sluice-apply`; everything it does is in the library.

use std::process::ExitCode;

use sluice_apply::{Deps, handle};

#[tokio::main]
async fn main() -> ExitCode {
    sluice_aws::lambda::main("apply", Deps::from_environment, |deps, input| Box::pin(handle(deps, input)))
        .await
}
