use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// Keeps other runs from a file, until it is dropped or the process ends, however that ends.
///
/// What is locked is an empty file beside it, which stays: a checkpoint is replaced by another file
/// each time, and on Windows an output that is locked could not be read by anyone else.
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    pub(crate) fn of(path: &Path) -> Result<Self, Box<dyn Error>> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".lock");
        let options = &mut OpenOptions::new();
        let file = options
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.with_file_name(name))
            .map_err(|error| format!("{} can't be locked: {error}", path.display()))?;
        match lock(&file) {
            Ok(true) => Ok(Self { _file: file }),
            Ok(false) => Err(format!("{} is in use by another run", path.display()).into()),
            Err(error) => Err(format!("{} can't be locked: {error}", path.display()).into()),
        }
    }
}

/// Whether no other has it. Not by the file's own methods, which need a later version of Rust.
#[cfg(any(unix, windows))]
fn lock(file: &File) -> io::Result<bool> {
    match fs4::FileExt::try_lock(file) {
        Ok(()) => Ok(true),
        Err(fs4::TryLockError::WouldBlock) => Ok(false),
        // Some network file systems have no locks.
        Err(fs4::TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
            Ok(true)
        }
        Err(fs4::TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(not(any(unix, windows)))]
fn lock(_: &File) -> io::Result<bool> {
    Ok(true)
}
