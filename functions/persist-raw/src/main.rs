//! The Lambda function `sluice-persist-raw`; everything it does is in the library.

use std::process::ExitCode;

use sluice_persist_raw::{Deps, handle};

#[tokio::main]
async fn main() -> ExitCode {
    sluice_aws::lambda::main("persist-raw", Deps::from_environment, |deps, input| {
        Box::pin(handle(deps, input))
    })
    .await
}
