//! The running key's scopes, before anything is sent.

use std::sync::{Arc, Mutex};

use futures_util::stream;
use idpflare_management::testing::FakeIdpflare;
use idpflare_management::workflows::{
    FileLedger, ImportReport, ImportStop, ImportUsers, KeyNotFound, KeyRef, OnConflict, ScopeCheck,
};
use idpflare_management::{ApiRequest, Client, CreateUser, ListApiKeys, Scope};

use crate::scratch::Scratch;
use crate::{numbers, users};

fn client(fake: &FakeIdpflare, key: &str) -> Client {
    let client = Client::builder("https://idp.example.com").api_key(key);
    client.build_with(fake.service()).expect("a client")
}

async fn run(client: &Client, key: Option<&str>) -> ImportReport {
    let mut import = ImportUsers::new(client);
    if let Some(key) = key {
        import = import.running_key(KeyRef::prefix(key));
    }
    let user = CreateUser::new("ada@example.com");
    import.run(stream::iter([user])).await.expect("no ledger")
}

#[tokio::test]
async fn a_missing_scope_is_refused_before_anything_is_sent() {
    use Scope::*;
    let fake = FakeIdpflare::new();
    let sent = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&sent);
    fake.on_request(move |entry| keep.lock().expect("not poisoned").push(entry.operation));
    let scratch = Scratch::new();
    let path = scratch.file("ledger");
    for (has, missing, says) in [
        (
            vec![ApiKeysRead],
            vec![UsersRead, UsersWrite],
            "scopes users:read, users:write",
        ),
        (
            vec![ApiKeysRead, UsersRead],
            vec![UsersWrite],
            "scope users:write",
        ),
        (
            vec![ApiKeysRead, UsersWrite],
            vec![UsersRead],
            "scope users:read",
        ),
    ] {
        let key = fake.api_key_with_scopes(has);
        for policy in [OnConflict::Skip, OnConflict::Update, OnConflict::Fail] {
            for dry_run in [false, true] {
                let input = stream::poll_fn(|_| -> std::task::Poll<Option<CreateUser>> {
                    panic!("nothing is read")
                });
                let report = ImportUsers::new(&client(&fake, &key))
                    .running_key(KeyRef::prefix(&*key))
                    .on_conflict(policy)
                    .dry_run(dry_run)
                    .ledger(FileLedger::new(&path), "users")
                    .run(input)
                    .await
                    .expect("a ledger");
                assert!(!report.is_complete());
                let ScopeCheck::Missing(scopes) = &report.scopes else {
                    panic!("{report}");
                };
                assert_eq!(*scopes, missing);
                assert!(
                    matches!(&report.stopped, Some(ImportStop::MissingScopes(scopes)) if *scopes == missing)
                );
                let begins = if dry_run { "dry run: " } else { "" };
                assert_eq!(
                    report.to_string(),
                    format!("{begins}0 lines; stopped: the API key lacks the {says}")
                );
            }
        }
    }
    assert!(!path.exists());
    let sent = sent.lock().expect("not poisoned");
    assert!(!sent.is_empty());
    assert!(
        sent.iter()
            .all(|sent| *sent == Some(ListApiKeys::OPERATION))
    );
}

#[tokio::test]
async fn what_could_not_be_checked_is_told() {
    use Scope::*;
    let fake = FakeIdpflare::new();
    let key = fake.api_key_with_scopes([UsersRead, UsersWrite]);
    let report = run(&client(&fake, &key), None).await;
    assert!(matches!(
        report.scopes,
        ScopeCheck::Unknown(KeyNotFound::NotNamed)
    ));
    assert_eq!(
        report.to_string(),
        "1 line: 1 created\nscopes: not checked: the job was not told which key it runs with"
    );

    let report = run(&client(&fake, &key), Some(&key)).await;
    let ScopeCheck::Unknown(KeyNotFound::NotListed(error)) = &report.scopes else {
        panic!("{report}");
    };
    assert_eq!(error.required_scope(), Some("api-keys:read"));
    let text = report.to_string();
    let scopes = text.lines().nth(1).expect("two lines");
    assert!(
        scopes.starts_with("scopes: not checked: listApiKeys failed: 403 Forbidden: ")
            && scopes.contains("needs api-keys:read"),
        "{text}"
    );
}

#[tokio::test]
async fn what_is_sufficient_needs_no_word() {
    use Scope::*;
    let fake = FakeIdpflare::new();
    let key = fake.api_key_with_scopes([ApiKeysRead, UsersRead, UsersWrite]);
    let report = run(&client(&fake, &key), Some(&key)).await;
    assert!(matches!(report.scopes, ScopeCheck::Sufficient), "{report}");
    assert_eq!(report.to_string(), "1 line: 1 created");
    assert!(report.is_complete());
}

/// A key that loses its scopes, or was not looked for: nothing after the first refusal can succeed.
#[tokio::test]
async fn a_refusal_ends_it_and_names_the_scope() {
    let fake = FakeIdpflare::new();
    let count = Arc::new(Mutex::new(0));
    let keep = Arc::clone(&count);
    fake.on_request(move |_| *keep.lock().expect("not poisoned") += 1);
    let key = fake.api_key_with_scopes([Scope::UsersRead]);
    let many = (0..100_000).map(|number| CreateUser::new(format!("{number}@example.com")));
    let report = ImportUsers::new(&client(&fake, &key))
        .running_key(KeyRef::prefix(&*key))
        .run(stream::iter(many))
        .await
        .expect("no ledger");
    assert!(matches!(
        report.stopped,
        Some(ImportStop::NotAllowed {
            required_scope: Some("users:write")
        })
    ));
    let stopped = " failed; stopped: the API key lacks the scope users:write";
    assert!(numbers(&report).ends_with(stopped), "{report}");
    // The one that was refused, and those that were under way with it.
    assert!(report.lines <= 8, "{report}");
    assert_eq!(*count.lock().expect("not poisoned"), report.lines + 1);
    assert!(users(&fake.client()).await.is_empty());
}
