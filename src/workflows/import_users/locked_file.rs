//! A file that one run has at a time.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Deref;
use std::path::Path;

/// Why a file can't be had.
pub(super) enum FileError {
    /// Another has it.
    InUse,
    /// Another had it meanwhile.
    Changed,
    Io(io::Error),
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// An open file, locked until it is dropped or the process ends, however that ends.
pub(super) struct LockedFile(File);

impl LockedFile {
    /// The file that is there.
    pub(super) fn open(path: &Path) -> Result<Self, FileError> {
        Self::with(&options(), path)
    }

    /// The file, which is made where it is not there.
    pub(super) fn open_or_create(path: &Path) -> Result<Self, FileError> {
        Self::with(options().create(true), path)
    }

    fn with(options: &OpenOptions, path: &Path) -> Result<Self, FileError> {
        let file = options.open(path)?;
        lock(&file)?;
        Ok(Self(file))
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.append(true).mode(0o600);
    }
    // A file that is opened to append can't be cut there.
    #[cfg(not(unix))]
    options.write(true);
    options
}

// Not the file's own methods, which need a later version of Rust.
#[cfg(any(unix, windows))]
fn lock(file: &File) -> Result<(), FileError> {
    match fs4::FileExt::try_lock(file) {
        Ok(()) => Ok(()),
        Err(fs4::TryLockError::WouldBlock) => Err(FileError::InUse),
        // Some network file systems have no locks. Then what another writes is seen by its length.
        Err(fs4::TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
            Ok(())
        }
        Err(fs4::TryLockError::Error(error)) => Err(FileError::Io(error)),
    }
}

#[cfg(not(any(unix, windows)))]
fn lock(_: &File) -> Result<(), FileError> {
    Ok(())
}

impl Drop for LockedFile {
    fn drop(&mut self) {
        // Closing it is not enough where a program is being started just then: until that has begun,
        // it has the file as well.
        #[cfg(any(unix, windows))]
        let _ = fs4::FileExt::unlock(&self.0);
    }
}

impl Deref for LockedFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}
