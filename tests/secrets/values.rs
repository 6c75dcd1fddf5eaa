//! The `Debug` and `Display` of every public type, with a secret in it where it can have one.

use futures_util::StreamExt;
use idpflare_management::testing::*;
use idpflare_management::workflows::{AuditTail, AuditTailEvent};
use idpflare_management::*;
use tokio::runtime::Builder;
use tower::ServiceExt;

use crate::api_values::operations;
use crate::import_values::imports;
use crate::jobs::jobs;
use crate::layer_values::{all_layers, parts_of_layers};
use crate::quotas::quotas;
use crate::secrets::{API_KEY, CLIENT_SECRET, PASSWORD, RAW_KEY};
use crate::sites::Site;
use crate::support::tls::{Ca, trusting};
use crate::witness::{Notes, Witness};

/// All that the crates export.
const EXPORTS: [&str; 5] = [
    include_str!("../../src/lib.rs"),
    include_str!("../../src/api/mod.rs"),
    include_str!("../../src/testing/mod.rs"),
    include_str!("../../src/workflows/mod.rs"),
    include_str!("../../layers/src/lib.rs"),
];

/// Traits, of which there are no values, and aliases, which have other names where they are seen.
const NO_VALUES: [&str; 14] = [
    "ApiRequest",
    "BoxError",
    "CredentialProvider",
    "EncodeReply",
    "ExposeSecret",
    "Fixture",
    "HttpService",
    "Ledger",
    "Listing",
    "QueryValue",
    "QuotaBackend",
    "Recorder",
    "SecretString",
    "StackLayer",
];

/// The names of all types that are exported.
fn exported_types() -> Vec<&'static str> {
    let statements = EXPORTS
        .iter()
        .flat_map(|file| file.split("pub use ").skip(1))
        .map(|rest| rest.split(';').next().unwrap_or_default());
    let names = statements.flat_map(|names| names.split(|char: char| !char.is_alphanumeric()));
    names
        .filter(|name| name.starts_with(|char: char| char.is_uppercase()))
        .filter(|name| name.contains(|char: char| char.is_lowercase()))
        .filter(|name| !NO_VALUES.contains(name))
        .filter(|name| cfg!(feature = "metrics") || *name != "FacadeRecorder")
        .filter(|name| cfg!(feature = "redis") || !["QuotaKey", "RedisQuota"].contains(name))
        .filter(|name| cfg!(feature = "opentelemetry") || *name != "OpenTelemetryRecorder")
        .collect()
}

#[test]
fn every_public_type() {
    let mut witness = Witness::start();
    let notes = witness.notes.clone();
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        operations(&notes).await;
        all_layers(&notes).await;
        parts_of_layers(&notes);
        clients(&notes).await;
        fakes(&notes).await;
        kit(&notes).await;
        requests(&notes).await;
        quotas(&notes).await;
        jobs(&notes).await;
        imports(&notes).await;
        audit_tails(&notes).await;
    });
    let exported = exported_types();
    assert!(exported.len() > 150, "{exported:?}");
    let unseen: Vec<_> = exported
        .into_iter()
        .filter(|name| !notes.has_seen(name))
        .collect();
    assert!(unseen.is_empty(), "not looked at: {unseen:?}");
    witness.assert_discreet("values");
}

async fn clients(notes: &Notes) {
    let ca = Ca::new();
    let (certificate, key) = ca.issue("client.example");
    let pem = key.serialize_pem();
    notes.secret("a private key", &pem);
    let identity = Identity::from_pem(certificate.pem().as_bytes(), pem.as_bytes());
    let identity = identity.expect("an identity");
    notes.debug(&identity);
    notes.debug(&ca.root());
    let swapped = Identity::from_pem(pem.as_bytes(), certificate.pem().as_bytes());
    notes.error(&swapped.expect_err("swapped"));
    let swapped = Certificate::from_pem(pem.as_bytes());
    notes.error(&swapped.expect_err("no certificate"));

    let transport = trusting(&ca).identity(identity);
    notes.debug(&transport);
    let mut transport = transport.build().expect("a transport");
    notes.debug(&transport);
    let authority = Authority::try_from("https://localhost:1").expect("an authority");
    let request = CreateUser::new("ada@example.com").password(PASSWORD);
    let request = request.to_http(&authority).expect("a request");
    notes.debug(&tower::Service::call(&mut transport, request));

    let builder = Client::builder(&authority).api_key(API_KEY);
    notes.debug(&builder);
    let client = builder.build_with(transport.clone()).expect("a client");
    notes.debug(&client);
    notes.debug(&BoxService::new(transport.clone()));
    notes.debug(&client.map_service(|_| transport));
    notes.debug(&ReplyBody::from(bytes::Bytes::from_static(
        RAW_KEY.as_bytes(),
    )));
    let body = http_body_util::Full::new(bytes::Bytes::from_static(RAW_KEY.as_bytes()));
    notes.debug(&ReplyBody::streamed(body));
    notes.debug(&ErrorKind::Api);
}

