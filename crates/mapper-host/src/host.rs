//! Running mappers.
//!
//! Every event gets a store and an instance of its own, from a pool that hands out memories already laid out. A call is
//! synchronous and takes microseconds, at worst some tens of milliseconds (its fuel), so callers run it inline.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use wasmtime::{
    Engine, Instance, InstancePre, Linker, Memory, Module, ModuleExport, ResourceLimiter, Store, Trap,
    TypedFunc,
};

use crate::config::{Fingerprint, TargetSpec, running};
use crate::fault::{LoadError, MapFault, TrapReason, chain};
use crate::inspect::ExportName;
use crate::limits::{
    ERROR_BYTES_MAX, ERROR_CODE_CHARS_MAX, META_BYTES_MAX, PAYLOAD_BYTES_MAX, TABLE_ELEMENTS_MAX, fuel,
    memory_bytes, output_bytes,
};

/// The SHA-256 of native code that the caller trusts.
///
/// Loading native code is running it: wasmtime checks that it was compiled by the right configuration, not that it came
/// from its compiler. Whoever makes one of these says that the code with this digest was written by
/// [`compile`](crate::compile()) from an inspected module: the digest came from a manifest that only publishers can write.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TrustedDigest([u8; 32]);

impl TrustedDigest {
    /// Vouches for code with this SHA-256.
    #[must_use]
    pub fn vouch(sha256: [u8; 32]) -> Self {
        Self(sha256)
    }

    /// Vouches for these bytes themselves, which the caller has just compiled.
    #[must_use]
    pub fn vouch_for(native: &[u8]) -> Self {
        Self(Sha256::digest(native).into())
    }
}

impl fmt::Debug for TrustedDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrustedDigest({})", hex::encode(self.0))
    }
}

/// An engine that runs mappers of this machine's kind. One for a process; cheap to clone.
#[derive(Clone)]
pub struct Host {
    engine: Engine,
    slots: Arc<Slots>,
    fingerprint: Fingerprint,
}

impl Host {
    /// Starts the engine and lays out its pool.
    ///
    /// # Errors
    /// `Engine`, where the machine has not the address space for even one instance at a time.
    pub fn new() -> Result<Self, LoadError> {
        let spec = TargetSpec::host();
        let (engine, slots) = running(&spec)?;
        Ok(Self { engine, slots: Arc::new(Slots::new(slots)), fingerprint: spec.fingerprint() })
    }

    /// The only fingerprint of native code that this host loads.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// Loads native code that [`compile`](crate::compile()) wrote.
    ///
    /// The bytes are hashed before they are looked at. They are copied, and may be dropped.
    ///
    /// # Errors
    /// `Digest` when the bytes are not those that the caller vouches for; `Incompatible` when they were compiled by another
    /// wasmtime or configuration, for another processor, or from a module that is no mapper.
    pub fn load_native(&self, native: &[u8], trusted: &TrustedDigest) -> Result<Mapper, LoadError> {
        let found: [u8; 32] = Sha256::digest(native).into();
        if found != trusted.0 {
            return Err(LoadError::Digest { expected: hex::encode(trusted.0), found: hex::encode(found) });
        }
        #[expect(
            unsafe_code,
            reason = "wasmtime cannot check native code; `TrustedDigest` is who answers for it"
        )]
        // SAFETY: `deserialize` must be given what `precompile_module` wrote, unaltered. The bytes have the digest for which
        // the caller vouches just that, and wasmtime compares our fingerprint, so they are of this very configuration.
        let module = unsafe { Module::deserialize(&self.engine, native) };
        let module = module.map_err(|error| LoadError::of_native(&error))?;
        // Now rather than with the first event: the image of the memory is a file, for which there may be no descriptor.
        let image = module.initialize_copy_on_write_image();
        image.map_err(|error| LoadError::Exhausted { reason: chain(&error) })?;
        Mapper::new(self, &module)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

