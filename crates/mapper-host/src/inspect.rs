//! What a module is, read from its bytes before anything is compiled or run.

use std::fmt;

use wasmparser::{
    CompositeInnerType, Encoding, ExternalKind, FuncType, Parser, Payload, TypeRef, ValType, Validator,
    WasmFeatures,
};

use crate::config::FEATURES;
use crate::fault::LoadError;
use crate::limits::{MEMORY_BYTES_BASE, MODULE_BYTES_MAX, TABLE_ELEMENTS_MAX};

const PAGE_BYTES: u64 = 65_536;

/// What a module that may be loaded has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleReport {
    /// Size of the module.
    pub bytes: usize,
    /// Functions it defines.
    pub functions: u32,
    /// Memory it starts with, in bytes.
    pub memory_bytes: u64,
    /// The most that it declares it will use, in bytes, if it does.
    pub memory_bytes_max: Option<u64>,
    /// Whether `_initialize` is there, and will be called.
    pub has_initialize: bool,
    /// Whether `cabi_post_map` is there.
    pub has_post_map: bool,
}

/// An export of the ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportName {
    /// `memory`
    Memory,
    /// `cabi_realloc`
    Realloc,
    /// `map`
    Map,
    /// `cabi_post_map`, optional
    PostMap,
    /// `_initialize`, optional
    Initialize,
}

impl ExportName {
    const ALL: [Self; 5] = [Self::Memory, Self::Realloc, Self::Map, Self::PostMap, Self::Initialize];

    /// The name in the module.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Realloc => "cabi_realloc",
            Self::Map => "map",
            Self::PostMap => "cabi_post_map",
            Self::Initialize => "_initialize",
        }
    }

    /// What it must be.
    #[must_use]
    pub const fn signature(self) -> &'static str {
        match self {
            Self::Memory => "a memory",
            Self::Realloc | Self::Map => "a function (i32, i32, i32, i32) -> (i32)",
            Self::PostMap => "a function (i32) -> ()",
            Self::Initialize => "a function () -> ()",
        }
    }

    const fn optional(self) -> bool {
        matches!(self, Self::PostMap | Self::Initialize)
    }

    fn fits(self, found: &Export) -> bool {
        let (params, results) = match self {
            Self::Memory => return *found == Export::Memory,
            Self::Realloc | Self::Map => (4, 1),
            Self::PostMap => (1, 0),
            Self::Initialize => (0, 0),
        };
        *found
            == Export::Function { params: vec![ValType::I32; params], results: vec![ValType::I32; results] }
    }
}

impl fmt::Display for ExportName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an import would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportKind {
    /// A function.
    Function,
    /// A table.
    Table,
    /// A memory.
    Memory,
    /// A global.
    Global,
    /// An exception's tag.
    Tag,
}

impl fmt::Display for ImportKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Function => "function",
            Self::Table => "table",
            Self::Memory => "memory",
            Self::Global => "global",
            Self::Tag => "tag",
        })
    }
}

