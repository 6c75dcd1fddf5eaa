//! Laws of encoding and decoding, tried on random input.
//!
//! proptest prints the input of a failure; its regressions are kept beside this file.

mod support;

use bytes::Bytes;
use http::Response;
use idpflare_management::{
    ApiRequest, Authority, ErrorKind, GetUser, ListUsers, OPERATIONS, Operation, QueryAuditLogs,
    RevokeUserSession,
};
use percent_encoding::percent_decode_str;
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use support::{recorded, with_operation};

fn authority() -> Authority {
    "https://idp.example.com/idp".parse().expect("an authority")
}

/// The path of the request, or `None` where it was refused.
fn path(request: &impl ApiRequest) -> Option<String> {
    match request.to_http(&authority()) {
        Ok(http) => Some(http.uri().path().to_owned()),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Encode);
            None
        }
    }
}

/// Ids of all kinds: what URLs are made of is as likely as any other text.
fn id() -> impl Strategy<Value = String> {
    prop_oneof![
        "[./%2eE?#&=;:@ \\\\a]{0,8}",
        "\\PC{0,12}",
        any::<String>(),
        Just("users/usr_1/block".to_owned()),
        Just("..%2f..%2fclients".to_owned()),
    ]
}

fn must_be_refused(id: &str) -> bool {
    let decoded: Vec<u8> = percent_decode_str(id).collect();
    matches!(decoded.as_slice(), b"" | b"." | b"..")
}

/// What a URL parser makes of a path: dot segments, also percent-encoded ones, are resolved.
fn resolved(path: &str) -> Vec<String> {
    let mut segments = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment.to_ascii_lowercase().replace("%2e", ".").as_str() {
            "." => {}
            ".." => {
                segments.pop();
            }
            _ => segments.push(segment.to_owned()),
        }
    }
    segments
}

/// The operations that a server takes a request for.
fn served_as(method: &http::Method, path: &str) -> Vec<&'static Operation> {
    let segments = resolved(path);
    let fits = |operation: &&&'static Operation| {
        let template: Vec<_> = operation.path_template.split('/').skip(1).collect();
        let below_base = segments.get(3..).unwrap_or_default();
        operation.method == method
            && template.len() == below_base.len()
            && template
                .iter()
                .zip(below_base)
                .all(|(hole, segment)| hole.starts_with('{') || hole == segment)
    };
    OPERATIONS.iter().filter(fits).copied().collect()
}

proptest! {
    #[test]
    fn an_id_is_one_segment_that_decodes_to_it(id in id()) {
        match path(&GetUser::new(id.as_str())) {
            None => prop_assert!(must_be_refused(&id)),
            Some(path) => {
                prop_assert!(!must_be_refused(&id));
                let segment = path.strip_prefix("/idp/api/v1/users/").expect("the template");
                prop_assert!(!segment.contains('/'));
                let decoded: Vec<u8> = percent_decode_str(segment).collect();
                prop_assert_eq!(decoded, id.as_bytes());
            }
        }
    }

    #[test]
    fn other_ids_make_other_paths(
        (user, session) in (id(), id()),
        (other_user, other_session) in (id(), id()),
    ) {
        let first = path(&RevokeUserSession::new(user.as_str(), session.as_str()));
        let second = path(&RevokeUserSession::new(other_user.as_str(), other_session.as_str()));
        if first.is_some() && first == second {
            prop_assert_eq!((user, session), (other_user, other_session));
        }
    }

    #[test]
    fn no_id_reaches_another_operation(first in id(), second in id()) {
        for operation in OPERATIONS {
            with_operation!(operation.id, keeps_to_itself(&first, &second)).expect("known");
        }
    }

    #[test]
    fn a_query_decodes_to_what_was_asked(search in any::<String>(), role in "\\PC{0,9}") {
        let request = ListUsers::new().search(search.as_str()).role(role.as_str());
        let http = request.to_http(&authority()).expect("any text can be asked for");
        let query = http.uri().query().expect("a query").as_bytes();
        let pairs: Vec<_> = form_urlencoded::parse(query).into_owned().collect();
        prop_assert_eq!(pairs, [("search".to_owned(), search), ("role".to_owned(), role)]);
    }

    #[test]
    fn timestamps_go_out_in_milliseconds(millisecond in 0_i64..4_102_444_800_000) {
        let start = jiff::Timestamp::from_millisecond(millisecond).expect("in range");
        let request = QueryAuditLogs::new().start_date(start);
        let http = request.to_http(&authority()).expect("a request");
        let expected = format!("start_date={millisecond}");
        prop_assert_eq!(http.uri().query(), Some(expected.as_str()));
    }

    #[test]
    fn decoding_never_panics(body in prop::collection::vec(any::<u8>(), 0..512)) {
        decode_with_all(&body);
    }

    #[test]
    fn decoding_what_was_damaged_never_panics(
        vector in prop::sample::select(recorded("responses.jsonl")),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut body = vector["reply"]["body"].to_string().into_bytes();
        for (index, byte) in damage {
            let index = index.index(body.len());
            body[index] = byte;
        }
        decode_with_all(&body);
        body.truncate(cut.index(body.len()));
        decode_with_all(&body);
    }
}

/// However its holes are filled, a request is only ever served as its own operation.
fn keeps_to_itself<R: ApiRequest + DeserializeOwned>(first: &str, second: &str) {
    let mut arguments =
        json!({"email": "a@b.c", "password": "p", "name": "n", "redirect_uris": []});
    let holes = R::OPERATION
        .path_template
        .split(['{', '}'])
        .skip(1)
        .step_by(2);
    for (hole, id) in holes.zip([first, second]) {
        arguments[hole] = id.into();
    }
    let request: R = serde_json::from_value(arguments).expect("arguments of the operation");
    if let Ok(http) = request.to_http(&authority()) {
        assert_eq!(served_as(http.method(), http.uri().path()), [R::OPERATION]);
    }
}

fn decode_with_all(body: &[u8]) {
    fn decode<R: ApiRequest>(reply: &Response<Bytes>) {
        if let Err(error) = R::decode(reply) {
            assert!(!error.to_string().is_empty());
        }
    }
    let reply = Response::new(Bytes::copy_from_slice(body));
    for operation in OPERATIONS {
        with_operation!(operation.id, decode(&reply)).expect("every operation is covered");
    }
}

#[test]
fn refused_ids_say_what_to_fix() {
    for (id, message) in [
        ("", "getUser failed: user_id is empty"),
        (
            ".",
            "getUser failed: user_id is \".\", which URL parsers take for another path",
        ),
        (
            "%2e%2E",
            "getUser failed: user_id is \"%2e%2E\", which URL parsers take for another path",
        ),
    ] {
        let error = GetUser::new(id).to_http(&authority());
        assert_eq!(error.expect_err("refused").to_string(), message);
    }
    let endless = "a".repeat(100_000);
    let error = GetUser::new(endless).to_http(&authority());
    assert_eq!(error.expect_err("refused").kind(), ErrorKind::Encode);
}

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
