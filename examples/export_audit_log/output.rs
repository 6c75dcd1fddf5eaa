use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use idpflare_management::AuditLogEntry;

/// Where the lines go.
pub(crate) enum Output {
    Stdout,
    File {
        file: File,
        /// How long it is.
        written: u64,
    },
}

impl Output {
    pub(crate) fn stdout() -> Self {
        Self::Stdout
    }

    /// A file, of which only the first `kept` bytes count, where that is known.
    pub(crate) fn file(path: &Path, kept: Option<u64>) -> Result<Self, Box<dyn Error>> {
        let open = || -> io::Result<(File, u64)> {
            let options = &mut OpenOptions::new();
            let mut file = options
                .create(true)
                .truncate(false)
                .write(true)
                .open(path)?;
            let length = file.seek(SeekFrom::End(0))?;
            Ok((file, length))
        };
        let in_the_way = |error| format!("{} can't be written: {error}", path.display());
        let (mut file, length) = open().map_err(in_the_way)?;
        let written = kept.unwrap_or(length);
        if length < written {
            let path = path.display();
            return Err(format!(
                "{path} is shorter than when the checkpoint was made: was it replaced?"
            )
            .into());
        }
        file.set_len(written).map_err(in_the_way)?;
        file.seek(SeekFrom::Start(written)).map_err(in_the_way)?;
        Ok(Self::File { file, written })
    }

    /// How many bytes are in the file, where it is one.
    pub(crate) fn written(&self) -> Option<u64> {
        match self {
            Self::Stdout => None,
            Self::File { written, .. } => Some(*written),
        }
    }

    /// Ends the line that an export may have broken off in. That of a file is cut off instead.
    pub(crate) fn end_line(&self) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(b"\n")?;
                stdout.flush()
            }
            Self::File { .. } => Ok(()),
        }
    }

    /// Writes a line for each, and sees to it that they are where they belong.
    pub(crate) fn write(&mut self, entries: &[AuditLogEntry]) -> Result<(), Box<dyn Error>> {
        let mut lines = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut lines, entry)?;
            lines.push(b'\n');
        }
        match self {
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(&lines)?;
                stdout.flush()?;
            }
            Self::File { file, written } => {
                file.write_all(&lines)?;
                file.sync_data()?;
                *written += lines.len() as u64;
            }
        }
        Ok(())
    }
}
