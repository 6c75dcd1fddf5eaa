//! Imports of many users: policies, failures of every kind, ledgers, and breaks at any point.

#[path = "../../examples/import_users/csv_rows.rs"]
mod csv_rows;
#[path = "../../examples/import_users/csv_values.rs"]
mod csv_values;
#[path = "../../examples/import_users/lines.rs"]
mod lines;
#[path = "../support/mod.rs"]
mod support;

mod address_case;
mod breaks;
mod busy;
mod csv_lines;
mod faults;
mod files;
mod kill;
mod ledger;
mod ledger_lock;
mod lenient_server;
mod policies;
mod program;
mod reconciled;
mod scopes;
mod scratch;
mod stops;

use std::collections::BTreeMap;

use idpflare_management::workflows::ImportReport;
use idpflare_management::{Client, ListUsers, User};

/// A report's first line.
fn numbers(report: &ImportReport) -> String {
    let text = report.to_string();
    text.lines().next().unwrap_or_default().to_owned()
}

/// All users, by address; of each how many there are.
async fn users(client: &Client) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for user in all(client).await {
        *counts.entry(user.email).or_default() += 1;
    }
    counts
}

async fn all(client: &Client) -> Vec<User> {
    let mut users = Vec::new();
    loop {
        let page = ListUsers::new().limit(100).offset(users.len() as u64);
        let page = client.send(page).await.expect("a page");
        users.extend(page.users);
        if users.len() as u64 >= page.total {
            return users;
        }
    }
}

/// Each of these addresses once.
fn once<'a>(emails: impl IntoIterator<Item = &'a str>) -> BTreeMap<String, usize> {
    let emails = emails.into_iter();
    emails.map(|email| (email.to_owned(), 1)).collect()
}
