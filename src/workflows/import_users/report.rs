use std::error::Error;
use std::fmt;

use http::StatusCode;

use super::{FailedRow, ImportEvent, ImportEventKind, ImportFailure, LedgerError};
use crate::Scope;
use crate::workflows::ScopeCheck;

/// How many failures a report keeps; all of them come as events.
const KEPT_FAILURES: usize = 1000;

/// What an import came to: a number for each way in which a line can end, and the failures.
///
/// Its text is for people: the numbers in one line, then, where the scopes could not be checked, why,
/// and each failure in a line of its own.
#[derive(Debug, Default)]
#[non_exhaustive]
#[must_use = "lines that failed are only told here and as events"]
pub struct ImportReport {
    /// Whether nothing was changed: the numbers say what would have happened.
    pub dry_run: bool,
    /// Whether the running key has the scopes. Where it lacks one, nothing was sent.
    pub scopes: ScopeCheck,
    /// How many lines were read: the sum of those below.
    pub lines: u64,
    /// See [`ImportEventKind::Created`].
    pub created: u64,
    /// See [`ImportEventKind::Updated`].
    pub updated: u64,
    /// See [`ImportEventKind::Skipped`].
    pub skipped: u64,
    /// See [`ImportEventKind::Reconciled`].
    pub reconciled: u64,
    /// See [`ImportEventKind::AlreadyDone`].
    pub already_done: u64,
    /// See [`ImportEventKind::Duplicate`].
    pub duplicates: u64,
    /// See [`ImportEventKind::Failed`].
    pub failed: u64,
    /// The failures, of which the first 1,000 are kept.
    pub failures: Vec<FailedRow>,
    /// Why lines were left unread, where some were.
    pub stopped: Option<ImportStop>,
}

impl ImportReport {
    /// Whether all lines were read, and none failed.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failed == 0 && self.stopped.is_none()
    }

    /// Counts how a line ended.
    pub(super) fn count(&mut self, event: ImportEvent) {
        let count = match event.kind {
            ImportEventKind::Started => return,
            ImportEventKind::Created => &mut self.created,
            ImportEventKind::Updated => &mut self.updated,
            ImportEventKind::Skipped => &mut self.skipped,
            ImportEventKind::Reconciled => &mut self.reconciled,
            ImportEventKind::AlreadyDone => &mut self.already_done,
            ImportEventKind::Duplicate { .. } => &mut self.duplicates,
            ImportEventKind::Failed(failure) => {
                if self.failures.len() < KEPT_FAILURES {
                    self.failures.push(FailedRow {
                        line: event.line,
                        email: event.email,
                        failure,
                    });
                }
                &mut self.failed
            }
        };
        *count += 1;
        self.lines += 1;
    }

    /// Keeps the first reason to stop, but for one that says more.
    pub(super) fn stop(&mut self, stop: ImportStop) {
        if matches!(self.stopped, None | Some(ImportStop::FirstFailure)) {
            self.stopped = Some(stop);
        }
    }
}

impl fmt::Display for ImportReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.dry_run {
            f.write_str("dry run: ")?;
        }
        let lines = if self.lines == 1 { "line" } else { "lines" };
        write!(f, "{} {lines}", self.lines)?;
        let counts = [
            (self.created, "created"),
            (self.updated, "updated"),
            (self.skipped, "skipped"),
            (self.reconciled, "reconciled"),
            (self.already_done, "already done"),
            (self.duplicates, "duplicate"),
            (self.failed, "failed"),
        ];
        let mut sign = ':';
        for (count, name) in counts {
            if count > 0 {
                write!(f, "{sign} {count} {name}")?;
                sign = ',';
            }
        }
        if let Some(stop) = &self.stopped {
            write!(f, "; stopped: {stop}")?;
        }
        if let ScopeCheck::Unknown(_) = &self.scopes {
            write!(f, "\nscopes: {}", self.scopes)?;
        }
        for failed in &self.failures {
            write!(f, "\n{failed}")?;
        }
        let unnamed = self.failed - self.failures.len() as u64;
        if unnamed > 0 {
            write!(f, "\nand {unnamed} more that failed")?;
        }
        Ok(())
    }
}

/// Why an import left lines unread. What was under way by then was finished.
#[derive(Debug)]
#[non_exhaustive]
pub enum ImportStop {
    /// The API key lacks these scopes, which was found out before anything was sent.
    MissingScopes(Vec<Scope>),
    /// A line failed, and the import was told to stop then.
    FirstFailure,
    /// The API key is not valid (401), or has no right to do this (403), which is so for all lines.
    NotAllowed {
        /// The scope that the key lacks, where it lacks one.
        required_scope: Option<&'static str>,
    },
    /// Of too many lines in a row [nothing was sent](crate::Delivery::NotSent), such as because nothing
    /// listens, or they were answered with 502 to 504 or 520 to 527, as proxies do for a server that is
    /// gone: 10, or twice as many as are under way at once, if that is more. The failures before it
    /// say why.
    Unreachable,
    /// The ledger can't be written, and without it the import could not go on after a break.
    Ledger(LedgerError),
}

impl ImportStop {
    /// The reason to stop at once that a failure is, whatever the policy.
    pub(super) fn of(failure: &ImportFailure) -> Option<Self> {
        let error = failure.error()?;
        match error.status()? {
            StatusCode::UNAUTHORIZED => Some(Self::NotAllowed {
                required_scope: None,
            }),
            StatusCode::FORBIDDEN => Some(Self::NotAllowed {
                required_scope: error.required_scope(),
            }),
            _ => None,
        }
    }
}

impl fmt::Display for ImportStop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingScopes(scopes) => {
                let scopes: Vec<_> = scopes.iter().map(Scope::as_str).collect();
                let noun = if scopes.len() == 1 { "scope" } else { "scopes" };
                write!(f, "the API key lacks the {noun} {}", scopes.join(", "))
            }
            Self::FirstFailure => f.write_str("a line failed"),
            Self::NotAllowed {
                required_scope: Some(scope),
            } => write!(f, "the API key lacks the scope {scope}"),
            Self::NotAllowed {
                required_scope: None,
            } => f.write_str("the API key is not valid"),
            Self::Unreachable => f.write_str("the server can't be reached"),
            Self::Ledger(error) => {
                write!(f, "{error}")?;
                let mut cause = error.source();
                while let Some(error) = cause {
                    write!(f, ": {error}")?;
                    cause = error.source();
                }
                Ok(())
            }
        }
    }
}
