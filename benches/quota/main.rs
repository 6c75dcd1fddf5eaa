//! What a permit of a shared quota costs, over one of the local limiter: with a Redis or Valkey of its
//! own on a loopback port, for leases of 1, 10 and 100.
//!
//! `cargo bench --features redis --bench quota`, with `-- --short` for a quick run. Each case is a line
//!
//! ```text
//! quota NAME ns=N trips=N
//! ```
//!
//! with the median time of one call, and how many questions to the server a call took. The rate is so high
//! that nobody waits for it; calls are made one after the other.

use std::future::ready;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use idpflare_management::layers::{
    BoxError, QuotaAsked, QuotaKey, Rate, RateLimitLayer, RateLimiter, Recorder, RedisQuota,
    SharedQuota, WhenAway,
};
use tower::{Layer, Service, service_fn};

const CALLS: u32 = 1000;

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The server and its URL, where there is one on the path.
fn server() -> Option<(Server, String)> {
    let free = TcpListener::bind(("127.0.0.1", 0)).ok()?;
    let port = free.local_addr().ok()?.port();
    drop(free);
    let start = |program| {
        Command::new(program)
            .args([
                "--bind",
                "127.0.0.1",
                "--port",
                &port.to_string(),
                "--save",
                "",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
    };
    let child = start("redis-server")
        .or_else(|_| start("valkey-server"))
        .ok()?;
    let server = Server(child);
    for _ in 0..100 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Some((server, format!("redis://127.0.0.1:{port}")));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    None
}

#[derive(Clone, Default)]
struct Trips(Arc<AtomicU64>);

impl Recorder for Trips {
    fn quota_asked(&self, _: &QuotaAsked<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

async fn case(name: &str, samples: usize, limiter: RateLimiter, trips: &Trips) {
    let transport =
        service_fn(|_: http::Request<()>| ready(Ok::<_, BoxError>(http::Response::new(()))));
    let mut service = RateLimitLayer::new(limiter).layer(transport);
    let mut times = Vec::with_capacity(samples);
    for sample in 0..=samples {
        // The first one finds the connection and the size of the leases.
        if sample == 1 {
            trips.0.store(0, Ordering::Relaxed);
        }
        let started = Instant::now();
        for _ in 0..CALLS {
            service
                .call(http::Request::new(()))
                .await
                .expect("a permit");
        }
        times.push(started.elapsed().as_nanos() as f64 / f64::from(CALLS));
    }
    times.remove(0);
    times.sort_by(f64::total_cmp);
    let calls = samples as f64 * f64::from(CALLS);
    let trips = trips.0.load(Ordering::Relaxed) as f64 / calls;
    println!("quota {name} ns={:.0} trips={trips:.3}", times[samples / 2]);
}

fn main() -> ExitCode {
    let Some((_server, url)) = server() else {
        println!("quota: skipped, there is no redis-server or valkey-server on the path");
        return ExitCode::SUCCESS;
    };
    let is_short = std::env::args().any(|argument| argument == "--short");
    let samples = if is_short { 3 } else { 101 };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let rate = Rate::per_second(1_000_000).and_then(|rate| rate.with_burst(1_000_000));
        let rate = rate.expect("a rate");
        let none = Trips::default();
        case("local", samples, RateLimiter::new(rate), &none).await;
        for lease in [1, 10, 100] {
            let trips = Trips::default();
            let key = QuotaKey::named(&format!("bench {lease}"));
            let redis = RedisQuota::new(&url, key).expect("a URL");
            let quota = SharedQuota::new(rate, redis, WhenAway::FailClosed).expect("a quota");
            let quota = quota.lease(lease).recorder(trips.clone());
            let limiter = RateLimiter::from(quota);
            case(&format!("lease_{lease}"), samples, limiter, &trips).await;
        }
    });
    ExitCode::SUCCESS
}
