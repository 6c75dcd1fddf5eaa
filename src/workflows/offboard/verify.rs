//! What is left of a user's access.

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use idpflare_layers::BoxError;
use tower::Service;

use super::Job;
use crate::workflows::patience::patient;
use crate::workflows::server_clock::{self, Dated, may_last};
use crate::workflows::step::is_not_found;
use crate::{
    Error, GetUser, GetUserMfaEnrollments, IdentityId, ListUserIdentities, ListUserSessions,
    ListUserTokens, MfaMethod, RefreshToken, RefreshTokenId, SessionId, Timestamp, UserSession,
};

/// What was found when all was done. This machine's clock has no part in it: what has expired by
/// itself is told by the `Date` of the server's replies, and where they have none, all that the server
/// does not call revoked counts as left.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Verification {
    /// Whether the account is locked.
    pub lock: Lock,
    /// The sessions that are active and have not expired.
    pub sessions: Remaining<SessionId>,
    /// The refresh tokens that are neither revoked nor expired.
    pub tokens: Remaining<RefreshTokenId>,
    /// The identities that are linked; looked at where they were to be unlinked.
    pub identities: Remaining<IdentityId>,
    /// The second factors that are set up; looked at where they were to be removed.
    pub mfa: Remaining<MfaMethod>,
}

/// Whether an account is locked.
#[derive(Debug, Default)]
#[non_exhaustive]
pub enum Lock {
    /// Nobody has looked.
    #[default]
    NotChecked,
    /// It is. The end, where the server tells one, may be of an earlier lock: look again after it.
    Locked {
        /// When the lock ends by itself.
        until: Option<Timestamp>,
    },
    /// It is not.
    Open,
    /// There is no such user any more.
    UserGone,
    /// It could not be found out.
    Unknown(Error),
}

/// What is left of one kind.
#[derive(Debug, Default)]
#[non_exhaustive]
pub enum Remaining<T> {
    /// Nobody has looked.
    #[default]
    NotChecked,
    /// Nothing.
    Nothing,
    /// These.
    Left(Vec<T>),
    /// It could not be found out.
    Unknown(Error),
}

impl<T> Remaining<T> {
    /// Of what was listed, what is `left` at the time of the list. Of a user that is gone nothing is.
    fn of<R>(
        listed: Result<Dated<Vec<R>>, Error>,
        user_is_gone: bool,
        left: impl Fn(R, Option<Timestamp>) -> Option<T>,
    ) -> Self {
        match listed {
            Ok(Dated { value: rows, at }) => {
                let left: Vec<_> = rows.into_iter().filter_map(|row| left(row, at)).collect();
                if left.is_empty() {
                    Self::Nothing
                } else {
                    Self::Left(left)
                }
            }
            Err(error) if user_is_gone && is_not_found(&error) => Self::Nothing,
            Err(error) => Self::Unknown(error),
        }
    }

    /// Whether nothing is left, or nobody wanted to know.
    pub(super) fn is_clear(&self) -> bool {
        matches!(self, Self::NotChecked | Self::Nothing)
    }
}

pub(super) fn is_active_session(session: &UserSession, now: Option<Timestamp>) -> bool {
    session.is_active && may_last(session.expires_at, now)
}

pub(super) fn is_usable_token(token: &RefreshToken, now: Option<Timestamp>) -> bool {
    !token.is_revoked && may_last(token.expires_at, now)
}

impl<S, B> Job<'_, S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    pub(super) async fn verify(&self) -> Verification {
        let Self { client, job } = self;
        let user_id = &job.user_id;
        let lock = match client.send(patient(GetUser::new(user_id))).await {
            Ok(user) if user.is_locked => Lock::Locked {
                until: user.locked_until,
            },
            Ok(_) => Lock::Open,
            Err(error) if is_not_found(&error) => Lock::UserGone,
            Err(error) => Lock::Unknown(error),
        };
        let gone = matches!(lock, Lock::UserGone);
        let sessions = server_clock::send(client, ListUserSessions::new(user_id)).await;
        let tokens = server_clock::send(client, ListUserTokens::new(user_id)).await;
        let mut verification = Verification {
            lock,
            sessions: Remaining::of(sessions, gone, |session, now| {
                is_active_session(&session, now).then_some(session.id)
            }),
            tokens: Remaining::of(tokens, gone, |token, now| {
                is_usable_token(&token, now).then_some(token.id)
            }),
            ..Verification::default()
        };
        if job.unlink_identities {
            let identities = server_clock::send(client, ListUserIdentities::new(user_id)).await;
            verification.identities =
                Remaining::of(identities, gone, |identity, _| Some(identity.id));
        }
        if job.reset_mfa {
            let enrollments = server_clock::send(client, GetUserMfaEnrollments::new(user_id)).await;
            verification.mfa =
                Remaining::of(enrollments, gone, |enrolled, _| Some(enrolled.method));
        }
        verification
    }
}
