//! The one configuration of wasmtime, and its name.
//!
//! Invariant: whatever can change what native code does or how it may be run is in the fingerprint. wasmtime itself
//! compares much of it when it loads native code, but neither NaN canonicalization nor the spectre settings (48.0.8,
//! `engine/serialization.rs`); so it is all hashed here, and the hash is the module version that wasmtime compares.

use std::fmt;

use sha2::{Digest as _, Sha256};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, ModuleVersionStrategy, OperatorCost,
    PoolingAllocationConfig,
};

use crate::fault::LoadError;
use crate::limits::{MEMORY_BYTES_MAX, STACK_BYTES_MAX, TABLE_ELEMENTS_MAX};

/// The exact version in `Cargo.lock`; a test compares. wasmtime names only its major version.
const WASMTIME_VERSION: &str = "48.0.8";

/// Address space of a linear memory, and the guard behind it: enough that no load or store needs a bounds check, since a
/// 32-bit address and offset cannot leave it. It is reserved, not used.
const MEMORY_RESERVATION_BYTES: u64 = 4 * 1024 * 1024 * 1024;
const MEMORY_GUARD_BYTES: u64 = 32 * 1024 * 1024;

/// Zeroed by hand after an event instead of given back to the system, which would cost page faults at the next: the
/// 64 KiB stack, the data, and the heap of an ordinary event.
const MEMORY_RESIDENT_BYTES: usize = 128 * 1024;
const TABLE_RESIDENT_BYTES: usize = 8 * 1024;

/// For whom code is compiled: never inferred from the machine that compiles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetSpec {
    triple: &'static str,
    /// Cranelift's names of instruction sets that the code may use.
    cpu_flags: &'static [&'static str],
}

/// x86-64-v2, which x86-64 processors have had since 2009 and each of Lambda's has. Code for newer instruction sets would
/// not load on some developer's machine.
const X86_64_V2: &[&str] =
    &["has_cmpxchg16b", "has_popcnt", "has_sse3", "has_ssse3", "has_sse41", "has_sse42"];

impl TargetSpec {
    /// AWS Lambda's `x86_64`.
    pub const LAMBDA_X86_64: Self = Self { triple: "x86_64-unknown-linux-gnu", cpu_flags: X86_64_V2 };

    /// The kind of machine that this program was built for; on Lambda's, the same as [`TargetSpec::LAMBDA_X86_64`].
    #[must_use]
    pub const fn host() -> Self {
        if cfg!(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu")) {
            Self::LAMBDA_X86_64
        } else if cfg!(all(target_arch = "x86_64", target_os = "linux", target_env = "musl")) {
            Self { triple: "x86_64-unknown-linux-musl", cpu_flags: X86_64_V2 }
        } else if cfg!(all(target_arch = "x86_64", target_os = "macos")) {
            Self { triple: "x86_64-apple-darwin", cpu_flags: X86_64_V2 }
        } else if cfg!(all(target_arch = "x86_64", target_os = "windows")) {
            Self { triple: "x86_64-pc-windows-msvc", cpu_flags: X86_64_V2 }
        } else if cfg!(all(target_arch = "aarch64", target_os = "macos")) {
            Self { triple: "aarch64-apple-darwin", cpu_flags: &[] }
        } else if cfg!(all(target_arch = "aarch64", target_os = "linux", target_env = "musl")) {
            Self { triple: "aarch64-unknown-linux-musl", cpu_flags: &[] }
        } else if cfg!(all(target_arch = "aarch64", target_os = "linux")) {
            Self { triple: "aarch64-unknown-linux-gnu", cpu_flags: &[] }
        } else {
            panic!("mappers run on x86-64 and AArch64, under Linux, macOS and Windows")
        }
    }

