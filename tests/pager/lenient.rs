//! Rows that can't be decoded.

use futures_util::StreamExt;
use http::StatusCode;
use idpflare_management::testing::{CannedReply, Fixture};
use idpflare_management::{
    ApiKey, Client, DecodeError, Error, ErrorKind, ListApiKeys, ListUsers, Pager, User,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::model::Server;
use crate::{number, run};

fn user(id: &str) -> Value {
    let mut user = serde_json::to_value(User::fixture()).expect("a user");
    user["id"] = id.into();
    user
}

/// What a pager makes of the one and only page, which has this text.
async fn first_page(text: String) -> Result<(Vec<User>, Vec<Error>), Error> {
    let mock = CannedReply::new(StatusCode::OK).body(text);
    let client = Client::from_service("https://idp.example.com", mock).expect("a client");
    let mut pager = Pager::new(&client, ListUsers::new()).lenient();
    let page = pager.next_page().await?.expect("a page");
    assert!(pager.next_page().await?.is_none());
    Ok((page.rows, page.undecoded))
}

#[tokio::test]
async fn a_row_that_is_wrong_is_set_apart() {
    for (raw, path, message) in [
        (r#"{"id":"usr_2"}"#, "users[1]", "missing field `email`"),
        (r#"7"#, "users[1]", "invalid type: integer `7`"),
        (r#"null"#, "users[1]", "invalid type: null"),
        (
            r#"{"id":"usr_2","email":["a"]}"#,
            "users[1].email",
            "invalid type: sequence",
        ),
        // Not even a number that JSON's readers hold, or text that is none.
        (r#"{"id":1e999}"#, "users[1]", "number out of range"),
        (r#"{"id":"\ud800"}"#, "users[1].id", "hex escape"),
    ] {
        let text = format!(
            r#"{{"total": 3, "users": [{}, {raw} , {}]}}"#,
            user("usr_1"),
            user("usr_3")
        );
        let (rows, undecoded) = first_page(text).await.expect("the others");
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[1].id, "usr_3");
        assert_eq!(undecoded.len(), 1);
        let error = &undecoded[0];
        assert_eq!(error.kind(), ErrorKind::Decode);
        assert_eq!(error.status(), Some(StatusCode::OK));
        assert_eq!(error.raw_body(), b"");
        let decode = error.decode_error().expect("of decoding");
        assert_eq!(decode.row(), Some(1));
        assert!(decode.path().expect("a path").starts_with(path), "{decode}");
        assert_eq!(decode.raw_row(), Some(raw));
        assert!(error.to_string().contains(message), "{error}");
        assert!(!format!("{error:?} {decode:?}").contains("1e999"));
    }
}

#[tokio::test]
async fn a_reply_that_is_no_page_is_an_error_as_ever() {
    for text in [
        "",
        "<html>",
        "[]",
        "{}",
        r#"{"users": {}, "total": 0}"#,
        r#"{"users": [], "total": "many"}"#,
        r#"{"users": [{}], "total": -1}"#,
        r#"{"users": [{}]}"#,
        r#"{"users": [{}], "total": 1"#,
    ] {
        let error = first_page(text.to_owned()).await.expect_err(text);
        assert_eq!(error.kind(), ErrorKind::Decode, "{text}");
        let raw = error.decode_error().and_then(DecodeError::raw_row);
        assert_eq!(raw, None, "{text}");
        assert_eq!(error.raw_body(), text.as_bytes());
    }
}

#[tokio::test]
async fn without_a_total_too() {
    let keys = json!({"api_keys": [{"id": 1}, ApiKey::fixture(), {"id": 1}, {"id": 2}]});
    let mock = CannedReply::new(StatusCode::OK).json(&keys);
    let client = Client::from_service("https://idp.example.com", mock).expect("a client");
    let mut pager = Pager::new(&client, ListApiKeys::new()).lenient();
    let page = pager.next_page().await.expect("a page").expect("rows");
    assert_eq!(page.rows, [ApiKey::fixture()]);
    // What has no id is told apart by its text.
    assert_eq!(page.undecoded.len(), 2);
    // It is the same page for ever, so this must not be the same for ever.
    let error = pager.next_page().await.expect_err("no progress");
    assert_eq!(error.kind(), ErrorKind::NoProgress);
}

#[tokio::test]
async fn otherwise_it_spoils_its_page() {
    let server = Server::new(30);
    server.model().broken = vec![15];
    let mut pager = Pager::new(&server.client(), ListUsers::new().limit(10));
    assert!(pager.next_page().await.expect("a page").is_some());
    for _ in 0..2 {
        let error = pager.next_page().await.expect_err("row 15");
        let decode = error.decode_error().expect("of decoding");
        assert_eq!(decode.path(), Some("users[4].email"));
        assert_eq!(decode.raw_row(), None);
    }
    server.model().broken.clear();
    assert_eq!(crate::pages(&mut pager).await.expect("mended").len(), 20);
}

proptest! {
    #[test]
    fn every_row_that_can_be_decoded_is(
        rows in 0..200_u32,
        limit in 1..60_u64,
        concurrency in 1..5_usize,
        broken in prop::collection::hash_set(0..200_u32, 0..40),
        skew in 0..5_u64,
    ) {
        run(async {
            let server = Server::new(rows);
            server.model().broken = broken.iter().copied().collect();
            server.model().skew = skew.min(limit - 1);
            let request = ListUsers::new().limit(limit);
            let mut pager = Pager::new(&server.client(), request)
                .concurrency(concurrency)
                .lenient();
            let mut in_order = Vec::new();
            let mut items = pager.items();
            while let Some(item) = items.next().await {
                in_order.push(match item {
                    Ok(user) => number(&user),
                    Err(error) => {
                        let raw = error.decode_error().and_then(DecodeError::raw_row);
                        let row: Value = serde_json::from_str(raw.expect("a row")).expect("JSON");
                        row["id"].as_str().expect("an id").parse().expect("a number")
                    }
                });
            }
            // Pages that overlap hide the last rows behind the total, as a wrong offset does.
            let reached = in_order.len() as u32;
            assert!(skew > 0 || reached == rows);
            assert_eq!(in_order, (rows - reached..rows).rev().collect::<Vec<_>>());
        });
    }
}
