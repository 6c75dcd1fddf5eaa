//! Offboarding where the server's clock is not this machine's.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header::DATE};
use http_body_util::Full;
use idpflare_management::layers::BoxError;
use idpflare_management::testing::{FakeIdpflare, Fault, FaultRule, FaultScript};
use idpflare_management::workflows::{
    AccessTokens, Lock, Offboard, OffboardReport, Remaining, StepOutcome,
};
use idpflare_management::*;
use tower::{Service, ServiceExt};

/// What the server says that the time is.
#[derive(Clone, Copy, Debug)]
enum Clock {
    Right,
    Silent,
    Says(&'static str),
}

impl Clock {
    const PAST: Self = Self::Says("Sat, 01 Jan 2000 00:00:00 GMT");
    const FUTURE: Self = Self::Says("Thu, 01 Jan 2099 00:00:00 GMT");

    /// A client of `fake` that is told this time.
    fn client(
        self,
        fake: &FakeIdpflare,
    ) -> Client<
        impl Service<
            http::Request<Full<Bytes>>,
            Response = http::Response<ReplyBody>,
            Error = BoxError,
            Future: Send,
        > + Clone
        + Send
        + Sync
        + 'static,
    > {
        fake.client().map_service(|service| {
            service.map_response(move |mut reply: http::Response<ReplyBody>| {
                match self {
                    Self::Right => assert!(reply.headers().contains_key(DATE)),
                    Self::Silent => drop(reply.headers_mut().remove(DATE)),
                    Self::Says(date) => {
                        let date = HeaderValue::from_static(date);
                        reply.headers_mut().insert(DATE, date);
                    }
                }
                reply
            })
        })
    }
}

/// A fake that revokes nothing, and somebody with sessions and tokens that have expired, and with
/// others that have not.
async fn somebody() -> (FakeIdpflare, UserId, Vec<UserSession>, Vec<RefreshToken>) {
    let fake = FakeIdpflare::new();
    fake.seed(60);
    let client = fake.client();
    let now = Timestamp::now();
    let users = client.send(ListUsers::new().limit(100)).await;
    for user in users.expect("users").users {
        let sessions = client.send(ListUserSessions::new(&user.id)).await;
        let tokens = client.send(ListUserTokens::new(&user.id)).await;
        let (mut sessions, mut tokens) = (sessions.expect("sessions"), tokens.expect("tokens"));
        sessions.retain(|session| session.is_active);
        tokens.retain(|token| !token.is_revoked);
        let (lasts, over): (Vec<_>, Vec<_>) =
            tokens.iter().partition(|token| now < token.expires_at);
        if !(sessions.is_empty() || lasts.is_empty() || over.is_empty()) {
            let mut script = FaultScript::new();
            for step in [
                BlockUser::OPERATION,
                RevokeAllUserSessions::OPERATION,
                RevokeAllUserTokens::OPERATION,
            ] {
                let refused = Fault::status(StatusCode::FORBIDDEN);
                script = script.rule(FaultRule::new(refused).operation(step).times(u64::MAX));
            }
            fake.set_faults(script);
            return (fake, user.id, sessions, tokens);
        }
    }
    panic!("nobody has all of it");
}

fn left<T>(remaining: &Remaining<T>) -> usize {
    match remaining {
        Remaining::Nothing => 0,
        Remaining::Left(left) => left.len(),
        remaining => panic!("{}", std::any::type_name_of_val(remaining)),
    }
}

#[tokio::test]
async fn what_is_left_is_told_by_the_servers_clock() {
    let (fake, id, sessions, tokens) = somebody().await;
    let now = Timestamp::now();
    let lasting = tokens.iter().filter(|token| now < token.expires_at).count();
    for (clock, left_sessions, left_tokens) in [
        (Clock::Right, sessions.len(), lasting),
        (Clock::PAST, sessions.len(), tokens.len()),
        (Clock::FUTURE, 0, 0),
        // Nobody knows what has expired, so nothing has.
        (Clock::Silent, sessions.len(), tokens.len()),
        (Clock::Says("soon"), sessions.len(), tokens.len()),
    ] {
        let client = clock.client(&fake);
        let report = Offboard::new(&id).run(&client).await;
        let found = &report.verification;
        assert!(matches!(found.lock, Lock::Open), "{clock:?}: {report}");
        assert_eq!(left(&found.sessions), left_sessions, "{clock:?}: {report}");
        assert_eq!(left(&found.tokens), left_tokens, "{clock:?}: {report}");

        let report = Offboard::new(&id).dry_run(true).run(&client).await;
        for (step, left) in [
            (&report.revoke_sessions, left_sessions),
            (&report.revoke_tokens, left_tokens),
        ] {
            let foreseen = matches!(step, StepOutcome::WouldDo);
            assert_eq!(foreseen, left > 0, "{clock:?}: {report}");
        }
    }
}

fn of(report: &OffboardReport) -> &[workflows::ClientAccess] {
    match &report.access_tokens {
        AccessTokens::Of(clients) => clients,
        _ => panic!("{report}"),
    }
}

#[tokio::test]
async fn access_tokens_end_by_the_servers_clock() {
    let (fake, id, _, tokens) = somebody().await;
    fake.clear_faults();
    // The Date drops what is finer than a second, and a token may have been issued in it.
    let issued = |date: &str| date.parse::<Timestamp>().expect("a time").as_second() + 1;
    let past = issued("2000-01-01T00:00:00Z");
    let report = Offboard::new(&id).run(&Clock::PAST.client(&fake)).await;
    assert!(!of(&report).is_empty());
    for client in of(&report) {
        let ttl = i64::try_from(client.access_token_ttl.expect("readable")).expect("short");
        let ends_at = client.ends_at.expect("known").as_second();
        assert_eq!(ends_at, past + ttl, "{client}");
    }
    // All refresh tokens have expired long ago, and so have the access tokens.
    let report = Offboard::new(&id).run(&Clock::FUTURE.client(&fake)).await;
    assert!(of(&report).is_empty(), "{report}");

    let report = Offboard::new(&id).run(&Clock::Silent.client(&fake)).await;
    assert!(report.is_complete(), "{report}");
    let clients: std::collections::HashSet<_> =
        tokens.iter().map(|token| &token.client_id).collect();
    assert!(of(&report).len() >= clients.len(), "{report}");
    for client in of(&report) {
        assert!(client.ends_at.is_none() && client.access_token_ttl.is_some());
        assert!(client.to_string().ends_with("after the last is issued"));
    }
}
