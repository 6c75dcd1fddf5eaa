//! What pauses a limiter, and what comes after.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_refusal_pauses_all_clones_and_one_goes_first_then() {
    let (transport, mut server) = transport();
    let limiter = RateLimiter::new(rate(1000).with_burst(100).expect("a burst"));
    let service = RateLimitLayer::new(limiter.clone()).layer(transport.clone());
    let other = RateLimitLayer::new(limiter).layer(transport);

    let first = tokio::spawn(send(&service));
    answer(&mut server, reply(429, &[("retry-after", "20")])).await;
    assert_eq!(
        first.await.expect("no panic").expect("a reply").status(),
        429
    );
    let paused = Instant::now();

    let probe = tokio::spawn(send(&other));
    sleep(MILLI).await;
    let behind: Vec<_> = (0..10).map(|_| tokio::spawn(send(&service))).collect();
    let (_, respond) = server.next_request().await.expect("the probe");
    assert_eq!(paused.elapsed(), secs(20));
    // The others wait for its answer.
    sleep(MILLI * 900).await;
    assert!(arrived(&mut server).is_none());
    respond.send_response(reply(200, &[]));
    assert!(probe.await.expect("no panic").is_ok());
    for _ in &behind {
        answer(&mut server, reply(200, &[])).await;
    }
    assert_eq!(paused.elapsed(), secs(20) + MILLI * 900);
}

