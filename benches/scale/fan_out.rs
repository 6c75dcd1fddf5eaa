//! Pages that take their time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use http::Request;
use idpflare_management::layers::BoxError;
use tower::service_fn;

use crate::pages::{PAGE, Pages, client, pager};
use crate::report::{Bench, runtime};

const LATENCY: Duration = Duration::from_millis(20);
const PAGES: usize = 64;

pub(crate) fn run(bench: &Bench) {
    let pages = bench.size(PAGES, 16);
    let mut one_by_one = None;
    for concurrency in [1, 4, 16] {
        let name = format!("fan_out_{concurrency}");
        if !bench.wants(&name) {
            continue;
        }
        let base = *one_by_one.get_or_insert_with(|| time(bench, pages, 1));
        let (seconds, at_once) = match concurrency {
            1 => base,
            _ => time(bench, pages, concurrency),
        };
        println!(
            "scale {name} pages={pages} ms={:.1} latencies={:.1} speed_up={:.2} at_once={at_once}",
            seconds * 1e3,
            seconds / LATENCY.as_secs_f64(),
            base.0 / seconds,
        );
    }
}

/// How many seconds it takes, and how many pages there were on their way at once.
fn time(bench: &Bench, pages: usize, concurrency: usize) -> (f64, usize) {
    let list = Pages::new(pages * PAGE);
    let (under_way, most) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let client = {
        let most = Arc::clone(&most);
        client(service_fn(move |request: Request<_>| {
            let (list, under_way) = (list.clone(), Arc::clone(&under_way));
            let now = under_way.fetch_add(1, Ordering::Relaxed) + 1;
            most.fetch_max(now, Ordering::Relaxed);
            async move {
                tokio::time::sleep(LATENCY).await;
                under_way.fetch_sub(1, Ordering::Relaxed);
                Ok::<_, BoxError>(list.reply(&request))
            }
        }))
    };
    let runtime = runtime();
    let seconds = bench.median(3, || {
        let mut pager = pager(&client, concurrency);
        let started = Instant::now();
        let rows = runtime.block_on(pager.items().map(|row| row.expect("a user")).count());
        assert_eq!(rows, pages * PAGE);
        started.elapsed().as_secs_f64()
    });
    (seconds, most.load(Ordering::Relaxed))
}
