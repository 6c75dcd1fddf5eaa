//! Many users at once, from a stream of them.

mod changes;
mod disk;
mod event;
mod failure;
mod file_ledger;
mod find;
mod format;
mod ledger;
mod locked_file;
mod on_conflict;
mod one_user;
mod ours;
mod report;
mod row;
mod run;
mod server_clock;
mod unsent;

use std::fmt;

use bytes::Bytes;
use futures_core::Stream;
use http_body::Body;
use http_body_util::Full;
use idpflare_layers::BoxError;
use tower::Service;

use self::server_clock::ServerClock;
use super::KeyRef;
use crate::Client;
use crate::stack::BoxService;

pub use event::{ImportEvent, ImportEventKind};
pub use failure::{FailedRow, ImportFailure};
pub use file_ledger::{FileLedger, Fsync};
pub use ledger::{
    Ledger, LedgerEntry, LedgerError, LedgerErrorKind, LedgerMark, LedgerState, NoLedger,
};
pub use on_conflict::OnConflict;
pub use report::{ImportReport, ImportStop};
pub use row::ImportRow;

/// How many lines are under way at once unless told otherwise.
const DEFAULT_CONCURRENCY: usize = 8;

/// Creates the users of a stream, some at a time, and never two for a line.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use futures_util::stream;
/// use idpflare_management::CreateUser;
/// use idpflare_management::testing::FakeIdpflare;
/// use idpflare_management::workflows::{ImportUsers, OnConflict};
///
/// let client = FakeIdpflare::new().client();
/// client.send(CreateUser::new("ada@example.com")).await?;
///
/// let users = [
///     CreateUser::new("ada@example.com").given_name("Ada"),
///     CreateUser::new("grace@example.com").given_name("Grace"),
///     CreateUser::new("Grace@Example.com").given_name("Grace"),
/// ];
/// let report = ImportUsers::new(&client)
///     .on_conflict(OnConflict::Update)
///     .run(stream::iter(users))
///     .await?;
/// assert_eq!((report.created, report.updated, report.duplicates), (1, 1, 1));
/// # Ok(())
/// # }
/// ```
///
/// # What is sent
///
/// Each line is a `createUser`. If the server answers that the address is taken (409), the import
/// looks for the user that has it, and [`OnConflict`] decides. That is a user whose address is the
/// line's, byte for byte or in ASCII small letters, as some servers keep addresses. An address that
/// may differ in case only is reported ([`OtherCase`](ImportFailure::OtherCase)), and its user is left
/// alone whatever the policy. Where the outcome of a create is not known (the reply was
/// lost, a limit of time ran out, a 5xx came), the user is looked for, too, before it is sent again,
/// three times at most.
///
/// One who is found then counts as created by the line
/// ([`Reconciled`](ImportEventKind::Reconciled)) where all that can be seen says so: the user has what
/// the line gives and no name, picture or metadata besides; and was not created more than a minute
/// before the line was first sent, by the server's own clock, where an earlier reply of this run has
/// told it. Anyone else was there before, and [`OnConflict`] says what becomes of them. Either can be
/// wrong: the same user, created by another party at the same time, or before a run that broke off,
/// can't be told apart; and one who has changed since that run is not recognised. Passwords can't be
/// compared, and those of users who are there are never changed.
///
/// That takes a server which, like IDPFlare, refuses a second user with the same address: no search
/// can find what still is on its way.
///
/// The key needs `users:write`, and `users:read` to look for users. Told which key it is
/// ([`running_key`](Self::running_key)), and where that has `api-keys:read`, an import that lacks one
/// sends nothing; otherwise the report says that the scopes were not checked.
///
/// # Failures
///
/// A line that fails does not stop the others, unless [`stop_on_error`](Self::stop_on_error) says
/// so. A key that is not valid (401) or lacks a scope (403) always stops the import, and the
/// [report](ImportReport) names the scope. A server that is gone stops it, too: if 10 lines in a row, or
/// twice as many as are under way at once if that is more, were not
/// [sent](crate::Delivery::NotSent) or were answered with 502 to 504 or 520 to 527, the rest is left
/// for a later run, and is not in the ledger. A request that a busy server refuses (429) is sent up to
/// 10 times within the client's deadline for it, and fails after that.
///
/// # Going on after a break
///
/// With a [`Ledger`], such as a [`FileLedger`], an import that ended early goes on with the same
/// command: lines that are done are passed over, those that failed are tried again, and those whose
/// outcome nobody has seen are looked for first. That holds wherever it ended: the future can be
/// dropped, and the process killed, at any point. To end it in order, let the stream end, for
/// instance with `StreamExt::take_until`: what is under way is finished.
///
/// # Memory
///
/// So many lines as are under way are in memory, and for all that were read the address and the
/// number of the line, to notice duplicates: some hundred bytes each. Addresses that only differ in
/// the case of ASCII letters are duplicates.
///
/// No task is spawned, and no executor is asked for beyond what the client's service needs.
#[must_use = "an import does nothing until it is run"]
pub struct ImportUsers<S = BoxService, L = NoLedger> {
    client: Client<S>,
    ledger: L,
    job: String,
    running_key: Option<KeyRef>,
    concurrency: usize,
    on_conflict: OnConflict,
    stop_on_error: bool,
    dry_run: bool,
    clock: ServerClock,
}

