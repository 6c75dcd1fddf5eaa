//! What becomes of users who are there already, of duplicates, and of lines that can't be read.

use std::collections::BTreeMap;

use futures_util::stream;
use idpflare_management::testing::FakeIdpflare;
use idpflare_management::workflows::{
    ImportEventKind, ImportFailure, ImportReport, ImportRow, ImportUsers, OnConflict,
};
use idpflare_management::{Client, CreateUser, GetUser, ListUsers, Scope, User};

use crate::{all, numbers, once, users};

fn rows() -> Vec<ImportRow> {
    vec![
        ImportRow::from((2, CreateUser::new("ADA@example.com").given_name("Ada"))),
        ImportRow::from((3, CreateUser::new("grace@example.com").roles(["user"]))),
        ImportRow::invalid("it is not JSON").line(4),
        ImportRow::from((
            5,
            CreateUser::new("alan@example.com").password("correct horse"),
        )),
        ImportRow::from((7, CreateUser::new("Alan@Example.com"))),
        ImportRow::from((8, CreateUser::new(" "))),
        ImportRow::from((9, CreateUser::new("no address"))),
    ]
}

async fn two_users(client: &Client) -> User {
    let grace = CreateUser::new("grace@example.com").given_name("Grace");
    client.send(grace).await.expect("a user");
    let ada = CreateUser::new("ada@example.com").family_name("Lovelace");
    client.send(ada).await.expect("a user")
}

async fn import(client: &Client, policy: OnConflict) -> (ImportReport, BTreeMap<u64, String>) {
    let mut kinds = BTreeMap::new();
    let report = ImportUsers::new(client)
        .on_conflict(policy)
        .run_with(stream::iter(rows()), |event| {
            let kind = match &event.kind {
                ImportEventKind::Started => return,
                ImportEventKind::Failed(failure) => match failure {
                    ImportFailure::Invalid(_) => String::from("invalid"),
                    ImportFailure::Conflict { .. } => String::from("conflict"),
                    ImportFailure::Refused(_) => String::from("refused"),
                    other => panic!("{other}"),
                },
                ImportEventKind::Duplicate { first_line } => format!("duplicate of {first_line}"),
                kind => format!("{kind:?}").to_lowercase(),
            };
            assert!(kinds.insert(event.line, kind).is_none(), "told twice");
        })
        .await
        .expect("there is no ledger");
    (report, kinds)
}

#[tokio::test]
async fn each_policy_does_what_it_says() {
    for (policy, ada_ends, grace_ends, given_name) in [
        (OnConflict::Skip, "skipped", "skipped", None),
        (OnConflict::Update, "updated", "skipped", Some("Ada")),
        (OnConflict::Fail, "conflict", "conflict", None),
    ] {
        let client = FakeIdpflare::new().client();
        let ada = two_users(&client).await;
        let (report, kinds) = import(&client, policy).await;
        let expected = [
            (2, ada_ends),
            (3, grace_ends),
            (4, "invalid"),
            (5, "created"),
            (7, "duplicate of 5"),
            (8, "invalid"),
            (9, "refused"),
        ];
        assert_eq!(
            kinds,
            expected.map(|(line, kind)| (line, kind.to_owned())).into()
        );
        assert_eq!((report.lines, report.duplicates, report.created), (7, 1, 1));
        assert_eq!(report.failed, report.failures.len() as u64);
        assert!(!report.is_complete());
        assert_eq!(
            users(&client).await,
            once(["ada@example.com", "alan@example.com", "grace@example.com"])
        );
        let after = client.send(GetUser::new(&ada.id)).await.expect("a user");
        assert_eq!(after.given_name.as_deref(), given_name);
        assert_eq!(after.family_name.as_deref(), Some("Lovelace"));
        assert_eq!(after.email, "ada@example.com");
    }
}

#[tokio::test]
async fn the_report_names_the_lines() {
    let client = FakeIdpflare::new().client();
    two_users(&client).await;
    let (report, _) = import(&client, OnConflict::Update).await;
    assert_eq!(
        numbers(&report),
        "7 lines: 1 created, 1 updated, 1 skipped, 1 duplicate, 3 failed"
    );
    let text = report.to_string();
    let mut lines: Vec<_> = text.lines().skip(2).collect();
    lines.sort_unstable();
    assert_eq!(lines[0], "line 4: it is not JSON");
    assert_eq!(lines[1], "line 8: there is no e-mail address");
    let begins = "line 9 (no address): createUser failed: 400 Bad Request: ";
    assert!(lines[2].starts_with(begins), "{text}");
    assert!(!format!("{report:?}").contains("horse"));
}

#[tokio::test]
async fn a_dry_run_changes_nothing_and_foresees_the_rest() {
    let fake = FakeIdpflare::new();
    two_users(&fake.client()).await;
    let before = all(&fake.client()).await;
    let reader = fake.client_with_scopes([Scope::UsersRead]);
    for (policy, text) in [
        (OnConflict::Skip, "3 created, 2 skipped"),
        (OnConflict::Update, "3 created, 1 updated, 1 skipped"),
        (OnConflict::Fail, "3 created, 2 failed"),
    ] {
        let rows = rows().into_iter().enumerate();
        let sound = rows.filter(|(index, _)| ![2, 4, 5].contains(index));
        let sound: Vec<_> = sound.map(|(_, row)| row).collect();
        let sound = sound
            .into_iter()
            .chain([CreateUser::new("new@example.com").into()]);
        let report = ImportUsers::new(&reader)
            .on_conflict(policy)
            .dry_run(true)
            .run(stream::iter(sound))
            .await
            .expect("there is no ledger");
        let expected = format!("dry run: 5 lines: {text}");
        assert_eq!(numbers(&report), expected);
        assert_eq!(all(&fake.client()).await, before);
    }
}

#[tokio::test]
async fn it_runs_on_a_task_of_its_own_and_takes_what_it_is_given() {
    let client = FakeIdpflare::new().client();
    let results = [Ok(CreateUser::new("ada@example.com")), Err("it is empty")];
    let import = ImportUsers::new(&client).run(stream::iter(results));
    let report = tokio::spawn(import).await.expect("no panic");
    let report = report.expect("there is no ledger");
    assert_eq!((report.created, report.failed), (1, 1));
    assert_eq!(report.failures[0].line, 2);

    let none = stream::iter(Vec::<CreateUser>::new());
    let report = ImportUsers::new(&client)
        .run(none)
        .await
        .expect("there is no ledger");
    assert_eq!(numbers(&report), "0 lines");
    assert!(report.is_complete());
    assert_eq!(
        client.send(ListUsers::new()).await.expect("a page").total,
        1
    );
}
