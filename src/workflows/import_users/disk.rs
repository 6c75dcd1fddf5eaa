use std::fs::File;
use std::io;
use std::path::Path;

/// The ways to wait for the disk. Only tests replace those of the system.
pub(super) struct Disk {
    pub(super) sync_data: fn(&File) -> io::Result<()>,
    /// Brings the name of a new file to the disk.
    pub(super) sync_folder: fn(&Path) -> io::Result<()>,
}

impl Default for Disk {
    fn default() -> Self {
        Self {
            sync_data: File::sync_data,
            sync_folder,
        }
    }
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
