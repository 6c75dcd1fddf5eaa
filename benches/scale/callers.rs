//! Many callers of one client, over real connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use idpflare_management::{Client, GetUser, GetUserStats, Transport};
use tokio::runtime::Runtime;
use tower::limit::ConcurrencyLimit;

use crate::heap::Heap;
use crate::report::{Bench, median, runtime};
use crate::server::Server;

const CALLERS: [usize; 5] = [1, 10, 100, 1_000, 10_000];
/// With HTTP/1.1 each may make a connection, and many systems let a process open no more than 1,024
/// files.
const MOST_OVER_HTTP1: usize = 1_000;
const CALLS: usize = 20_000;
/// How many calls are under way at once, and so how many connections there are with HTTP/1.1.
const CONNECTIONS: usize = 256;
/// Out of reach: where the machine is slow, calls are slow, and none fails.
const LIMIT: Duration = Duration::from_secs(600);

pub(crate) fn run(bench: &Bench) {
    let mut server = None;
    for (protocol, connect) in [("h1", http1 as fn(&Server) -> Client), ("h2", http2)] {
        for callers in CALLERS {
            let name = format!("callers_{protocol}_{callers}");
            if bench.wants(&name) {
                let server = server.get_or_insert_with(Server::start);
                many(bench, &name, callers, || connect(server));
            }
        }
        for callers in CALLERS {
            let name = format!("cold_{protocol}_{callers}");
            let is_possible = protocol == "h2" || callers <= MOST_OVER_HTTP1;
            if is_possible && bench.wants(&name) {
                let server = server.get_or_insert_with(Server::start);
                at_once(bench, &name, callers, server, connect);
            }
        }
    }
}

fn http1(server: &Server) -> Client {
    let transport = Transport::builder().without_tls();
    client(&server.http, transport.build().expect("a transport"))
        .map_service(|service| ConcurrencyLimit::new(service, CONNECTIONS))
        .boxed()
}

fn http2(server: &Server) -> Client {
    let transport = Transport::builder()
        .without_proxy()
        .without_platform_roots()
        .root_certificate(server.root.clone())
        .connect_timeout(LIMIT);
    client(&server.https, transport.build().expect("a transport"))
}

fn client(authority: &str, transport: Transport) -> Client {
    Client::builder(authority)
        .api_key("idk_1f3870be274f6c49b3e31a0c6728957f")
        .deadline(LIMIT)
        .attempt_timeout(LIMIT)
        .build_with(transport)
        .expect("a client")
}

/// With the connections there already.
fn many(bench: &Bench, name: &str, callers: usize, connect: impl FnOnce() -> Client) {
    let runtime = runtime();
    let mut heap = Heap::default();
    let (client, _) = heap.during(|| {
        let client = connect();
        runtime.block_on(calls(&client, 1, 1));
        runtime.block_on(calls(&client, callers, callers));
        client
    });
    let number = bench.size(CALLS.max(4 * callers), callers.max(100));
    let mut most = 0;
    let rate = bench.median(5, || {
        let (elapsed, info) = heap.during(|| runtime.block_on(calls(&client, callers, number)));
        most = most.max(info.bytes_max);
        number as f64 / elapsed.as_secs_f64()
    });
    println!(
        "scale {name} calls_per_s={rate:.0} heap_peak={} heap_settled={} bytes_per_caller={}",
        heap.peak(),
        heap.held(),
        most / callers as u64,
    );
}

/// Without any connection.
fn at_once(
    bench: &Bench,
    name: &str,
    callers: usize,
    server: &Server,
    connect: fn(&Server) -> Client,
) {
    let observer = http1(server);
    let watching = runtime();
    let mut peaks = Vec::new();
    let mut connections = Vec::new();
    let millis = bench.median(5, || {
        let before = connections_of(&observer, &watching);
        // With it, its connections go.
        let runtime = runtime();
        let mut heap = Heap::default();
        let (elapsed, _) = heap.during(|| {
            let client = connect(server);
            runtime.block_on(calls(&client, callers, callers))
        });
        peaks.push(heap.peak() as f64);
        connections.push((connections_of(&observer, &watching) - before) as f64);
        elapsed.as_secs_f64() * 1e3
    });
    println!(
        "scale {name} ms={millis:.1} connections={} heap_peak={}",
        median(connections),
        median(peaks),
    );
}

/// How many connections the server has seen.
fn connections_of(client: &Client, runtime: &Runtime) -> u64 {
    let stats = runtime.block_on(client.send(GetUserStats::new()));
    stats.expect("the number").total
}

/// How long `callers` take for `number` calls together, each one after the other.
async fn calls(client: &Client, callers: usize, number: usize) -> Duration {
    let left = Arc::new(AtomicUsize::new(number));
    let started = Instant::now();
    let callers: Vec<_> = (0..callers)
        .map(|_| {
            let (client, left) = (client.clone(), Arc::clone(&left));
            tokio::spawn(async move {
                let take = |left: usize| left.checked_sub(1);
                while left
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
                    .is_ok()
                {
                    let user = client.send(GetUser::new("usr_1f3870be274f6c49"));
                    user.await.expect("a user");
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.expect("no panic");
    }
    started.elapsed()
}