/// A loaded mapper. Callable from any thread, at the same time; cheap to clone.
#[derive(Clone)]
pub struct Mapper {
    slots: Arc<Slots>,
    pre: Arc<InstancePre<Limiter>>,
    exports: Exports,
}

#[derive(Clone)]
struct Exports {
    memory: ModuleExport,
    realloc: ModuleExport,
    map: ModuleExport,
    initialize: Option<ModuleExport>,
}

/// What a mapper gave for an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapped {
    /// As the mapper wrote it. Not yet judged.
    pub output: Vec<u8>,
    /// Fuel used of [`fuel`]`(meta + payload)`; the same for the same input.
    pub fuel_used: u64,
    /// Size of the mapper's memory at the end, in bytes.
    pub memory_bytes: usize,
}

type Realloc = TypedFunc<(u32, u32, u32, u32), u32>;
type Map = TypedFunc<(u32, u32, u32, u32), u32>;

impl Mapper {
    fn new(host: &Host, module: &Module) -> Result<Self, LoadError> {
        let export = |name: ExportName| module.get_export_index(name.name());
        let needed = |name: ExportName| export(name).ok_or(LoadError::ExportMissing { name });
        let exports = Exports {
            memory: needed(ExportName::Memory)?,
            realloc: needed(ExportName::Realloc)?,
            map: needed(ExportName::Map)?,
            initialize: export(ExportName::Initialize),
        };
        let pre = Linker::new(&host.engine)
            .instantiate_pre(module)
            .map_err(|error| LoadError::of_native(&error))?;
        Ok(Self { slots: Arc::clone(&host.slots), pre: Arc::new(pre), exports })
    }

    /// Maps one message: `meta` is the JSON that the WIT contract describes, `payload` the vendor's bytes.
    ///
    /// Waits when the pool's instances are all in use, which lasts as long as one of them runs.
    ///
    /// # Errors
    /// [`MapFault`], each variant of which says whose fault it is. No fault has an effect on later calls.
    pub fn map(&self, meta: &[u8], payload: &[u8]) -> Result<Mapped, MapFault> {
        for (what, bytes, bytes_max) in
            [("payload", payload.len(), PAYLOAD_BYTES_MAX), ("metadata", meta.len(), META_BYTES_MAX)]
        {
            if bytes > bytes_max {
                return Err(MapFault::InputTooLarge { what, bytes, bytes_max });
            }
        }
        let _slot = self.slots.take();
        let input_bytes = meta.len() + payload.len();
        let fuel = fuel(input_bytes);
        let mut store = Store::new(self.pre.module().engine(), Limiter::new(memory_bytes(input_bytes)));
        store.limiter(|limiter| limiter);
        store.set_fuel(fuel).map_err(|error| unavailable(&error))?;
        let instance =
            self.pre.instantiate(&mut store).map_err(|error| match error.downcast_ref::<Trap>() {
                Some(_) => fault(&error, store.data(), fuel),
                None => unavailable(&error),
            })?;
        let mut call = Call::new(store, &instance, &self.exports, fuel)?;
        let meta = call.lower(meta)?;
        let payload = call.lower(payload)?;
        let output = call.map(meta, payload, output_bytes(input_bytes))?;
        let (fuel_used, memory_bytes) = call.used(fuel);
        Ok(Mapped { output, fuel_used, memory_bytes })
    }
}

impl fmt::Debug for Mapper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapper").finish_non_exhaustive()
    }
}

/// One event's instance.
struct Call {
    store: Store<Limiter>,
    memory: Memory,
    realloc: Realloc,
    map: Map,
    fuel: u64,
}

