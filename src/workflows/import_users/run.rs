//! The whole input: so many lines at a time.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http_body::Body;
use http_body_util::Full;
use idpflare_layers::BoxError;
use tower::Service;

use super::one_user::Ended;
use super::unsent::Unsent;
use super::{
    ImportEvent, ImportEventKind, ImportFailure, ImportReport, ImportRow, ImportStop, ImportUsers,
    Ledger, LedgerError, LedgerMark, LedgerState, email_key,
};
use crate::workflows::ScopeCheck;
use crate::workflows::preflight::check_scopes;
use crate::{CreateUser, Scope};

/// Whatever the policy: where a reply is lost, the user has to be looked for.
const NEEDED: [Scope; 2] = [Scope::UsersRead, Scope::UsersWrite];

/// After how many turns others have theirs: input that is always ready would let nobody in.
const TURNS: u32 = 64;

/// What comes next.
enum Turn<I> {
    Ended(Ended),
    Row(I),
    Pause,
    Over,
}

impl<S, B, L> ImportUsers<S, L>
where
    S: Service<http::Request<Full<Bytes>>, Response = http::Response<B>> + Clone,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
    L: Ledger,
{
    pub(super) async fn run_all<I>(
        self,
        input: I,
        mut on_event: impl FnMut(&ImportEvent),
    ) -> Result<ImportReport, LedgerError>
    where
        I: Stream,
        I::Item: Into<ImportRow>,
    {
        let mut intake = Intake {
            known: self.ledger.open(&self.job_id()).await?,
            first_lines: HashMap::new(),
            lines: 0,
        };
        let mut report = ImportReport {
            dry_run: self.dry_run,
            scopes: check_scopes(&self.client, self.running_key.as_ref(), &NEEDED).await,
            ..ImportReport::default()
        };
        if let ScopeCheck::Missing(scopes) = &report.scopes {
            report.stopped = Some(ImportStop::MissingScopes(scopes.clone()));
            return Ok(report);
        }
        let mut input = pin!(input);
        let mut has_more = true;
        let mut under_way = FuturesUnordered::new();
        let mut turns = 0;
        let mut unsent = Unsent::new(self.concurrency);
        loop {
            turns = (turns + 1) % TURNS;
            let turn = poll_fn(|cx| {
                if turns == 0 {
                    return Poll::Ready(Turn::Pause);
                }
                if let Poll::Ready(Some(ended)) = under_way.poll_next_unpin(cx) {
                    return Poll::Ready(Turn::Ended(ended));
                }
                let has_room = under_way.len() < self.concurrency && report.stopped.is_none();
                let row = if has_more && has_room {
                    poll_row(input.as_mut(), &mut has_more, cx)
                } else {
                    None
                };
                match row {
                    Some(row) => Poll::Ready(Turn::Row(row)),
                    None if under_way.is_empty() && (!has_more || report.stopped.is_some()) => {
                        Poll::Ready(Turn::Over)
                    }
                    None => Poll::Pending,
                }
            })
            .await;
            let event = match turn {
                Turn::Over => return Ok(report),
                Turn::Pause => {
                    pause().await;
                    continue;
                }
                Turn::Ended(ended) => {
                    if let Err(error) = ended.ledger {
                        report.stop(ImportStop::Ledger(error));
                    }
                    ended.event
                }
                Turn::Row(row) => match intake.admit(row.into()) {
                    Admitted::Ended(event) => event,
                    Admitted::Work {
                        line,
                        user,
                        earlier,
                    } => {
                        on_event(&ImportEvent {
                            line,
                            email: Some(user.email.clone()),
                            user_id: None,
                            kind: ImportEventKind::Started,
                        });
                        under_way.push(self.import(line, user, earlier));
                        continue;
                    }
                },
            };
            on_event(&event);
            if let Some(stop) = unsent.note(&event.kind) {
                report.stop(stop);
            }
            if let ImportEventKind::Failed(failure) = &event.kind {
                if let Some(stop) = ImportStop::of(failure) {
                    report.stop(stop);
                } else if self.stop_on_error {
                    report.stop(ImportStop::FirstFailure);
                }
            }
            report.count(event);
        }
    }
}

fn poll_row<I: Stream>(
    input: Pin<&mut I>,
    has_more: &mut bool,
    cx: &mut Context<'_>,
) -> Option<I::Item> {
    match input.poll_next(cx) {
        Poll::Ready(row) => {
            *has_more = row.is_some();
            row
        }
        Poll::Pending => None,
    }
}

async fn pause() {
    let mut paused = false;
    poll_fn(|cx| {
        if paused {
            return Poll::Ready(());
        }
        paused = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// What decides whether there is anything to do for a line.
struct Intake {
    known: LedgerState,
    /// In which line each address was first.
    first_lines: HashMap<String, u64>,
    lines: u64,
}

enum Admitted {
    Work {
        line: u64,
        user: CreateUser,
        /// What an earlier run has noted of it.
        earlier: Option<LedgerMark>,
    },
    Ended(ImportEvent),
}

impl Intake {
    fn admit(&mut self, row: ImportRow) -> Admitted {
        self.lines += 1;
        let line = row.line.unwrap_or(self.lines);
        let event = |email, kind| {
            Admitted::Ended(ImportEvent {
                line,
                email,
                user_id: None,
                kind,
            })
        };
        let user = match row.user {
            Ok(user) => user,
            Err(reason) => {
                let failure = ImportFailure::Invalid(reason);
                return event(None, ImportEventKind::Failed(failure));
            }
        };
        // A search for nothing finds everybody.
        if user.email.trim().is_empty() {
            let failure = ImportFailure::Invalid(String::from("there is no e-mail address"));
            return event(None, ImportEventKind::Failed(failure));
        }
        let key = email_key(&user.email);
        let mark = self.known.take(&key);
        match self.first_lines.entry(key) {
            Entry::Occupied(first) => {
                let first_line = *first.get();
                event(Some(user.email), ImportEventKind::Duplicate { first_line })
            }
            Entry::Vacant(first) => {
                first.insert(line);
                if mark.is_some_and(LedgerMark::is_done) {
                    return event(Some(user.email), ImportEventKind::AlreadyDone);
                }
                Admitted::Work {
                    line,
                    user,
                    earlier: mark,
                }
            }
        }
    }
}
