//! Finds the user that has an address.

use super::email_key;
use crate::workflows::patience::patient;
use crate::{Client, Error, HttpService, ListUsers, Pager, User, UserId};

const PAGE: u64 = 100;
/// No address is a part of so many others; a server that goes on for longer is not counting right.
const PAGES: usize = 50;

/// The user that is nearest to an address, the nearest kind first.
pub(super) enum Found {
    /// The user's address is this one, byte for byte.
    Same(Box<User>),
    /// The user's address is this one in ASCII small letters. Only a server that has refused the
    /// address as taken (409) takes the two for the same.
    SmallLetters(Box<User>),
    /// The user's address may differ in case only: ASCII letters do, and other characters are not
    /// compared.
    OtherCase(UserId),
    NoUser,
    /// There are more users than can be looked through.
    Unclear,
}

/// Finds the user with this address. A server may keep addresses in small letters and search by exact
/// case, so these are asked for as well.
pub(super) async fn find<S: HttpService>(client: &Client<S>, email: &str) -> Result<Found, Error> {
    let found = search(client, email, email).await?;
    let small = email_key(email);
    if small == email || !matches!(found, Found::NoUser | Found::OtherCase(_)) {
        return Ok(found);
    }
    match search(client, &small, email).await? {
        Found::NoUser => Ok(found),
        nearer => Ok(nearer),
    }
}

/// Searches for `text`. The server's search is for a part of an address or name, so each user that it
/// finds is compared.
async fn search<S: HttpService>(
    client: &Client<S>,
    text: &str,
    email: &str,
) -> Result<Found, Error> {
    let small = email_key(email);
    let mut nearest = None;
    let users = ListUsers::new().limit(PAGE).search(text);
    let mut pager = Pager::new(client, patient(users));
    for _ in 0..PAGES {
        let Some(page) = pager.next_page().await? else {
            return Ok(nearest.unwrap_or(Found::NoUser));
        };
        for user in page.rows {
            if user.email == email {
                return Ok(Found::Same(Box::new(user)));
            }
            if user.email == small {
                nearest = Some(Found::SmallLetters(Box::new(user)));
            } else if nearest.is_none() && may_differ_in_case_only(&user.email, email) {
                nearest = Some(Found::OtherCase(user.id));
            }
        }
    }
    // Behind these there may be a user that is nearer.
    Ok(Found::Unclear)
}

/// Whether a server may take the two for the same address. Of characters beyond ASCII nothing is known
/// here, since servers fold them in different ways. So this is good for a report, and for no change.
fn may_differ_in_case_only(one: &str, other: &str) -> bool {
    let same = |(one, other): (char, char)| {
        one.eq_ignore_ascii_case(&other) || !one.is_ascii() || !other.is_ascii()
    };
    one.chars().count() == other.chars().count() && one.chars().zip(other.chars()).all(same)
}