impl Call {
    fn new(
        mut store: Store<Limiter>,
        instance: &Instance,
        exports: &Exports,
        fuel: u64,
    ) -> Result<Self, MapFault> {
        // `inspect` saw these types before the module was compiled; that they are still so costs nothing to check.
        let broken =
            |name: ExportName| MapFault::AbiViolation { what: format!("{name} is not {}", name.signature()) };
        let function = |store: &mut Store<Limiter>, export: &ModuleExport, name: ExportName| {
            instance
                .get_module_export(&mut *store, export)
                .and_then(wasmtime::Extern::into_func)
                .ok_or_else(|| broken(name))
        };
        if let Some(export) = &exports.initialize {
            let initialize = function(&mut store, export, ExportName::Initialize)?
                .typed::<(), ()>(&store)
                .map_err(|_| broken(ExportName::Initialize))?;
            if let Err(error) = initialize.call(&mut store, ()) {
                return Err(fault(&error, store.data(), fuel));
            }
        }
        let memory = instance
            .get_module_export(&mut store, &exports.memory)
            .and_then(wasmtime::Extern::into_memory)
            .ok_or_else(|| broken(ExportName::Memory))?;
        let realloc = function(&mut store, &exports.realloc, ExportName::Realloc)?
            .typed(&store)
            .map_err(|_| broken(ExportName::Realloc))?;
        let map = function(&mut store, &exports.map, ExportName::Map)?
            .typed(&store)
            .map_err(|_| broken(ExportName::Map))?;
        Ok(Self { store, memory, realloc, map, fuel })
    }

    /// Copies bytes in, to where the mapper wants them, as the canonical ABI lowers a `list<u8>`.
    fn lower(&mut self, bytes: &[u8]) -> Result<(u32, u32), MapFault> {
        // Bounded by the caller, far below 2^32.
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let pointer = match self.realloc.call(&mut self.store, (0, 0, 1, length)) {
            Ok(pointer) => pointer,
            Err(error) => return Err(fault(&error, self.store.data(), self.fuel)),
        };
        let place = range(self.memory.data_size(&self.store), pointer, length, "cabi_realloc returned")?;
        self.memory.data_mut(&mut self.store)[place].copy_from_slice(bytes);
        Ok((pointer, length))
    }

    fn map(&mut self, meta: (u32, u32), payload: (u32, u32), bytes_max: usize) -> Result<Vec<u8>, MapFault> {
        let result = match self.map.call(&mut self.store, (meta.0, meta.1, payload.0, payload.1)) {
            Ok(result) => result,
            Err(error) => return Err(fault(&error, self.store.data(), self.fuel)),
        };
        if !result.is_multiple_of(4) {
            return Err(MapFault::AbiViolation {
                what: format!("map returned {result:#x}, which is not aligned"),
            });
        }
        let data = self.memory.data(&self.store);
        let area = &data[range(data.len(), result, 12, "map returned")?];
        let word = |at: usize| u32::from_le_bytes([area[at], area[at + 1], area[at + 2], area[at + 3]]);
        let (pointer, length) = (word(4), word(8));
        match area[0] {
            0 if length as usize > bytes_max => {
                Err(MapFault::OutputTooLarge { bytes: length.into(), bytes_max })
            }
            0 => Ok(data[range(data.len(), pointer, length, "the output lies at")?].to_vec()),
            1 if length as usize > ERROR_BYTES_MAX => {
                Err(MapFault::ErrorMalformed { what: format!("it has {length} bytes") })
            }
            1 => Err(refusal(&data[range(data.len(), pointer, length, "the refusal lies at")?])),
            other => Err(MapFault::AbiViolation { what: format!("the result's discriminant is {other}") }),
        }
    }

    fn used(&self, fuel: u64) -> (u64, usize) {
        let left = self.store.get_fuel().unwrap_or(0);
        (fuel.saturating_sub(left), self.memory.data_size(&self.store))
    }
}

/// Where `length` bytes at `pointer` are, if they are in a memory of `size` bytes.
fn range(size: usize, pointer: u32, length: u32, what: &str) -> Result<std::ops::Range<usize>, MapFault> {
    let (start, length) = (pointer as usize, length as usize);
    match start.checked_add(length) {
        Some(end) if end <= size => Ok(start..end),
        _ => Err(MapFault::AbiViolation {
            what: format!("{what} {start:#x} with {length} bytes, beyond its memory of {size} bytes"),
        }),
    }
}

