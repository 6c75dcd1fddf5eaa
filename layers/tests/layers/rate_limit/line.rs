//! Who is let through, in what order, and when.

use super::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_window_grants_at_most_the_burst_and_its_share(
        calls in prop_oneof![1..=5_u32, 1..=2000_u32, Just(u32::MAX)],
        burst in prop_oneof![1..=3_u32, 1..=100_u32, Just(u32::MAX)],
        // When each comes after the one before, and how long it has patience.
        arrivals in prop::collection::vec((0..=9_u64, 0..500_u64, 0..=9_u64), 1..150),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let rate = rate(calls).with_burst(burst).expect("a burst");
        let count = arrivals.len();
        let (served, impatient) = runtime.block_on(async {
            let (log, served) = Log::new();
            let service = RateLimitLayer::new(RateLimiter::new(rate)).layer(log);
            let mut tasks = Vec::new();
            for (number, (kind, millis, patience)) in arrivals.into_iter().enumerate() {
                sleep(match kind {
                    0 => 7 * DAY,
                    1..=5 => Duration::ZERO,
                    _ => Duration::from_millis(millis),
                }).await;
                let reply = service.clone().oneshot(http::Request::new(number));
                tasks.push(tokio::spawn(async move {
                    let patience = if patience == 0 { Duration::from_millis(millis) } else { 365 * DAY };
                    tokio::time::timeout(patience, reply).await.is_err()
                }));
            }
            let mut impatient = 0;
            for task in tasks {
                impatient += usize::from(task.await.expect("no panic"));
            }
            (logged(served), impatient)
        });
        prop_assert_eq!(served.len() + impatient, count);
        prop_assert!(served.is_sorted_by_key(|(number, _)| *number), "in order");
        for (first, (_, from)) in served.iter().enumerate() {
            for (last, (_, to)) in served.iter().enumerate().skip(first) {
                let share = (*to - *from).as_nanos() / rate.interval().as_nanos();
                let granted = u128::try_from(last - first + 1).expect("fits");
                prop_assert!(granted <= u128::from(burst) + share);
            }
        }
    }

    #[test]
    fn who_gives_up_at_any_time_loses_no_slot(
        abort_at in prop::collection::vec(prop::option::of(0..900_u64), 2..200),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let (started, served) = runtime.block_on(async {
            let (log, served) = Log::new();
            let service = RateLimitLayer::new(RateLimiter::new(rate(100))).layer(log);
            let started = Instant::now();
            let tasks: Vec<_> = abort_at.iter().enumerate().map(|(number, at)| {
                let reply = service.clone().oneshot(http::Request::new(number));
                let at = at.map_or(DAY, Duration::from_millis);
                tokio::spawn(async move { drop(tokio::time::timeout(at, reply).await) })
            }).collect();
            for task in tasks {
                task.await.expect("no panic");
            }
            (started, logged(served))
        });
        // All that stayed were served, and the slots were used without a gap.
        for (number, at) in abort_at.iter().enumerate() {
            let was_served = served.iter().any(|(served, _)| *served == number);
            prop_assert!(was_served || at.is_some());
        }
        prop_assert!(served.is_sorted_by_key(|(number, _)| *number));
        for (slot, (_, at)) in served.iter().enumerate() {
            let due = 10 * MILLI * u32::try_from(slot).expect("fits");
            let at = *at - started;
            prop_assert!(at >= due && at <= due + MILLI, "slot {slot} at {at:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_are_served_in_order_and_rarely_polled() {
    let (log, served) = Log::new();
    let service = RateLimitLayer::new(RateLimiter::new(rate(100))).layer(log);
    let tasks: Vec<_> = (0..1000)
        .map(|number| {
            let mut reply = Box::pin(service.clone().oneshot(http::Request::new(number)));
            tokio::spawn(async move {
                let mut polls = 0;
                let reply = poll_fn(|cx| {
                    polls += 1;
                    reply.as_mut().poll(cx)
                });
                reply.await.expect("a reply");
                polls
            })
        })
        .collect();
    for task in tasks {
        // To get in line, when it is the first in line, and when there is a permit.
        assert!(task.await.expect("no panic") <= 3);
    }
    let served = logged(served);
    assert_eq!(served.len(), 1000);
    assert!(served.is_sorted_by_key(|(number, _)| *number));
}

#[tokio::test(start_paused = true)]
async fn extreme_quotas_and_idle_weeks_are_harmless() {
    let (log, served) = Log::new();
    let fastest = Rate::new(u32::MAX, Duration::from_nanos(1)).expect("a rate");
    let fastest = fastest.with_burst(u32::MAX).expect("a burst");
    let service = RateLimitLayer::new(RateLimiter::new(fastest)).layer(log.clone());
    for number in 0..10_000 {
        let reply = service.clone().oneshot(http::Request::new(number));
        reply.await.expect("a reply");
    }
    advance(7 * DAY).await;
    let reply = service.oneshot(http::Request::new(10_000)).await;
    reply.expect("a reply");
    assert_eq!(logged(served).len(), 10_001);

    let slowest = Rate::new(1, Duration::from_nanos(u64::MAX)).expect("a rate");
    let service = RateLimitLayer::new(RateLimiter::new(slowest)).layer(log);
    let reply = service.clone().oneshot(http::Request::new(0)).await;
    reply.expect("the first one");
    let mut second = http::Request::new(1);
    let call = Call::of_or_insert(&mut second);
    call.shorten_deadline(Instant::now() + DAY);
    let error = service
        .clone()
        .oneshot(second)
        .await
        .expect_err("584 years");
    let limited = typed::<RateLimited>(&error);
    assert_eq!(limited.retry_after(), slowest.interval());
    // Without a deadline it waits, and asks for nothing meanwhile.
    let third = service.oneshot(http::Request::new(2));
    assert!(tokio::time::timeout(7 * DAY, third).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn cancelled_at_any_point_it_makes_room_for_the_next() {
    // In line as the first, in line behind another, sent, and sent as a probe.
    for (cancelled, pause) in [(1, false), (2, false), (0, false), (0, true), (1, true)] {
        let (transport, mut server) = transport();
        let limiter = RateLimiter::new(rate(1));
        let service = RateLimitLayer::new(limiter.clone()).layer(transport);
        if pause {
            limiter.pause(Duration::ZERO);
        }
        let started = Instant::now();
        let mut replies: Vec<_> = (0..4).map(|_| tokio::spawn(send(&service))).collect();
        sleep(MILLI).await;
        let mut sent = vec![arrived(&mut server).expect("the first one")];
        replies.remove(cancelled).abort();
        let left = if cancelled == 0 { 3 } else { 2 };
        for second in 1..=left {
            if pause && cancelled > 0 && second == 1 {
                let probe = sent.remove(0);
                probe.send_response(reply(200, &[]));
            }
            let (_, respond) = server.next_request().await.expect("the next one");
            assert_eq!(started.elapsed().as_secs(), second);
            respond.send_response(reply(200, &[]));
        }
        sleep(secs(10)).await;
        assert!(arrived(&mut server).is_none());
    }
}

#[test]
fn clones_on_two_threads_share_one_quota() {
    const PATIENT: usize = 50;
    let rate = rate(1000).with_burst(5).expect("a burst");
    let limiter = RateLimiter::new(rate);
    let started = std::time::Instant::now();
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let limiter = limiter.clone();
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_time()
                    .build()
                    .expect("a runtime");
                let (log, served) = Log::new();
                let service = RateLimitLayer::new(limiter).layer(log);
                runtime.block_on(async {
                    let tasks: Vec<_> = (0..2 * PATIENT)
                        .map(|number| {
                            let reply = service.clone().oneshot(http::Request::new(number));
                            // Every other one gives up, one after another.
                            let patience = match number % 2 {
                                0 => secs(60),
                                _ => MILLI * u32::try_from(number).expect("fits"),
                            };
                            tokio::spawn(tokio::time::timeout(patience, reply))
                        })
                        .collect();
                    for task in tasks {
                        let _ = task.await.expect("no panic");
                    }
                });
                logged(served).into_iter().map(|(number, _)| number)
            })
        })
        .collect();
    let mut served = 0;
    for thread in threads {
        let numbers: Vec<_> = thread.join().expect("no panic").collect();
        // A thread that the system holds up loses its places, so their order says nothing.
        let patient = numbers.iter().filter(|number| *number % 2 == 0).count();
        assert_eq!(patient, PATIENT, "nobody was forgotten");
        served += u32::try_from(numbers.len()).expect("fits");
    }
    assert!(started.elapsed() >= (served - rate.burst()) * rate.interval());
    assert!(started.elapsed() < secs(20));
}
