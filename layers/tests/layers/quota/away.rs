//! What happens where the backend can't be asked.

use super::*;

#[tokio::test(start_paused = true)]
async fn open_lets_calls_go_and_comes_back() {
    let net = Net::new(MILLI);
    let rate = rate(10, 2);
    let limiter = net.limiter(rate, 5, WhenAway::FailOpen);
    net.set(Trouble::Fails(QuotaFailure::Connection));
    let started = Instant::now();
    let sent = busy(&limiter, 20, 5).await;
    assert_eq!(*sent.iter().max().expect("some") - started, MILLI);
    net.set(Trouble::None);
    sleep(Duration::from_secs(3)).await;
    // The first one asks, and does not wait for it; from then on the quota holds.
    send(&limiter).await.expect("open");
    sleep(10 * MILLI).await;
    assert_law(rate, busy(&limiter, 5, 2).await);
}

#[tokio::test(start_paused = true)]
async fn closed_refuses_with_the_reason_and_when_it_will_ask_again() {
    let net = Net::new(MILLI);
    let limiter = net.limiter(rate(10, 2), 5, WhenAway::FailClosed);
    net.set(Trouble::Fails(QuotaFailure::ReadOnly));
    let error = send(&limiter).await.expect_err("closed");
    assert_eq!(
        error.to_string(),
        "not sent: it is not known what the shared quota allows"
    );
    let quota = typed::<QuotaError>(&error);
    assert_eq!(quota.failure(), QuotaFailure::ReadOnly);
    assert_eq!(
        quota.to_string(),
        "the quota's server takes no writes: as told"
    );
    let retry_after = typed::<RateLimited>(&error).retry_after();
    assert!(retry_after >= 50 * MILLI && retry_after <= 100 * MILLI);
    // Nobody is asked before that.
    for _ in 0..10 {
        send(&limiter).await.expect_err("closed");
    }
    assert_eq!(net.leases(), 1);
    net.set(Trouble::None);
    sleep(retry_after).await;
    send(&limiter).await.expect("asked again");
}

