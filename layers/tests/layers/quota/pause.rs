//! Pauses that one instance learns of.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_pause_that_one_learns_of_holds_all() {
    let net = Net::new(MILLI);
    let rate = rate(100, 10);
    let limiters = [1, 1, 10].map(|lease| net.limiter(rate, lease, WhenAway::FailClosed));
    send(&limiters[1]).await.expect("a permit");
    sleep(Duration::from_secs(1)).await;
    let paused = Instant::now();
    limiters[0].pause(Duration::from_secs(5));
    sleep(5 * MILLI).await;
    for limiter in &limiters[1..] {
        let error = send_within(limiter, Some(Duration::from_secs(3))).await;
        let error = error.expect_err("paused");
        assert!(typed::<RateLimited>(&error).retry_after() > Duration::from_millis(4900));
    }
    // After it nobody has a burst saved up.
    let sent = busy(&limiters[1], 5, 1).await;
    assert!(
        sent.iter()
            .all(|sent| *sent - paused >= Duration::from_secs(5))
    );
    let took = sent[4].max(sent[0]) - paused;
    assert!(took >= Duration::from_millis(5035), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn who_holds_permits_learns_of_a_pause_when_half_are_used() {
    let net = Net::new(MILLI);
    let rate = rate(100, 10);
    let lease = 20;
    let limiters = [lease, 1].map(|lease| net.limiter(rate, lease, WhenAway::FailClosed));
    let sent = Arc::new(Mutex::new(Vec::new()));
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let (limiter, sent) = (limiters[0].clone(), Arc::clone(&sent));
            tokio::spawn(async move {
                loop {
                    let at = send(&limiter).await.expect("a permit");
                    sent.lock().expect("not poisoned").push(at);
                }
            })
        })
        .collect();
    sleep(Duration::from_secs(2)).await;
    let paused = Instant::now();
    limiters[1].pause(Duration::from_secs(10));
    sleep(Duration::from_secs(9)).await;
    let after = sent
        .lock()
        .expect("not poisoned")
        .iter()
        .filter(|at| **at > paused)
        .count();
    assert!(after <= 20, "{after} were sent, which is more than a lease");
    for task in tasks {
        task.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn no_pause_of_others_is_longer_than_the_own_limit() {
    let net = Net::new(MILLI);
    let quota = net.quota(rate(100, 10), WhenAway::FailClosed);
    let patient = RateLimiter::shared(quota.clone())
        .max_pause(Duration::from_secs(3600))
        .build();
    let hasty = RateLimiter::shared(quota)
        .max_pause(Duration::from_secs(1))
        .build();
    patient.pause(Duration::from_secs(3600));
    sleep(5 * MILLI).await;
    // It asks again after a second, each time.
    let started = Instant::now();
    let error = send_within(&hasty, Some(Duration::from_secs(30))).await;
    let limited = error.expect_err("paused");
    assert!(typed::<RateLimited>(&limited).retry_after() <= Duration::from_secs(1));
    assert!(started.elapsed() >= Duration::from_secs(29));
    assert!(net.leases() >= 29, "{}", net.leases());
}

#[tokio::test(start_paused = true)]
async fn who_wants_no_pauses_does_not_ask_without_one() {
    for most in [Duration::ZERO, Duration::from_nanos(1)] {
        let net = Net::new(MILLI);
        let quota = net.quota(rate(100, 10), WhenAway::FailClosed);
        let patient = RateLimiter::from(quota.clone());
        patient.pause(Duration::from_secs(30));
        sleep(5 * MILLI).await;
        let hasty = RateLimiter::shared(quota).max_pause(most).build();
        let sent = send_within(&hasty, Some(Duration::from_secs(5))).await;
        sent.expect_err("paused");
        // Ten times a second.
        assert!(
            (45..=51).contains(&net.leases()),
            "{} in {most:?}",
            net.leases()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn many_who_learn_the_same_tell_it_once() {
    let net = Net::new(MILLI);
    let told = Told::default();
    let quota = net.quota(rate(100, 10), WhenAway::FailClosed);
    let limiter = RateLimiter::from(quota.recorder(told.clone()));
    for _ in 0..50 {
        limiter.pause(Duration::from_secs(5));
        sleep(MILLI).await;
    }
    sleep(10 * MILLI).await;
    assert_eq!(told.take(), [(QuotaQuestion::Pause, "ok", vec![])]);
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_announced_again_when_the_backend_is_back() {
    let net = Net::new(MILLI);
    let rate = rate(100, 10);
    let limiters = [1, 1].map(|lease| net.limiter(rate, lease, WhenAway::FailClosed));
    for trouble in [Trouble::Fails(QuotaFailure::Connection), Trouble::Hangs] {
        net.set(trouble);
        limiters[0].pause(Duration::from_secs(20));
        sleep(Duration::from_secs(5)).await;
        net.set(Trouble::None);
        // Two seconds until it is told again, at the most, and the question that hangs before that.
        sleep(Duration::from_secs(3)).await;
        let error = send_within(&limiters[1], Some(Duration::from_secs(1))).await;
        let error = error.expect_err("paused");
        assert!(typed::<RateLimited>(&error).retry_after() > Duration::from_secs(11));
        sleep(Duration::from_secs(20)).await;
        send(&limiters[1]).await.expect("over");
    }
}

#[tokio::test(start_paused = true)]
async fn a_longer_pause_takes_the_place_of_one_that_could_not_be_announced() {
    let net = Net::new(MILLI);
    let told = Told::default();
    let quota = net.quota(rate(100, 10), WhenAway::FailClosed);
    let limiter = RateLimiter::from(quota.recorder(told.clone()));
    net.set(Trouble::Fails(QuotaFailure::Connection));
    for seconds in [5, 30] {
        limiter.pause(Duration::from_secs(seconds));
        sleep(2 * MILLI).await;
    }
    told.take();
    net.set(Trouble::None);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(told.take(), [(QuotaQuestion::Pause, "ok", vec![])]);
}

#[test]
fn what_nobody_could_announce_is_for_who_learns_it_next() {
    let told = Told::default();
    let quota = Net::new(MILLI).quota(rate(100, 10), WhenAway::FailClosed);
    let limiter = RateLimiter::from(quota.recorder(told.clone()));
    limiter.pause(Duration::from_secs(60));
    let runtime = || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().build().expect("a runtime")
    };
    // This one ends before it gets round to it.
    let short = runtime();
    short.block_on(async { limiter.pause(Duration::from_secs(60)) });
    drop(short);
    assert_eq!(told.take(), []);
    runtime().block_on(async {
        limiter.pause(Duration::from_secs(60));
        let mut all = Vec::new();
        for _ in 0..1000 {
            all.extend(told.take());
            if !all.is_empty() {
                break;
            }
            sleep(MILLI).await;
        }
        assert_eq!(all, [(QuotaQuestion::Pause, "ok", vec![])]);
    });
}

#[tokio::test(start_paused = true)]
async fn what_is_given_back_in_a_pause_is_no_burst_after_it() {
    let quota = LocalQuota::new();
    let rate = rate(1, 5);
    let second = Duration::from_secs(1);
    let request = LeaseRequest::new(rate, 9, 60 * second);
    let lease = quota.lease(request).await.expect("a lease");
    quota.pause(rate, 2 * second).await.expect("a pause");
    let unused = lease.permits()[5..].to_vec();
    quota.give_back(rate, unused).await.expect("taken back");
    sleep(2 * second).await;
    let lease = quota.lease(request).await.expect("a lease");
    let waits = lease.permits().iter().map(|from| *from - lease.now());
    assert!(waits.eq((0..9).map(|number| number * second)));
}

#[tokio::test(start_paused = true)]
async fn a_limiter_that_is_gone_announces_its_pause_once_at_the_most() {
    for trouble in [
        Trouble::Fails(QuotaFailure::Connection),
        Trouble::Hangs,
        Trouble::None,
    ] {
        let net = Net::new(MILLI);
        net.set(trouble);
        let told = Told::default();
        let quota = net.quota(rate(100, 10), WhenAway::FailClosed);
        let limiter = RateLimiter::from(quota.recorder(told.clone()));
        limiter.pause(Duration::from_secs(60));
        drop(limiter);
        sleep(Duration::from_secs(60)).await;
        let told = told.take();
        assert!(
            matches!(told[..], [(QuotaQuestion::Pause, ..)]),
            "{trouble:?}: {told:?}"
        );
    }
}
