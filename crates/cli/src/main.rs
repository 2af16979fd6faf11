//! The command `sluice`.

use std::process::ExitCode;

/// A local cloud allocates in many small pieces on many threads; glibc's allocator took a fifth of its time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    sluice_cli::run(std::env::args_os()).await
}