fn refusal(json: &[u8]) -> MapFault {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Refusal {
        code: String,
        path: String,
        message: String,
    }
    let malformed = |what: String| MapFault::ErrorMalformed { what };
    let text = match str::from_utf8(json) {
        Ok(text) => text,
        Err(error) => return malformed(format!("it is not UTF-8 after byte {}", error.valid_up_to())),
    };
    let Refusal { code, path, message } = match serde_json::from_str(text) {
        Ok(refusal) => refusal,
        Err(error) => return malformed(error.to_string()),
    };
    if code.is_empty()
        || code.len() > ERROR_CODE_CHARS_MAX
        || !code.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
    {
        return malformed("its code is not 1 to 64 characters of a-z, 0-9 and _".to_owned());
    }
    if !path.is_empty() && !path.starts_with('/') {
        return malformed("its path is not a JSON pointer".to_owned());
    }
    if path.chars().chain(message.chars()).any(char::is_control) {
        return malformed("it has control characters".to_owned());
    }
    MapFault::Refused { code, path, message }
}

fn unavailable(error: &wasmtime::Error) -> MapFault {
    MapFault::HostUnavailable { reason: chain(error) }
}

/// What ended a call.
fn fault(error: &wasmtime::Error, limiter: &Limiter, fuel: u64) -> MapFault {
    let Some(trap) = error.downcast_ref::<Trap>() else { return unavailable(error) };
    let reason = match trap {
        Trap::OutOfFuel => return MapFault::OutOfFuel { fuel },
        Trap::StackOverflow => return MapFault::StackOverflow,
        // A language's allocator that gets no memory gives up in its own way.
        _ if limiter.memory_refused => {
            return MapFault::OutOfMemory { bytes_max: limiter.memory_bytes_max };
        }
        Trap::UnreachableCodeReached => TrapReason::Unreachable,
        Trap::MemoryOutOfBounds => TrapReason::MemoryOutOfBounds,
        Trap::TableOutOfBounds => TrapReason::TableOutOfBounds,
        Trap::IndirectCallToNull => TrapReason::IndirectCallToNull,
        Trap::BadSignature => TrapReason::BadSignature,
        Trap::IntegerOverflow => TrapReason::IntegerOverflow,
        Trap::IntegerDivisionByZero => TrapReason::IntegerDivisionByZero,
        Trap::BadConversionToInteger => TrapReason::BadConversionToInteger,
        _ => TrapReason::Other,
    };
    MapFault::Trapped { reason }
}

/// Bounds on one instance. What it refuses, the module sees as -1, as the specification has it.
#[derive(Debug)]
struct Limiter {
    memory_bytes_max: usize,
    memory_refused: bool,
}

impl Limiter {
    fn new(memory_bytes_max: usize) -> Self {
        Self { memory_bytes_max, memory_refused: false }
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        _: usize,
        desired: usize,
        _: Option<usize>,
    ) -> Result<bool, wasmtime::Error> {
        let allowed = desired <= self.memory_bytes_max;
        self.memory_refused |= !allowed;
        Ok(allowed)
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> Result<bool, wasmtime::Error> {
        Ok(desired <= TABLE_ELEMENTS_MAX)
    }

    fn instances(&self) -> usize {
        1
    }

    fn memories(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        1
    }
}

/// As many permits as the pool has instances, so that a busy moment means waiting and not failing.
struct Slots {
    free: Mutex<usize>,
    returned: Condvar,
}

impl Slots {
    fn new(free: usize) -> Self {
        Self { free: Mutex::new(free), returned: Condvar::new() }
    }

    fn take(&self) -> Slot<'_> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free =
            self.returned.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Slot(self)
    }
}

/// Given back when dropped.
struct Slot<'a>(&'a Slots);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.returned.notify_one();
    }
}
