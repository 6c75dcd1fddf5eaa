//! Replays recorded exchanges: each request must come out as it was recorded, each reply must be
//! understood as it was.

mod support;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use idpflare_management::layers::{BoxError, RetryPolicy};
use idpflare_management::{ApiRequest, Client, Error};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use support::{ToJson, arguments, lines, with_operation};
use tower::service_fn;

const AUTHORITY: &str = "http://127.0.0.1:9";

type Outcome = Pin<Box<dyn Future<Output = Result<Value, Error>>>>;
type Sent = Arc<Mutex<Option<Request<Full<Bytes>>>>>;

/// A client whose service keeps the request and answers with `reply`.
fn client(suffix: &str, key: &str, reply: Response<Full<Bytes>>) -> (Client, Sent) {
    let sent = Sent::default();
    let keep = Arc::clone(&sent);
    let service = service_fn(move |request| {
        *keep.lock().expect("not poisoned") = Some(request);
        std::future::ready(Ok::<_, BoxError>(reply.clone()))
    });
    let client = Client::builder(format!("{AUTHORITY}{suffix}"))
        .api_key(key)
        // Each reply is the one and only.
        .retry(RetryPolicy::new().attempts(1))
        .build_with(service)
        .expect("a client");
    (client, sent)
}

/// What came of it, as JSON or as the error.
fn call<R>(input: &Value, client: &Client) -> Outcome
where
    R: ApiRequest + DeserializeOwned + 'static,
    R::Response: ToJson,
{
    let request: R = serde_json::from_value(arguments(input)).expect("arguments of the operation");
    let client = client.clone();
    Box::pin(async move { client.send(request).await.map(|value| value.to_json()) })
}

fn segments(path: &str) -> Vec<Vec<u8>> {
    path.split('/')
        .map(|segment| percent_decode_str(segment).collect())
        .collect()
}

async fn check_request(vector: &Value) {
    let operation = vector["operation"].as_str().expect("an operation");
    let suffix = vector["authority_suffix"].as_str().unwrap_or_default();
    let expected = &vector["request"];
    let headers = &expected["headers"];
    let authorization = headers["authorization"].as_str().expect("a header");
    let key = authorization
        .strip_prefix("Bearer ")
        .expect("a bearer token");
    let (client, sent) = client(suffix, key, Response::new(Full::default()));
    let outcome = with_operation!(operation, call(&vector["input"], &client))
        .unwrap_or_else(|| panic!("the operation {operation} is not known"));
    // The empty reply may well not be one of this operation.
    let _ = outcome.await;
    let sent = sent.lock().expect("not poisoned").take();
    let sent = sent.unwrap_or_else(|| panic!("nothing was sent for {vector}"));

    assert_eq!(sent.method().as_str(), expected["method"], "{vector}");
    let path = expected["path"].as_str().expect("a path");
    assert_eq!(segments(sent.uri().path()), segments(path), "{vector}");
    assert_eq!(
        sent.uri().query(),
        expected["raw_query"].as_str(),
        "{vector}"
    );
    let query: Vec<_> = form_urlencoded::parse(sent.uri().query().unwrap_or_default().as_bytes())
        .map(|(name, value)| json!([name, value]))
        .collect();
    assert_eq!(json!(query), expected["query"], "{vector}");
    assert_eq!(sent.headers()["authorization"], authorization, "{vector}");
    let content_type = sent.headers().get("content-type").cloned();
    let body = sent.into_body().collect().await.expect("in memory");
    let body = body.to_bytes();
    if expected["body"].is_null() {
        assert!(body.is_empty(), "{vector}");
    } else {
        let json: Value = serde_json::from_slice(&body).expect("a JSON body");
        assert_eq!(json, expected["body"], "{vector}");
        let content_type = content_type.expect("a body has a type");
        assert_eq!(
            content_type.to_str().expect("text"),
            headers["content-type"],
            "{vector}"
        );
    }
}

