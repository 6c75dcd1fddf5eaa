use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt;

use idpflare_layers::BoxError;
use serde::{Deserialize, Serialize};

use super::email_key;

/// Where an import keeps what it has done, so that a later run can go on where it broke off.
///
/// For each line it is told twice: that something is about to be sent, and what came of it; and
/// between them, where a user is about to be changed. All but the outcome must be kept before
/// [`record`](Self::record) returns: a line that has no outcome is looked for on the server before
/// anything is sent for it again. Lines are recognised by their e-mail addresses, without regard to
/// the case of ASCII letters, so lines may move within the input from one run to the next.
///
/// [`FileLedger`](super::FileLedger) is one. One in a database keeps entries by job, in their order:
///
/// ```
/// use std::sync::Mutex;
///
/// use idpflare_management::workflows::{Ledger, LedgerEntry, LedgerError, LedgerState};
///
/// #[derive(Default)]
/// struct InMemory(Mutex<Vec<(String, LedgerEntry)>>);
///
/// impl Ledger for InMemory {
///     async fn open(&self, job: &str) -> Result<LedgerState, LedgerError> {
///         let rows = self.0.lock().map_err(|_| LedgerError::new("a thread panicked"))?;
///         let of_job = rows.iter().filter(|(of, _)| of == job);
///         Ok(of_job.map(|(_, entry)| entry.clone()).collect())
///     }
///
///     async fn record(&self, job: &str, entry: &LedgerEntry) -> Result<(), LedgerError> {
///         let mut rows = self.0.lock().map_err(|_| LedgerError::new("a thread panicked"))?;
///         rows.push((job.to_owned(), entry.clone()));
///         Ok(())
///     }
/// }
/// ```
pub trait Ledger: Send + Sync {
    /// What earlier runs of this job have recorded. Called once, before anything else; a dry run
    /// calls nothing else, so it must not change anything.
    fn open(&self, job: &str) -> impl Future<Output = Result<LedgerState, LedgerError>> + Send;

    /// Keeps an entry of this job. Lines that are under way together are recorded together.
    fn record(
        &self,
        job: &str,
        entry: &LedgerEntry,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;
}

impl<L: Ledger> Ledger for &L {
    fn open(&self, job: &str) -> impl Future<Output = Result<LedgerState, LedgerError>> + Send {
        L::open(self, job)
    }

    fn record(
        &self,
        job: &str,
        entry: &LedgerEntry,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send {
        L::record(self, job, entry)
    }
}

/// Keeps nothing: for an import that starts from the beginning each time.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoLedger;

impl Ledger for NoLedger {
    async fn open(&self, _: &str) -> Result<LedgerState, LedgerError> {
        Ok(LedgerState::new())
    }

    async fn record(&self, _: &str, _: &LedgerEntry) -> Result<(), LedgerError> {
        Ok(())
    }
}

/// What is kept of a line: its number, its address, and how far it has come. The address is
/// personal data; nothing else of the user is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LedgerEntry {
    /// The line of the input, for people: it is not what a line is recognised by.
    pub line: u64,
    /// The address in that line.
    pub email: String,
    /// How far it has come.
    pub mark: LedgerMark,
}

impl LedgerEntry {
    /// An entry that was kept elsewhere.
    pub fn new(line: u64, email: impl Into<String>, mark: LedgerMark) -> Self {
        Self {
            line,
            email: email.into(),
            mark,
        }
    }
}

/// How far a line has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LedgerMark {
    /// It is about to be sent. Where this is the last mark, what came of it is not known.
    Sending,
    /// The user was there, and is about to be changed. Where this is the last mark, it is not known
    /// whether it was.
    Updating,
    /// The user was created.
    Created,
    /// The user was there, and was changed.
    Updated,
    /// The user was there, and was left alone.
    Skipped,
    /// The user was created by an attempt whose reply was lost.
    Reconciled,
    /// It was refused; the next run tries it again.
    Failed,
}

impl LedgerMark {
    pub(super) fn is_done(self) -> bool {
        !matches!(self, Self::Sending | Self::Updating | Self::Failed)
    }
}

/// What a ledger knows: the last mark of each address. It is collected from entries in the order in
/// which they were recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerState {
    marks: HashMap<String, LedgerMark>,
}

impl LedgerState {
    /// Knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a later entry into account.
    pub fn note(&mut self, entry: &LedgerEntry) {
        self.marks.insert(email_key(&entry.email), entry.mark);
    }

    /// The last mark of this address, without regard to the case of ASCII letters.
    #[must_use]
    pub fn mark(&self, email: &str) -> Option<LedgerMark> {
        self.marks.get(&email_key(email)).copied()
    }

    /// How many addresses it knows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.marks.len()
    }

    /// Whether it knows none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// The mark of the address with this key, which is not asked for again.
    pub(super) fn take(&mut self, key: &str) -> Option<LedgerMark> {
        self.marks.remove(key)
    }
}

impl Extend<LedgerEntry> for LedgerState {
    fn extend<I: IntoIterator<Item = LedgerEntry>>(&mut self, entries: I) {
        for entry in entries {
            self.note(&entry);
        }
    }
}

impl FromIterator<LedgerEntry> for LedgerState {
    fn from_iter<I: IntoIterator<Item = LedgerEntry>>(entries: I) -> Self {
        let mut state = Self::new();
        state.extend(entries);
        state
    }
}

/// Why a ledger can't be read or written.
#[derive(Debug)]
pub struct LedgerError {
    kind: LedgerErrorKind,
    message: String,
    source: Option<BoxError>,
}

/// What is wrong with a ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LedgerErrorKind {
    /// It is that of another job.
    OtherJob,
    /// It was written by a version of this crate that keeps ledgers in another way.
    UnknownVersion,
    /// It is no ledger at all.
    NotALedger,
    /// A part of it can't be read.
    Corrupt,
    /// Another run is using it, or has used it since it was opened.
    InUse,
    /// An entry, or the name of the job, is longer than could be read again. The ledger is as it was,
    /// and takes other entries.
    TooLarge,
    /// Reading or writing failed.
    Io,
    /// What a ledger of your own says.
    Other,
}

impl LedgerError {
    /// What a ledger of your own says, in one line.
    pub fn new(message: impl Into<String>) -> Self {
        Self::of(LedgerErrorKind::Other, message)
    }

    /// The same error, caused by `source`.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What is wrong.
    #[must_use]
    pub fn kind(&self) -> LedgerErrorKind {
        self.kind
    }

    pub(super) fn of(kind: LedgerErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for LedgerError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}
