//! Compiling a module ahead of time, where it is published.

use crate::config::{Fingerprint, TargetSpec, compiling};
use crate::fault::{LoadError, chain};
use crate::inspect::inspect;

/// A module as native code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativeModule {
    /// What [`Host::load_native`](crate::Host::load_native) loads. Keep it where only publishers write.
    pub bytes: Vec<u8>,
    /// The configuration that it runs with; a host of any other refuses it.
    pub fingerprint: Fingerprint,
}

/// Compiles a module for a target, which need not be this machine. The same module, target and program give the same
/// bytes.
///
/// # Errors
/// What [`inspect`] refuses, and `Compile` when the compiler gives up.
pub fn compile(wasm: &[u8], target: &TargetSpec) -> Result<NativeModule, LoadError> {
    inspect(wasm)?;
    let bytes = compiling(target)?
        .precompile_module(wasm)
        .map_err(|error| LoadError::Compile { reason: chain(&error) })?;
    Ok(NativeModule { bytes, fingerprint: target.fingerprint() })
}
