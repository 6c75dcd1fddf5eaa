//! Whatever an id is, it is refused, or sent as one segment that is nobody else's.

use std::collections::HashMap;

use http::Method;
use idpflare_management::{
    ApiRequest, Authority, ErrorKind, GetUser, OPERATIONS, Operation, RevokeUserSession,
};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use crate::operations::with_operation;
use crate::requests::request_with;

/// Up to three ids, one a line.
pub(crate) fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let ids: Vec<_> = text.splitn(3, '\n').collect();
    hold(&ids);
}

/// The laws of identifiers, for each of these and all pairs of them.
pub(crate) fn hold<S: AsRef<str>>(ids: &[S]) {
    let mut taken = HashMap::new();
    for first in ids.iter().map(AsRef::as_ref) {
        is_one_segment_that_decodes_to_it(first);
        for second in ids.iter().map(AsRef::as_ref) {
            let pair = [first, second];
            for operation in OPERATIONS {
                // Where there is no place for the second, one of them will do.
                if first == second || operation.path_template.matches('{').count() == 2 {
                    with_operation!(operation.id, reaches_no_other(pair)).expect("known");
                }
            }
            if let Some(path) = path(&RevokeUserSession::new(first, second)) {
                assert_eq!(*taken.entry(path).or_insert(pair), pair);
            }
        }
    }
}

pub(crate) fn authority() -> Authority {
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

/// What URL parsers take for another path, and what is longer than a URL may be.
fn must_be_refused(id: &str) -> bool {
    let decoded: Vec<u8> = percent_decode_str(id).collect();
    matches!(decoded.as_slice(), b"" | b"." | b"..")
}

fn is_one_segment_that_decodes_to_it(id: &str) {
    match path(&GetUser::new(id)) {
        None => assert!(must_be_refused(id) || id.len() > 10_000, "{id}"),
        Some(path) => {
            assert!(!must_be_refused(id), "{id}");
            let segment = path
                .strip_prefix("/idp/api/v1/users/")
                .expect("the template");
            assert!(!segment.contains('/'), "{segment}");
            let decoded: Vec<u8> = percent_decode_str(segment).collect();
            assert_eq!(decoded, id.as_bytes());
        }
    }
}

/// However its holes are filled, a request is only ever served as its own operation.
fn reaches_no_other<R: ApiRequest + DeserializeOwned>(ids: [&str; 2]) {
    if let Ok(http) = request_with::<R>(ids).to_http(&authority()) {
        assert_eq!(served_as(http.method(), http.uri().path()), [R::OPERATION]);
    }
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
fn served_as(method: &Method, path: &str) -> Vec<&'static Operation> {
    let segments = resolved(path);
    let fits = |operation: &&&'static Operation| {
        let mut below_base = segments.iter().skip(3);
        let mut template = operation.path_template.split('/').skip(1);
        operation.method == method
            && template.all(|hole| {
                let segment = below_base.next();
                segment.is_some_and(|segment| hole.starts_with('{') || hole == segment)
            })
            && below_base.next().is_none()
    };
    OPERATIONS.iter().filter(fits).copied().collect()
}