async fn check_reply(vector: &Value) {
    let operation = vector["operation"].as_str().expect("an operation");
    let recorded = &vector["reply"];
    let body = match (recorded.get("body"), recorded["raw"].as_str()) {
        (_, Some(raw)) => raw.to_owned(),
        (Some(body), None) => body.to_string(),
        (None, None) => String::new(),
    };
    let status = recorded["status"].as_u64().expect("a status");
    let mut reply = Response::builder().status(u16::try_from(status).expect("a status"));
    for (name, value) in recorded["headers"].as_object().into_iter().flatten() {
        reply = reply.header(name, value.as_str().expect("a header's value"));
    }
    let reply = reply.body(Full::from(body)).expect("a reply");
    let (client, _) = client("", "idk_test", reply);
    let outcome = with_operation!(operation, call(&vector["input"], &client))
        .unwrap_or_else(|| panic!("the operation {operation} is not known"))
        .await;

    let expected = &vector["outcome"];
    match (outcome, expected.get("error")) {
        (Ok(value), None) => assert_same(&value, &expected["ok"], operation),
        (Err(error), Some(expected)) => {
            assert_eq!(error.message(), expected["message"], "{vector}");
            let status = error.status().map(|status| status.as_u16());
            assert_eq!(json!(status), expected["status"], "{vector}");
        }
        (outcome, _) => panic!("{outcome:?} where this was recorded: {vector}"),
    }
}

/// Objects that belong to applications: nothing in them is unknown.
const FREE: [&str; 2] = ["metadata", "details"];

/// What the protocol's types name.
const NAMED: &str = "access_token_ttl active admins allowed_grant_types allowed_origins allowed_scopes \
    api_key api_keys city client client_id client_secret clients country created_at created_by \
    default_scopes description details email email_verified email_verified_at enrollments entries \
    event_type expires_at failed_login_attempts family_name given_name id id_token_ttl identities \
    ip_address is_active is_confidential is_enabled is_first_party is_locked is_primary is_revoked \
    key_prefix last_activity_at last_login_at last_used_at limit locale locked_until logo_url \
    metadata method mfa_enabled name offset picture_url post_logout_redirect_uris provider \
    provider_email provider_user_id raw_key redirect_uris refresh_token_ttl require_pkce roles scope \
    scopes sessions sessions_revoked status token tokens tokens_revoked total updated_at user_agent \
    user_id users verified";

/// `ours` has every member that the protocol names; the server may know more of them.
fn assert_same(ours: &Value, theirs: &Value, place: &str) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            for (name, value) in ours {
                let place = format!("{place}.{name}");
                let other = theirs.get(name).unwrap_or(&Value::Null);
                if FREE.contains(&name.as_str()) {
                    assert_eq!(value, other, "{place}");
                } else {
                    assert_same(value, other, &place);
                }
            }
            for name in theirs.keys() {
                let named = NAMED.split_ascii_whitespace().any(|named| named == name);
                assert!(!named || ours.contains_key(name), "{place} has no {name}");
            }
        }
        (Value::Array(ours), Value::Array(theirs)) => {
            assert_eq!(ours.len(), theirs.len(), "{place}");
            for (index, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                assert_same(ours, theirs, &format!("{place}[{index}]"));
            }
        }
        _ => assert_eq!(ours, theirs, "{place}"),
    }
}

#[tokio::test]
async fn recorded_exchanges() {
    // Other recordings can be put in place of those that are carried along.
    let folder = std::env::var_os("IDPFLARE_WIRE_VECTORS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire"),
        PathBuf::from,
    );
    let requests = lines(&folder.join("requests.jsonl"));
    for vector in &requests {
        check_request(vector).await;
    }
    let responses = lines(&folder.join("responses.jsonl"));
    for vector in &responses {
        check_reply(vector).await;
    }
    assert!(!requests.is_empty() && !responses.is_empty());
    // Not `println!`, which is shown only where a test fails.
    let (requests, responses) = (requests.len(), responses.len());
    writeln!(
        std::io::stdout(),
        "{requests} requests, {responses} responses"
    )
    .expect("written");
}