impl From<TypeRef> for ImportKind {
    fn from(kind: TypeRef) -> Self {
        match kind {
            TypeRef::Func(_) | TypeRef::FuncExact(_) => Self::Function,
            TypeRef::Table(_) => Self::Table,
            TypeRef::Memory(_) => Self::Memory,
            TypeRef::Global(_) => Self::Global,
            TypeRef::Tag(_) => Self::Tag,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Export {
    Memory,
    Function { params: Vec<ValType>, results: Vec<ValType> },
    Other(&'static str),
}

impl fmt::Display for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |types: &[ValType]| types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match self {
            Self::Memory => f.write_str("a memory"),
            Self::Function { params, results } => {
                write!(f, "a function ({}) -> ({})", list(params), list(results))
            }
            Self::Other(what) => f.write_str(what),
        }
    }
}

/// Whether a module may be compiled and loaded as a mapper.
///
/// What a mapper must not have is named before the module is validated, so that a module which imports something is
/// refused for that, and not for the feature which the import also uses.
///
/// # Errors
/// Each variant of [`LoadError`] but those of compiling, engine and native code.
pub fn inspect(wasm: &[u8]) -> Result<ModuleReport, LoadError> {
    if wasm.len() > MODULE_BYTES_MAX {
        return Err(LoadError::TooLarge { bytes: wasm.len() });
    }
    let seen = Seen::read(wasm)?;
    seen.refuse()?;
    validate(wasm)?;
    seen.exports()?;
    Ok(ModuleReport {
        bytes: wasm.len(),
        functions: u32::try_from(seen.functions.len()).unwrap_or(u32::MAX),
        memory_bytes: seen.memory_bytes,
        memory_bytes_max: seen.memory_bytes_max,
        has_initialize: seen.export(ExportName::Initialize).is_some(),
        has_post_map: seen.export(ExportName::PostMap).is_some(),
    })
}

fn validate(wasm: &[u8]) -> Result<(), LoadError> {
    let Err(error) = Validator::new_with_features(FEATURES).validate_all(wasm) else { return Ok(()) };
    let (reason, offset) = (error.message().to_owned(), at(&error));
    // With every feature on, is it valid? Then a feature is what is wrong.
    if Validator::new_with_features(WasmFeatures::all()).validate_all(wasm).is_ok() {
        Err(LoadError::FeatureOff { reason, offset })
    } else {
        Err(LoadError::Invalid { reason, offset })
    }
}

fn at(error: &wasmparser::BinaryReaderError) -> usize {
    error.offset()
}

fn invalid(error: &wasmparser::BinaryReaderError) -> LoadError {
    LoadError::Invalid { reason: error.message().to_owned(), offset: at(error) }
}

/// What stands in a module's sections. Not yet validated, so indices may lead nowhere.
#[derive(Default)]
struct Seen {
    import: Option<LoadError>,
    start: bool,
    types: Vec<Option<FuncType>>,
    functions: Vec<u32>,
    memories: u32,
    shared: bool,
    memory64: bool,
    memory_bytes: u64,
    memory_bytes_max: Option<u64>,
    tables: u32,
    table_elements: u64,
    exports: Vec<(String, ExternalKind, u32)>,
}

impl Seen {
    fn read(wasm: &[u8]) -> Result<Self, LoadError> {
        let mut seen = Self::default();
        for payload in Parser::new(0).parse_all(wasm) {
            match payload.map_err(|e| invalid(&e))? {
                Payload::Version { encoding: Encoding::Component, .. } => return Err(LoadError::Component),
                Payload::TypeSection(section) => {
                    for group in section {
                        for kind in group.map_err(|e| invalid(&e))?.into_types() {
                            seen.types.push(match kind.composite_type.inner {
                                CompositeInnerType::Func(function) => Some(function),
                                _ => None,
                            });
                        }
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import.map_err(|e| invalid(&e))?;
                        seen.import.get_or_insert(LoadError::Import {
                            kind: import.ty.into(),
                            module: import.module.to_owned(),
                            name: import.name.to_owned(),
                        });
                    }
                }
                Payload::FunctionSection(section) => {
                    for function in section {
                        seen.functions.push(function.map_err(|e| invalid(&e))?);
                    }
                }
                Payload::MemorySection(section) => {
                    for memory in section {
                        let memory = memory.map_err(|e| invalid(&e))?;
                        seen.memories += 1;
                        seen.shared |= memory.shared;
                        seen.memory64 |= memory.memory64;
                        seen.memory_bytes = memory.initial.saturating_mul(PAGE_BYTES);
                        seen.memory_bytes_max = memory.maximum.map(|pages| pages.saturating_mul(PAGE_BYTES));
                    }
                }
                Payload::TableSection(section) => {
                    for table in section {
                        let table = table.map_err(|e| invalid(&e))?;
                        seen.tables += 1;
                        seen.table_elements = seen.table_elements.max(table.ty.initial);
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export.map_err(|e| invalid(&e))?;
                        seen.exports.push((export.name.to_owned(), export.kind, export.index));
                    }
                }
                Payload::StartSection { .. } => seen.start = true,
                _ => {}
            }
        }
        Ok(seen)
    }

    fn refuse(&self) -> Result<(), LoadError> {
        if let Some(import) = &self.import {
            return Err(import.clone());
        }
        if self.start {
            return Err(LoadError::StartFunction);
        }
        if self.memories > 1 {
            return Err(LoadError::Memories { count: self.memories });
        }
        if self.shared {
            return Err(LoadError::SharedMemory);
        }
        if self.memory64 {
            return Err(LoadError::Memory64);
        }
        if self.memory_bytes > MEMORY_BYTES_BASE as u64 {
            return Err(LoadError::MemoryTooLarge { bytes: self.memory_bytes });
        }
        if self.tables > 1 || self.table_elements > TABLE_ELEMENTS_MAX as u64 {
            return Err(LoadError::Tables { count: self.tables, elements: self.table_elements });
        }
        Ok(())
    }

    fn exports(&self) -> Result<(), LoadError> {
        for name in ExportName::ALL {
            match self.export(name) {
                Some(found) if name.fits(&found) => {}
                Some(found) => return Err(LoadError::ExportType { name, found: found.to_string() }),
                None if name.optional() => {}
                None => return Err(LoadError::ExportMissing { name }),
            }
        }
        Ok(())
    }

    fn export(&self, wanted: ExportName) -> Option<Export> {
        let (_, kind, index) = self.exports.iter().find(|(name, ..)| name == wanted.name())?;
        Some(match kind {
            ExternalKind::Memory => Export::Memory,
            // Nothing is imported, so a function's index is its place in the section.
            ExternalKind::Func | ExternalKind::FuncExact => {
                let kind = self.functions.get(*index as usize).and_then(|at| self.types.get(*at as usize));
                match kind {
                    Some(Some(kind)) => {
                        Export::Function { params: kind.params().to_vec(), results: kind.results().to_vec() }
                    }
                    _ => Export::Other("a function of no type"),
                }
            }
            ExternalKind::Table => Export::Other("a table"),
            ExternalKind::Global => Export::Other("a global"),
            ExternalKind::Tag => Export::Other("a tag"),
        })
    }
}
