//! What happens where Redis can't be asked, or is not what it was.

use std::future::ready;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use idpflare_management::layers::{
    BoxError, Call, QuotaAsked, QuotaError, QuotaFailure, QuotaKey, QuotaNotice, Rate,
    RateLimitLayer, RateLimited, RateLimiter, Recorder, RedisQuota, SharedQuota, Timeout, WhenAway,
    find_source,
};
use tower::{Layer, ServiceExt, service_fn};

use crate::order::block_on;
use crate::proxy::Proxy;
use crate::server::Server;

#[derive(Clone, Default)]
pub(crate) struct Told(Arc<Mutex<Vec<QuotaNotice>>>);

impl Recorder for Told {
    fn quota_asked(&self, asked: &QuotaAsked<'_>) {
        self.0.lock().expect("not poisoned").extend(asked.notices);
    }
}

impl Told {
    pub(crate) fn take(&self) -> Vec<QuotaNotice> {
        std::mem::take(&mut self.0.lock().expect("not poisoned"))
    }
}

/// So slow that a permit is ahead of the clock for as long as any test takes, with a burst that no test
/// uses up.
fn slow() -> Rate {
    let rate = Rate::new(1, Duration::from_secs(60));
    rate.and_then(|rate| rate.with_burst(1000)).expect("a rate")
}

/// For an answer that is to come, however slow this machine is.
const LONG: Duration = Duration::from_secs(60);

/// For one that is not.
const SHORT: Duration = Duration::from_millis(250);

fn quota(server: &Server, rate: Rate, away: WhenAway) -> SharedQuota {
    quota_at(&server.url(), rate, away)
}

fn quota_at(url: &str, rate: Rate, away: WhenAway) -> SharedQuota {
    let redis = RedisQuota::new(url, QuotaKey::named("away")).expect("a URL");
    SharedQuota::new(rate, redis, away)
        .expect("a quota")
        .lease(1)
        .timeout(LONG)
}

async fn send(limiter: &RateLimiter) -> Result<(), BoxError> {
    send_within(limiter, Duration::from_secs(60)).await
}

async fn send_within(limiter: &RateLimiter, limit: Duration) -> Result<(), BoxError> {
    let transport =
        service_fn(|_: http::Request<()>| ready(Ok::<_, BoxError>(http::Response::new(()))));
    let service = RateLimitLayer::new(limiter.clone()).layer(transport);
    let mut request = http::Request::new(());
    Call::of_or_insert(&mut request).limit_to(limit);
    service.oneshot(request).await.map(drop)
}

