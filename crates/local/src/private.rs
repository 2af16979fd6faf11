//! Files that only their owner reads: folders of mode 0700, files of mode 0600.
//!
//! Modes are a matter of Unix; elsewhere the folder of the user protects its files, and nothing is checked.

use std::fs::File;
use std::io;
use std::path::Path;

/// Creates a file that only its owner reads and writes; an error, if it is there.
pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    options().write(true).create_new(true).open(path)
}

/// Creates a folder, and those above it, that only its owner enters. One that is there stays as it is, unless it is empty.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        let empty = std::fs::read_dir(path)?.next().is_none();
        return if empty { set_mode(path, 0o700) } else { Ok(()) };
    }
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Creates a file that only its owner reads and writes, or makes one so that is there.
pub(crate) fn ensure_file(path: &Path) -> io::Result<()> {
    options().read(true).append(true).create(true).open(path)?;
    set_mode(path, 0o600)
}

/// Makes every file of a folder its owner's alone: an earlier version left them to the process's mask.
pub(crate) fn tighten(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            set_mode(&entry.path(), 0o600)?;
        }
    }
    Ok(())
}

fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
    }
    #[cfg(not(unix))]
    {
        let _ = (path, mode);
        Ok(())
    }
}

/// Options whose new files are their owner's alone.
pub(crate) fn options() -> std::fs::OpenOptions {
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// The mode of a file or folder, if others than its owner may read or write it.
pub(crate) fn open_to_others(path: &Path) -> io::Result<Option<u32>> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(path)?.permissions().mode() & 0o777;
        Ok((mode & 0o077 != 0).then_some(mode))
    }
    #[cfg(not(unix))]
    {
        std::fs::metadata(path)?;
        Ok(None)
    }
}