#[tokio::test(start_paused = true)]
async fn a_share_is_kept_by_each_instance() {
    let net = Net::new(MILLI);
    net.set(Trouble::Fails(QuotaFailure::Connection));
    let rate = rate(40, 8);
    let away = WhenAway::LocalShare { instances: 4 };
    let mut all = Vec::new();
    let started = Instant::now();
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let limiter = net.limiter(rate, 10, away);
            tokio::spawn(async move { busy(&limiter, 10, 4).await })
        })
        .collect();
    for task in tasks {
        let sent = task.await.expect("no panic");
        let took = *sent.iter().max().expect("some") - started;
        // Ten a second, without a burst in the beginning.
        assert!(
            took >= Duration::from_secs(4) && took <= Duration::from_millis(4100),
            "{took:?}"
        );
        all.extend(sent);
    }
    assert_law(rate, all);
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_hangs_is_given_up_in_time() {
    let net = Net::new(MILLI);
    net.set(Trouble::Hangs);
    let quota = |away| net.quota(rate(10, 2), away).timeout(50 * MILLI);
    let started = Instant::now();
    let limiter = RateLimiter::from(quota(WhenAway::FailOpen));
    let sent = send(&limiter).await.expect("open");
    assert!(sent - started <= 52 * MILLI);

    let limiter = RateLimiter::from(quota(WhenAway::FailClosed));
    let error = send(&limiter).await.expect_err("closed");
    assert_eq!(typed::<QuotaError>(&error).failure(), QuotaFailure::Timeout);

    // The deadline of the call may come first.
    let started = Instant::now();
    let limiter = RateLimiter::from(quota(WhenAway::FailOpen).timeout(Duration::from_secs(60)));
    let error = send_within(&limiter, Some(20 * MILLI))
        .await
        .expect_err("hangs");
    typed::<Timeout>(&error);
    assert_eq!(started.elapsed(), 20 * MILLI);
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_always_too_late_are_as_good_as_none() {
    // Each permit is good for 10 ms, and an answer takes 40.
    let net = Net::new(20 * MILLI);
    let quota = net.quota(rate(100, 2), WhenAway::FailClosed);
    let error = send(&RateLimiter::from(quota)).await.expect_err("late");
    assert_eq!(typed::<QuotaError>(&error).failure(), QuotaFailure::Late);
    assert_eq!(net.leases(), 3);
    let granted = net.0.granted.load(Ordering::SeqCst);
    assert!(granted <= 3, "{granted}");
}

#[tokio::test(start_paused = true)]
async fn who_answers_but_grants_nothing_of_use_is_asked_less_and_less_often() {
    let net = Net::new(20 * MILLI);
    let limiter = RateLimiter::from(net.quota(rate(100, 2), WhenAway::FailClosed));
    let refused = async || {
        let error = send_within(&limiter, Some(Duration::from_secs(60))).await;
        let error = error.expect_err("late");
        assert_eq!(typed::<QuotaError>(&error).failure(), QuotaFailure::Late);
        typed::<RateLimited>(&error).retry_after()
    };
    for most in [100, 200, 400, 800, 1600, 2000, 2000] {
        let retry_after = refused().await;
        assert!(
            retry_after >= most / 2 * MILLI && retry_after <= most * MILLI,
            "{retry_after:?} of {most} ms"
        );
        sleep(retry_after).await;
    }
    // A permit that is used ends that.
    net.takes(MILLI);
    send(&limiter).await.expect("in time");
    sleep(Duration::from_secs(1)).await;
    net.takes(20 * MILLI);
    assert!(refused().await <= 100 * MILLI);
}

#[tokio::test(start_paused = true)]
async fn answers_that_leave_no_time_for_their_permits_are_as_good_as_none() {
    // Each permit is good for a millisecond. For most of that it may still be too early by the clock of
    // the backend, and a timer takes as long.
    let net = Net::new(MILLI * 2 / 5);
    let quota = net.quota(rate(1000, 2), WhenAway::FailClosed);
    let within = Some(Duration::from_secs(60));
    let error = send_within(&RateLimiter::from(quota), within).await;
    let error = error.expect_err("late");
    assert_eq!(typed::<QuotaError>(&error).failure(), QuotaFailure::Late);
    assert!(net.leases() <= 4, "{}", net.leases());
}

#[tokio::test(start_paused = true)]
async fn what_is_held_is_used_before_anything_else() {
    let net = Net::new(MILLI);
    let rate = rate(100, 40);
    let limiter = net.limiter(rate, 20, WhenAway::FailClosed);
    busy(&limiter, 40, 1).await;
    net.set(Trouble::Fails(QuotaFailure::Connection));
    let mut sent = 0;
    while send(&limiter).await.is_ok() {
        sent += 1;
    }
    assert!((1..=20).contains(&sent), "{sent}");
}

#[test]
fn a_runtime_that_stops_takes_no_question_with_it() {
    let runtime = || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime")
    };
    let net = Net::new(MILLI);
    let limiter = net.limiter(rate(100, 10), 5, WhenAway::FailClosed);
    let first = runtime();
    first.block_on(async {
        net.set(Trouble::Hangs);
        assert!(timeout(MILLI, send(&limiter)).await.is_err());
    });
    drop(first);
    net.set(Trouble::None);
    let outcome = runtime().block_on(send(&limiter));
    outcome.expect("asked again");
}

#[test]
fn a_runtime_that_stands_still_holds_up_nobody_elsewhere() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
    };
    let (still, other) = (runtime(), runtime());
    let net = Net::new(Duration::ZERO);
    let quota = net.quota(rate(100, 10), WhenAway::FailClosed);
    // Long enough for an answer on a machine that is busy.
    let limiter = RateLimiter::from(quota.timeout(1000 * MILLI));
    net.set(Trouble::Hangs);
    // It asks, and is never polled again.
    still.block_on(async {
        assert!(timeout(Duration::ZERO, send(&limiter)).await.is_err());
    });
    net.set(Trouble::None);
    other.block_on(async {
        let outcome = send_within(&limiter, Some(Duration::from_secs(60))).await;
        outcome.expect("asked again");
    });
    drop(still);
}

#[test]
fn who_stands_still_is_relieved_of_what_he_watches() {
    let runtime = || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().build().expect("a runtime")
    };
    let (still, other) = (runtime(), runtime());
    let net = Net::new(Duration::ZERO);
    // It may have asked for more, too, and never hear the answer.
    let limiter = net.limiter(rate(100, 20), 50, WhenAway::FailOpen);
    // What this one watches is never looked at again.
    still.block_on(busy(&limiter, 30, 3));
    other.block_on(async {
        for _ in 0..20 {
            sleep(500 * MILLI).await;
            busy(&limiter, 30, 3).await;
            if net.0.returned.load(Ordering::SeqCst) > 0 {
                return;
            }
        }
        panic!("nothing is given back");
    });
    drop(still);
}
