use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::disk::Disk;
use super::format::{self, Line};
use super::locked_file::{FileError, LockedFile};
use super::{Ledger, LedgerEntry, LedgerError, LedgerErrorKind, LedgerState};

/// A ledger in a file: one line of JSON for each entry, after one that names the job.
///
/// Entries are only ever appended, each in one write, so that the file survives that the process is
/// killed at any point: a last line that is half-written is ignored, and cut off before the next
/// entry. The ledger of another job is refused, and so is a file that is none.
///
/// One run at a time has the file, be it a dry one: until this value is dropped, any other is refused
/// with [`LedgerErrorKind::InUse`]. That is a lock of the system, which ends with the process and
/// leaves nothing behind. Where a file system has no locks, a run that sees that another has written
/// stops.
///
/// The file holds the e-mail addresses of the input, and nothing else of the users. On Unix only its
/// owner may read it. Remove it when the import is complete, or to start from the beginning.
///
/// Writing an entry blocks the thread for as long as the system takes to accept some hundred bytes;
/// with [`Fsync::Always`], to bring them to the disk.
#[must_use = "a ledger does nothing until an import is given it"]
pub struct FileLedger {
    path: PathBuf,
    fsync: Fsync,
    disk: Disk,
    writer: Mutex<Writer>,
}

/// When a [`FileLedger`] waits until the disk has what was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fsync {
    /// Never. What was written survives the end of the process, but the last entries may be lost
    /// when the system crashes or loses power: their lines are then sent again, and end as
    /// conflicts.
    #[default]
    Never,
    /// After each entry. All entries survive a crash of the system, too.
    Always,
}

#[derive(Default)]
struct Writer {
    /// How much of the file is whole lines.
    whole: u64,
    /// How long it is, unless another run writes, too.
    length: u64,
    file: Option<LockedFile>,
    /// Whether a write has failed, so that the end of the file is not known.
    failed: bool,
}

impl FileLedger {
    /// The ledger in this file, which is made when there is something to write.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            fsync: Fsync::default(),
            disk: Disk::default(),
            writer: Mutex::default(),
        }
    }

    /// When to wait for the disk; [`Fsync::Never`] unless set.
    pub fn fsync(mut self, fsync: Fsync) -> Self {
        self.fsync = fsync;
        self
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn error(&self, kind: LedgerErrorKind, what: &str) -> LedgerError {
        LedgerError::of(kind, format!("the ledger {} {what}", self.path.display()))
    }

    fn io_error(&self, what: &str, error: io::Error) -> LedgerError {
        let what = format!("can't be {what}");
        self.error(LedgerErrorKind::Io, &what).with_source(error)
    }

    fn file_error(&self, what: &str, error: FileError) -> LedgerError {
        match error {
            FileError::InUse => self.error(LedgerErrorKind::InUse, "is in use by another run"),
            FileError::Changed => {
                let what = "was written by another run since it was read";
                self.error(LedgerErrorKind::InUse, what)
            }
            FileError::Io(error) => self.io_error(what, error),
        }
    }

    /// What the file says.
    fn read(&self, job: &str) -> Result<(LedgerState, Writer), LedgerError> {
        self.takes(&format::header(job))?;
        let mut state = LedgerState::new();
        let mut writer = Writer::default();
        let locked = match LockedFile::open(&self.path) {
            Ok(locked) => locked,
            Err(FileError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                return Ok((state, writer));
            }
            Err(error) => return Err(self.file_error("read", error)),
        };
        let mut file = BufReader::new(&*locked);
        let mut number = 0;
        let mut line = Vec::new();
        loop {
            line.clear();
            let length = (&mut file)
                .take(format::LONGEST_LINE)
                .read_until(b'\n', &mut line)
                .map_err(|error| self.io_error("read", error))?;
            number += 1;
            writer.length += length as u64;
            let Some(text) = line.strip_suffix(b"\n") else {
                if number > 1 && length as u64 == format::LONGEST_LINE {
                    return Err(self.corrupt(number));
                }
                if number == 1 && !format::header(job).starts_with(&line) {
                    return Err(self.not_a_ledger());
                }
                writer.file = Some(locked);
                return Ok((state, writer));
            };
            let read = if number == 1 {
                format::read_header(text, job)
            } else {
                format::read_entry(text)
            };
            match read {
                Line::Header => {}
                Line::Entry(entry) => state.note(&entry),
                Line::OtherJob(other) => {
                    let what = format!("is that of another job ({other}, not {job})");
                    return Err(self.error(LedgerErrorKind::OtherJob, &what));
                }
                Line::UnknownVersion(version) => {
                    let what = format!(
                        "is of version {version}, and this program knows version {}",
                        format::VERSION
                    );
                    return Err(self.error(LedgerErrorKind::UnknownVersion, &what));
                }
                Line::Unreadable if number == 1 => return Err(self.not_a_ledger()),
                Line::Unreadable => return Err(self.corrupt(number)),
            }
            writer.whole = writer.length;
        }
    }

    fn not_a_ledger(&self) -> LedgerError {
        let what = "is no ledger: it is left as it is, name another file";
        self.error(LedgerErrorKind::NotALedger, what)
    }

    fn corrupt(&self, number: u64) -> LedgerError {
        let what = format!("can't be understood from line {number} on");
        self.error(LedgerErrorKind::Corrupt, &what)
    }

    fn takes(&self, line: &[u8]) -> Result<(), LedgerError> {
        if line.len() as u64 > format::LONGEST_LINE {
            let what = "does not take so long a line, which could not be read again";
            return Err(self.error(LedgerErrorKind::TooLarge, what));
        }
        Ok(())
    }

    fn append(&self, job: &str, entry: &LedgerEntry) -> Result<(), LedgerError> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if writer.failed {
            let what = "can't be written, since an earlier write has failed";
            return Err(self.error(LedgerErrorKind::Io, what));
        }
        let mut text = Vec::new();
        if writer.whole == 0 {
            text = format::header(job);
        }
        let entry = format::entry(entry).map_err(|error| self.io_error("written", error))?;
        self.takes(&text)?;
        self.takes(&entry)?;
        text.extend(entry);
        // Until it is known that all went well.
        writer.failed = true;
        let written = writer.write(self, &text);
        writer.failed = written.is_err();
        written.map_err(|error| self.file_error("written", error))
    }
}

