//! One line: what is sent for it, and in which order.

use bytes::Bytes;
use http::StatusCode;
use http_body::Body;
use http_body_util::Full;
use idpflare_layers::{BoxError, Delivery};
use tower::Service;

use super::changes::changes;
use super::find::{Found, find};
use super::{
    ImportEvent, ImportEventKind, ImportFailure, ImportUsers, Ledger, LedgerEntry, LedgerError,
    LedgerErrorKind, LedgerMark, OnConflict,
};
use crate::{Client, CreateUser, Error, ErrorKind, UpdateUser, User, UserId};

/// How often a create is sent whose outcome stays unknown, with a search after each.
const SENDS: u32 = 3;

const TOO_LONG: &str = "the address is too long for the ledger";

pub(super) struct Ended {
    pub(super) event: ImportEvent,
    /// Whether the ledger failed, which does not change what has happened to the user.
    pub(super) ledger: Result<(), LedgerError>,
}

/// How a line ends, with the user that it is about.
struct Settled {
    kind: ImportEventKind,
    user_id: Option<UserId>,
}

impl Settled {
    fn with(kind: ImportEventKind, user_id: UserId) -> Self {
        Self {
            kind,
            user_id: Some(user_id),
        }
    }
}

impl From<ImportFailure> for Settled {
    fn from(failure: ImportFailure) -> Self {
        Self {
            kind: ImportEventKind::Failed(failure),
            user_id: None,
        }
    }
}

impl<S, B, L> ImportUsers<S, L>
where
    S: Service<http::Request<Full<Bytes>>, Response = http::Response<B>> + Clone,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
    L: Ledger,
{
    /// Brings one user there. `in_doubt` says that something was sent before, with no known outcome.
    pub(super) async fn import(&self, line: u64, user: CreateUser, in_doubt: bool) -> Ended {
        let email = user.email.clone();
        if self.dry_run {
            let settled = self.foresee(&user, in_doubt).await;
            return ended(line, email, settled, Ok(()));
        }
        match self.record(line, &email, LedgerMark::Sending).await {
            Ok(()) => {}
            Err(error) if error.kind() == LedgerErrorKind::TooLarge => {
                let failure = ImportFailure::Invalid(String::from(TOO_LONG));
                return ended(line, email, failure.into(), Ok(()));
            }
            Err(error) => {
                return ended(line, email, ImportFailure::NotRecorded.into(), Err(error));
            }
        }
        let mut one = OneUser {
            client: &self.client,
            on_conflict: self.on_conflict,
            user,
            in_doubt,
        };
        let settled = one.settle().await;
        let recorded = match mark(&settled.kind, one.in_doubt) {
            Some(mark) => self.record(line, &email, mark).await,
            None => Ok(()),
        };
        ended(line, email, settled, recorded)
    }

    async fn record(&self, line: u64, email: &str, mark: LedgerMark) -> Result<(), LedgerError> {
        let entry = LedgerEntry::new(line, email, mark);
        self.ledger.record(&self.job_id(), &entry).await
    }

    /// What would become of a line.
    async fn foresee(&self, user: &CreateUser, in_doubt: bool) -> Settled {
        let there = match find(&self.client, &user.email).await {
            Ok(Found::User(there)) => *there,
            Ok(Found::Nobody) => {
                return Settled {
                    kind: ImportEventKind::Created,
                    user_id: None,
                };
            }
            Ok(Found::Unclear) => return ImportFailure::NotFound.into(),
            Err(error) => return ImportFailure::Refused(error).into(),
        };
        let differs = changes(user, &there).is_some();
        let kind = match self.on_conflict {
            _ if in_doubt && !differs => ImportEventKind::Reconciled,
            OnConflict::Update if differs => ImportEventKind::Updated,
            OnConflict::Skip | OnConflict::Update => ImportEventKind::Skipped,
            OnConflict::Fail => {
                let user_id = there.id;
                return ImportFailure::Conflict { user_id }.into();
            }
        };
        Settled::with(kind, there.id)
    }
}

