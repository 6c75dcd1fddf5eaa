//! Whose an address is.

use bytes::Bytes;
use http_body::Body;
use http_body_util::Full;
use idpflare_layers::BoxError;
use tower::Service;

use super::email_key;
use crate::{Client, Error, ListUsers, User};

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
pub(super) async fn find<S, B>(client: &Client<S>, email: &str) -> Result<Found, Error>
where
    S: Service<http::Request<Full<Bytes>>, Response = http::Response<B>> + Clone,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    let key = email_key(email);
    let mut same_but_for_case = None;
    let mut offset = 0;
    for _ in 0..PAGES {
        let page = ListUsers::new().limit(PAGE).offset(offset).search(email);
        let page = client.send(page).await?;
        let rows = page.users.len() as u64;
        for user in page.users {
            if user.email == email {
                return Ok(Found::User(Box::new(user)));
            }
            if email_key(&user.email) == key {
                same_but_for_case.get_or_insert(user);
            }
        }
        offset += rows;
        if rows == 0 || offset >= page.total {
            return Ok(same_but_for_case.map_or(Found::Nobody, |user| Found::User(Box::new(user))));
        }
    }
    Ok(same_but_for_case.map_or(Found::Unclear, |user| Found::User(Box::new(user))))
}
