//! Where the operations are performed: in process, over HTTP/1.1, and over TLS and HTTP/2.

use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use idpflare_management::layers::{
    ApiKey, AttemptFinished, Backoff, CallFinished, MetricsLayer, Recorder, RetryBudget,
    RetryPolicy, Subject,
};
use idpflare_management::testing::{FakeIdpflare, FakeServer};
use idpflare_management::*;
use tower::{ServiceBuilder, ServiceExt};
use tower_http::trace::{DefaultMakeSpan, DefaultOnRequest, TraceLayer};
use tracing::Level;

use crate::arriving::{note_secret, noting_secrets};
use crate::secrets::{API_KEY, ROTATED_KEY};
use crate::support::tls::{Ca, at, listen, trusting};
use crate::witness::Notes;

/// All the time that a busy machine may need.
const PATIENT: Duration = Duration::from_secs(30);
const IMPATIENT: Duration = Duration::from_millis(50);

pub(crate) struct Site {
    pub(crate) fake: FakeIdpflare,
    pub(crate) authority: String,
    pub(crate) transport: BoxService,
    /// The key that its clients have, at first one that has all rights.
    pub(crate) key: String,
    /// Whether its clients give up early.
    pub(crate) impatient: bool,
    /// The server, as long as it is needed.
    _server: Option<FakeServer>,
}

fn seeded(notes: &Notes) -> FakeIdpflare {
    let fake = FakeIdpflare::new();
    fake.seed(10);
    let notes = notes.clone();
    fake.on_request(move |entry| {
        notes.debug(entry);
        notes.display(entry);
    });
    fake
}

impl Site {
    pub(crate) fn in_process(notes: &Notes) -> Self {
        let fake = seeded(notes);
        Self {
            authority: String::from("https://idp.example.com"),
            transport: BoxService::new(knowing_keys(&fake)),
            key: String::from(API_KEY),
            fake,
            impatient: false,
            _server: None,
        }
    }

    /// With the fake's own server, which knows no other keys than the fake's.
    pub(crate) async fn over_loopback(notes: &Notes) -> Self {
        let fake = seeded(notes);
        let server = fake.serve().await.expect("a port");
        let key = fake.api_key();
        note_secret(notes, &key);
        notes.debug(&server);
        let transport = Transport::builder().without_tls().build();
        Self {
            authority: server.authority(),
            transport: BoxService::new(transport.expect("a transport")),
            key,
            fake,
            impatient: false,
            _server: Some(server),
        }
    }

    pub(crate) async fn over_tls(notes: &Notes) -> Self {
        let fake = seeded(notes);
        let ca = Ca::new();
        let (acceptor, listener) = listen(&ca, "localhost", &["h2"], None).await;
        let address = listener.local_addr().expect("an address");
        let service = knowing_keys(&fake);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, service) = (acceptor.clone(), service.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let service = service_fn(move |request| answer(service.clone(), request));
                    let _ = auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self {
            authority: at("localhost", address),
            transport: BoxService::new(trusting(&ca).build().expect("a transport")),
            key: String::from(API_KEY),
            fake,
            impatient: false,
            _server: None,
        }
    }

    pub(crate) fn client(&self, notes: &Notes) -> Client {
        let key = ApiKey::new(self.key.as_str()).expect("a key");
        self.client_with(notes, KeyHandle::new(key))
    }

    /// A client of which everything is noted that a user can note.
    pub(crate) fn client_with(&self, notes: &Notes, key: KeyHandle) -> Client {
        let (deadline, limit) = if self.impatient {
            (4 * IMPATIENT, IMPATIENT)
        } else {
            (PATIENT, PATIENT)
        };
        let builder = Client::builder(self.authority.as_str())
            .key_handle(key)
            .deadline(deadline)
            .attempt_timeout(limit)
            .max_reply_bytes(32 * 1024);
        let client = watched(builder, notes).build_with(noting_secrets(&self.transport, notes));
        client.expect("a client")
    }
}

async fn answer(
    service: BoxService,
    request: Request<Incoming>,
) -> Result<Response<ReplyBody>, layers::BoxError> {
    let (head, body) = request.into_parts();
    let body = Full::new(body.collect().await?.to_bytes());
    service.oneshot(Request::from_parts(head, body)).await
}

/// What is below goes through the layers that a curious user adds, and what these hear is noted.
pub(crate) fn watched(builder: ClientBuilder, notes: &Notes) -> ClientBuilder {
    let on_decision = {
        let notes = notes.clone();
        move |decision: &layers::RetryDecision<'_>| notes.debug(decision)
    };
    let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(2))
        .and_then(|backoff| backoff.rate_limited_base(Duration::from_millis(1)));
    let policy = RetryPolicy::new()
        .attempts(2)
        .backoff(backoff.expect("valid"))
        .budget(RetryBudget::unlimited())
        .on_decision(on_decision);
    let told = Told(notes.clone());
    let stack_notes = notes.clone();
    builder
        .retry(policy)
        .layer(MetricsLayer::per_call(told.clone()))
        .attempt_layer(MetricsLayer::per_attempt(told))
        .stack(move |stack| {
            // Inside of what adds the key, with all headers.
            let make_span = DefaultMakeSpan::new()
                .level(Level::TRACE)
                .include_headers(true);
            let trace = TraceLayer::new_for_http()
                .make_span_with(make_span)
                .on_request(DefaultOnRequest::new().level(Level::TRACE));
            let stack = stack.insert_after(Stack::AUTH, "trace", trace)?;
            stack_notes.debug(&stack);
            stack_notes.display(&stack);
            Ok(stack)
        })
}

#[derive(Clone)]
struct Told(Notes);

impl Recorder for Told {
    fn call_started(&self, subject: &Subject) {
        self.0.debug(subject);
    }

    fn call_finished(&self, call: &CallFinished<'_>) {
        self.0.debug(call);
    }

    fn attempt_started(&self, subject: &Subject) {
        self.0.debug(subject);
    }

    fn attempt_finished(&self, attempt: &AttemptFinished<'_>) {
        self.0.debug(attempt);
    }
}

/// The fake, which also takes the keys of these tests: its own have no characters that are written
/// in more than one way.
fn knowing_keys(fake: &FakeIdpflare) -> BoxService {
    let own = HeaderValue::from_str(&format!("Bearer {}", fake.api_key())).expect("a header");
    let translate = move |mut request: Request<Full<Bytes>>| {
        let known = [API_KEY, ROTATED_KEY].map(|key| format!("Bearer {key}"));
        if let Some(key) = request.headers_mut().get_mut(AUTHORIZATION)
            && known.iter().any(|known| *known == *key)
        {
            *key = own.clone();
        }
        request
    };
    let service = ServiceBuilder::new().map_request(translate);
    BoxService::new(service.service(fake.service()))
}
