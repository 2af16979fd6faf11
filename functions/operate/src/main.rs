//! The Lambda function `sluice-operate`; everything it does is in the library.

use std::process::ExitCode;

use sluice_operate::{Deps, handle};

#[tokio::main]
async fn main() -> ExitCode {
    sluice_aws::lambda::main("operate", Deps::from_environment, |deps, input| Box::pin(handle(deps, input)))
        .await
}
