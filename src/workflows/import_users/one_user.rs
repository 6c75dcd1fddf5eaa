//! One line: what is sent for it, and in which order.

use bytes::Bytes;
use http::StatusCode;
use http_body::Body;
use http_body_util::Full;
use idpflare_layers::BoxError;
use tower::Service;

use super::changes::changes;
use super::find::{Found, find};
use super::ours::may_be_ours;
use super::{
    ImportEvent, ImportEventKind, ImportFailure, ImportUsers, Ledger, LedgerEntry, LedgerError,
    LedgerErrorKind, LedgerMark, OnConflict,
};
use crate::workflows::patience::patient;
use crate::workflows::step::may_have_acted;
use crate::{CreateUser, Error, Timestamp, UpdateUser, User, UserChanges, UserId};

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
    /// Why it could not be noted, where that is why it ends like this.
    ledger: Result<(), LedgerError>,
}

impl Settled {
    fn with(kind: ImportEventKind, user_id: UserId) -> Self {
        Self {
            kind,
            user_id: Some(user_id),
            ledger: Ok(()),
        }
    }
}

impl From<ImportFailure> for Settled {
    fn from(failure: ImportFailure) -> Self {
        Self {
            kind: ImportEventKind::Failed(failure),
            user_id: None,
            ledger: Ok(()),
        }
    }
}

