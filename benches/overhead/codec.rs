//! Encoding and decoding, without any service.

use bytes::Bytes;
use http::Response;
use idpflare_management::testing::Fixture;
use idpflare_management::{ApiRequest, CreateUser, GetUser, ListUsers, User, UserPage};
use serde::Serialize;
use serde_json::{Map, Value};

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
    decode_page(bench, "", &reply(&page));
    decode_page(bench, "_unlike", &unlike(&page));
    decode_page(bench, "_unusual", &unusual(page));
}

fn decode_page(bench: &mut Bench, suffix: &str, page: &Response<Bytes>) {
    bench.case(&format!("decode_page{suffix}"), || {
        ListUsers::decode(page).expect("a page")
    });
    bench.case(&format!("decode_page{suffix}_serde_json"), || {
        let page: UserPage = serde_json::from_slice(page.body()).expect("a page");
        page
    });
}

/// A page of 100 rows.
fn page() -> UserPage {
    let mut page = UserPage::fixture();
    page.users = vec![User::fixture(); 100];
    page
}

/// The same, where no row has its members in the order of the one before it.
fn unlike(page: &UserPage) -> Response<Bytes> {
    let rows = page.users.iter().enumerate().map(|(index, user)| {
        let alphabetical = serde_json::to_value(user).map(|user| user.to_string());
        let row = match index % 2 {
            0 => serde_json::to_string(user),
            _ => alphabetical,
        };
        row.expect("JSON")
    });
    let rows: Vec<_> = rows.collect();
    let page = format!(
        r#"{{"users":[{}],"total":100,"limit":100,"offset":0}}"#,
        rows.join(",")
    );
    Response::new(page.into())
}

/// The same, where the last row has something that is left to `serde_json`, which begins anew.
fn unusual(mut page: UserPage) -> Response<Bytes> {
    let deep = (0..110).fold(Value::Null, |inner, _| Value::from(vec![inner]));
    if let Some(last) = page.users.last_mut() {
        last.metadata = Some(Map::from_iter([(String::from("deep"), deep)]));
    }
    reply(&page)
}

/// As a server writes it: with its members in the order that the protocol has them.
fn reply(body: &impl Serialize) -> Response<Bytes> {
    Response::new(serde_json::to_vec(body).expect("JSON").into())
}
