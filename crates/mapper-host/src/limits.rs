//! Every bound on a mapper. They are part of the contract with mapper authors, who are held to the same in their tests.

/// Largest module, in bytes.
pub const MODULE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Largest payload, in bytes, after inflating.
pub const PAYLOAD_BYTES_MAX: usize = 5 * 1024 * 1024;

/// Largest metadata, in bytes. Its members are bounded by the envelope; this is well above their sum.
pub const META_BYTES_MAX: usize = 16 * 1024;

/// Output that a call may return whatever its input, in bytes.
pub const OUTPUT_BYTES_BASE: usize = 256 * 1024;

/// More output for each byte of input: a line of a stock file is ten bytes, its event a hundred and fifty.
pub const OUTPUT_PER_INPUT_BYTE: usize = 24;

/// Largest output of any call, in bytes.
pub const OUTPUT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Largest output for an input of so many bytes.
#[must_use]
pub const fn output_bytes(input_bytes: usize) -> usize {
    let scaled = OUTPUT_BYTES_BASE + OUTPUT_PER_INPUT_BYTE * input_bytes;
    if scaled < OUTPUT_BYTES_MAX { scaled } else { OUTPUT_BYTES_MAX }
}

/// Largest refusal, in bytes of JSON.
pub const ERROR_BYTES_MAX: usize = 4 * 1024;

/// Longest `code` of a refusal, in characters of `a-z`, `0-9`, `_`.
pub const ERROR_CODE_CHARS_MAX: usize = 64;

/// Linear memory that a call may have whatever its input, in bytes; a module may start with no more.
pub const MEMORY_BYTES_BASE: usize = 32 * 1024 * 1024;

/// More memory for each byte of input: the input, what is read from it, and the output, none of which a mapper needs to free.
pub const MEMORY_PER_INPUT_BYTE: usize = 16;

/// Largest linear memory of any call, in bytes.
pub const MEMORY_BYTES_MAX: usize = memory_bytes(PAYLOAD_BYTES_MAX + META_BYTES_MAX);

/// Largest linear memory for an input of so many bytes, in whole pages of WebAssembly.
#[must_use]
pub const fn memory_bytes(input_bytes: usize) -> usize {
    MEMORY_BYTES_BASE + (MEMORY_PER_INPUT_BYTE * input_bytes).next_multiple_of(64 * 1024)
}

/// Largest function table, in elements.
pub const TABLE_ELEMENTS_MAX: usize = 10_000;

/// Deepest native stack of a call, in bytes. A thread that calls a mapper needs this much beside its own.
pub const STACK_BYTES_MAX: usize = 512 * 1024;

/// Fuel for a call, whatever its input.
pub const FUEL_BASE: u64 = 5_000_000;

/// More fuel for each byte of input, metadata included: a line of a stock file may have nine bytes, and takes some 8,500.
pub const FUEL_PER_INPUT_BYTE: u64 = 2_000;

/// Most fuel of any call: about two seconds.
pub const FUEL_MAX: u64 = 2_000_000_000;

/// Fuel for an input of so many bytes. A unit is about one WebAssembly instruction, or one byte of a bulk operation.
#[must_use]
pub const fn fuel(input_bytes: usize) -> u64 {
    let scaled = FUEL_BASE + FUEL_PER_INPUT_BYTE * input_bytes as u64;
    if scaled < FUEL_MAX { scaled } else { FUEL_MAX }
}
