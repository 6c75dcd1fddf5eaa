//! Many waiters at one rate limiter, in paused time: what is told is what they cost, not how long they
//! wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use idpflare_management::layers::{BoxError, Rate, RateLimitLayer, RateLimiter};
use idpflare_management::testing::{EncodeReply, Fixture};
use idpflare_management::{Client, GetUser, User};
use tokio::task::JoinHandle;
use tower::{Layer, Service, service_fn};

use crate::heap::Heap;
use crate::report::{Bench, median};

const WAITERS: [usize; 3] = [100, 1_000, 10_000];
/// A permit for each tick of the timers.
const RATE: u32 = 1_000;
/// Longer than the last one waits.
const DEADLINE: Duration = Duration::from_secs(3600);

pub(crate) fn run(bench: &Bench) {
    for waiters in WAITERS {
        case(bench, &format!("limiter_paused_{waiters}"), waiters, |_| {
            let limiter = RateLimiter::new(Rate::MAX);
            limiter.pause(Duration::from_secs(1));
            through_layer(limiter)
        });
    }
    for waiters in WAITERS {
        case(bench, &format!("limiter_rate_{waiters}"), waiters, |rate| {
            through_layer(RateLimiter::new(rate))
        });
    }
    for waiters in WAITERS {
        let name = format!("limiter_client_{waiters}");
        case(bench, &name, waiters, |rate| {
            through_client(RateLimiter::new(rate))
        });
    }
}

type Wait = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

fn through_layer(limiter: RateLimiter) -> Box<dyn FnMut() -> Wait> {
    let mock = service_fn(async |_: Request<()>| Ok::<_, BoxError>(Response::new(())));
    let mut service = RateLimitLayer::new(limiter).layer(mock);
    Box::new(move || {
        let reply = service.call(Request::new(()));
        Box::pin(async {
            reply.await.expect("a reply");
        })
    })
}

fn through_client(limiter: RateLimiter) -> Box<dyn FnMut() -> Wait> {
    let user: Response<Bytes> = User::fixture().encode().into();
    let mock = service_fn(move |_: Request<Full<Bytes>>| {
        let reply = Response::new(Full::new(user.body().clone()));
        std::future::ready(Ok::<_, BoxError>(reply))
    });
    let client = Client::builder("https://idp.example.com")
        .api_key("idk_1f3870be274f6c49b3e31a0c6728957f")
        .deadline(DEADLINE)
        .rate_limit(limiter)
        .build_with(mock)
        .expect("a client");
    Box::new(move || {
        let user = client.send(GetUser::new("usr_1f3870be274f6c49"));
        Box::pin(async {
            user.await.expect("a user");
        })
    })
}

fn case(
    bench: &Bench,
    name: &str,
    waiters: usize,
    start: impl Fn(Rate) -> Box<dyn FnMut() -> Wait>,
) {
    if !bench.wants(name) {
        return;
    }
    let rate = Rate::per_second(RATE).expect("a rate");
    let number = waiters as f64;
    let (mut bytes, mut allocations, mut wakes) = (Vec::new(), Vec::new(), Vec::new());
    let nanos = bench.median(11, || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let polls = Arc::new(AtomicUsize::new(0));
        let (handles, waiting) = Heap::default().during(|| {
            runtime.block_on(async {
                let mut wait = start(rate);
                let handles: Vec<_> = (0..waiters).map(|_| spawn(wait(), &polls)).collect();
                // Time stands still as long as there is something to do.
                while polls.load(Ordering::Relaxed) < waiters {
                    tokio::task::yield_now().await;
                }
                handles
            })
        });
        bytes.push(waiting.bytes_current as f64 / number);
        allocations.push(waiting.count_total as f64 / number);
        let started = Instant::now();
        runtime.block_on(async {
            for handle in handles {
                handle.await.expect("no panic");
            }
        });
        let elapsed = started.elapsed();
        wakes.push((polls.load(Ordering::Relaxed) - waiters) as f64 / number);
        elapsed.as_nanos() as f64 / number
    });
    println!(
        "scale {name} ns_per_permit={nanos:.0} wakes_per_permit={:.3} allocs_per_waiter={:.1} bytes_per_waiter={:.0}",
        median(wakes),
        median(allocations),
        median(bytes),
    );
}

/// A task of its own for `wait`, which counts how often it is polled: once, and then whenever it is
/// woken.
fn spawn(mut wait: Wait, polls: &Arc<AtomicUsize>) -> JoinHandle<()> {
    let polls = Arc::clone(polls);
    tokio::spawn(std::future::poll_fn(move |cx| {
        polls.fetch_add(1, Ordering::Relaxed);
        wait.as_mut().poll(cx)
    }))
}
