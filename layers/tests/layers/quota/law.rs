//! What all instances together may do.

use super::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_window_sees_at_most_the_burst_and_its_share_of_all_instances(
        calls in prop_oneof![5..=50_u32, 50..=2000_u32],
        burst in prop_oneof![2..=3_u32, 4..=100_u32],
        lease in prop_oneof![1..=3_u32, 1..=100_u32],
        instances in 1..6_usize,
        // Half of an answer; some are late.
        trip in prop_oneof![0..40_000_u64, 100_000..300_000_u64],
        // When each comes after the one before, to which instance, and how long it has patience.
        arrivals in prop::collection::vec((0..=9_u64, 0..500_u64, 0..6_usize, 0..=9_u64), 1..150),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let rate = rate(calls, burst);
        let sent = runtime.block_on(async {
            let net = Net::new(Duration::from_micros(trip));
            let limiters: Vec<_> = (0..instances)
                .map(|_| net.limiter(rate, lease, WhenAway::FailClosed))
                .collect();
            let mut tasks = Vec::new();
            for (kind, millis, instance, patience) in arrivals {
                sleep(match kind {
                    0 => Duration::from_secs(7 * 24 * 3600),
                    1..=5 => Duration::ZERO,
                    _ => Duration::from_millis(millis),
                }).await;
                let limiter = limiters[instance % instances].clone();
                tasks.push(tokio::spawn(async move {
                    let patience = if patience == 0 { Duration::from_millis(millis) } else { Duration::from_secs(60) };
                    timeout(patience, send(&limiter)).await.ok()?.ok()
                }));
            }
            let mut sent = Vec::new();
            for task in tasks {
                sent.extend(task.await.expect("no panic"));
            }
            sent
        });
        assert_law(rate, sent);
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_instance_pays_few_round_trips_and_uses_the_rate_up() {
    let mut asked = Vec::new();
    for lease in [1, 10, 50] {
        let net = Net::new(MILLI / 2);
        let rate = rate(1000, 40);
        let limiter = net.limiter(rate, lease, WhenAway::FailClosed);
        let started = Instant::now();
        let sent = busy(&limiter, 20, 100).await;
        let took = *sent.iter().max().expect("some") - started;
        assert_law(rate, sent);
        // One at a time, each costs a round trip; timers tick once a millisecond.
        let least = Duration::from_millis(if lease == 1 { 4000 } else { 1960 });
        assert!(took >= least && took <= least + 150 * MILLI, "{took:?}");
        asked.push(net.leases());
    }
    assert!(
        asked[0] >= 2000 && asked[1] <= 500 && asked[2] <= 100,
        "{asked:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn two_instances_take_turns_and_keep_one_quota() {
    let net = Net::new(MILLI);
    let rate = rate(200, 20);
    let limiters = [10, 10].map(|lease| net.limiter(rate, lease, WhenAway::FailClosed));
    let started = Instant::now();
    let (first, second) = tokio::join!(busy(&limiters[0], 10, 40), busy(&limiters[1], 10, 40));
    // Both were served all the time: neither has half of its calls done before the other begins.
    let half = |sent: &[Instant]| {
        let mut sent = sent.to_vec();
        sent.sort();
        sent[sent.len() / 2] - started
    };
    let apart = half(&first).abs_diff(half(&second));
    assert!(apart < Duration::from_millis(200), "{apart:?}");
    let all: Vec<_> = first.into_iter().chain(second).collect();
    let took = *all.iter().max().expect("some") - started;
    assert_law(rate, all);
    assert!(took <= Duration::from_millis(4200), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_wants_any_more_is_given_back() {
    let net = Net::new(MILLI);
    let rate = rate(100, 10);
    let limiter = net.limiter(rate, 50, WhenAway::FailClosed);
    busy(&limiter, 40, 5).await;
    sleep(Duration::from_millis(300)).await;
    let granted = net.0.granted.load(Ordering::SeqCst);
    let returned = net.0.returned.load(Ordering::SeqCst);
    assert!(returned > 0);
    // What was not returned has lapsed: as much as comes due until it shows that nobody is there.
    assert!(granted - returned <= 200 + 30, "{granted} {returned}");

    // And with the last clone of the limiter.
    busy(&limiter, 40, 1).await;
    drop(limiter);
    sleep(10 * MILLI).await;
    assert!(net.0.returned.load(Ordering::SeqCst) > returned);
}

#[tokio::test(start_paused = true)]
async fn no_one_waits_longer_for_what_others_hold_than_the_horizon() {
    let net = Net::new(MILLI);
    let rate = rate(100, 10);
    let quota = || net.quota(rate, WhenAway::FailClosed).lease(100);
    let limiters: Vec<_> = (0..4)
        .map(|_| RateLimiter::from(quota().horizon(Duration::from_millis(200))))
        .collect();
    let busy: Vec<_> = limiters
        .into_iter()
        .map(|limiter| tokio::spawn(async move { busy(&limiter, 50, 10).await }))
        .collect();
    sleep(Duration::from_secs(3)).await;
    let late = RateLimiter::from(quota());
    let started = Instant::now();
    let waited = send(&late).await.expect("a permit") - started;
    assert!(waited <= Duration::from_millis(300), "{waited:?}");
    for busy in busy {
        busy.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_holds_up_nobody() {
    let net = Net::new(MILLI);
    let limiter = net.limiter(rate(100, 20), 10, WhenAway::FailClosed);
    busy(&limiter, 10, 20).await;
    *net.0.offset.lock().expect("not poisoned") -= Duration::from_secs(3600);
    for _ in 0..100 {
        let sent = send_within(&limiter, Some(Duration::from_secs(5))).await;
        sent.expect("a permit");
    }
}
