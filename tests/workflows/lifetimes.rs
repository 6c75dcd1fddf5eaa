//! How long a new API key lives, which only the server decides.

use std::time::Duration;

use http::StatusCode;
use idpflare_management::layers::BoxError;
use idpflare_management::testing::{CannedReply, Fixture, ReplayService};
use idpflare_management::workflows::{KeyRef, NewApiKey, RotateApiKey, StepOutcome, UnfitKey};
use idpflare_management::{
    ApiKey, Client, CreateApiKey, CreatedApiKey, ListApiKeys, RevokeApiKey, Timestamp,
};

use crate::support::AUTHORITY;

const DAY: i64 = 24 * 60 * 60 * 1000;

fn lives(key: &mut ApiKey, milliseconds: Option<i64>) {
    let created_at = key.created_at.as_millisecond();
    key.expires_at = milliseconds.map(|lives| {
        Timestamp::from_millisecond(created_at + lives).expect("within the next thousand years")
    });
}

/// The old key, and a new one that is created 80 days later.
fn keys(old_lives: Option<i64>, new_lives: Option<i64>) -> (ApiKey, CreatedApiKey) {
    let mut old = ApiKey::fixture();
    lives(&mut old, old_lives);
    let mut new = CreatedApiKey::fixture();
    new.api_key.id = "key_new".into();
    let created_at = old.created_at.as_millisecond() + 80 * DAY;
    new.api_key.created_at = Timestamp::from_millisecond(created_at).expect("a time");
    lives(&mut new.api_key, new_lives);
    (old, new)
}

/// A server on which the old key is found.
fn server(old: &ApiKey) -> ReplayService {
    let page = ListApiKeys::new().active_only(true).limit(100);
    ReplayService::new()
        .exchange(page.clone(), &vec![old.clone()])
        .exchange(page.offset(1), &Vec::<ApiKey>::new())
}

/// The job of an administrator, whose key is not among those that are listed.
fn job(old: &ApiKey) -> RotateApiKey {
    RotateApiKey::new(&old.id).running_key(KeyRef::id("key_admin"))
}

#[tokio::test]
async fn a_new_key_lives_no_longer_than_the_old_one_was_made_to() {
    for (old_lives, new_lives, outlives) in [
        (Some(90 * DAY), Some(90 * DAY), false),
        // The server may look at its clock twice.
        (Some(90 * DAY), Some(90 * DAY + 900), false),
        (Some(90 * DAY), Some(30 * DAY), false),
        (Some(90 * DAY), Some(91 * DAY), true),
        (Some(90 * DAY), None, true),
        (None, None, false),
        (None, Some(DAY), false),
    ] {
        for may_outlive in [false, true] {
            let case = format!("{old_lives:?}, {new_lives:?}, {may_outlive}");
            let (old, new) = keys(old_lives, new_lives);
            let is_fit = may_outlive || !outlives;
            let revoked = if is_fit { &old.id } else { &new.api_key.id };
            let create = CreateApiKey::new(&*old.name).scopes(old.scopes.clone());
            let replay = server(&old).exchange(create, &new).exchange(
                RevokeApiKey::new(revoked),
                CannedReply::new(StatusCode::NO_CONTENT),
            );
            let client = Client::from_service(AUTHORITY, replay.clone()).expect("a client");
            let report = job(&old)
                .may_outlive(may_outlive)
                .drain(Duration::ZERO)
                .run(
                    &client,
                    async |_: NewApiKey| {
                        assert!(is_fit, "{case}: it is probed");
                        Ok::<_, BoxError>(())
                    },
                    async |_: NewApiKey| {
                        assert!(is_fit, "{case}: it is stored");
                        Ok::<_, BoxError>(())
                    },
                )
                .await;
            replay.finish().expect("no more requests");
            assert_eq!(report.is_complete(), is_fit, "{case}: {report}");
            assert_eq!(report.new_outlives_old(), outlives, "{case}: {report}");
            let text = report.to_string();
            assert_eq!(text.contains("LONGER"), outlives, "{case}: {text}");
            if !is_fit {
                assert!(report.roll_back.is_done() && !report.store_is_unclear());
                let error = report.probe.error().expect("it is unfit");
                let Some(UnfitKey::Outlives { ends_at }) = error.downcast_ref() else {
                    panic!("{case}: {error}");
                };
                assert_eq!(*ends_at, new.api_key.expires_at);
                assert!(text.contains("the new key would "), "{text}");
            }
        }
    }
}

#[tokio::test]
async fn a_dry_run_says_that_the_lifetime_is_not_known() {
    for (old_lives, told) in [(Some(90 * DAY), true), (None, false)] {
        let (old, _) = keys(old_lives, None);
        let client = Client::from_service(AUTHORITY, server(&old)).expect("a client");
        let nothing_new = async |_: NewApiKey| -> Result<(), BoxError> {
            panic!("a dry run has no new key");
        };
        let job = job(&old).dry_run(true);
        let report = job.run(&client, nothing_new, nothing_new).await;
        assert!(matches!(report.create, StepOutcome::WouldDo), "{report}");
        let text = report.to_string();
        assert_eq!(text.contains("the server decides"), told, "{text}");
        assert_eq!(text.contains(", ends at 20"), told, "{text}");
    }
}
