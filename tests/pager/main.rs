//! Paging: what it promises, against a server whose list changes, and which says what is not so.

mod act;
mod cancel;
mod drift;
mod errors;
mod lenient;
mod lies;
mod listings;
mod model;
mod still;

use futures_util::StreamExt;
use idpflare_management::{Error, Listing, Pager};
use model::Server;
use serde::Serialize;

/// All rows of the list, by their number, page by page.
async fn pages<R: Listing<Row: Serialize>>(
    pager: &mut Pager<R, Server>,
) -> Result<Vec<u32>, Error> {
    let mut all = Vec::new();
    while let Some(page) = pager.next_page().await? {
        assert!(!page.rows.is_empty(), "a page has something to say");
        all.extend(page.rows.iter().map(number));
    }
    Ok(all)
}

/// The same, row by row.
async fn items<R: Listing<Row: Serialize>>(
    pager: &mut Pager<R, Server>,
) -> Result<Vec<u32>, Error> {
    let mut all = Vec::new();
    let mut items = pager.items();
    while let Some(row) = items.next().await {
        all.push(number(&row?));
    }
    Ok(all)
}

fn number(row: &impl Serialize) -> u32 {
    id_of(row).parse().expect("rows are numbered")
}

fn id_of(row: &impl Serialize) -> String {
    let row = serde_json::to_value(row).expect("JSON");
    row["id"].as_str().expect("an id").to_owned()
}

/// Runs a test of a property, with time that passes only where all wait.
fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(test)
}
