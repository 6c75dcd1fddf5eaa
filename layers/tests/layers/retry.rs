//! When a request is sent again, and by which service.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::header::RETRY_AFTER;
use idpflare_layers::{
    Backoff, Call, Retry, RetryBudget, RetryLayer, RetryPolicy, RetryStop, Timeout, TimeoutScope,
};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt};

use crate::support::scripted::{Scripted, Turn};
use crate::support::{poll, reply, request, secs, transport, typed};

fn retry(policy: RetryPolicy, turns: impl Into<Vec<Turn>>) -> (Retry<Scripted>, Scripted) {
    let scripted = Scripted::new(turns);
    (RetryLayer::new(policy).layer(scripted.clone()), scripted)
}

fn within(limit: Duration) -> (http::Request<()>, Call) {
    let (request, call) = request();
    call.shorten_deadline(Instant::now() + limit);
    (request, call)
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_is_the_least_that_is_waited() {
    for (value, wait) in [
        ("7", secs(7)),
        ("Sun, 06 Nov 1994 08:50:07 GMT", secs(30)),
        ("Sun, 06 Nov 1994 08:00:00 GMT", Duration::ZERO),
        ("300", secs(300)),
        ("-1", Duration::ZERO),
        ("soon", Duration::ZERO),
    ] {
        for status in [429, 502, 503] {
            let turns = [Turn::RetryAfter(status, value), Turn::Reply(200)];
            let (service, scripted) = retry(RetryPolicy::new(), turns);
            let reply = service.oneshot(request().0).await.expect("a reply");
            assert_eq!(reply.status(), 200);
            let sent_at = scripted.sent_at();
            let waited = sent_at[1] - sent_at[0];
            let most = wait.max(secs(1)) + Duration::from_millis(2);
            assert!((wait..=most).contains(&waited), "{value}: {waited:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_does_not_fit_is_not_begun() {
    const ABSURD: &str = "1000000000000000000000000000000";
    for (value, limit) in [
        ("30", Some(secs(30))),
        ("31", Some(secs(30))),
        ("301", None),
        (ABSURD, Some(secs(30))),
        (ABSURD, None),
    ] {
        let (service, scripted) = retry(RetryPolicy::new(), [Turn::RetryAfter(429, value)]);
        let (request, call) = request();
        if let Some(limit) = limit {
            call.shorten_deadline(Instant::now() + limit);
        }
        let began = Instant::now();
        let reply = service.oneshot(request).await.expect("the reply itself");
        assert_eq!(reply.status(), 429);
        assert_eq!(reply.headers()[RETRY_AFTER], value);
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert_eq!(scripted.sent_at().len(), 1);
    }
    let patient = RetryPolicy::new().longest_wait(Duration::MAX);
    let turns = [Turn::RetryAfter(429, "86400"), Turn::Reply(200)];
    let (service, _) = retry(patient, turns);
    assert_eq!(
        service
            .oneshot(request().0)
            .await
            .expect("a reply")
            .status(),
        200
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_slept_past_the_deadline() {
    for seed in 0..200 {
        let backoff = Backoff::default().seeded(seed);
        let policy = RetryPolicy::new()
            .attempts(100)
            .budget(RetryBudget::unlimited())
            .backoff(backoff);
        let (service, scripted) = retry(policy, [Turn::Reply(503)]);
        let limit = Duration::from_millis(17 * (seed + 1));
        let (request, call) = within(limit);
        let began = Instant::now();
        let last = service.oneshot(request).await;
        // The clock of the timers ticks in milliseconds.
        assert!(began.elapsed() <= limit + Duration::from_millis(1));
        match last {
            Ok(reply) => assert_eq!(reply.status(), 503),
            Err(error) => assert_eq!(typed::<Timeout>(&error).scope(), TimeoutScope::Call),
        }
        let deadline = call.deadline().expect("one");
        assert!(scripted.sent_at().iter().all(|sent| *sent < deadline));
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_for_readiness_ends_at_the_deadline() {
    let (service, scripted) = retry(RetryPolicy::new(), [Turn::Reply(503), Turn::NeverReady]);
    let (request, call) = within(secs(5));
    let began = Instant::now();
    let error = service.oneshot(request).await.expect_err("the deadline");
    assert_eq!(typed::<Timeout>(&error).scope(), TimeoutScope::Call);
    assert_eq!(began.elapsed(), secs(5));
    assert_eq!((scripted.sent_at().len(), call.attempts()), (1, 1));
    assert!(call.last_failure().is_some());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_sent_in_the_end_costs_nothing() {
    for (second, cancelled_after) in [
        (Turn::NeverReady, None),
        (Turn::NeverReady, Some(secs(2))),
        // Still waiting for its turn.
        (Turn::Reply(200), Some(Duration::ZERO)),
    ] {
        let decisions = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&decisions);
        let budget = RetryBudget::new(100);
        let policy = RetryPolicy::new()
            .budget(budget.clone())
            .on_decision(move |decision| {
                let decision = (decision.attempt, decision.stopped);
                log.lock().expect("no panic").push(decision);
            });
        let (service, scripted) = retry(policy, [Turn::RetryAfter(503, "1"), second]);
        let (request, _) = within(secs(5));
        let sending = service.oneshot(request);
        match cancelled_after {
            None => assert!(sending.await.is_err()),
            Some(after) => assert!(tokio::time::timeout(after, sending).await.is_err()),
        }
        assert_eq!(scripted.sent_at().len(), 1);
        assert_eq!(budget.available(), Some(100));
        // Nobody hears that there is another attempt, and then nothing.
        let told = decisions.lock().expect("no panic").clone();
        match cancelled_after {
            None => assert_eq!(told, [(1, None), (2, Some(RetryStop::Final))]),
            Some(_) => assert_eq!(told, [(1, None)]),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_clone_that_fails_to_be_ready_uses_up_an_attempt() {
    use Turn::{FailsReadiness, Reply};
    for (turns, outcome, sends) in [
        (vec![Reply(503), FailsReadiness, Reply(200)], Ok(200), 2),
        (vec![Reply(503), FailsReadiness], Err("not ready"), 1),
        (vec![Reply(503), FailsReadiness, Reply(502)], Ok(502), 2),
    ] {
        let (service, scripted) = retry(RetryPolicy::new(), turns);
        let (request, call) = request();
        let last = service.oneshot(request).await;
        let last = last.map(|reply| reply.status().as_u16());
        assert_eq!(
            last.map_err(|error| error.to_string()),
            outcome.map_err(Into::into)
        );
        assert_eq!(scripted.sent_at().len(), sends);
        assert_eq!(
            call.attempts() as usize,
            sends,
            "what was not sent is not counted"
        );
    }
    // Nothing of the second attempt went out, so even what must act once can be tried once more.
    let turns = [Reply(429), FailsReadiness, Reply(200)];
    let (service, _) = retry(RetryPolicy::new(), turns);
    let (mut once, _) = request();
    *once.method_mut() = http::Method::POST;
    assert_eq!(service.oneshot(once).await.expect("a reply").status(), 200);
}

#[tokio::test(start_paused = true)]
async fn the_budget_ends_retries_and_success_refills_it() {
    let budget = RetryBudget::new(27);
    let policy = RetryPolicy::new().budget(budget.clone());
    let layer = RetryLayer::new(policy);
    let run = |turns: Vec<Turn>| {
        let scripted = Scripted::new(turns);
        let service = layer.layer(scripted.clone());
        async move {
            let _ = service.oneshot(request().0).await;
            scripted.sent_at().len()
        }
    };
    assert_eq!(run(vec![Turn::Lost]).await, 3);
    assert_eq!(budget.available(), Some(17));
    assert_eq!(run(vec![Turn::TimesOut]).await, 2);
    assert_eq!(budget.available(), Some(7));
    assert_eq!(run(vec![Turn::TimesOut]).await, 1);
    assert_eq!(run(vec![Turn::Lost, Turn::Reply(200)]).await, 2);
    assert_eq!(
        budget.available(),
        Some(7),
        "a success gives back what its retry took"
    );
    assert_eq!(run(vec![Turn::Reply(200)]).await, 1);
    assert_eq!(budget.available(), Some(8));
    assert_eq!(run(vec![Turn::Reply(404)]).await, 1);
    assert_eq!(budget.available(), Some(8), "a refusal is no success");
    for _ in 0..100 {
        run(vec![Turn::Reply(200)]).await;
    }
    assert_eq!(budget.available(), Some(27));
}

#[tokio::test(start_paused = true)]
async fn the_hook_sees_every_decision() {
    type Seen = (u32, Option<u16>, bool, Option<RetryStop>);
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let policy = |budget| {
        let seen = Arc::clone(&seen);
        RetryPolicy::new()
            .budget(budget)
            .on_decision(move |decision| {
                let status = decision.outcome.status().map(|status| status.as_u16());
                assert_eq!(decision.outcome.error().is_none(), status.is_some());
                let mut seen = seen.lock().expect("no panic");
                seen.push((
                    decision.attempt,
                    status,
                    decision.delay.is_some(),
                    decision.stopped,
                ));
            })
    };
    let unlimited = RetryBudget::unlimited;
    let cases: Vec<(RetryBudget, Vec<Turn>, bool, Vec<Seen>)> = vec![
        (
            unlimited(),
            vec![Turn::Reply(503), Turn::Lost, Turn::Reply(200)],
            false,
            vec![
                (1, Some(503), true, None),
                (2, None, true, None),
                (3, Some(200), false, Some(RetryStop::Final)),
            ],
        ),
        (
            unlimited(),
            vec![Turn::Reply(503)],
            false,
            vec![
                (1, Some(503), true, None),
                (2, Some(503), true, None),
                (3, Some(503), true, Some(RetryStop::Attempts)),
            ],
        ),
        (
            unlimited(),
            vec![Turn::Lost],
            true,
            vec![(1, None, false, Some(RetryStop::Unsafe))],
        ),
        (
            unlimited(),
            vec![Turn::Reply(421)],
            true,
            vec![
                (1, Some(421), true, None),
                (2, Some(421), false, Some(RetryStop::TriedOnce)),
            ],
        ),
        (
            unlimited(),
            vec![Turn::RetryAfter(429, "60")],
            false,
            vec![(1, Some(429), true, Some(RetryStop::Deadline))],
        ),
        (
            RetryBudget::new(4),
            vec![Turn::Lost],
            false,
            vec![(1, None, true, Some(RetryStop::Budget))],
        ),
    ];
    for (budget, turns, post, expected) in cases {
        let (service, _) = retry(policy(budget), turns);
        let (mut request, _) = within(secs(30));
        if post {
            *request.method_mut() = http::Method::POST;
        }
        let _ = service.oneshot(request).await;
        let seen = std::mem::take(&mut *seen.lock().expect("no panic"));
        assert_eq!(seen, expected);
    }
    let (service, _) = retry(policy(unlimited()), [Turn::RetryAfter(429, "301")]);
    let _ = service.oneshot(request().0).await;
    let stopped = seen.lock().expect("no panic")[0].3;
    assert_eq!(stopped, Some(RetryStop::LongWait));
}

#[tokio::test(start_paused = true)]
async fn calls_that_fail_together_do_not_come_back_together() {
    let (service, scripted) = retry(RetryPolicy::new().attempts(2), [Turn::Reply(429)]);
    let calls: Vec<_> = (0..20)
        .map(|_| tokio::spawn(service.clone().oneshot(request().0)))
        .collect();
    for call in calls {
        assert!(call.await.expect("no panic").is_ok());
    }
    let sent_at: std::collections::HashSet<_> = scripted.sent_at().into_iter().collect();
    assert!(sent_at.len() > 15, "{}", sent_at.len());
}

#[tokio::test(start_paused = true)]
async fn cancelled_at_any_point_it_leaves_nothing_behind() {
    for second in [Turn::Hangs, Turn::NeverReady, Turn::Reply(503)] {
        for polls in 0..6 {
            let (service, scripted) = retry(RetryPolicy::new(), [Turn::Reply(429), second]);
            let held = Arc::strong_count(&scripted.turns);
            let token = Arc::new(());
            let (mut request, call) = request();
            request.extensions_mut().insert(Arc::clone(&token));
            {
                let mut sending = pin!(service.clone().oneshot(request));
                for _ in 0..polls {
                    if poll(sending.as_mut()).is_ready() {
                        break;
                    }
                    tokio::time::advance(secs(1)).await;
                }
            }
            assert_eq!(
                Arc::strong_count(&scripted.turns),
                held,
                "{second:?} {polls}"
            );
            assert_eq!(Arc::strong_count(&token), 1, "{second:?} {polls}");
            assert!(call.attempts() <= 3);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_service_that_was_ready_makes_the_first_attempt() {
    let (transport, mut server) = transport();
    let mut service = RetryLayer::default().layer(transport);
    server.allow(1);
    service.ready().await.expect("ready");
    // The only permit is the one that was given to this very service.
    let mut sending = pin!(service.call(request().0));
    assert!(poll(sending.as_mut()).is_pending());
    let (_, respond) = server.next_request().await.expect("sent");
    server.allow(0);
    respond.send_response(reply(503));
    for _ in 0..5 {
        assert!(poll(sending.as_mut()).is_pending());
        tokio::time::advance(secs(1)).await;
    }
    assert!(server.poll_request().is_pending(), "no permit, no attempt");
    server.allow(1);
    assert!(poll(sending.as_mut()).is_pending());
    let (_, respond) = server.next_request().await.expect("sent again");
    respond.send_response(reply(200));
    assert_eq!(sending.await.expect("a reply").status(), 200);
}