/// A ledger that can't be written.
impl From<LedgerError> for Settled {
    fn from(error: LedgerError) -> Self {
        if error.kind() == LedgerErrorKind::TooLarge {
            return ImportFailure::Invalid(String::from(TOO_LONG)).into();
        }
        Self {
            ledger: Err(error),
            ..ImportFailure::NotRecorded.into()
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
    /// Brings one user there. `earlier` is what an earlier run has noted of it.
    pub(super) async fn import(
        &self,
        line: u64,
        user: CreateUser,
        earlier: Option<LedgerMark>,
    ) -> Ended {
        let mut one = OneUser {
            import: self,
            line,
            user,
            earlier,
            in_doubt: earlier == Some(LedgerMark::Sending),
            before: None,
        };
        let mut settled = if self.dry_run {
            one.foresee().await
        } else {
            one.settle().await
        };
        if let Some(mark) = one.last_mark(&settled) {
            settled.ledger = one.record(mark).await;
        }
        Ended {
            event: ImportEvent {
                line,
                email: Some(one.user.email),
                user_id: settled.user_id,
                kind: settled.kind,
            },
            ledger: settled.ledger,
        }
    }
}

struct OneUser<'a, S, L> {
    import: &'a ImportUsers<S, L>,
    line: u64,
    user: CreateUser,
    earlier: Option<LedgerMark>,
    /// Whether something was sent that may yet turn out to have created the user.
    in_doubt: bool,
    /// A time of the server's at which nothing had been sent, where one is known.
    before: Option<Timestamp>,
}

impl<S, B, L> OneUser<'_, S, L>
where
    S: Service<http::Request<Full<Bytes>>, Response = http::Response<B>> + Clone,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
    L: Ledger,
{
    async fn record(&self, mark: LedgerMark) -> Result<(), LedgerError> {
        let entry = LedgerEntry::new(self.line, self.user.email.as_str(), mark);
        let job = self.import.job_id();
        self.import.ledger.record(&job, &entry).await
    }

    /// What the ledger is told of an outcome: nothing where the next run has to look.
    fn last_mark(&self, settled: &Settled) -> Option<LedgerMark> {
        if self.import.dry_run {
            return None;
        }
        match settled.kind {
            ImportEventKind::Created => Some(LedgerMark::Created),
            ImportEventKind::Updated => Some(LedgerMark::Updated),
            ImportEventKind::Skipped => Some(LedgerMark::Skipped),
            ImportEventKind::Reconciled => Some(LedgerMark::Reconciled),
            ImportEventKind::Failed(
                ImportFailure::Refused(_)
                | ImportFailure::Conflict { .. }
                | ImportFailure::OtherCase { .. },
            ) if !self.in_doubt => Some(LedgerMark::Failed),
            _ => None,
        }
    }

    async fn find(&self) -> Result<Found, Error> {
        find(&self.import.client, &self.user.email).await
    }

    /// Returns the outcome that a run would have on a server that ignores case in addresses.
    async fn foresee(&self) -> Settled {
        match self.find().await {
            Ok(Found::Same(there) | Found::SmallLetters(there)) => match self.judge(&there) {
                Verdict::Settled(settled) => settled,
                Verdict::Change(_) => Settled::with(ImportEventKind::Updated, there.id),
            },
            Ok(Found::OtherCase(user_id)) => ImportFailure::OtherCase { user_id }.into(),
            Ok(Found::NoUser) => Settled {
                kind: ImportEventKind::Created,
                user_id: None,
                ledger: Ok(()),
            },
            Ok(Found::Unclear) => ImportFailure::NotFound.into(),
            Err(error) => ImportFailure::Refused(error).into(),
        }
    }

    async fn settle(&mut self) -> Settled {
        let mut last = None;
        let mut sends = 0;
        let mut looks = matches!(
            self.earlier,
            Some(LedgerMark::Sending | LedgerMark::Updating)
        );
        loop {
            if looks {
                match self.find().await {
                    Ok(Found::Same(there)) => return self.meet(*there).await,
                    // Whether an address in another case is taken for the same, a 409 will say.
                    Ok(Found::SmallLetters(_) | Found::OtherCase(_) | Found::NoUser) => {}
                    Ok(Found::Unclear) => return ImportFailure::NotFound.into(),
                    Err(error) => return ImportFailure::Unknown(error).into(),
                }
            }
            if let Some(error) = last.take()
                && sends == SENDS
            {
                return ImportFailure::Unknown(error).into();
            }
            if sends == 0 {
                if let Err(error) = self.record(LedgerMark::Sending).await {
                    return error.into();
                }
                // What an earlier run has sent was sent nobody knows when.
                self.before = self.import.clock.passed().filter(|_| !self.in_doubt);
            }
            sends += 1;
            match self.create().await {
                Ok(user) => return Settled::with(ImportEventKind::Created, user.id),
                Err(error) if error.status() == Some(StatusCode::CONFLICT) => {
                    return match self.find().await {
                        Ok(Found::Same(there) | Found::SmallLetters(there)) => {
                            self.meet(*there).await
                        }
                        Ok(Found::OtherCase(user_id)) => {
                            ImportFailure::OtherCase { user_id }.into()
                        }
                        Ok(Found::NoUser | Found::Unclear) => ImportFailure::NotFound.into(),
                        Err(error) => ImportFailure::Refused(error).into(),
                    };
                }
                Err(error) if !may_have_acted(&error) => {
                    return ImportFailure::Refused(error).into();
                }
                Err(error) => {
                    self.in_doubt = true;
                    looks = true;
                    last = Some(error);
                }
            }
        }
    }

    async fn create(&self) -> Result<User, Error> {
        let created = self.import.client.execute(patient(self.user.clone())).await;
        let headers = match &created {
            Ok(reply) => Some(reply.headers()),
            Err(error) => error.headers(),
        };
        if let Some(headers) = headers {
            self.import.clock.note(headers);
        }
        created.map(http::Response::into_body)
    }

    /// There is a user with this address.
    async fn meet(&mut self, there: User) -> Settled {
        let changes = match self.judge(&there) {
            Verdict::Settled(settled) => return settled,
            Verdict::Change(changes) => changes,
        };
        // Or else a run after this one would find the user as the line says, and take it for ours.
        if let Err(error) = self.record(LedgerMark::Updating).await {
            return error.into();
        }
        self.in_doubt = false;
        let update = UpdateUser::with_changes(&there.id, *changes);
        match self.import.client.send(patient(update)).await {
            Ok(_) => Settled::with(ImportEventKind::Updated, there.id),
            Err(error) if may_have_acted(&error) => ImportFailure::Unknown(error).into(),
            Err(error) => ImportFailure::Refused(error).into(),
        }
    }

    fn judge(&self, there: &User) -> Verdict {
        let user_id = there.id.clone();
        if self.in_doubt && may_be_ours(&self.user, there, self.before) {
            return Verdict::Settled(Settled::with(ImportEventKind::Reconciled, user_id));
        }
        match (self.import.on_conflict, changes(&self.user, there)) {
            (OnConflict::Fail, _) => Verdict::Settled(ImportFailure::Conflict { user_id }.into()),
            (OnConflict::Update, Some(changes)) => Verdict::Change(Box::new(changes)),
            (OnConflict::Update, None) | (OnConflict::Skip, _) => {
                Verdict::Settled(Settled::with(ImportEventKind::Skipped, user_id))
            }
        }
    }
}

/// What becomes of a user who is there.
enum Verdict {
    Settled(Settled),
    Change(Box<UserChanges>),
}