fn ended(line: u64, email: String, settled: Settled, ledger: Result<(), LedgerError>) -> Ended {
    Ended {
        event: ImportEvent {
            line,
            email: Some(email),
            user_id: settled.user_id,
            kind: settled.kind,
        },
        ledger,
    }
}

/// What the ledger is told of an outcome: nothing where the next run has to look.
fn mark(kind: &ImportEventKind, in_doubt: bool) -> Option<LedgerMark> {
    match kind {
        ImportEventKind::Created => Some(LedgerMark::Created),
        ImportEventKind::Updated => Some(LedgerMark::Updated),
        ImportEventKind::Skipped => Some(LedgerMark::Skipped),
        ImportEventKind::Reconciled => Some(LedgerMark::Reconciled),
        ImportEventKind::Failed(ImportFailure::Refused(_) | ImportFailure::Conflict { .. })
            if !in_doubt =>
        {
            Some(LedgerMark::Failed)
        }
        _ => None,
    }
}

struct OneUser<'a, S> {
    client: &'a Client<S>,
    on_conflict: OnConflict,
    user: CreateUser,
    /// Whether something was sent that may yet turn out to have created the user.
    in_doubt: bool,
}

impl<S, B> OneUser<'_, S>
where
    S: Service<http::Request<Full<Bytes>>, Response = http::Response<B>> + Clone,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    async fn settle(&mut self) -> Settled {
        let mut sends = 0;
        let mut last = None;
        loop {
            if self.in_doubt {
                match find(self.client, &self.user.email).await {
                    Ok(Found::User(there)) => return self.meet(*there).await,
                    Ok(Found::Nobody) => {}
                    Ok(Found::Unclear) => return ImportFailure::NotFound.into(),
                    Err(error) => return ImportFailure::Unknown(error).into(),
                }
            }
            if let Some(error) = last.take()
                && sends == SENDS
            {
                return ImportFailure::Unknown(error).into();
            }
            sends += 1;
            match self.client.send(self.user.clone()).await {
                Ok(user) => return Settled::with(ImportEventKind::Created, user.id),
                Err(error) if error.status() == Some(StatusCode::CONFLICT) => {
                    return match find(self.client, &self.user.email).await {
                        Ok(Found::User(there)) => self.meet(*there).await,
                        Ok(_) => ImportFailure::NotFound.into(),
                        Err(error) => ImportFailure::Refused(error).into(),
                    };
                }
                Err(error) if has_changed_nothing(&error) => {
                    return ImportFailure::Refused(error).into();
                }
                Err(error) => {
                    self.in_doubt = true;
                    last = Some(error);
                }
            }
        }
    }

    /// There is a user with this address: ours, where the outcome of a send is in doubt and the user
    /// is as the line says.
    async fn meet(&self, there: User) -> Settled {
        let changes = changes(&self.user, &there);
        match (changes, self.on_conflict) {
            (None, _) if self.in_doubt => Settled::with(ImportEventKind::Reconciled, there.id),
            (_, OnConflict::Fail) => ImportFailure::Conflict { user_id: there.id }.into(),
            (None, _) | (_, OnConflict::Skip) => Settled::with(ImportEventKind::Skipped, there.id),
            (Some(changes), OnConflict::Update) => {
                let update = UpdateUser::with_changes(&there.id, changes);
                match self.client.send(update).await {
                    Ok(_) => Settled::with(ImportEventKind::Updated, there.id),
                    Err(error) if has_changed_nothing(&error) => {
                        ImportFailure::Refused(error).into()
                    }
                    Err(error) => ImportFailure::Unknown(error).into(),
                }
            }
        }
    }
}

/// Whether it is certain that no attempt has taken effect. A success whose body is lost is answered,
/// too.
fn has_changed_nothing(error: &Error) -> bool {
    match error.delivery() {
        Delivery::NotSent => true,
        Delivery::Answered => matches!(
            error.kind(),
            ErrorKind::Api
                | ErrorKind::Redirect
                | ErrorKind::Connect
                | ErrorKind::Credential
                | ErrorKind::RateLimited
        ),
        _ => false,
    }
}