    /// The target's triple.
    #[must_use]
    pub fn triple(&self) -> &'static str {
        self.triple
    }

    /// The name of the configuration with which code for this target is compiled and run.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(hex::encode(Sha256::digest(self.description())))
    }

    /// Everything that [`base`] and [`compiling`] set. Order and wording matter: a change is another fingerprint, and every
    /// mapper is compiled again.
    fn description(&self) -> String {
        format!(
            "wasmtime={WASMTIME_VERSION} triple={} cpu={} strategy=cranelift opt=speed nan_canonicalization=true \
             spectre=default verifier=false inlining=default fuel=true cost={:?} epochs=false stack={STACK_BYTES_MAX} \
             reservation={MEMORY_RESERVATION_BYTES} guard={MEMORY_GUARD_BYTES} guard_before=true may_move=false cow=true \
             table_lazy_init=true signals=true concurrency=false backtrace=0 unwind_info=false address_map=false \
             symbols=false features={:?}",
            self.triple,
            self.cpu_flags.join(","),
            operator_cost(),
            FEATURES,
        )
    }
}

/// A configuration by name: 64 hexadecimal digits, the SHA-256 of wasmtime's version and every setting.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The hexadecimal digits, lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({})", self.0)
    }
}

/// What a module may use: the MVP and what Rust, AssemblyScript and C compilers emit by default for it. Everything else is
/// off: threads and shared memory, 64-bit and several memories, GC, exceptions, relaxed SIMD, tail calls, extended constants, …
pub(crate) const FEATURES: wasmparser::WasmFeatures = wasmparser::WasmFeatures::MVP
    .union(wasmparser::WasmFeatures::MUTABLE_GLOBAL)
    .union(wasmparser::WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(wasmparser::WasmFeatures::SIGN_EXTENSION)
    .union(wasmparser::WasmFeatures::REFERENCE_TYPES)
    .union(wasmparser::WasmFeatures::MULTI_VALUE)
    .union(wasmparser::WasmFeatures::BULK_MEMORY)
    .union(wasmparser::WasmFeatures::SIMD);

/// One unit an operator and one a byte of a bulk operation, as wasmtime 48 has it, and more for what enters the host. Pinned
/// by a test, since wasmtime changes its table between versions, and mappers near their limit would start or cease to fail.
fn operator_cost() -> OperatorCost {
    let mut cost = OperatorCost::new();
    // A page that is grown is 64 KiB to map and zero.
    (cost.MemoryGrow, cost.variable.memory_grow_per_page) = (50, 250);
    (cost.TableGrow, cost.TableFill, cost.TableCopy, cost.TableInit) = (50, 10, 10, 10);
    (cost.MemoryCopy, cost.MemoryFill, cost.MemoryInit) = (5, 5, 5);
    cost
}

/// The settings that compiling and running share.
fn base(spec: &TargetSpec) -> Result<Config, LoadError> {
    let mut config = Config::new();
    config.target(spec.triple).map_err(|error| LoadError::engine(&error))?;
    config
        .module_version(ModuleVersionStrategy::Custom(spec.fingerprint().0))
        .map_err(|error| LoadError::engine(&error))?;
    config
        .consume_fuel(true)
        .operator_cost(operator_cost())
        .epoch_interruption(false)
        .max_wasm_stack(STACK_BYTES_MAX)
        .memory_reservation(MEMORY_RESERVATION_BYTES)
        .memory_guard_size(MEMORY_GUARD_BYTES)
        .guard_before_linear_memory(true)
        // A memory never needs more than its reservation, so its base can be a constant of a call.
        .memory_may_move(false)
        .memory_init_cow(true)
        .table_lazy_init(true)
        .signals_based_traps(true)
        .concurrency_support(false)
        // A trap is reported by its reason. Frames would tell the author little and cost every trap much.
        .wasm_backtrace_max_frames(None)
        .native_unwind_info(false)
        .generate_address_map(false)
        .debug_symbols(false);
    // Those of wasmtime's defaults that are not in `FEATURES`. Threads, GC and exceptions are not even compiled in.
    config
        .wasm_relaxed_simd(false)
        .wasm_multi_memory(false)
        .wasm_memory64(false)
        .wasm_tail_call(false)
        .wasm_extended_const(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        .wasm_stack_switching(false);
    Ok(config)
}

/// An engine that compiles, for any target, and does not run.
#[cfg(feature = "compile")]
pub(crate) fn compiling(spec: &TargetSpec) -> Result<Engine, LoadError> {
    let mut config = base(spec)?;
    config
        .strategy(wasmtime::Strategy::Cranelift)
        .cranelift_opt_level(wasmtime::OptLevel::Speed)
        .cranelift_nan_canonicalization(true)
        .cranelift_debug_verifier(false);
    for flag in spec.cpu_flags {
        #[expect(unsafe_code, reason = "wasmtime asks the caller to vouch for CPU flags")]
        // SAFETY: the flags are names of instruction sets that exist for the target, and wasmtime checks each against the
        // machine before it runs the code.
        unsafe {
            config.cranelift_flag_enable(flag);
        }
    }
    Engine::new(&config).map_err(|error| LoadError::engine(&error))
}

/// An engine that runs code for this machine, and the number of instances that it can have at once. It has no compiler,
/// even in a program that has one.
pub(crate) fn running(spec: &TargetSpec) -> Result<(Engine, usize), LoadError> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let slots = (2 * threads).clamp(4, 64);
    let mut config = base(spec)?;
    #[cfg(feature = "compile")]
    config.enable_compiler(false);
    config.allocation_strategy(pool(slots, Enabled::Auto));
    let pooled = Engine::new(&config);
    if let Ok(engine) = pooled {
        return Ok((engine, slots));
    }
    // Where address space is rationed, an instance at a time gets its own. Slower, but the same code runs.
    config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
    Engine::new(&config).map(|engine| (engine, slots)).map_err(|error| LoadError::engine(&error))
}

fn pool(slots: usize, pagemap_scan: Enabled) -> InstanceAllocationStrategy {
    let slots = u32::try_from(slots).unwrap_or(u32::MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(slots)
        .total_memories(slots)
        .total_tables(slots)
        .max_memories_per_module(1)
        .max_tables_per_module(1)
        .max_memory_size(MEMORY_BYTES_MAX)
        .table_elements(TABLE_ELEMENTS_MAX)
        .linear_memory_keep_resident(MEMORY_RESIDENT_BYTES)
        .table_keep_resident(TABLE_RESIDENT_BYTES)
        .pagemap_scan(pagemap_scan);
    InstanceAllocationStrategy::Pooling(pool)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_locked_one() {
        let lock = include_str!("../../../Cargo.lock");
        let locked =
            lock.split("name = \"wasmtime\"\nversion = \"").nth(1).and_then(|rest| rest.split('"').next());
        assert_eq!(locked, Some(WASMTIME_VERSION), "another wasmtime is another fingerprint");
    }

    #[test]
    fn the_cost_table_is_pinned() {
        let table = hex::encode(Sha256::digest(format!("{:?}", operator_cost())));
        assert_eq!(
            table, "a1cad1950f1b2d23e153f18e3b49b31f109e5072390afa0189dc4fbcdaff3894",
            "fuel costs changed: mappers near their limit behave differently; say so in an ADR, then pin the new table"
        );
    }

    #[test]
    fn fingerprints_differ_by_target_and_fit_wasmtimes_field() {
        let lambda = TargetSpec::LAMBDA_X86_64.fingerprint();
        let other = TargetSpec { triple: "aarch64-apple-darwin", cpu_flags: &[] }.fingerprint();
        let flags = TargetSpec { cpu_flags: &[], ..TargetSpec::LAMBDA_X86_64 }.fingerprint();
        assert_ne!(lambda, other);
        assert_ne!(lambda, flags);
        assert_eq!(lambda.as_str().len(), 64);
    }
}
