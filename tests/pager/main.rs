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
use idpflare_management::{Error, ListUsers, Listing, Pager, User};
use model::Server;

/// All rows of the list, by their number, page by page.
async fn pages<R: Listing>(pager: &mut Pager<R, Server>) -> Result<Vec<u32>, Error> {
    let mut all = Vec::new();
    while let Some(page) = pager.next_page().await? {
        assert!(!page.rows.is_empty(), "a page has something to say");
        all.extend(page.rows.iter().map(number_of::<R>));
    }
    Ok(all)
}

/// The same, row by row.
async fn items<R: Listing>(pager: &mut Pager<R, Server>) -> Result<Vec<u32>, Error> {
    let mut all = Vec::new();
    let mut items = pager.items();
    while let Some(row) = items.next().await {
        all.push(number_of::<R>(&row?));
    }
    Ok(all)
}

fn number_of<R: Listing>(row: &R::Row) -> u32 {
    R::id(row).as_ref().parse().expect("rows are numbered")
}

fn number(user: &User) -> u32 {
    number_of::<ListUsers>(user)
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
