//! Encoding and decoding, without any service.

use bytes::Bytes;
use http::Response;
use idpflare_management::testing::Fixture;
use idpflare_management::{ApiRequest, CreateUser, GetUser, ListUsers, User, UserPage};
use serde::Serialize;

use crate::measure::Bench;
use crate::mock::authority;

pub(crate) fn run(bench: &mut Bench) {
    let authority = authority();
    let get = GetUser::new("usr_1f3870be274f6c49");
    bench.case("encode_get", || get.to_http(&authority).expect("a request"));
    let list = ListUsers::new()
        .limit(100)
        .offset(200)
        .search("ada")
        .is_active(true);
    bench.case("encode_list", || {
        list.to_http(&authority).expect("a request")
    });
    let create = CreateUser::new("ada@example.com")
        .given_name("Ada")
        .family_name("Lovelace")
        .roles(["admin", "user"]);
    bench.case("encode_create", || {
        create.to_http(&authority).expect("a request")
    });

    let user = reply(&User::fixture());
    bench.case("decode_user", || GetUser::decode(&user).expect("a user"));
    bench.case("decode_user_serde_json", || {
        let user: User = serde_json::from_slice(user.body()).expect("a user");
        user
    });
    let page = page();
    bench.case("decode_page", || ListUsers::decode(&page).expect("a page"));
    bench.case("decode_page_serde_json", || {
        let page: UserPage = serde_json::from_slice(page.body()).expect("a page");
        page
    });
}

/// A page of 100 rows.
fn page() -> Response<Bytes> {
    let mut page = UserPage::fixture();
    page.users = vec![User::fixture(); 100];
    reply(&page)
}

/// As a server writes it: with its members in the order that the protocol has them.
fn reply(body: &impl Serialize) -> Response<Bytes> {
    Response::new(serde_json::to_vec(body).expect("JSON").into())
}