#[tokio::test(start_paused = true)]
async fn what_pauses_and_for_how_long() {
    let absurd = "1000000000000000000000000000000";
    for (status, lines, pause) in [
        (200, &[][..], None),
        (429, &[("retry-after", "20")], Some(20)),
        (429, &[("retry-after", absurd)], Some(20)),
        (503, &[], None),
        // It speaks of its own resource.
        (503, &[("retry-after", "20")], None),
        (200, &[("retry-after", "20")], None),
        (200, &[("ratelimit", "\"a\";r=0;t=15")], Some(15)),
        (200, &[("ratelimit", "\"a\";r=1;t=30")], None),
        (
            200,
            &[("ratelimit", "limit=9, remaining=0, reset=15")],
            Some(15),
        ),
        (
            200,
            &[
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", absurd),
            ],
            Some(20),
        ),
        (
            200,
            &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "-9")],
            None,
        ),
        (
            200,
            &[
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", "99999999999"),
            ],
            Some(20),
        ),
        (
            404,
            &[("ratelimit-remaining", "0"), ("ratelimit-reset", "7")],
            Some(7),
        ),
    ] {
        let (transport, mut server) = transport();
        let limiter = RateLimiter::new(rate(1000).with_burst(9).expect("a burst"));
        let service = RateLimitLayer::new(limiter).layer(transport);
        let first = tokio::spawn(send(&service));
        answer(&mut server, reply(status, lines)).await;
        let handed_on = first.await.expect("no panic").expect("a reply");
        assert_eq!(handed_on.status(), status, "as it is");
        let since = Instant::now();
        let second = tokio::spawn(send(&service));
        answer(&mut server, reply(200, &[])).await;
        assert!(second.await.expect("no panic").is_ok());
        let waited = since.elapsed();
        assert_eq!(waited, secs(pause.unwrap_or(0)), "{status} {lines:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_refused_starts_the_next_pause() {
    let (transport, mut server) = transport();
    let limiter = RateLimiter::new(rate(1000));
    let service = RateLimitLayer::new(limiter.clone()).layer(transport);
    limiter.pause(secs(10));
    let started = Instant::now();
    let _replies: Vec<_> = (0..3).map(|_| tokio::spawn(send(&service))).collect();
    for (at, with) in [
        (10, reply(429, &[("retry-after", "5")])),
        (15, reply(200, &[("ratelimit", "\"a\";r=0;t=5")])),
        (20, reply(500, &[])),
    ] {
        answer(&mut server, with).await;
        assert_eq!(started.elapsed().as_secs(), at);
    }
}

#[tokio::test(start_paused = true)]
async fn where_a_probe_is_dropped_the_next_one_goes_first() {
    let (transport, mut server) = transport();
    let limiter = RateLimiter::new(rate(1000));
    let service = RateLimitLayer::new(limiter.clone()).layer(transport);
    limiter.pause(secs(10));
    let probe = tokio::spawn(send(&service));
    sleep(MILLI).await;
    let next = tokio::spawn(send(&service));
    sleep(MILLI).await;
    let last = tokio::spawn(send(&service));

    let _unanswered = server.next_request().await.expect("the probe");
    sleep(MILLI * 400).await;
    assert!(arrived(&mut server).is_none());
    probe.abort();
    let (_, respond) = server.next_request().await.expect("the next one");
    // It is a probe as well.
    sleep(MILLI * 400).await;
    assert!(arrived(&mut server).is_none());
    // An error tells nothing of the limit, and the pause was over.
    respond.send_error("gone");
    assert!(next.await.expect("no panic").is_err());
    answer(&mut server, reply(200, &[])).await;
    assert!(last.await.expect("no panic").is_ok());
}

#[tokio::test(start_paused = true)]
async fn pauses_are_bounded_never_shortened_and_can_be_turned_off() {
    let (log, _served) = Log::new();
    for (max_pause, pauses, expected) in [
        (secs(60), &[secs(5)][..], secs(5)),
        (secs(60), &[secs(9), secs(5), Duration::ZERO], secs(9)),
        (secs(60), &[secs(3600)], secs(60)),
        (secs(7), &[Duration::MAX], secs(7)),
        (Duration::MAX, &[Duration::MAX], DAY),
        (Duration::ZERO, &[Duration::MAX], Duration::ZERO),
    ] {
        let limiter = RateLimiter::builder(rate(1000))
            .max_pause(max_pause)
            .build();
        let service = RateLimitLayer::new(limiter.clone()).layer(log.clone());
        let started = Instant::now();
        for pause in pauses {
            limiter.pause(*pause);
        }
        let reply = service.oneshot(http::Request::new(0)).await;
        assert!(reply.is_ok());
        assert_eq!(started.elapsed(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_probe_holds_others_for_no_more_than_a_second() {
    for drops in [false, true] {
        let (transport, mut server) = transport();
        let limiter = RateLimiter::new(rate(1000));
        let service = RateLimitLayer::new(limiter.clone()).layer(transport);
        limiter.pause(secs(10));
        let started = Instant::now();
        let probe = tokio::spawn(send(&service));
        sleep(MILLI).await;
        let _others: Vec<_> = (0..3).map(|_| tokio::spawn(send(&service))).collect();
        let _unanswered = server.next_request().await.expect("the probe");
        assert_eq!(started.elapsed(), secs(10));
        let mut slow = Vec::new();
        if drops {
            // The next one does not begin a second of its own.
            sleep(MILLI * 900).await;
            probe.abort();
            slow.push(server.next_request().await.expect("the next probe"));
        }
        let _unanswered = server.next_request().await.expect("another");
        assert_eq!(started.elapsed(), secs(11));
        let _unanswered = server.next_request().await.expect("another");
    }
}

#[tokio::test(start_paused = true)]
async fn any_answer_that_asks_for_no_pause_ends_the_wait_for_a_probe() {
    let (transport, mut server) = transport();
    let limiter = RateLimiter::new(rate(1000));
    let service = RateLimitLayer::new(limiter.clone()).layer(transport);
    let _earlier = tokio::spawn(send(&service));
    let (_, earlier) = server.next_request().await.expect("one of before");
    limiter.pause(secs(10));
    let started = Instant::now();
    let _replies: Vec<_> = (0..2).map(|_| tokio::spawn(send(&service))).collect();
    let _unanswered = server.next_request().await.expect("the probe");
    sleep(MILLI * 300).await;
    earlier.send_response(reply(200, &[]));
    let _other = server.next_request().await.expect("the other");
    assert_eq!(started.elapsed(), secs(10) + MILLI * 300);
}

#[tokio::test(start_paused = true)]
async fn an_answer_does_not_shorten_a_pause() {
    let (transport, mut server) = transport();
    let limiter = RateLimiter::new(rate(1000));
    let service = RateLimitLayer::new(limiter.clone()).layer(transport);
    let _earlier = tokio::spawn(send(&service));
    let (_, earlier) = server.next_request().await.expect("one of before");
    limiter.pause(secs(10));
    let started = Instant::now();
    earlier.send_response(reply(200, &[]));
    let _later = tokio::spawn(send(&service));
    let _sent = server.next_request().await.expect("the later one");
    assert_eq!(started.elapsed(), secs(10));
}
