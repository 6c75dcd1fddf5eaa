//! Replays recorded exchanges: each request must come out as it was recorded, each reply must be
//! understood as it was.

mod support;

use std::io::Write;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use idpflare_management::layers::BoxError;
use idpflare_management::{ApiRequest, Client, Error};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use support::{ToJson, arguments, recorded, with_operation};
use tower::service_fn;

const AUTHORITY: &str = "http://127.0.0.1:9";

type Outcome = Pin<Box<dyn Future<Output = Result<Value, Error>>>>;
type Sent = Arc<Mutex<Option<Request<Full<Bytes>>>>>;

/// A client whose service keeps the request and answers with `reply`.
fn client(suffix: &str, reply: Response<Full<Bytes>>) -> (Client, Sent) {
    let sent = Sent::default();
    let keep = Arc::clone(&sent);
    let service = service_fn(move |request| {
        *keep.lock().expect("not poisoned") = Some(request);
        std::future::ready(Ok::<_, BoxError>(reply.clone()))
    });
    let client = Client::builder(format!("{AUTHORITY}{suffix}"))
        .api_key("idk_test")
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
    let (client, sent) = client(suffix, Response::new(Full::default()));
    let outcome = with_operation!(operation, call(&vector["input"], &client))
        .unwrap_or_else(|| panic!("the operation {operation} is not known"));
    // The empty reply may well not be one of this operation.
    let _ = outcome.await;
    let sent = sent.lock().expect("not poisoned").take();
    let sent = sent.unwrap_or_else(|| panic!("nothing was sent for {vector}"));

    let expected = &vector["request"];
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
    let headers = &expected["headers"];
    assert_eq!(
        sent.headers()["authorization"].to_str().expect("text"),
        headers["authorization"],
        "{vector}"
    );
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
    let (client, _) = client("", reply);
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
/// Members that are left out where there is no value.
const ABSENT: [&str; 2] = ["admins", "client_secret"];

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
            for name in ABSENT {
                let has = |object: &serde_json::Map<_, _>| object.get(name).is_some();
                assert_eq!(has(ours), has(theirs), "{place}.{name}");
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
    let requests = recorded("requests.jsonl");
    for vector in &requests {
        check_request(vector).await;
    }
    let responses = recorded("responses.jsonl");
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