/// Calls until it fails like this: what is known already is said until the server is asked again.
async fn fails_with(limiter: &RateLimiter, failure: QuotaFailure) {
    for _ in 0..400 {
        let Err(error) = send(limiter).await else {
            // Some settings take effect only when the server looks at them, once a second.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let limited = find_source::<RateLimited>(&*error).expect("typed");
        assert!(limited.retry_after() <= Duration::from_secs(2));
        if find_source::<QuotaError>(&*error).expect("typed").failure() == failure {
            return;
        }
        tokio::time::sleep(limited.retry_after()).await;
    }
    panic!("it does not fail with {failure:?}");
}

/// Calls until it goes again.
pub(crate) async fn recovers(limiter: &RateLimiter) {
    for _ in 0..1000 {
        match send(limiter).await {
            Ok(()) => return,
            Err(error) => {
                let limited = find_source::<RateLimited>(&*error).expect("typed");
                tokio::time::sleep(limited.retry_after()).await;
            }
        }
    }
    panic!("it does not recover");
}

pub(crate) fn every_trouble_has_its_outcome() {
    let mut server = Server::start();
    block_on(async {
        let told = Told::default();
        let quota = quota(&server, slow(), WhenAway::FailClosed).recorder(told.clone());
        let impatient = quota.clone().timeout(SHORT);
        let limiter = RateLimiter::from(quota);
        let key = QuotaKey::named("away");
        let key = key.as_str();
        recovers(&limiter).await;
        assert_eq!(told.take(), []);

        // The script is gone.
        assert_eq!(server.command("SCRIPT FLUSH"), "+OK");
        recovers(&limiter).await;
        assert_eq!(told.take(), [QuotaNotice::ScriptGone]);

        // A connection that was closed is made again without anybody noticing.
        server.command("CLIENT KILL TYPE normal");
        send(&limiter).await.expect("another connection");

        // A replica that takes no writes.
        server.is_read_only(true);
        fails_with(&limiter, QuotaFailure::ReadOnly).await;
        server.is_read_only(false);
        recovers(&limiter).await;
        assert_eq!(told.take(), []);

        // A primary that may not write without replicas.
        assert_eq!(server.command("CONFIG SET min-replicas-to-write 1"), "+OK");
        fails_with(&limiter, QuotaFailure::ReadOnly).await;
        assert_eq!(server.command("CONFIG SET min-replicas-to-write 0"), "+OK");
        recovers(&limiter).await;

        // A failover to a replica that had not caught up.
        let next = server.field(key, "next");
        server.command(&format!("HSET {key} next {}", next - 60_000_000));
        recovers(&limiter).await;
        assert_eq!(told.take(), [QuotaNotice::StateBehind]);
        assert!(server.field(key, "next") >= next);

        // A value of another type at the key, and then nothing.
        for command in ["SET {key} text", "DEL {key}"] {
            server.command(&command.replace("{key}", key));
            recovers(&limiter).await;
            assert_eq!(told.take(), [QuotaNotice::StateLost]);
            assert!(server.field(key, "next") >= next);
        }

        // A password that this one does not have.
        server.command("CONFIG SET requirepass other\r\nCLIENT KILL TYPE normal");
        fails_with(&limiter, QuotaFailure::Denied).await;
        server.kill();
        fails_with(&limiter, QuotaFailure::Connection).await;

        // A restart with nothing in it.
        server.restart();
        recovers(&limiter).await;
        let mut notices = told.take();
        notices.sort_by_key(|notice| notice.as_str());
        assert_eq!(notices, [QuotaNotice::ScriptGone, QuotaNotice::StateLost]);
        assert!(server.field(key, "next") >= next);

        // A server without TLS, for who wants it.
        let url = server.url().replace("redis:", "rediss:");
        let redis = RedisQuota::new(url, QuotaKey::named("away")).expect("a URL");
        let secure = SharedQuota::new(slow(), redis, WhenAway::FailClosed).expect("a quota");
        let secure = secure.timeout(SHORT);
        let error = send(&RateLimiter::from(secure)).await.expect_err("no TLS");
        // Whether it says so or waits for more depends on the bytes of the first message.
        let failure = find_source::<QuotaError>(&*error).expect("typed").failure();
        assert!([QuotaFailure::Connection, QuotaFailure::Timeout].contains(&failure));

        // A server that does not answer.
        let limiter = RateLimiter::from(impatient);
        recovers(&limiter).await;
        server.stop();
        fails_with(&limiter, QuotaFailure::Timeout).await;
        server.go_on();
        recovers(&limiter).await;
    });
}

pub(crate) fn a_replica_that_was_behind_takes_over() {
    let (primary, replica) = (Server::start(), Server::start());
    let proxy = Proxy::start(primary.port());
    let key = QuotaKey::named("away");
    let next = |server: &Server| server.field(key.as_str(), "next");
    block_on(async {
        let told = Told::default();
        let quota = quota_at(&proxy.url(), slow(), WhenAway::FailClosed);
        let limiter = RateLimiter::from(quota.recorder(told.clone()));
        recovers(&limiter).await;
        let follow = format!("REPLICAOF 127.0.0.1 {}", primary.port());
        assert_eq!(replica.command(&follow), "+OK");
        let mut looks = 0;
        while !replica
            .command(&format!("EXISTS {}", key.as_str()))
            .ends_with('1')
        {
            looks += 1;
            assert!(looks < 1200, "the replica does not catch up");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // What comes after this it never hears of.
        assert_eq!(replica.command("REPLICAOF NO ONE"), "+OK");
        recovers(&limiter).await;
        assert!(next(&replica) < next(&primary));
        let held = next(&primary);
        proxy.fail_over(replica.port());
        told.take();
        recovers(&limiter).await;
        let notices = told.take();
        assert!(notices.contains(&QuotaNotice::StateBehind), "{notices:?}");
        assert!(next(&replica) > held);
    });
}

pub(crate) fn a_connection_that_says_nothing_is_given_up() {
    let server = Server::start();
    let proxy = Proxy::start(server.port());
    block_on(async {
        let limiter =
            RateLimiter::from(quota_at(&proxy.url(), slow(), WhenAway::FailClosed).timeout(SHORT));
        recovers(&limiter).await;
        proxy.silence();
        fails_with(&limiter, QuotaFailure::Timeout).await;
        recovers(&limiter).await;
    });
}

pub(crate) fn what_is_granted_late_is_used() {
    let server = Server::start();
    let proxy = Proxy::start(server.port());
    block_on(async {
        let key = QuotaKey::named("away");
        let granted = || server.field(key.as_str(), "granted");
        let limiter =
            RateLimiter::from(quota_at(&proxy.url(), slow(), WhenAway::FailClosed).timeout(SHORT));
        recovers(&limiter).await;
        let before = granted();
        proxy.hold(true);
        // The first one asks for a permit, the second only whether there is anybody.
        for _ in 0..2 {
            let error = send(&limiter).await.expect_err("no answer");
            let limited = find_source::<RateLimited>(&*error).expect("typed");
            tokio::time::sleep(limited.retry_after()).await;
        }
        assert_eq!(granted(), before + 1);
        proxy.hold(false);
        recovers(&limiter).await;
        assert_eq!(granted(), before + 1);
        recovers(&limiter).await;
        assert_eq!(granted(), before + 2);
    });
}

pub(crate) fn calls_end_at_their_own_deadline() {
    let server = Server::start();
    block_on(async {
        for away in [WhenAway::FailOpen, WhenAway::FailClosed] {
            // The limit of time of the quota is not what ends them.
            let limiter = RateLimiter::from(quota(&server, slow(), away));
            send(&limiter).await.expect("a permit");
            server.stop();
            let error = send_within(&limiter, Duration::from_millis(50)).await;
            let error = error.expect_err("no answer");
            assert!(find_source::<Timeout>(&*error).is_some(), "{error}");
            server.go_on();
        }
    });
}

pub(crate) fn each_choice_is_kept_while_redis_is_away() {
    let mut server = Server::start();
    block_on(async {
        let rate = Rate::per_second(1000).and_then(|rate| rate.with_burst(100));
        let rate = rate.expect("a rate");
        let share = WhenAway::LocalShare { instances: 4 };
        let limiter = |away| RateLimiter::from(quota(&server, rate, away));
        let (open, closed, shared) = (
            limiter(WhenAway::FailOpen),
            limiter(WhenAway::FailClosed),
            limiter(share),
        );
        for limiter in [&open, &closed, &shared] {
            send(limiter).await.expect("a permit");
        }
        server.kill();
        fails_with(&closed, QuotaFailure::Connection).await;
        let started = std::time::Instant::now();
        for _ in 0..500 {
            send(&open).await.expect("open");
        }
        for _ in 0..100 {
            send(&shared).await.expect("a share");
        }
        // A quarter of the rate, and nothing saved up: no less than that can it have taken.
        assert!(started.elapsed() >= Duration::from_millis(4 * 99 - 4 * 25));
        server.restart();
        for limiter in [&open, &closed, &shared] {
            recovers(limiter).await;
        }
    });
}

pub(crate) fn each_runtime_has_a_connection_of_its_own() {
    let server = Server::start();
    let limiter = RateLimiter::from(
        quota(&server, slow(), WhenAway::FailClosed).timeout(Duration::from_secs(5)),
    );
    let runtime = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.expect("a runtime")
    };
    // The first one stands still from here on, and the second one ends.
    let first = runtime();
    for runtime in [&first, &runtime(), &runtime()] {
        runtime.block_on(async {
            for _ in 0..3 {
                send(&limiter).await.expect("a permit");
            }
        });
    }
    first.block_on(async { send(&limiter).await.expect("a permit") });
}
