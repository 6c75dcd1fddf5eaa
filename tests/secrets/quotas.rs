//! Quotas that several processes share, and what they fail with.

use std::time::Duration;

use idpflare_management::layers::*;
use tower::{Layer, ServiceExt};

use crate::witness::Notes;

/// Notes what it is told.
#[derive(Clone)]
struct Noting(Notes);

impl Recorder for Noting {
    fn quota_asked(&self, asked: &QuotaAsked<'_>) {
        self.0.debug(asked);
        self.0.debug(&asked.question);
        for notice in asked.notices {
            self.0.debug(notice);
        }
    }
}

fn rate() -> Rate {
    let rate = Rate::per_second(50).and_then(|rate| rate.with_burst(10));
    rate.expect("a rate")
}

/// Asks for a permit, and shows all that comes up on the way.
async fn ask(notes: &Notes, backend: impl QuotaBackend) {
    let quota = SharedQuota::new(rate(), backend, WhenAway::FailClosed).expect("a quota");
    let quota = quota.recorder(Noting(notes.clone()));
    notes.debug(&quota);
    let limiter = RateLimiter::from(quota);
    notes.debug(&limiter);
    let transport =
        tower::service_fn(async |_: http::Request<()>| Ok::<_, BoxError>(http::Response::new(())));
    let service = RateLimitLayer::new(limiter).layer(transport);
    if let Err(error) = service.oneshot(http::Request::new(())).await {
        let limited = find_source::<RateLimited>(&*error).expect("the limiter's own");
        notes.error(limited);
        let failed = find_source::<QuotaError>(&*error).expect("of the backend");
        notes.error(failed);
        notes.debug(&failed.failure());
    }
}

pub(crate) async fn quotas(notes: &Notes) {
    let request = LeaseRequest::new(rate(), 3, Duration::from_secs(1));
    notes.debug(&request);
    let lease = LocalQuota::new().lease(request).await.expect("a lease");
    notes.debug(&lease.with_notice(QuotaNotice::StateLost));
    notes.debug(&QuotaNotice::StateLost);
    notes.debug(&WhenAway::FailOpen);
    let strict = Rate::per_second(50).expect("a rate");
    let never = SharedQuota::new(strict, LocalQuota::new(), WhenAway::FailOpen);
    notes.error(&never.expect_err("a burst of 1"));
    notes.debug(&LocalQuota::new());
    ask(notes, LocalQuota::new()).await;
    #[cfg(feature = "redis")]
    redis(notes).await;
}

/// The password is in the URL of a server that is not there, and of none.
#[cfg(feature = "redis")]
async fn redis(notes: &Notes) {
    use crate::secrets::API_KEY;
    use crate::support::server::Nobody;

    notes.secret("the password of a quota's server", "Mf6hT8yR1-bWqX");
    let origin = Origin::of(&http::Uri::from_static("https://idp.example.com"));
    let key = QuotaKey::new(
        &origin.expect("an origin"),
        &ApiKey::new(API_KEY).expect("a key"),
    );
    notes.debug(&key);
    let nobody = Nobody::new();
    let url = format!("redis://app:Mf6hT8yR1-bWqX@{}/0", nobody.address);
    let quota = RedisQuota::new(url, key.clone()).expect("a quota");
    notes.debug(&quota);
    ask(notes, quota).await;
    for url in [
        "redis://app:Mf6hT8yR1-bWqX@",
        "app:Mf6hT8yR1-bWqX",
        "ftp://app:Mf6hT8yR1-bWqX@a",
    ] {
        if let Err(error) = RedisQuota::new(url, key.clone()) {
            notes.error(&error);
        }
    }
}
