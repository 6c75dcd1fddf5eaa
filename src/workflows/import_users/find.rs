//! Whose an address is.

use super::email_key;
use crate::{Client, Error, HttpService, ListUsers, Pager, User};

const PAGE: u64 = 100;
/// No address is a part of so many others; a server that goes on for longer is not counting right.
const PAGES: usize = 50;

pub(super) enum Found {
    User(Box<User>),
    Nobody,
    /// There are more users than can be looked through.
    Unclear,
}

/// The user who has this address. The server's search is for a part of it, in names as well, so
/// what it finds is compared.
pub(super) async fn find<S: HttpService>(client: &Client<S>, email: &str) -> Result<Found, Error> {
    let key = email_key(email);
    let mut same_but_for_case = None;
    let mut pager = Pager::new(client, ListUsers::new().limit(PAGE).search(email));
    for _ in 0..PAGES {
        let Some(page) = pager.next_page().await? else {
            return Ok(same_but_for_case.map_or(Found::Nobody, Found::User));
        };
        for user in page.rows.into_iter().map(Box::new) {
            if user.email == email {
                return Ok(Found::User(user));
            }
            if email_key(&user.email) == key {
                same_but_for_case.get_or_insert(user);
            }
        }
    }
    Ok(same_but_for_case.map_or(Found::Unclear, Found::User))
}
