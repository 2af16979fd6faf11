//! What can go wrong: with a module before it runs ([`LoadError`]), and with one event ([`MapFault`]).
//!
//! Both are closed: a `match` on them is exhaustive, so a new fault does not compile until each caller has decided what
//! it means.

use crate::inspect::{ExportName, ImportKind};
use crate::limits::{
    ERROR_BYTES_MAX, MEMORY_BYTES_BASE, MODULE_BYTES_MAX, STACK_BYTES_MAX, TABLE_ELEMENTS_MAX,
};

/// A module that cannot be used. Its author, or who published it, must act.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// Over the bound on modules.
    #[error("the module has {bytes} bytes; at most {MODULE_BYTES_MAX} are allowed")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// No WebAssembly, or a module that ends early or contradicts itself.
    #[error("not a valid WebAssembly module: {reason} (at byte {offset})")]
    Invalid {
        /// What is wrong.
        reason: String,
        /// Where.
        offset: usize,
    },
    /// A component or other layer of WebAssembly.
    #[error("a WebAssembly component; a mapper is a core module")]
    Component,
    /// Valid WebAssembly, but of a proposal that is off.
    #[error("the module uses a WebAssembly feature that is off: {reason} (at byte {offset})")]
    FeatureOff {
        /// What the module uses.
        reason: String,
        /// Where.
        offset: usize,
    },
    /// A mapper imports nothing: it has no clock, no randomness and no I/O.
    #[error("the module imports the {kind} {name:?} from {module:?}; a mapper imports nothing")]
    Import {
        /// What it would be.
        kind: ImportKind,
        /// From where.
        module: String,
        /// By which name.
        name: String,
    },
    /// Code that would run before the call, outside the contract.
    #[error("the module has a start function; export _initialize instead")]
    StartFunction,
    /// Memory that threads share.
    #[error("the module's memory is shared; a mapper has one thread")]
    SharedMemory,
    /// 64-bit memory.
    #[error("the module's memory has 64-bit addresses; a mapper's has 32-bit addresses")]
    Memory64,
    /// More than one memory.
    #[error("the module has {count} memories; a mapper has one")]
    Memories {
        /// How many.
        count: u32,
    },
    /// Memory beyond the bound from the start.
    #[error("the module's memory starts with {bytes} bytes; at most {MEMORY_BYTES_BASE} are allowed")]
    MemoryTooLarge {
        /// What it declares.
        bytes: u64,
    },
    /// More than one table, or one beyond the bound.
    #[error(
        "the module has {count} tables, the largest of {elements} elements; one of {TABLE_ELEMENTS_MAX} is allowed"
    )]
    Tables {
        /// How many.
        count: u32,
        /// Elements of the largest, at the start.
        elements: u64,
    },
    /// An export of the ABI is not there.
    #[error("the module does not export {name} ({})", .name.signature())]
    ExportMissing {
        /// Which.
        name: ExportName,
    },
    /// An export of the ABI is something else.
    #[error("the module exports {name} as {found}; it must be {}", .name.signature())]
    ExportType {
        /// Which.
        name: ExportName,
        /// What it is.
        found: String,
    },
    /// The compiler could not compile a valid module.
    #[error("the module does not compile: {reason}")]
    Compile {
        /// What the compiler says.
        reason: String,
    },
    /// The engine itself could not be made; the machine or the build is at fault, not the module.
    #[error("the WebAssembly engine does not start: {reason}")]
    Engine {
        /// What wasmtime says.
        reason: String,
    },
    /// The machine had no file descriptor or memory left to load native code. Not the mapper's fault; try again.
    #[error("the machine cannot load native code now: {reason}")]
    Exhausted {
        /// What wasmtime says.
        reason: String,
    },
    /// Native code that was damaged or exchanged.
    #[error("the native code has the SHA-256 {found}, not {expected}")]
    Digest {
        /// Hexadecimal, what the caller vouched for.
        expected: String,
        /// Hexadecimal, what the bytes have.
        found: String,
    },
    /// Native code of another wasmtime, configuration or processor, or no native code. Publish the mapper again.
    #[error("the native code is not for this host: {reason}")]
    Incompatible {
        /// What wasmtime says.
        reason: String,
    },
}

impl LoadError {
    /// The stable snake_case code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "module_too_large",
            Self::Invalid { .. } => "module_invalid",
            Self::Component => "module_is_component",
            Self::FeatureOff { .. } => "module_feature_off",
            Self::Import { .. } => "module_import",
            Self::StartFunction => "module_start_function",
            Self::SharedMemory => "module_shared_memory",
            Self::Memory64 => "module_memory64",
            Self::Memories { .. } => "module_memories",
            Self::MemoryTooLarge { .. } => "module_memory_too_large",
            Self::Tables { .. } => "module_tables",
            Self::ExportMissing { .. } => "module_export_missing",
            Self::ExportType { .. } => "module_export_type",
            Self::Compile { .. } => "module_compile_failed",
            Self::Engine { .. } => "engine_unavailable",
            Self::Exhausted { .. } => "host_exhausted",
            Self::Digest { .. } => "native_digest_mismatch",
            Self::Incompatible { .. } => "native_incompatible",
        }
    }

    /// Of native code that did not load: the machine had no file descriptor or memory for it, or it is not for this host.
    pub(crate) fn of_native(error: &wasmtime::Error) -> Self {
        let reason = chain(error);
        // An error of the operating system is told by its number: it may come as `std::io::Error`, as that of `rustix` or of
        // `memfd`, which all write it alike. An incompatibility is found in the bytes and has none.
        if reason.contains("(os error ") { Self::Exhausted { reason } } else { Self::Incompatible { reason } }
    }

    pub(crate) fn engine(error: &wasmtime::Error) -> Self {
        Self::Engine { reason: chain(error) }
    }
}

