//! A value for every reply.

use std::collections::BTreeSet;
use std::fmt::Debug;

use http::StatusCode;
use idpflare_management::testing::{EncodeReply, Fixture, ReplayService};
use idpflare_management::*;
use serde::de::DeserializeOwned;

use crate::support::{ToJson, arguments, recorded, with_operation};

/// Sends `R`, has it answered with its fixture, and compares what arrives.
#[tokio::main(flavor = "current_thread")]
async fn round_trip<R>(input: &serde_json::Value)
where
    R: ApiRequest + DeserializeOwned + Clone,
    R::Response: Fixture + EncodeReply + ToJson + Debug,
{
    let request: R = serde_json::from_value(arguments(input)).expect("recorded arguments");
    let fixture = R::Response::fixture();
    let replay = ReplayService::new().exchange(request.clone(), &fixture);
    let client = Client::from_service("https://idp.example.com", replay.clone()).unwrap();
    let found = client.send(request).await.expect("the fixture decodes");
    replay.assert_finished();
    // As JSON, since secrets can be compared neither as values nor in `Debug`.
    assert_eq!(found.to_json(), fixture.to_json());
    assert_eq!(format!("{found:?}"), format!("{fixture:?}"));
}

#[test]
fn each_operation_can_be_answered_with_its_fixture() {
    let mut seen = BTreeSet::new();
    for vector in recorded("requests.jsonl") {
        let id = vector["operation"].as_str().expect("an operation");
        if seen.insert(id.to_owned()) {
            let check = with_operation!(id, round_trip(&vector["input"]));
            check.expect("a known operation");
        }
    }
    assert_eq!(seen.len(), OPERATIONS.len());
}

#[test]
fn fixtures_fit_together() {
    let user = User::fixture();
    assert_eq!(UserSession::fixture().user_id, user.id);
    assert_eq!(ApiKey::fixture().created_by, user.id);
    assert_eq!(AuditLogEntry::fixture().user_id.as_ref(), Some(&user.id));
    assert_eq!(UserPage::fixture().users, [user]);
    let client = OAuthClient::fixture();
    assert_eq!(RefreshToken::fixture().client_id, client.id);
    assert_eq!(OAuthClientPage::fixture().clients, [client]);
    let created = CreatedApiKey::fixture();
    let raw_key = created.raw_key.expose_secret();
    assert!(raw_key.starts_with(&created.api_key.key_prefix));
}

#[test]
fn a_client_without_a_secret_is_encoded_without_one() {
    let mut created = CreatedClient::fixture();
    created.client.is_confidential = false;
    created.client_secret = None;
    let replay = ReplayService::new().exchange(CreateClient::OPERATION, &created);
    assert!(format!("{replay:?}").contains("createClient"));
    let text = format!("{:?}", created.encode());
    assert!(text.contains(StatusCode::OK.as_str()), "{text}");
    assert!(created.to_json().get("client_secret").is_none());
}
