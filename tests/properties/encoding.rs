//! What of a request's arguments arrives where.

use idpflare_management::{ApiRequest, ErrorKind, GetUser, ListUsers, QueryAuditLogs};
use proptest::prelude::*;

use crate::ids::{authority, hold};

/// Ids of all kinds: what URLs are made of is as likely as any other text.
fn id() -> impl Strategy<Value = String> {
    prop_oneof![
        "[./%2eE?#&=;:@ \\\\a]{0,8}",
        "[.%2356bBcCaAfF;]{0,12}",
        "\\PC{0,12}",
        any::<String>(),
        Just("users/usr_1/block".to_owned()),
        Just("..%2f..%2fclients".to_owned()),
        "(\\.\\.(/|%2f|%252F|%%32%66|%5c)){1,3}(users|mfa|block)?",
    ]
}

proptest! {
    #[test]
    fn ids_keep_to_themselves(ids in prop::collection::vec(id(), 1..4)) {
        hold(&ids);
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
}

#[test]
fn refused_ids_say_what_to_fix() {
    let reason = "could reach another operation; pass an id as the server returned it";
    for (id, fault) in [
        ("", "is empty: \"\""),
        (".", "is a dot segment: \".\""),
        ("%2e%2E", "is a dot segment: \"%2e%2E\""),
        ("usr_1%2Fmfa", "contains '/': \"usr_1%2Fmfa\""),
        ("a\nb", "contains '\\n': \"a b\""),
        ("a%c0%af", "contains an overlong encoding: \"a%c0%af\""),
    ] {
        let error = GetUser::new(id).to_http(&authority());
        let message = format!("getUser failed: user_id {fault} {reason}");
        assert_eq!(error.expect_err("refused").to_string(), message);
    }
    let endless = "a".repeat(100_000);
    let error = GetUser::new(endless).to_http(&authority());
    assert_eq!(error.expect_err("refused").kind(), ErrorKind::Encode);
}