/// wasmtime's error with its causes, which hold what matters.
pub(crate) fn chain(error: &wasmtime::Error) -> String {
    format!("{error:#}")
}

/// Why one event has no output. The same event fails the same way again, so none of these is worth a retry; but for
/// [`MapFault::HostUnavailable`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MapFault {
    /// The mapper understood the message and refuses it.
    #[error("the mapper refused the message: {code} at {path:?}: {message}")]
    Refused {
        /// The mapper's own code, snake_case.
        code: String,
        /// JSON pointer into the payload, empty for the whole of it.
        path: String,
        /// For a person.
        message: String,
    },
    /// The payload or metadata is over its bound; the mapper was not run.
    #[error("the {what} has {bytes} bytes; at most {bytes_max} are allowed")]
    InputTooLarge {
        /// `payload` or `metadata`.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
    /// The mapper trapped.
    #[error("the mapper trapped: {reason}")]
    Trapped {
        /// Why.
        reason: TrapReason,
    },
    /// The mapper used up its fuel.
    #[error("the mapper used up its fuel of {fuel}")]
    OutOfFuel {
        /// What it had.
        fuel: u64,
    },
    /// The mapper asked for more memory than it may have, and trapped when it did not get it.
    #[error("the mapper ran out of memory; for this message it may have {bytes_max} bytes")]
    OutOfMemory {
        /// What it may have.
        bytes_max: usize,
    },
    /// The mapper recursed too deeply.
    #[error("the mapper overflowed its stack of {STACK_BYTES_MAX} bytes")]
    StackOverflow,
    /// The mapper returned more than it may.
    #[error(
        "the mapper returned {bytes} bytes; at most {bytes_max} are taken for a message of this size: send it in parts"
    )]
    OutputTooLarge {
        /// The length that it stated.
        bytes: u64,
        /// The bound for this message.
        bytes_max: usize,
    },
    /// A pointer or length that leads outside the mapper's memory, or a discriminant that does not exist.
    #[error("the mapper broke the ABI: {what}")]
    AbiViolation {
        /// What it did.
        what: String,
    },
    /// The mapper refused the message, but not with a small JSON object `{code, path, message}`.
    #[error(
        "the mapper's refusal is malformed: {what}; it must be JSON {{code, path, message}} within {ERROR_BYTES_MAX} bytes"
    )]
    ErrorMalformed {
        /// What is wrong with it.
        what: String,
    },
    /// The host could not make an instance, for want of memory or address space. Not the mapper's fault; try again.
    #[error("no instance could be made: {reason}")]
    HostUnavailable {
        /// What wasmtime says.
        reason: String,
    },
}

impl MapFault {
    /// The stable snake_case code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "mapper_refused",
            Self::InputTooLarge { .. } => "payload_too_large",
            Self::Trapped { .. } => "mapper_trapped",
            Self::OutOfFuel { .. } => "mapper_out_of_fuel",
            Self::OutOfMemory { .. } => "mapper_out_of_memory",
            Self::StackOverflow => "mapper_stack_overflow",
            Self::OutputTooLarge { .. } => "mapper_output_too_large",
            Self::AbiViolation { .. } => "mapper_abi_violation",
            Self::ErrorMalformed { .. } => "mapper_error_malformed",
            Self::HostUnavailable { .. } => "mapper_host_unavailable",
        }
    }
}

/// What made a mapper trap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TrapReason {
    /// `unreachable`: in Rust a panic, in other languages an abort.
    #[error("it gave up (a panic or abort)")]
    Unreachable,
    /// A load or store outside its memory, or data that does not fit in it.
    #[error("out of bounds memory access")]
    MemoryOutOfBounds,
    /// A call through a table entry that does not exist, or a table operation outside it.
    #[error("out of bounds table access")]
    TableOutOfBounds,
    /// A call through an empty table entry.
    #[error("indirect call to nothing")]
    IndirectCallToNull,
    /// A call through a table entry of another type.
    #[error("indirect call of another type")]
    BadSignature,
    /// Integer overflow in a division.
    #[error("integer overflow")]
    IntegerOverflow,
    /// Division by zero.
    #[error("integer division by zero")]
    IntegerDivisionByZero,
    /// A float that has no integer.
    #[error("conversion of a float that is no integer")]
    BadConversionToInteger,
    /// A reason that wasmtime has but this list has not; none is known for modules that load.
    #[error("another reason")]
    Other,
}