impl<S: Clone> ImportUsers<S> {
    /// An import through `client`, without a ledger.
    pub fn new(client: &Client<S>) -> Self {
        Self {
            client: client.clone(),
            ledger: NoLedger,
            job: String::new(),
            running_key: None,
            concurrency: DEFAULT_CONCURRENCY,
            on_conflict: OnConflict::default(),
            stop_on_error: false,
            dry_run: false,
            clock: ServerClock::default(),
        }
    }
}

impl<S, L> ImportUsers<S, L> {
    /// Keeps what is done in `ledger`. `job` names the input, such as the name of the file; together
    /// with the client's authority it is what a ledger is recognised by, so that none is used for
    /// another input, or for another instance.
    ///
    /// ```no_run
    /// # async fn import(
    /// #     client: idpflare_management::Client,
    /// #     users: impl futures_core::Stream<Item = idpflare_management::CreateUser>,
    /// # ) -> Result<(), Box<dyn std::error::Error>> {
    /// use idpflare_management::workflows::{FileLedger, ImportUsers};
    ///
    /// let report = ImportUsers::new(&client)
    ///     .ledger(FileLedger::new("users.csv.ledger"), "users.csv")
    ///     .run(users)
    ///     .await?;
    /// println!("{report}");
    /// # Ok(())
    /// # }
    /// ```
    pub fn ledger<M: Ledger>(self, ledger: M, job: impl Into<String>) -> ImportUsers<S, M> {
        ImportUsers {
            client: self.client,
            ledger,
            job: job.into(),
            running_key: self.running_key,
            concurrency: self.concurrency,
            on_conflict: self.on_conflict,
            stop_on_error: self.stop_on_error,
            dry_run: self.dry_run,
            clock: self.clock,
        }
    }

    /// Which key the client has, so that its scopes can be checked first.
    pub fn running_key(mut self, running_key: impl Into<KeyRef>) -> Self {
        self.running_key = Some(running_key.into());
        self
    }

    /// How many lines are under way at once: 8 unless set, and at least 1.
    pub fn concurrency(mut self, lines: usize) -> Self {
        self.concurrency = lines.max(1);
        self
    }

    /// What becomes of users who are there already; [`OnConflict::Fail`] unless set.
    pub fn on_conflict(mut self, policy: OnConflict) -> Self {
        self.on_conflict = policy;
        self
    }

    /// Whether no more lines are read once one has failed. Duplicates are no failures.
    pub fn stop_on_error(mut self, stop: bool) -> Self {
        self.stop_on_error = stop;
        self
    }

    /// Whether to change nothing, neither users nor ledger: each line's user is looked for, and
    /// events and report say what would happen, as far as can be seen without trying.
    ///
    /// A dry run assumes a server that ignores case in addresses. On another server, a line that meets
    /// an address in another case may be created by the run.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
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
    /// Imports the users of `input`. Lines that fail are in the report.
    ///
    /// # Errors
    ///
    /// Where the ledger can't be opened; nothing was sent then.
    pub async fn run<I>(self, input: I) -> Result<ImportReport, LedgerError>
    where
        I: Stream,
        I::Item: Into<ImportRow>,
    {
        self.run_all(input, |_| {}).await
    }

    /// Like [`run`](Self::run), and calls `on_event` when work on a line begins and when it has
    /// ended, on the task that runs the import. Lines end in another order than they begin.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use futures_util::stream;
    /// # use idpflare_management::CreateUser;
    /// # let client = idpflare_management::testing::FakeIdpflare::new().client();
    /// use idpflare_management::workflows::{ImportEventKind, ImportUsers};
    ///
    /// let users = stream::iter([CreateUser::new("ada@example.com")]);
    /// let mut created = Vec::new();
    /// let report = ImportUsers::new(&client)
    ///     .run_with(users, |event| match (&event.kind, &event.user_id) {
    ///         (ImportEventKind::Created, Some(id)) => created.push(id.clone()),
    ///         (kind, _) => println!("line {}: {kind:?}", event.line),
    ///     })
    ///     .await?;
    /// assert_eq!(created.len(), 1);
    /// # assert!(report.is_complete());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Where the ledger can't be opened; nothing was sent then.
    pub async fn run_with<I>(
        self,
        input: I,
        on_event: impl FnMut(&ImportEvent),
    ) -> Result<ImportReport, LedgerError>
    where
        I: Stream,
        I::Item: Into<ImportRow>,
    {
        self.run_all(input, on_event).await
    }

    /// What a ledger is recognised by.
    fn job_id(&self) -> String {
        format!("{} into {}", self.job, self.client.authority())
    }
}

impl<S, L> fmt::Debug for ImportUsers<S, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImportUsers")
            .field("client", &self.client)
            .field("job", &self.job)
            .field("running_key", &self.running_key)
            .field("concurrency", &self.concurrency)
            .field("on_conflict", &self.on_conflict)
            .field("stop_on_error", &self.stop_on_error)
            .field("dry_run", &self.dry_run)
            .finish_non_exhaustive()
    }
}

/// Returns the address in ASCII small letters. Lines with the same key are duplicates, and one mark of
/// a ledger. Nothing beyond ASCII is folded, since servers differ there: an account that has the
/// Kelvin sign in its address is not that of a line with a `k`.
fn email_key(email: &str) -> String {
    email.to_ascii_lowercase()
}
