//! Servers whose lists have no end, or are longer than any list can be.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use idpflare_management::layers::BoxError;
use idpflare_management::testing::Fixture;
use idpflare_management::workflows::{
    AccessTokens, KeyNotFound, KeyRef, NewApiKey, Offboard, Remaining, RotateApiKey, ScopeCheck,
    StepOutcome, Suspects,
};
use idpflare_management::{ApiKey, Client, ErrorKind, RefreshToken, Scope, SocialIdentity, User};
use serde_json::{Value, json};

use crate::support::AUTHORITY;

const MANY: usize = 20_000;

/// So many rows, each with its number in `member`.
fn rows(row: &impl serde::Serialize, member: &str, numbers: std::ops::Range<usize>) -> Value {
    let row = serde_json::to_value(row).expect("JSON");
    let row = |number: usize| {
        let mut row = row.clone();
        row[member] = format!("id_{number}").into();
        row
    };
    numbers.map(row).collect()
}

/// How often the server was asked in each way.
#[derive(Clone, Default)]
struct Asked(Arc<[AtomicUsize; 3]>);

const KEYS: usize = 0;
const UNLINK: usize = 1;
const CLIENT: usize = 2;

impl Asked {
    fn count(&self, what: usize) -> usize {
        self.0[what].load(Ordering::Relaxed)
    }

    fn answer(&self, request: &Request<Full<Bytes>>) -> (u16, Value) {
        let note = |what: usize| self.0[what].fetch_add(1, Ordering::Relaxed);
        let path: Vec<_> = request.uri().path().split('/').skip(3).collect();
        match (request.method(), &path[..]) {
            (&Method::GET, ["api-keys"]) => {
                let number = note(KEYS);
                (
                    200,
                    json!({"api_keys": rows(&ApiKey::fixture(), "id", number..number + 1)}),
                )
            }
            (&Method::GET, ["users", _]) => (200, json!(User::fixture())),
            (&Method::GET, ["users", _, "tokens"]) => {
                let mut token = RefreshToken::fixture();
                token.expires_at = "2100-01-01T00:00:00Z".parse().expect("a time");
                (200, json!({"tokens": rows(&token, "client_id", 0..MANY)}))
            }
            (&Method::GET, ["users", _, "identities"]) => (
                200,
                json!({"identities": rows(&SocialIdentity::fixture(), "id", 0..MANY)}),
            ),
            (&Method::GET, ["users", _, _]) => (200, json!({"sessions": []})),
            (&Method::GET, ["clients", _]) => {
                note(CLIENT);
                (500, json!({"error": "no"}))
            }
            (&Method::DELETE, ["users", _, "identities", _]) => {
                note(UNLINK);
                (500, json!({"error": "no"}))
            }
            _ => (500, json!({"error": "no"})),
        }
    }
}

#[tokio::test]
async fn a_job_ends_however_long_the_lists_of_a_server_are() {
    let asked = Asked::default();
    let server = asked.clone();
    let service = tower::service_fn(move |request: Request<Full<Bytes>>| {
        let (status, body) = server.answer(&request);
        let mut reply = Response::new(Full::<Bytes>::from(body.to_string()));
        *reply.status_mut() = StatusCode::from_u16(status).expect("a status");
        reply.headers_mut().insert(
            "date",
            http::HeaderValue::from_static("Tue, 24 Nov 2026 08:00:02 GMT"),
        );
        std::future::ready(Ok::<_, BoxError>(reply))
    });
    let client = Client::from_service(AUTHORITY, service).expect("a client");
    let job = Offboard::new("usr_7").unlink_identities(true);
    let report = job.running_key(KeyRef::id("key_7")).run(&client).await;

    let ScopeCheck::Unknown(KeyNotFound::NotListed(error)) = &report.scopes else {
        panic!("{}", report.scopes);
    };
    assert_eq!(error.kind(), ErrorKind::NoProgress);
    assert_eq!(asked.count(KEYS), 1000);

    assert!(report.unlink_identities.error().is_some());
    assert_eq!(asked.count(UNLINK), 10);
    let Remaining::Left(left) = &report.verification.identities else {
        panic!("{report}");
    };
    assert_eq!(left.len(), MANY, "all that is left is reported");

    let AccessTokens::Of(clients) = &report.access_tokens else {
        panic!("{report}");
    };
    assert_eq!((clients.len(), asked.count(CLIENT)), (MANY, 100));
}

#[tokio::test]
async fn suspects_are_left_after_ten_failures_in_a_row() {
    const SUSPECTS: usize = 100;
    let revoked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&revoked);
    let created = Arc::new(AtomicUsize::new(0));
    let service = tower::service_fn(move |request: Request<Full<Bytes>>| {
        let (status, body) = match *request.method() {
            Method::GET => {
                let query = form_urlencoded::parse(request.uri().query().unwrap_or("").as_bytes());
                let offset = query.filter(|(name, _)| name == "offset").last();
                let first = offset.map_or(0, |(_, offset)| offset.parse().expect("a number"));
                let end = 1 + created.load(Ordering::Relaxed);
                let mut key = ApiKey::fixture();
                key.scopes = vec![
                    Scope::ApiKeysRead,
                    Scope::ApiKeysWrite,
                    Scope::ApiKeysDelete,
                ];
                (
                    200,
                    json!({"api_keys": rows(&key, "id", first.min(end)..end)}),
                )
            }
            Method::POST => {
                created.store(SUSPECTS, Ordering::Relaxed);
                (500, json!({"error": "no"}))
            }
            _ => {
                // The third works.
                let number = counter.fetch_add(1, Ordering::Relaxed);
                (if number == 2 { 200 } else { 500 }, json!({}))
            }
        };
        let mut reply = Response::new(Full::<Bytes>::from(body.to_string()));
        *reply.status_mut() = StatusCode::from_u16(status).expect("a status");
        std::future::ready(Ok::<_, BoxError>(reply))
    });
    let client = Client::from_service(AUTHORITY, service).expect("a client");
    let unused = async |_: NewApiKey| Ok::<_, BoxError>(());
    let job = RotateApiKey::new(KeyRef::id("id_0"));
    let report = job.run(&client, unused, unused).await;
    let Suspects::Found(suspects) = &report.suspects else {
        panic!("{report}");
    };
    assert_eq!(suspects.len(), SUSPECTS, "{report}");

    let outcomes = report.revoke_suspects(&client).await;
    assert_eq!(outcomes.len(), SUSPECTS, "each has an outcome");
    assert_eq!(revoked.load(Ordering::Relaxed), 13);
    for (number, (_, outcome)) in outcomes.iter().enumerate() {
        assert_eq!(outcome.is_done(), number == 2, "{number}: {outcome}");
        let is_skipped = matches!(outcome, StepOutcome::Skipped);
        assert_eq!(is_skipped, number >= 13, "{number}: {outcome}");
    }
}
