//! How long a request may wait.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_too_long_fails_at_once() {
    let (transport, _server) = transport();
    let limiter = RateLimiter::builder(rate(1)).max_wait(secs(3)).build();
    let service = RateLimitLayer::new(limiter.clone()).layer(DeliveryLayer::new().layer(transport));
    let send = |deadline: u64| {
        let (request, call) = request();
        call.shorten_deadline(Instant::now() + secs(deadline));
        (Box::pin(service.clone().oneshot(request)), call)
    };
    let started = Instant::now();
    let mut queued: Vec<_> = (0..4).map(|_| send(100).0).collect();
    for queued in &mut queued {
        assert!(poll(queued.as_mut()).is_pending());
    }
    // Those ahead count.
    let (fifth, call) = send(100);
    let error = fifth.await.expect_err("it would wait for four seconds");
    assert_eq!(typed::<RateLimited>(&error).retry_after(), secs(4));
    assert_eq!(Delivery::of_error(&*error), Delivery::NotSent);
    assert_eq!((call.attempts(), call.delivery()), (0, Delivery::NotSent));
    assert_eq!(
        error.to_string(),
        "not sent: the rate limit asks for a wait of 4s, and no call may wait for more than 3s"
    );

    // So does the deadline of the call, where it comes first.
    let error = send(2).0.await.expect_err("it would wait for four seconds");
    assert_eq!(typed::<RateLimited>(&error).retry_after(), secs(4));
    assert_eq!(
        error.to_string(),
        "not sent: the rate limit asks for a wait of 4s, and the call has 2s left"
    );

    // And a pause.
    drop(queued);
    limiter.pause(secs(20));
    let error = send(100).0.await.expect_err("it would wait for the pause");
    assert_eq!(typed::<RateLimited>(&error).retry_after(), secs(20));
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn what_has_no_time_left_takes_no_permit() {
    let (log, served) = Log::new();
    let limiter = RateLimiter::new(rate(1));
    let service = RateLimitLayer::new(limiter).layer(log);
    let mut late = http::Request::new(1);
    Call::of_or_insert(&mut late).limit_to(Duration::ZERO);
    let error = service.clone().oneshot(late).await.expect_err("too late");
    assert_eq!(typed::<Timeout>(&error).scope(), TimeoutScope::Call);
    let started = Instant::now();
    assert!(service.oneshot(http::Request::new(2)).await.is_ok());
    assert_eq!(logged(served), [(2, started)]);
}

#[tokio::test(start_paused = true)]
async fn who_waits_already_is_told_when_a_pause_makes_it_too_long() {
    let (log, _served) = Log::new();
    let limiter = RateLimiter::builder(rate(1)).max_wait(secs(5)).build();
    let service = RateLimitLayer::new(limiter.clone()).layer(log);
    let started = Instant::now();
    let replies: Vec<_> = (0..4)
        .map(|number| tokio::spawn(service.clone().oneshot(http::Request::new(number))))
        .collect();
    sleep(Duration::from_millis(500)).await;
    limiter.pause(secs(30));
    let mut replies = replies.into_iter();
    let first = replies.next().expect("the first").await.expect("no panic");
    assert!(first.is_ok());
    for reply in replies {
        let error = reply.await.expect("no panic").expect_err("paused");
        assert!(typed::<RateLimited>(&error).retry_after() >= secs(19));
    }
    assert!(started.elapsed() < secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_wait_of_unknown_length_ends_at_the_deadline_or_after_max_wait() {
    for (max_wait, deadline, expected) in [
        (None, Some(800), 800),
        (Some(500), Some(800), 500),
        (Some(800), Some(500), 500),
        (Some(500), None, 500),
    ] {
        let (transport, mut server) = transport();
        let mut limiter = RateLimiter::builder(rate(1000));
        if let Some(max_wait) = max_wait {
            limiter = limiter.max_wait(MILLI * max_wait);
        }
        let limiter = limiter.build();
        let service = RateLimitLayer::new(limiter.clone()).layer(transport);
        // The probe is not answered within the second for which others wait.
        limiter.pause(Duration::ZERO);
        let probe = tokio::spawn(send(&service));
        let _unanswered = server.next_request().await.expect("the probe");

        // The first in line and the one behind it.
        let waits: Vec<_> = (0..2)
            .map(|_| {
                let (request, call) = request();
                if let Some(deadline) = deadline {
                    call.shorten_deadline(Instant::now() + MILLI * deadline);
                }
                tokio::spawn(service.clone().oneshot(request))
            })
            .collect();
        let started = Instant::now();
        for wait in waits {
            let error = wait.await.expect("no panic").expect_err("the wait is over");
            assert_eq!(started.elapsed(), MILLI * expected);
            if max_wait == Some(expected) {
                typed::<RateLimited>(&error);
            } else {
                assert_eq!(typed::<Timeout>(&error).scope(), TimeoutScope::Call);
            }
        }
        probe.abort();
        assert!(arrived(&mut server).is_none(), "nothing was sent");
    }
}

#[tokio::test(start_paused = true)]
async fn limits_of_zero_or_beyond_the_clock_have_an_outcome() {
    let (log, _served) = Log::new();
    let limiter = RateLimiter::builder(rate(1))
        .max_wait(Duration::ZERO)
        .build();
    let service = RateLimitLayer::new(limiter).layer(log.clone());
    let send = || service.clone().oneshot(http::Request::new(0));
    assert!(send().await.is_ok(), "without a wait");
    assert!(typed::<RateLimited>(&send().await.expect_err("a wait")).retry_after() > 999 * MILLI);

    let limiter = RateLimiter::builder(rate(1))
        .max_wait(Duration::MAX)
        .build();
    let service = RateLimitLayer::new(limiter).layer(log);
    for _ in 0..3 {
        let reply = service.clone().oneshot(http::Request::new(0)).await;
        assert!(reply.is_ok());
    }

    // A deadline that has passed already.
    let mut late = http::Request::new(0);
    let call = Call::of_or_insert(&mut late);
    call.shorten_deadline(Instant::now());
    sleep(MILLI).await;
    let error = service.oneshot(late).await.expect_err("too late");
    assert_eq!(typed::<Timeout>(&error).scope(), TimeoutScope::Call);
}
