//! What a reply lacks, by its place.

use bytes::Bytes;
use http::Response;
use idpflare_management::{ApiRequest, ListUsers};
use serde_json::Value;

use crate::support::recorded;

#[test]
fn a_recorded_value_with_a_hole_names_the_place() {
    let vectors = recorded("responses.jsonl");
    let page = vectors
        .iter()
        .find(|vector| vector["operation"] == "listUsers" && vector["reply"]["status"] == 200)
        .expect("a page of users");
    let mut body = page["reply"]["body"].clone();
    let row = body["users"][0].clone();
    body["users"] = Value::Array(vec![row; 4]);
    let check = |body: &Value, path: &str, row: usize, message: &str| {
        let reply = Response::new(Bytes::from(body.to_string()));
        let error = ListUsers::decode(&reply).expect_err("it has a hole");
        assert_eq!(error.path(), Some(path));
        assert_eq!(error.row(), Some(row));
        assert!(error.to_string().starts_with(message), "{error}");
    };
    let mut missing = body.clone();
    let user = missing["users"][3].as_object_mut().expect("a user");
    user.remove("email");
    check(
        &missing,
        "users[3]",
        3,
        "at users[3] (row 3): missing field `email`",
    );
    let mut wrong = body;
    wrong["users"][2]["created_at"] = Value::from("yesterday");
    check(
        &wrong,
        "users[2].created_at",
        2,
        "at users[2].created_at (row 2): invalid type: string \"yesterday\"",
    );
}
