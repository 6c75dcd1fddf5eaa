//! What the script does, one question at a time.

use std::time::Duration;

use idpflare_management::layers::{
    LeaseRequest, QuotaBackend, QuotaFailure, QuotaKey, Rate, RedisQuota,
};

use crate::proxy::Proxy;
use crate::server::Server;

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(future)
}

fn quota(server: &Server, name: &str) -> RedisQuota {
    RedisQuota::new(server.url(), QuotaKey::named(name)).expect("a URL")
}

fn rate(interval: Duration, burst: u32) -> Rate {
    let rate = Rate::new(1, interval).and_then(|rate| rate.with_burst(burst));
    rate.expect("a rate")
}

const HOUR: Duration = Duration::from_secs(3600);

/// The model is a sum: of what is granted within an hour of the first, which no test takes, the first
/// of a burst are for at once, and all others an interval apart.
pub(crate) fn the_script_grants_what_the_model_does() {
    let server = Server::start();
    block_on(async {
        for (interval, burst, asks) in [
            (HOUR, 1, [1, 1, 2]),
            (HOUR, 5, [3, 4, 1]),
            (Duration::from_nanos(3_600_000_000_500), 3, [1, 5, 10]),
        ] {
            // Two processes, one after the other.
            let name = format!("{interval:?} {burst}");
            let quotas = [quota(&server, &name), quota(&server, &name)];
            let rate = rate(interval, burst);
            let rounded = Duration::from_micros(
                u64::try_from(interval.as_nanos().div_ceil(1000)).expect("fits"),
            );
            let mut granted = Vec::new();
            for (index, permits) in asks.into_iter().enumerate() {
                let request = LeaseRequest::new(rate, permits, 1000 * HOUR);
                let lease = quotas[index % 2].lease(request).await.expect("a lease");
                assert_eq!(lease.permits().len(), permits as usize);
                assert!(lease.notices().is_empty());
                granted.extend(lease.permits().iter().map(|from| (lease.now(), *from)));
            }
            let first = granted[0].0;
            for (number, (now, from)) in granted.into_iter().enumerate() {
                let number = u32::try_from(number).expect("few");
                let due = (first + number * rounded).saturating_sub((burst - 1) * rounded);
                assert_eq!(from, due.max(now), "permit {number}");
            }
        }
        // No further ahead than asked, but for the first.
        let rate = rate(HOUR, 2);
        let quota = quota(&server, "horizon");
        let ask = async |permits, horizon| {
            let request = LeaseRequest::new(rate, permits, horizon);
            let lease = quota.lease(request).await.expect("a lease");
            lease.permits().len()
        };
        assert_eq!(ask(9, Duration::ZERO).await, 2);
        assert_eq!(ask(9, Duration::ZERO).await, 1);
        assert_eq!(ask(9, 3 * HOUR).await, 2);
        assert_eq!(ask(9, 3 * HOUR).await, 1);
        // What the script can't count in is refused, not rounded.
        let never = Rate::new(1, Duration::from_nanos(u64::MAX)).expect("a rate");
        let refused = quota.lease(LeaseRequest::new(never, 1, HOUR)).await;
        assert_eq!(
            refused.expect_err("too slow").failure(),
            QuotaFailure::Invalid
        );
    });
}

pub(crate) fn a_pause_holds_other_processes() {
    let server = Server::start();
    block_on(async {
        let (one, other) = (quota(&server, "pause"), quota(&server, "pause"));
        let rate = rate(Duration::from_secs(60), 5);
        one.pause(rate, HOUR).await.expect("a pause");
        // It is not shortened.
        other
            .pause(rate, Duration::from_secs(1))
            .await
            .expect("a pause");
        let request = LeaseRequest::new(rate, 3, HOUR);
        let lease = other.lease(request).await.expect("an answer");
        assert!(lease.permits().is_empty());
        let until = lease.paused_until().expect("a pause");
        assert!(until > lease.now() && until - lease.now() <= HOUR);

        // After it nobody has a burst.
        let key = QuotaKey::named("pause");
        let past = format!("HSET {} paused 0", key.as_str());
        assert_eq!(server.command(&past), ":0");
        let lease = other.lease(request).await.expect("a lease");
        assert_eq!(lease.permits()[0], until);
    });
}

pub(crate) fn what_is_given_back_is_granted_again() {
    let server = Server::start();
    block_on(async {
        let (one, other) = (quota(&server, "back"), quota(&server, "back"));
        let rate = rate(HOUR, 2);
        let request = LeaseRequest::new(rate, 6, 1000 * HOUR);
        let first = one.lease(request).await.expect("a lease");
        one.give_back(rate, first.permits()[3..].to_vec())
            .await
            .expect("taken back");
        let second = other.lease(request).await.expect("a lease");
        assert_eq!(second.permits()[..3], first.permits()[3..]);
        assert!(second.notices().is_empty());
        // What others have come after stays where it is.
        one.give_back(rate, first.permits()[2..3].to_vec())
            .await
            .expect("an answer");
        let third = one.lease(request).await.expect("a lease");
        assert!(third.permits()[0] > second.permits()[5]);
        let granted = server.field(QuotaKey::named("back").as_str(), "granted");
        assert_eq!(granted, 6 - 3 + 6 + 6);
    });
}

