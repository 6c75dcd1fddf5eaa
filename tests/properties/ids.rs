//! Whatever an id is, it is refused, or sent as one segment that is nobody else's.

use std::collections::HashMap;

use http::Method;
use idpflare_management::{
    ApiRequest, Authority, ErrorKind, GetUser, OPERATIONS, Operation, RevokeUserSession,
};
use percent_encoding::{percent_decode, percent_decode_str};
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

/// The rule for ids, stated without the library's code: decoding is repeated until it changes nothing.
fn must_be_refused(id: &str) -> bool {
    let mut decoded = id.as_bytes().to_vec();
    loop {
        let next: Vec<u8> = percent_decode(&decoded).collect();
        if next == decoded {
            break;
        }
        decoded = next;
    }
    let lossy = String::from_utf8_lossy(&decoded);
    let name = lossy.split(';').next().unwrap_or_default();
    matches!(name, "" | "." | "..")
        || lossy.contains(|char: char| "/\\?#".contains(char) || char.is_control())
        || is_overlong(&decoded)
}

/// Whether a decoder that accepts longer forms than needed reads one somewhere. The least second byte
/// of a shortest form is RFC 3629's.
fn is_overlong(bytes: &[u8]) -> bool {
    let least = [(0xe0, 0xa0), (0xf0, 0x90), (0xf8, 0x88), (0xfc, 0x84)];
    let is_long = |pair: &[u8]| {
        let continues = pair[1] & 0xc0 == 0x80;
        least
            .iter()
            .any(|(lead, second)| pair[0] == *lead && continues && pair[1] < *second)
    };
    bytes.windows(2).any(is_long) || bytes.iter().any(|byte| matches!(byte, 0xc0 | 0xc1))
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

/// However its holes are filled, a request is only ever served as its own operation, behind any number
/// of proxies that decode its path.
fn reaches_no_other<R: ApiRequest + DeserializeOwned>(ids: [&str; 2]) {
    if let Ok(http) = request_with::<R>(ids).to_http(&authority()) {
        let mut path = http.uri().path().as_bytes().to_vec();
        for _ in 0..4 {
            assert_eq!(served_as(http.method(), &path), [R::OPERATION]);
            path = percent_decode(&path).collect();
        }
    }
}

/// The segments that are left of a path where a lenient server has resolved it: up to a query or
/// fragment, with backslashes for slashes, without parameters, empty segments and dot segments.
fn resolved(path: &[u8]) -> Vec<String> {
    let path = String::from_utf8_lossy(path).replace('\\', "/");
    let path = path.split(['?', '#', '\0']).next().unwrap_or_default();
    let mut segments = Vec::new();
    for segment in path.split('/') {
        let name = segment.split(';').next().unwrap_or_default();
        match name.to_ascii_lowercase().replace("%2e", ".").as_str() {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            _ => segments.push(segment.to_owned()),
        }
    }
    segments
}

/// The operations that a server takes a request for.
fn served_as(method: &Method, path: &[u8]) -> Vec<&'static Operation> {
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