async fn fakes(notes: &Notes) {
    let site = Site::over_loopback(notes).await;
    notes.debug(&site.fake);
    notes.debug(&site.fake.service());
    let reply = http::Response::builder()
        .header("x-secret", "ids_%C3%A4-as-it-may-be-sent")
        .body(CLIENT_SECRET)
        .expect("a reply");
    notes.secret("a header", "ids_%C3%A4-as-it-may-be-sent");
    let fault = Fault::reply(reply).after_performing();
    notes.debug(&fault);
    notes.debug(&fault.kind());
    notes.debug(&RetryAfter::Seconds(1));
    let rule = FaultRule::new(fault).operation(RotateClientSecret::OPERATION);
    notes.debug(&rule);
    notes.debug(&FaultScript::new().rule(rule));
    notes.error(&FaultScript::from_json("{").expect_err("no script"));
    site.client(notes)
        .send(GetUserStats::new())
        .await
        .expect("stats");
}

/// What tests of users are made with, around what has secrets.
async fn kit(notes: &Notes) {
    let canned = CannedReply::new(http::StatusCode::CREATED)
        .header("x-secret", "ids_%C3%A4-as-it-may-be-sent")
        .body(CLIENT_SECRET);
    notes.debug(&canned);
    let create = || CreateUser::new("ada@example.com").password(PASSWORD);
    let expected = ExpectedRequest::from(create()).header("authorization", API_KEY);
    notes.debug(&expected);
    let replay = ReplayService::new().exchange(expected, canned.clone());
    notes.debug(&replay);

    let capture = CaptureService::new(replay);
    let client = Client::from_service("https://idp.example.com", capture.clone());
    let client = client.expect("a client");
    let other = create().password("Zq7xKp2vT9-Mw4");
    notes.secret("another password", "Zq7xKp2vT9-Mw4");
    notes.error(&client.send(other).await.expect_err("not expected"));
    notes.debug(&capture);
    let request = create().to_http(client.authority()).expect("a request");
    let unexpected = ReplayService::new().oneshot(request).await;
    let unexpected = unexpected.expect_err("nothing is expected");
    let replayed = layers::find_source::<ReplayError>(&*unexpected);
    notes.error(replayed.expect("the kit's own"));
    let mut captured = capture.take();
    notes.debug(&captured.pop().expect("a request"));

    let fixture = ErrorFixture::reply::<RotateClientSecret>(canned);
    notes.debug(&fixture);
    notes.error(&fixture.build());
    let violation = check_layer_contract(tower::util::MapRequestLayer::new(
        |request: http::Request<http_body_util::Full<bytes::Bytes>>| {
            http::Request::new(request.into_body())
        },
    ));
    notes.error(&violation.await.expect_err("it drops extensions"));
}

/// What is said of single requests, and lists of them.
async fn requests(notes: &Notes) {
    notes.secret("a header of one request", "Qw8rT5zU3-pLmN");
    let options = CallOptions::new().header("x-token", "Qw8rT5zU3-pLmN");
    let options = options.expect("a header").extension(API_KEY);
    notes.debug(&options);
    let create = CreateUser::new("ada@example.com").password(PASSWORD);
    notes.debug(&create.with(options.clone()));
    notes.debug(&layers::CallLimit::new(std::time::Duration::from_secs(1)));

    let fake = FakeIdpflare::new();
    fake.seed(3);
    let client = fake.client();
    let list = || ListUsers::new().with(options.clone());
    let mut pager = Pager::new(&client, list());
    notes.debug(&pager);
    let page = pager.next_page().await.expect("a page").expect("the first");
    notes.debug(&page);
    notes.debug(&pager.items());
    let acted = Pager::new(&client, list()).collect_then_act(async |_| Ok::<_, Error>(()));
    notes.debug(&acted.await.expect("users"));
}

async fn audit_tails(notes: &Notes) {
    notes.secret("a header of a tail", "Hd5sW9xB2-kTqV");
    let options = CallOptions::new().header("x-token", "Hd5sW9xB2-kTqV");
    let options = options.expect("a header").attempts(1);
    let fake = FakeIdpflare::new();
    fake.seed(3);
    let status = Fault::status(http::StatusCode::BAD_GATEWAY);
    fake.set_faults(FaultScript::new().rule(FaultRule::new(status)));
    let mut tail = AuditTail::new(&fake.client(), QueryAuditLogs::new())
        .from_beginning()
        .until_caught_up()
        .backoff(layers::Backoff::default())
        .interval(std::time::Duration::ZERO, std::time::Duration::ZERO)
        .call_options(options);
    notes.debug(&tail);
    let mut checkpoints = 0;
    while let Some(event) = tail.next().await {
        let event = event.expect("it goes on");
        notes.debug(&event);
        if let AuditTailEvent::Entries(batch) = event {
            notes.debug(&batch);
            notes.debug(&batch.checkpoint);
            checkpoints += 1;
        }
    }
    assert_eq!(checkpoints, 1);
    notes.debug(&tail);
}