pub(crate) fn what_is_given_back_in_a_pause_is_no_burst_after_it() {
    let server = Server::start();
    block_on(async {
        let key = QuotaKey::named("back in a pause");
        let quota = quota(&server, "back in a pause");
        let rate = rate(HOUR, 5);
        let request = LeaseRequest::new(rate, 9, 1000 * HOUR);
        let lease = quota.lease(request).await.expect("a lease");
        quota.pause(rate, 2 * HOUR).await.expect("a pause");
        let given_back = quota.give_back(rate, lease.permits()[5..].to_vec());
        given_back.await.expect("taken back");
        let field = |name| server.field(key.as_str(), name);
        let hour = i64::try_from(HOUR.as_micros()).expect("fits");
        let saved_up = field("paused") + 4 * hour - field("next");
        assert!(saved_up <= 0 && saved_up > -hour, "{saved_up} us");
        assert_eq!(field("granted"), 9 - 2);
    });
}

pub(crate) fn what_others_hold_is_not_given_back() {
    let server = Server::start();
    block_on(async {
        let (one, other) = (quota(&server, "between"), quota(&server, "between"));
        let rate = rate(HOUR, 2);
        let ask = async |quota: &RedisQuota, permits| {
            let request = LeaseRequest::new(rate, permits, 1000 * HOUR);
            quota
                .lease(request)
                .await
                .expect("a lease")
                .permits()
                .to_vec()
        };
        let before = ask(&one, 4).await;
        let held = ask(&other, 2).await;
        let after = ask(&one, 2).await;
        let unused = [&before[2..], &after[..]].concat();
        one.give_back(rate, unused).await.expect("taken back");
        // Only what came last: what was granted before the other's can't be granted again.
        let again = ask(&one, 2).await;
        assert_eq!(again, after);
        assert!(again.iter().all(|from| !held.contains(from)));
    });
}

pub(crate) fn what_others_give_back_is_no_state_that_is_behind() {
    let server = Server::start();
    block_on(async {
        let rate = rate(HOUR, 1);
        let ask = async |quota: &RedisQuota, permits| {
            let lease = quota.lease(LeaseRequest::new(rate, permits, 1000 * HOUR));
            let lease = lease.await.expect("a lease");
            assert_eq!(lease.notices(), []);
            lease.permits().to_vec()
        };
        let next = |name: &str| server.field(QuotaKey::named(name).as_str(), "next");

        let (one, other) = (quota(&server, "both"), quota(&server, "both"));
        let (first, second) = (ask(&one, 3).await, ask(&other, 3).await);
        let before = next("both");
        other.give_back(rate, second).await.expect("an answer");
        one.give_back(rate, first[1..].to_vec())
            .await
            .expect("an answer");
        let given_back = next("both");
        assert_eq!(
            before - given_back,
            i64::try_from(5 * HOUR.as_micros()).expect("fits")
        );
        assert_eq!(ask(&other, 1).await, [first[1]]);

        // Who was granted nothing knows of nothing that is held.
        let (one, other) = (quota(&server, "probe"), quota(&server, "probe"));
        let first = ask(&one, 3).await;
        other
            .lease(LeaseRequest::probe(rate))
            .await
            .expect("an answer");
        one.give_back(rate, first[1..].to_vec())
            .await
            .expect("an answer");
        assert_eq!(ask(&other, 1).await, [first[1]]);

        // What could not be given back is held by others.
        let [one, other, third] = [(); 3].map(|()| quota(&server, "refused"));
        let first = ask(&one, 1).await;
        let second = ask(&other, 3).await;
        let last = ask(&third, 1).await;
        other
            .give_back(rate, second.clone())
            .await
            .expect("an answer");
        third
            .give_back(rate, last.clone())
            .await
            .expect("an answer");
        assert_eq!(ask(&other, 1).await, last);
        assert!(first < second);
    });
}

pub(crate) fn nothing_is_given_back_twice() {
    let server = Server::start();
    let proxy = Proxy::start(server.port());
    block_on(async {
        let key = QuotaKey::named("twice");
        let quota = RedisQuota::new(proxy.url(), key.clone()).expect("a URL");
        let rate = rate(HOUR, 2);
        let lease = quota.lease(LeaseRequest::new(rate, 6, 1000 * HOUR)).await;
        let unused = lease.expect("a lease").permits()[4..].to_vec();
        let lost = quota.give_back(rate, unused).await;
        let failure = lost.expect_err("the answer is lost").failure();
        assert_eq!(failure, QuotaFailure::Connection);
        assert_eq!(server.field(key.as_str(), "granted"), 4);
        assert_eq!(proxy.given_back(), 1);
    });
}

pub(crate) fn the_key_expires_by_itself() {
    let server = Server::start();
    block_on(async {
        let quota = quota(&server, "expires");
        let rate = rate(HOUR, 3);
        quota
            .lease(LeaseRequest::new(rate, 2, HOUR))
            .await
            .expect("a lease");
        let key = QuotaKey::named("expires");
        let left: i64 = server.command(&format!("PTTL {}", key.as_str()))[1..]
            .parse()
            .expect("a number");
        // Two intervals until it says nothing any more, and a minute.
        assert!(
            left > 3_600_000 && left <= 2 * 3_600_000 + 60_000,
            "{left} ms"
        );
        assert_eq!(server.command("DBSIZE"), ":1");
    });
}
