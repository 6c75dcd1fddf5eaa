//! Replies that hold a secret, whole and broken, with success and without.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use idpflare_management::layers::BoxError;
use idpflare_management::testing::{FakeIdpflare, Fault, FaultRule, FaultScript};
use idpflare_management::*;
use serde_json::{Value, json};
use tokio::runtime::Builder;
use tower::ServiceExt;

use crate::operations::{Targets, perform};
use crate::secrets::{API_KEY, CLIENT_SECRET, RAW_KEY};
use crate::sites::Site;
use crate::support::with_operation;
use crate::witness::{Notes, Witness};

/// The operations whose replies hold a secret, and where that is.
const SENSITIVE: [(&str, &str, &str); 3] = [
    ("createApiKey", "raw_key", RAW_KEY),
    ("createClient", "client_secret", CLIENT_SECRET),
    ("rotateClientSecret", "client_secret", CLIENT_SECRET),
];

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(future)
}

/// What the fake answers, with another secret in it.
async fn reply_with(fake: &FakeIdpflare, id: &str, member: &str, secret: &str) -> Value {
    fn encode<R: ApiRequest + serde::de::DeserializeOwned>(
        arguments: Value,
    ) -> Request<Full<Bytes>> {
        let request: R = serde_json::from_value(arguments).expect("arguments");
        let authority = Authority::try_from("https://idp.example.com").expect("an authority");
        request.to_http(&authority).expect("a request")
    }
    let targets = Targets::of(fake).await.expect("targets");
    let mut request = with_operation!(id, encode(targets.arguments(id))).expect("known");
    let key = format!("Bearer {}", fake.api_key())
        .try_into()
        .expect("a header");
    request.headers_mut().insert(AUTHORIZATION, key);
    let reply = fake.service().oneshot(request).await.expect("a reply");
    let body = reply
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    let mut json: Value = serde_json::from_slice(&body).expect("JSON");
    assert!(json[member].is_string());
    json[member] = json!(secret);
    json
}

/// Whether the operation succeeds with this reply.
async fn answer(site: &Site, notes: &Notes, id: &str, reply: Response<Vec<u8>>) -> bool {
    let rule = FaultRule::new(Fault::reply(reply)).times(u64::MAX);
    site.fake.set_faults(FaultScript::new().rule(rule));
    let arguments = Targets::unknown().arguments(id);
    let succeeded = perform(id, &site.client(notes), arguments, notes).await;
    site.fake.clear_faults();
    succeeded
}

fn with_status(status: u16, body: impl Into<Vec<u8>>) -> Response<Vec<u8>> {
    let reply = Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "application/json");
    reply.body(body.into()).expect("a reply")
}

#[test]
fn whole_replies() {
    let mut witness = Witness::start();
    run(async {
        let notes = &witness.notes;
        for site in [
            Site::over_loopback(notes).await,
            Site::over_tls(notes).await,
        ] {
            for (id, member, secret) in SENSITIVE {
                let json = reply_with(&site.fake, id, member, secret).await;
                for (status, succeeds) in [(200, true), (302, false), (400, false), (500, false)] {
                    let reply = with_status(status, json.to_string());
                    assert_eq!(answer(&site, notes, id, reply).await, succeeds);
                }
            }
        }
    });
    witness.assert_discreet("whole replies");
}

/// The same JSON with something else in place of one member at a time, at any depth.
fn variants(json: &Value, other: &Value) -> Vec<Value> {
    let mut variants = vec![other.clone()];
    match json {
        Value::Object(members) => {
            for (name, value) in members {
                variants.extend(self::variants(value, other).into_iter().map(|value| {
                    let mut changed = members.clone();
                    changed.insert(name.clone(), value);
                    Value::Object(changed)
                }));
            }
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                variants.extend(self::variants(value, other).into_iter().map(|value| {
                    let mut changed = values.clone();
                    changed[index] = value;
                    Value::Array(changed)
                }));
            }
        }
        _ => {}
    }
    variants
}

#[test]
fn replies_of_another_shape() {
    let mut witness = Witness::start();
    let site = Site::in_process(&witness.notes);
    run(async {
        for (id, member, secret) in SENSITIVE {
            let json = reply_with(&site.fake, id, member, secret).await;
            let mut bodies = Vec::new();
            for other in [
                json!(secret),
                json!([secret]),
                json!({ secret: secret }),
                json!({"secret": [1, secret]}),
                json!(secret.as_bytes()),
                json!(4711),
                json!(null),
            ] {
                bodies.extend(variants(&json, &other));
            }
            for body in bodies {
                let text = body.to_string();
                for text in [
                    text.clone(),
                    format!("{text} {secret}"),
                    format!("{secret}{text}"),
                ] {
                    // Where it succeeds, the server has called the secret a name or the like.
                    let notes = Notes::default();
                    if !answer(&site, &notes, id, with_status(200, text)).await {
                        witness.notes.adopt(&notes);
                    }
                }
            }
            let mut html = with_status(200, format!("<p>{secret}</p>"));
            let kind = HeaderValue::from_static("text/html");
            html.headers_mut().insert(CONTENT_TYPE, kind);
            assert!(!answer(&site, &witness.notes, id, html).await);
        }
    });
    witness.assert_discreet("replies of another shape");
}

#[test]
fn replies_with_a_byte_too_few_or_too_many() {
    fn decode<R: ApiRequest>(body: &[u8], notes: &Notes) {
        let reply = Response::new(Bytes::copy_from_slice(body));
        if let Err(error) = R::decode(&reply) {
            notes.error(&error);
        }
    }
    let mut witness = Witness::start();
    let fake = FakeIdpflare::new();
    for (id, member, secret) in SENSITIVE {
        let json = run(reply_with(&fake, id, member, secret)).to_string();
        let body = json.as_bytes();
        for position in 0..body.len() {
            let (before, rest) = body.split_at(position);
            let notes = &witness.notes;
            let check = |body: &[u8]| with_operation!(id, decode(body, notes)).expect("known");
            check(before);
            check(rest);
            check(&[before, &rest[1..]].concat());
            for byte in [b'"', b'\\', b'{', b'7', 0xff] {
                check(&[before, &[byte], rest].concat());
            }
        }
        witness.assert_discreet(id);
    }
}

/// A server that sends back what it is sent.
async fn echo(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, BoxError> {
    let (head, body) = request.into_parts();
    let mut reply = Response::new(body);
    *reply.headers_mut() = head.headers;
    let key = HeaderValue::from_str(&format!("Bearer {API_KEY}"))?;
    reply.headers_mut().insert("x-key", key);
    Ok(reply)
}

#[test]
fn an_echo() {
    let mut witness = Witness::start();
    run(async {
        for status in [200, 404, 500] {
            let service = tower::service_fn(echo).map_response(move |mut reply| {
                *reply.status_mut() = status.try_into().expect("a status");
                reply
            });
            let client = Client::builder("https://idp.example.com")
                .api_key(API_KEY)
                .build_with(service)
                .expect("a client");
            for request in [
                CreateUser::new("ada@example.com").password(crate::secrets::PASSWORD),
                CreateUser::new("ada@example.com"),
            ] {
                let error = client.send(request).await.expect_err("no user");
                witness.notes.error(&error);
            }
            let request = UpdateUserPassword::new("usr_1", crate::secrets::NEW_PASSWORD);
            if let Err(error) = client.send(request).await {
                witness.notes.error(&error);
            }
        }
    });
    witness.assert_discreet("an echo");
}
