//! What would be done, found out by reading alone.

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use idpflare_layers::BoxError;
use tower::Service;

use super::verify::{is_active_session, is_usable_token};
use super::{Job, OffboardReport, is_blocked};
use crate::workflows::StepOutcome;
use crate::workflows::server_clock::{self, Dated};
use crate::{
    Error, GetUserMfaEnrollments, ListUserIdentities, ListUserSessions, ListUserTokens, Timestamp,
    User,
};

impl<S, B> Job<'_, S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    pub(super) async fn foresee(&self, report: &mut OffboardReport, user: Option<&User>) {
        let Self { client, job } = self;
        let user_id = &job.user_id;
        report.block = match user {
            Some(user) if is_blocked(user) => StepOutcome::AlreadyDone,
            _ => StepOutcome::WouldDo,
        };
        let sessions = server_clock::send(client, ListUserSessions::new(user_id)).await;
        report.revoke_sessions = foreseen(sessions, is_active_session).0;

        let tokens = server_clock::send(client, ListUserTokens::new(user_id)).await;
        let (outcome, tokens) = foreseen(tokens, is_usable_token);
        report.revoke_tokens = outcome;

        if job.unlink_identities {
            let identities = server_clock::send(client, ListUserIdentities::new(user_id)).await;
            report.unlink_identities = foreseen(identities, |_, _| true).0;
        }
        if job.reset_mfa {
            let enrollments = server_clock::send(client, GetUserMfaEnrollments::new(user_id)).await;
            report.reset_mfa = foreseen(enrollments, |_, _| true).0;
        }
        if let Some(Dated { value, at }) = tokens {
            report.access_tokens = self.access_tokens(Ok(value), false, at).await;
        }
    }
}

/// Whether there is something to do about what was listed, and what that was.
fn foreseen<T>(
    listed: Result<Dated<Vec<T>>, Error>,
    counts: impl Fn(&T, Option<Timestamp>) -> bool,
) -> (StepOutcome, Option<Dated<Vec<T>>>) {
    match listed {
        Ok(rows) => {
            let outcome = if rows.value.iter().any(|row| counts(row, rows.at)) {
                StepOutcome::WouldDo
            } else {
                StepOutcome::AlreadyDone
            };
            (outcome, Some(rows))
        }
        Err(error) => (StepOutcome::Failed(error), None),
    }
}
