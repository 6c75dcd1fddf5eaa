//! Accounts whose addresses differ from that of a line in case only.

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use idpflare_management::layers::BoxError;
use idpflare_management::testing::{FakeIdpflare, Fault, FaultRule, FaultScript};
use idpflare_management::workflows::{ImportFailure, ImportReport, ImportUsers, OnConflict};
use idpflare_management::{ApiRequest, Client, CreateUser, GetUser};
use serde_json::Value;
use tower::ServiceExt;

use crate::lenient_server::LenientServer;
use crate::{numbers, once, users};

/// The first has a `k`, the last the Kelvin sign, which Unicode folds to it.
const KATES: [&str; 5] = [
    "kate@example.com",
    "Kate@example.com",
    "KATE@example.com",
    "kate@EXAMPLE.com",
    "\u{212a}ate@example.com",
];

fn admin(email: &str) -> CreateUser {
    CreateUser::new(email).roles(["admin"])
}

async fn run(client: &Client, policy: OnConflict, email: &str, dry: bool) -> ImportReport {
    let import = ImportUsers::new(client).on_conflict(policy).dry_run(dry);
    let report = import.run(stream::iter([admin(email)])).await;
    report.expect("there is no ledger")
}

/// The fake takes all of these addresses for the same, as by Unicode they are.
#[tokio::test]
async fn an_account_is_updated_only_if_its_address_is_the_lines_or_that_in_small_letters() {
    for there in KATES {
        for line in KATES {
            for policy in [OnConflict::Update, OnConflict::Skip, OnConflict::Fail] {
                let fake = FakeIdpflare::new();
                let client = fake.client();
                let kate = client.send(CreateUser::new(there)).await.expect("a user");
                let is_hers = there == line || there == line.to_ascii_lowercase();
                let foreseen = run(&client, policy, line, true).await;
                let report = run(&client, policy, line, false).await;
                let what = format!("{line} meets {there} under {policy:?}: {report}");

                let ends = match policy {
                    OnConflict::Update if is_hers => "updated",
                    OnConflict::Skip if is_hers => "skipped",
                    _ => "failed",
                };
                assert_eq!(numbers(&report), format!("1 line: 1 {ends}"), "{what}");
                assert_eq!(foreseen.to_string(), format!("dry run: {report}"), "{what}");
                if !is_hers {
                    let failure = &report.failures[0].failure;
                    assert!(
                        matches!(failure, ImportFailure::OtherCase { user_id } if *user_id == kate.id),
                        "{what}"
                    );
                    // Characters beyond ASCII are not compared.
                    let text = failure.to_string();
                    assert!(text.contains("may differ in case only"), "{text}");
                }
                let after = client.send(GetUser::new(&kate.id)).await.expect("a user");
                let is_admin = after.roles == ["admin"];
                assert_eq!(is_admin, is_hers && policy == OnConflict::Update, "{what}");
                assert_eq!(users(&client).await, once([there]), "{what}");
            }
        }
    }
}

/// A server that keeps addresses in small letters and minds case when it searches.
fn keeps_small_letters(fake: &FakeIdpflare) -> Client {
    let fake = fake.service();
    let service = tower::service_fn(move |request: Request<Full<Bytes>>| {
        let fake = fake.clone();
        async move {
            let (head, body) = request.into_parts();
            let mut body = body.collect().await.expect("a body").to_bytes();
            if head.method == Method::POST {
                body = String::from_utf8(body.to_vec())
                    .expect("JSON")
                    .to_ascii_lowercase()
                    .into();
            }
            let query = head.uri.query().unwrap_or_default().to_owned();
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            let search = pairs.find(|(name, _)| name == "search");
            let request = Request::from_parts(head, Full::new(body));
            let (head, body) = fake.oneshot(request).await?.into_parts();
            let mut body = body.collect().await?.to_bytes();
            if let Some((_, search)) = search {
                let mut page: Value = serde_json::from_slice(&body).expect("JSON");
                let rows = page["users"].as_array_mut().expect("users");
                rows.retain(|user| {
                    user["email"]
                        .as_str()
                        .is_some_and(|has| has.contains(&*search))
                });
                page["total"] = rows.len().into();
                body = page.to_string().into();
            }
            Ok::<_, BoxError>(Response::from_parts(head, Full::new(body)))
        }
    });
    let client = Client::from_service("https://idp.example.com", service);
    client.expect("a client").boxed()
}

#[tokio::test]
async fn an_account_that_is_kept_in_small_letters_is_found_where_the_search_minds_case() {
    let fake = FakeIdpflare::new();
    let key = fake.api_key();
    let with_key = |client: Client| {
        client
            .map_service(|service| {
                tower::util::MapRequest::new(service, move |mut request: Request<Full<Bytes>>| {
                    let bearer = format!("Bearer {key}").parse().expect("a header");
                    request
                        .headers_mut()
                        .insert(http::header::AUTHORIZATION, bearer);
                    request
                })
            })
            .boxed()
    };
    let client = with_key(keeps_small_letters(&fake));
    let create = CreateUser::new("Abc@Example.com");
    let there = client.send(create).await.expect("a user");
    assert_eq!(there.email, "abc@example.com");
    for dry in [true, false] {
        let report = run(&client, OnConflict::Update, "Abc@Example.com", dry).await;
        assert_eq!(report.updated, 1, "{report}");
    }
    let after = client.send(GetUser::new(&there.id)).await.expect("a user");
    assert_eq!(after.roles, ["admin"]);
}

/// That server has two users. It knows no updates, and a request for one would be a panic.
#[tokio::test(start_paused = true)]
async fn without_a_409_an_account_in_small_letters_is_another_one() {
    let server = LenientServer::default();
    server.add("kate@example.com");
    server.drop_requests(1);
    let report = run(
        &server.client(),
        OnConflict::Update,
        "Kate@example.com",
        false,
    )
    .await;
    assert_eq!(numbers(&report), "1 line: 1 created");
    assert_eq!(server.emails(), ["Kate@example.com", "kate@example.com"]);
}

/// Of a create whose reply was lost, the 409 to the next one says that the address is kept like this.
#[tokio::test(start_paused = true)]
async fn a_user_that_was_created_in_small_letters_is_recognised() {
    let fake = FakeIdpflare::new();
    let client = fake.client();
    client
        .send(admin("kate@example.com"))
        .await
        .expect("a user");
    let lost = FaultRule::new(Fault::status(StatusCode::SERVICE_UNAVAILABLE));
    fake.set_faults(FaultScript::new().rule(lost.operation(CreateUser::OPERATION)));
    let report = run(&client, OnConflict::Update, "Kate@Example.com", false).await;
    assert_eq!(numbers(&report), "1 line: 1 reconciled");
}