impl Writer {
    fn write(&mut self, ledger: &FileLedger, text: &[u8]) -> Result<(), FileError> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(LockedFile::open_or_create(&ledger.path)?),
        };
        if file.metadata()?.len() != self.length {
            return Err(FileError::Changed);
        }
        let mut file = &**file;
        if self.whole < self.length {
            file.set_len(self.whole)?;
            file.seek(SeekFrom::End(0))?;
            self.length = self.whole;
        }
        file.write_all(text)?;
        let is_new = self.whole == 0;
        self.length += text.len() as u64;
        self.whole = self.length;
        if ledger.fsync == Fsync::Always {
            (ledger.disk.sync_data)(file)?;
            if is_new {
                (ledger.disk.sync_folder)(&ledger.path)?;
            }
        }
        Ok(())
    }
}

impl Ledger for FileLedger {
    async fn open(&self, job: &str) -> Result<LedgerState, LedgerError> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        // An earlier run with this ledger has ended, so it is no other run that has the file.
        *writer = Writer::default();
        let (state, read) = self.read(job)?;
        *writer = read;
        Ok(state)
    }

    async fn record(&self, job: &str, entry: &LedgerEntry) -> Result<(), LedgerError> {
        self.append(job, entry)
    }
}

impl fmt::Debug for FileLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileLedger")
            .field("path", &self.path)
            .field("fsync", &self.fsync)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::workflows::LedgerMark;

    const JOB: &str = "users";

    thread_local! {
        /// What was brought to the disk: how much of the file, or its name.
        static SYNCED: RefCell<Vec<Option<u64>>> = const { RefCell::new(Vec::new()) };
    }

    fn note(synced: Option<u64>) -> io::Result<()> {
        SYNCED.with_borrow_mut(|all| all.push(synced));
        Ok(())
    }

    fn records(ledger: &FileLedger) -> Result<(), LedgerError> {
        let entry = LedgerEntry::new(1, "ada@example.com", LedgerMark::Sending);
        ledger.append(JOB, &entry)
    }

    #[test]
    fn an_entry_is_on_the_disk_before_it_counts_as_recorded() {
        let path = std::env::temp_dir().join(format!("idpflare-ledger-{}", std::process::id()));
        for fsync in [Fsync::Always, Fsync::Never] {
            let mut ledger = FileLedger::new(&path).fsync(fsync);
            ledger.disk = Disk {
                sync_data: |file| note(Some(file.metadata()?.len())),
                sync_folder: |_| note(None),
            };
            let mut expected = Vec::new();
            for number in 0..3 {
                records(&ledger).expect("recorded");
                if fsync == Fsync::Always {
                    let length = std::fs::metadata(&path).expect("a file").len();
                    expected.push(Some(length));
                    expected.extend((number == 0).then_some(None));
                }
                assert_eq!(SYNCED.with_borrow(Clone::clone), expected, "{fsync:?}");
            }
            SYNCED.take();
            drop(ledger);
            std::fs::remove_file(&path).expect("removed");
        }
    }

    /// That device takes all that is written to it, and has nothing that could be synchronised.
    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_is_asked_to_bring_an_entry_to_the_disk() {
        records(&FileLedger::new("/dev/null")).expect("recorded");
        let ledger = FileLedger::new("/dev/null").fsync(Fsync::Always);
        let error = records(&ledger).expect_err("nothing to synchronise");
        assert_eq!(error.kind(), LedgerErrorKind::Io);
    }
}
