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
        let now = Timestamp::now();
        report.block = match user {
            Some(user) if is_blocked(user) => StepOutcome::AlreadyDone,
            _ => StepOutcome::WouldDo,
        };
        let sessions = client.send(ListUserSessions::new(user_id)).await;
        report.revoke_sessions = foreseen(sessions, |session| is_active_session(session, now)).0;

        let tokens = client.send(ListUserTokens::new(user_id)).await;
        let (outcome, tokens) = foreseen(tokens, |token| is_usable_token(token, now));
        report.revoke_tokens = outcome;

        if job.unlink_identities {
            let identities = client.send(ListUserIdentities::new(user_id)).await;
            report.unlink_identities = foreseen(identities, |_| true).0;
        }
        if job.reset_mfa {
            let enrollments = client.send(GetUserMfaEnrollments::new(user_id)).await;
            report.reset_mfa = foreseen(enrollments, |_| true).0;
        }
        if let Some(tokens) = tokens {
            report.access_tokens = self.access_tokens(Ok(tokens), false).await;
        }
    }
}

/// Whether there is something to do about what was listed, and what that was.
fn foreseen<T>(
    listed: Result<Vec<T>, Error>,
    counts: impl Fn(&T) -> bool,
) -> (StepOutcome, Option<Vec<T>>) {
    match listed {
        Ok(rows) if rows.iter().any(counts) => (StepOutcome::WouldDo, Some(rows)),
        Ok(rows) => (StepOutcome::AlreadyDone, Some(rows)),
        Err(error) => (StepOutcome::Failed(error), None),
    }
}
