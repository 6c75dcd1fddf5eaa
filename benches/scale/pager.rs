//! A million rows.

use std::hint::black_box;
use std::time::Instant;

use futures_util::{Stream, StreamExt};
use http::Request;
use idpflare_management::layers::BoxError;
use idpflare_management::{Client, Error, User, UserPage};
use tower::service_fn;

use crate::heap::Heap;
use crate::pages::{PAGE, Pages, client, pager};
use crate::report::{Bench, median, runtime};

const ROWS: usize = 1_000_000;
const FEW_ROWS: usize = 10_000;
/// Rows that are read in one turn.
const TURN: usize = 50 * PAGE;

pub(crate) fn run(bench: &Bench) {
    for concurrency in [1, 4, 16] {
        let name = format!("pager_rows_{concurrency}");
        if bench.wants(&name) {
            case(bench, &name, concurrency);
        }
    }
}

fn case(bench: &Bench, name: &str, concurrency: usize) {
    let rows = bench.size(ROWS, 2 * FEW_ROWS);
    let pages = Pages::new(rows);
    let client = {
        let pages = pages.clone();
        client(service_fn(move |request: Request<_>| {
            std::future::ready(Ok::<_, BoxError>(pages.reply(&request)))
        }))
    };
    let few = most_bytes(&client, FEW_ROWS, concurrency);
    let all = most_bytes(&client, rows, concurrency);
    let (rate, ratio) = decoding(&client, &pages, rows, concurrency);
    println!(
        "scale {name} rows={rows} rows_per_s={rate:.0} ratio={ratio:.3} heap_peak_of_{FEW_ROWS}={few} heap_peak={all}",
    );
}

/// The most bytes that there are at once while so many rows are read.
fn most_bytes(client: &Client, rows: usize, concurrency: usize) -> i64 {
    let runtime = runtime();
    let mut heap = Heap::default();
    heap.during(|| {
        let mut pager = pager(client, concurrency);
        runtime.block_on(read(&mut pager.items(), rows));
    });
    heap.peak()
}

/// Rows per second, and how many times as many these are as without the client.
fn decoding(client: &Client, pages: &Pages, rows: usize, concurrency: usize) -> (f64, f64) {
    let runtime = runtime();
    let mut pager = pager(client, concurrency);
    let mut items = pager.items();
    let (mut rates, mut ratios) = (Vec::new(), Vec::new());
    for first in (0..rows).step_by(TURN) {
        let started = Instant::now();
        runtime.block_on(read(&mut items, TURN));
        let read = started.elapsed().as_secs_f64();

        let started = Instant::now();
        for row in (first..first + TURN).step_by(PAGE) {
            let page: UserPage = serde_json::from_slice(pages.body(row / PAGE)).expect("a page");
            black_box(page);
        }
        let decoded = started.elapsed().as_secs_f64();
        rates.push(TURN as f64 / read);
        ratios.push(decoded / read);
    }
    assert!(runtime.block_on(items.next()).is_none(), "all were read");
    (median(rates), median(ratios))
}

async fn read(rows: &mut (impl Stream<Item = Result<User, Error>> + Unpin), number: usize) {
    for _ in 0..number {
        let row = rows.next().await.expect("a row");
        black_box(row.expect("a user"));
    }
}
