//! A provider's limit, the refresh ahead of expiry, and callers on several runtimes.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::header::AUTHORIZATION;
use idpflare_layers::{
    ApiKey, AttemptTimeoutLayer, BoxError, Credential, CredentialError, KeyHandle,
};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::{Instant, sleep, timeout};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

use crate::credential::{Answer, Slow, get, key, layer, server};
use crate::support::{poll, secs, typed};

/// Longer than any test takes that does not fail.
const LONG: Duration = Duration::from_secs(60);

/// A handle whose provider takes `time` for each answer, with keys of this lifetime, which are numbered
/// from one; and the number of questions.
fn numbered(time: Duration, lifetime: Option<Duration>) -> (KeyHandle, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let handle = KeyHandle::from_provider(move || {
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        async move {
            sleep(time).await;
            let credential = Credential::new(ApiKey::new(format!("idk_{number}"))?);
            Ok::<_, BoxError>(match lifetime {
                Some(lifetime) => credential.expires_in(lifetime),
                None => credential,
            })
        }
    });
    (handle, asked)
}

#[tokio::test(start_paused = true)]
async fn a_slow_provider_has_the_time_that_is_set() {
    for (limit, is_enough) in [
        (None, false),
        (Some(secs(7)), true),
        (Some(Duration::MAX), true),
    ] {
        let (mut handle, _) = numbered(secs(6), None);
        if let Some(limit) = limit {
            handle = handle.provider_limit(limit);
        }
        let (server, _) = server(&Arc::new(Mutex::new("idk_1")));
        let outcome = layer(&handle).layer(server).oneshot(get()).await;
        assert_eq!(outcome.is_ok(), is_enough, "{limit:?}");
        if let Err(error) = outcome {
            assert!(typed::<CredentialError>(&error).is_timeout());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_serves_later_attempts_than_the_one_that_asked() {
    let (handle, asked) = numbered(secs(6), None);
    let (server, _) = server(&Arc::new(Mutex::new("idk_1")));
    let service = ServiceBuilder::new()
        .layer(AttemptTimeoutLayer::new(secs(4)))
        .layer(layer(&handle.provider_limit(secs(10))))
        .service(server);
    assert!(service.clone().oneshot(get()).await.is_err());
    service
        .oneshot(get())
        .await
        .expect("after two seconds more");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_ahead_stalls_no_call() {
    let lifetime = secs(60);
    let (handle, asked) = numbered(secs(1), Some(lifetime));
    // The time at which each key was sent first, by number.
    let first_sent = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&first_sent);
    let server = service_fn(move |request: http::Request<()>| {
        let bearer = request.headers()[AUTHORIZATION].to_str().expect("text");
        let number: usize = bearer["Bearer idk_".len()..].parse().expect("a number");
        let mut first_sent = keep.lock().expect("no panic");
        if first_sent.len() < number {
            first_sent.push(Instant::now());
        }
        assert_eq!(first_sent.len(), number, "keys are sent in order");
        assert!(
            first_sent[number - 1].elapsed() < lifetime,
            "{number} expired"
        );
        std::future::ready(Ok::<_, BoxError>(http::Response::new(())))
    });
    let service = layer(&handle).layer(server);
    service.clone().oneshot(get()).await.expect("a reply");
    for _ in 0..6_000 {
        sleep(Duration::from_millis(100)).await;
        let started = Instant::now();
        service.clone().oneshot(get()).await.expect("a reply");
        assert_eq!(started.elapsed(), Duration::ZERO, "a call waited");
    }
    // Each was asked for in the last tenth to fifth of its predecessor's lifetime.
    let asked = asked.load(Ordering::SeqCst);
    assert!((11..=14).contains(&asked), "{asked} keys in ten minutes");
}

#[tokio::test(start_paused = true)]
async fn a_failed_refresh_ahead_keeps_the_key_and_is_tried_again() {
    for failure in [Answer::Fail, Answer::Hang] {
        let lifetime = Some(secs(600));
        let keys = [
            Answer::Key("idk_one", lifetime),
            Answer::Key("idk_two", lifetime),
        ];
        let [one, two] = keys;
        let (provider, handle) = Slow::new([one, failure.clone(), failure, two]);
        let handle = handle.provider_limit(secs(2));
        let valid = Arc::new(Mutex::new("idk_one"));
        let (server, seen) = server(&valid);
        let service = layer(&handle).layer(server);
        service.clone().oneshot(get()).await.expect("a reply");
        for _ in 0..3_000 {
            sleep(Duration::from_millis(200)).await;
            let started = Instant::now();
            service.clone().oneshot(get()).await.expect("a reply");
            assert_eq!(started.elapsed(), Duration::ZERO, "a call waited");
            if provider.asked() == 4 {
                break;
            }
        }
        assert_eq!(provider.asked(), 4);
        sleep(secs(1)).await;
        *valid.lock().expect("no panic") = "idk_two";
        service.oneshot(get()).await.expect("a reply");
        let last = seen.lock().expect("no panic").last().cloned();
        assert_eq!(last.as_deref(), Some("Bearer idk_two"));
    }
}

#[tokio::test(start_paused = true)]
async fn processes_that_start_together_do_not_refresh_together() {
    let mut times = BTreeSet::new();
    for _ in 0..20 {
        let (handle, asked) = numbered(Duration::ZERO, Some(secs(3_600)));
        let (server, _) = server(&Arc::new(Mutex::new("idk_1")));
        let service = layer(&handle).layer(server);
        let started = Instant::now();
        while asked.load(Ordering::SeqCst) < 2 {
            service.clone().oneshot(get()).await.expect("a reply");
            sleep(secs(1)).await;
        }
        let after = started.elapsed();
        assert!((secs(2_880)..=secs(3_242)).contains(&after), "{after:?}");
        times.insert(after);
    }
    assert!(times.len() > 10, "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn no_task_is_left_when_the_handle_is_dropped() {
    let hour = Some(secs(3_600));
    let alive = Handle::current().metrics();
    for (answers, is_valid) in [
        (vec![Answer::Hang], false),
        (vec![Answer::Key("idk_one", hour), Answer::Hang], true),
    ] {
        let (_, handle) = Slow::new(answers);
        let handle = handle.provider_limit(secs(600));
        let (server, _) = server(&Arc::new(Mutex::new("idk_one")));
        let service = layer(&handle).layer(server);
        if is_valid {
            service.clone().oneshot(get()).await.expect("a reply");
            sleep(secs(3_590)).await;
            service.clone().oneshot(get()).await.expect("a reply");
        } else {
            let mut given_up = pin!(service.clone().oneshot(get()));
            assert!(poll(given_up.as_mut()).is_pending());
        }
        sleep(secs(2)).await;
        assert_eq!(alive.num_alive_tasks(), 1, "the question");
        drop((handle, service));
        sleep(Duration::from_millis(1)).await;
        assert_eq!(alive.num_alive_tasks(), 0);
    }
}

fn runtime() -> Runtime {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime")
}

/// Polls `future` until the runtime has nothing else to do, and leaves it there.
fn poll_on<F: Future + Unpin>(runtime: &Runtime, mut future: F) -> F {
    runtime.block_on(async {
        assert!(poll(pin!(&mut future)).is_pending());
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    });
    future
}

#[test]
fn a_runtime_that_stands_still_or_ends_stops_no_other() {
    for ends in [false, true] {
        let (handle, asked) = numbered(Duration::from_millis(20), None);
        // Whichever runtime asks first, the server knows both keys.
        let server =
            service_fn(async |_: http::Request<()>| Ok::<_, BoxError>(http::Response::new(())));
        let service = layer(&handle).layer(server);
        let first = runtime();
        let held = poll_on(&first, Box::pin(service.clone().oneshot(get())));
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        let first = (!ends).then_some(first);

        let second = runtime();
        second.block_on(async {
            let call = timeout(LONG, service.clone().oneshot(get())).await;
            call.expect("not held up").expect("a reply");
        });
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        match first {
            Some(first) => first.block_on(held).expect("a reply"),
            // Its question is gone with its runtime, and there is a key.
            None => second.block_on(held).expect("a reply"),
        };
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }
}

#[test]
fn a_caller_whose_runtime_has_ended_asks_again() {
    let (handle, asked) = numbered(Duration::from_millis(20), None);
    let (server, _) = server(&Arc::new(Mutex::new("idk_2")));
    let service = layer(&handle).layer(server);
    let first = runtime();
    let held = poll_on(&first, Box::pin(service.oneshot(get())));
    drop(first);
    let reply = runtime().block_on(async { timeout(LONG, held).await });
    reply.expect("in time").expect("a reply");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[test]
fn a_refresh_ahead_on_a_runtime_that_stands_still_is_taken_over() {
    // The second question hangs, wherever it is asked.
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let handle = KeyHandle::from_provider(move || {
        let number = count.fetch_add(1, Ordering::SeqCst) + 1;
        async move {
            if number == 2 {
                std::future::pending::<()>().await;
            }
            let lifetime = Duration::from_millis(if number == 1 { 400 } else { 3_600_000 });
            Ok::<_, BoxError>(Credential::new(key("idk_one")).expires_in(lifetime))
        }
    })
    .provider_limit(Duration::from_millis(50));
    let (server, _) = server(&Arc::new(Mutex::new("idk_one")));
    let service = layer(&handle).layer(server);
    let call = || timeout(LONG, service.clone().oneshot(get()));

    let first = runtime();
    first.block_on(async {
        while asked.load(Ordering::SeqCst) < 2 {
            call().await.expect("in time").expect("a reply");
            sleep(Duration::from_millis(1)).await;
        }
    });
    // It stands still from here on, with the question under way.
    runtime().block_on(async {
        while asked.load(Ordering::SeqCst) < 3 {
            call().await.expect("in time").expect("a reply");
            sleep(Duration::from_millis(1)).await;
        }
    });
    drop(first);
}
