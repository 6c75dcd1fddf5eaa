//! A client that several runtimes use, one after the other and at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use idpflare_management::*;
use tokio::runtime::{Builder, Runtime};

use crate::support::tls::{Ca, at, trusting};
use crate::{client, serve};

const THREADS: usize = 4;
const ROUNDS: usize = 100;

fn many_threads() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().expect("one")
}

fn one_thread() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().build().expect("one")
}

/// The number of failed reads, where each thread starts a runtime for each read.
fn failures(alpn: &'static [&str], runtime: fn() -> Runtime) -> usize {
    let of_server = many_threads();
    let ca = Ca::new();
    let address = of_server.block_on(serve(&ca, "localhost", alpn, None));
    let client = client(at("localhost", address), trusting(&ca));
    let failures = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (client, failures) = (client.clone(), Arc::clone(&failures));
            std::thread::spawn(move || {
                for _ in 0..ROUNDS {
                    let outcome = runtime().block_on(client.send(GetUserStats::new()));
                    if let Err(error) = outcome {
                        eprintln!("{error:?}");
                        failures.fetch_add(1, Ordering::SeqCst);
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("no panic");
    }
    failures.load(Ordering::SeqCst)
}

#[test]
fn runtimes_that_end_fail_no_call_of_others_over_http2() {
    assert_eq!(failures(&["h2"], one_thread), 0);
    assert_eq!(failures(&["h2"], many_threads), 0);
}

#[test]
fn runtimes_that_end_fail_no_call_of_others_over_http1() {
    assert_eq!(failures(&["http/1.1"], one_thread), 0);
}
