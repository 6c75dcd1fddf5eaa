//! Files of all kinds, as the example reads them.

use std::fs;
use std::time::Duration;

use idpflare_management::testing::{FakeIdpflare, FakeServer, Fault, FaultRule, FaultScript};
use idpflare_management::{ApiRequest, CreateUser, Scope, User};

use crate::program::{Output, Program};
use crate::scratch::Scratch;
use crate::{all, once, users};

struct Site {
    fake: FakeIdpflare,
    server: FakeServer,
    scratch: Scratch,
}

impl Site {
    async fn new() -> Self {
        let fake = FakeIdpflare::new();
        Self {
            server: fake.serve().await.expect("a port"),
            scratch: Scratch::new(),
            fake,
        }
    }

    async fn import(&self, name: &str, text: impl AsRef<[u8]>, arguments: &[&str]) -> Output {
        let file = self.scratch.file(name);
        fs::write(&file, text).expect("written");
        let program = Program::importing_to(&self.server, &self.fake.api_key(), &file);
        program.arguments(arguments).output().await
    }

    async fn user(&self, email: &str) -> User {
        let users = all(&self.fake.client()).await;
        users
            .into_iter()
            .find(|user| user.email == email)
            .expect("a user")
    }
}

/// The number beside a name in the summary.
fn count(output: &Output, name: &str) -> u64 {
    let row = output
        .stdout
        .lines()
        .find_map(|line| line.trim().strip_prefix(name));
    let row = row.unwrap_or_else(|| panic!("no {name} in {}", output.stdout));
    row.trim().parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_of_json() {
    let site = Site::new().await;
    let mut text = Vec::from("\u{feff}{\"email\":\"bom@example.com\",\"roles\":[\"admin\"]}\r\n");
    text.extend(b"\r\n{\"email\":\"crlf@example.com\",\"password\":\"correct horse\"}\r\n");
    text.extend(b"{\"email\":\"broken@example.com\",\"password\":\"s3cret-1\n");
    text.extend(b"{\"email\":\"\xff@example.com\",\"password\":\"s3cret-2\"}\n");
    text.extend(format!("{{\"email\":\"{}\"}}\n", "a".repeat(2 << 20)).bytes());
    text.extend(b"{\"email\":\"wrong@example.com\",\"password\":4711,\"roles\":\"s3cret-3\"}\n");
    text.extend(
        b"\"s3cret-4\"\n{\"password\":\"s3cret-5\"}\n{\"email\":\"a@example.com\"} s3cret-6\n",
    );
    text.extend(b"{\"email\":\"roles@example.com\",\"roles\":\"s3cret-7\"}\n");
    text.extend(b"{\"email\":\"last@example.com\"}");
    let output = site.import("users.ndjson", &text, &[]).await;
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    let errors: Vec<_> = output.stderr.lines().collect();
    assert_eq!(
        errors,
        [
            "line 4: it is not JSON, from column 50 on",
            "line 5: it is not UTF-8 from byte 11 on",
            "line 6: the line is longer than 1 MiB",
            "line 7: password is of the wrong type",
            "line 8: it is no object with the fields of a user",
            "line 9: missing field `email`",
            "line 10: it is not JSON, from column 27 on",
            "line 11: roles is of the wrong type",
        ]
    );
    assert!(!output.stdout.contains("s3cret") && !output.stderr.contains("4711"));
    assert_eq!(
        (count(&output, "created"), count(&output, "failed")),
        (3, 8)
    );
    assert_eq!(
        users(&site.fake.client()).await,
        once(["bom@example.com", "crlf@example.com", "last@example.com"])
    );
    assert_eq!(site.user("bom@example.com").await.roles, ["admin"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn comma_separated_values() {
    let site = Site::new().await;
    let mut text = Vec::from("\u{feff}email,given_name,roles,is_active,metadata\r\n");
    text.extend(
        b"ada@example.com,\"Ada, \"\"the first\"\"\",admin; user,TRUE,\"{\"\"team\"\":1}\"\r\n",
    );
    text.extend(
        b"\r\nempty@example.com,,,,\r\nshort@example.com,x\r\nflag@example.com,,,s3cret,\r\n",
    );
    text.extend(b"json@example.com,,,,s3cret\r\n,,,,\r\n\xff,,,,\r\nlast@example.com,,,false,\r\n");
    text.extend(b"open@example.com,\"never closed,,,\r\nnext@example.com,,,,\r\n");
    let output = site.import("users.csv", &text, &[]).await;
    assert_eq!(output.code, Some(1), "{}", output.stderr);
    let errors: Vec<_> = output.stderr.lines().collect();
    assert_eq!(
        errors,
        [
            "line 5: it has 2 values, and there are 5 columns",
            "line 6: is_active is neither true nor false",
            "line 7: metadata is no JSON object",
            "line 8: there is no e-mail address",
            "line 9: it is not UTF-8 from byte 1 on",
            "line 11: a quote is not closed, and a row is one line",
        ]
    );
    assert_eq!(
        (count(&output, "created"), count(&output, "failed")),
        (4, 6)
    );
    let ada = site.user("ada@example.com").await;
    assert_eq!(ada.given_name.as_deref(), Some("Ada, \"the first\""));
    assert_eq!(ada.roles, ["admin", "user"]);
    assert_eq!(ada.metadata.expect("it has some")["team"], 1);
    let empty = site.user("empty@example.com").await;
    assert_eq!((empty.given_name, empty.is_active), (None, true));
    assert!(!site.user("last@example.com").await.is_active);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_with_nothing_in_them() {
    let site = Site::new().await;
    for (name, text) in [
        ("a.ndjson", ""),
        ("b.csv", ""),
        ("c.csv", "email\n"),
        ("d.jsonl", "\n\n"),
    ] {
        let output = site.import(name, text, &[]).await;
        assert_eq!((output.code, count(&output, "all")), (Some(0), 0), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_is_not_there_is_not_told_of() {
    let site = Site::new().await;
    let output = site.import("users.csv", "email\n\"\n", &[]).await;
    assert_eq!((output.code, count(&output, "failed")), (Some(1), 1));
    assert!(!output.stdout.contains("ledger"), "{}", output.stdout);
    let output = site.import("users.csv", "email\nno address\n", &[]).await;
    assert_eq!((output.code, count(&output, "failed")), (Some(1), 1));
    assert!(
        output
            .stdout
            .contains("users.csv.ledger holds what is done"),
        "{}",
        output.stdout
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_be_begun_is_told_apart() {
    let site = Site::new().await;
    for (name, text, arguments, says) in [
        ("users.txt", "", &[][..], "ends in neither .ndjson nor .csv"),
        (
            "users.csv",
            "email,pasword\n",
            &[],
            "\"pasword\" is no field of a user",
        ),
        ("users.csv", "email,email\n", &[], "email is there twice"),
        ("users.csv", "given_name\n", &[], "there is no column email"),
        (
            "users.csv",
            "email\n",
            &["--on-conflict", "ask"],
            "\"ask\" is none of skip, update and fail",
        ),
        (
            "users.csv",
            "email\n",
            &["--concurrency", "0"],
            "cannot parse",
        ),
        (
            "users.csv",
            "email\n",
            &["--format", "xml"],
            "\"xml\" is neither ndjson nor csv",
        ),
        ("users.csv", "email\n", &["--quickly"], "--quickly"),
    ] {
        let output = site.import(name, text, arguments).await;
        assert_eq!(output.code, Some(2), "{says}: {}", output.stderr);
        assert!(output.stderr.contains(says), "{says}: {}", output.stderr);
    }
    let nowhere = Program::alone().arguments(&["users.csv"]).output().await;
    assert_eq!(nowhere.code, Some(2), "{}", nowhere.stderr);
    let missing = site.scratch.file("missing.csv");
    let missing = Program::importing_to(&site.server, &site.fake.api_key(), &missing);
    let missing = missing.output().await;
    assert_eq!(missing.code, Some(2));
    assert!(
        missing.stderr.contains("missing.csv can't be read: "),
        "{}",
        missing.stderr
    );
    let ledger = site.scratch.file("users.csv");
    fs::write(&ledger, "email\nada@example.com\n").expect("written");
    let arguments = ["--ledger", ledger.to_str().expect("text")];
    let output = site.import("staff.ndjson", "", &arguments).await;
    assert_eq!(output.code, Some(2));
    assert!(output.stderr.contains("is no ledger"), "{}", output.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_done_is_done_where_nobody_reads_the_summary() {
    let site = Site::new().await;
    for (name, text, code) in [
        ("whole.csv", "email\nada@example.com\n", 0),
        ("part.csv", "email\nalan@example.com\nnobody\n", 1),
    ] {
        let file = site.scratch.file(name);
        fs::write(&file, text).expect("written");
        let program = Program::importing_to(&site.server, &site.fake.api_key(), &file);
        assert_eq!(program.unread().await, Some(code), "{name}");
    }
    assert_eq!(users(&site.fake.client()).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_and_rights() {
    let site = Site::new().await;
    let text = "email,given_name\nada@example.com,Ada\nAda@example.com,A\nno address,B\nalan@example.com,\n";
    let output = site.import("users.csv", text, &["--dry-run"]).await;
    assert_eq!((output.code, count(&output, "created")), (Some(0), 3));
    assert!(users(&site.fake.client()).await.is_empty());
    let output = site
        .import(
            "users.csv",
            text,
            &["--stop-on-error", "--concurrency", "1"],
        )
        .await;
    assert_eq!((output.code, count(&output, "all")), (Some(1), 3));
    assert!(
        output.stdout.contains("Stopped: a line failed."),
        "{}",
        output.stdout
    );

    // The same users from another file.
    let again = "email,given_name\nada@example.com,Augusta\nalan@example.com,\n";
    let output = site
        .import("again.csv", again, &["--on-conflict", "update"])
        .await;
    assert_eq!((output.code, count(&output, "updated")), (Some(0), 1));
    assert_eq!(
        site.user("ada@example.com").await.given_name.as_deref(),
        Some("Augusta")
    );
    let output = site
        .import("more.csv", again, &["--on-conflict", "skip"])
        .await;
    assert_eq!((output.code, count(&output, "skipped")), (Some(0), 2));

    let file = site.scratch.file("users.csv");
    fs::write(&file, text).expect("written");
    let other = site.scratch.file("other.ledger");
    let arguments = ["--ledger", other.to_str().expect("text")];
    let with_scopes = |scopes: &[Scope]| {
        let key = site.fake.api_key_with_scopes(scopes.iter().cloned());
        let program = Program::importing_to(&site.server, &key, &file).arguments(&arguments);
        program.output()
    };
    let refused = with_scopes(&[Scope::ApiKeysRead, Scope::UsersRead]).await;
    assert_eq!(refused.code, Some(2));
    let says = "import_users: the API key lacks the scope users:write; nothing was sent";
    assert_eq!(refused.stderr.trim_end(), says);
    assert!(!other.exists());

    let refused = with_scopes(&[Scope::UsersRead]).await;
    assert_eq!(refused.code, Some(1));
    for says in [
        "\nStopped: the API key lacks the scope users:write.\n",
        "\nScopes: not checked: listApiKeys failed: 403 Forbidden: ",
    ] {
        assert!(refused.stdout.contains(says), "{}", refused.stdout);
    }
}

/// Once: what is under way is finished, and the same command goes on.
#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c() {
    let site = Site::new().await;
    let rule = FaultRule::new(Fault::delay(Duration::from_millis(20))).probability(1.0);
    site.fake.set_faults(FaultScript::new().rule(rule));
    let mut text = String::from("email\n");
    for number in 0..200 {
        text.push_str(&format!("user-{number}@example.com\n"));
    }
    let file = site.scratch.file("users.csv");
    fs::write(&file, &text).expect("written");
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    site.fake.on_request(move |entry| {
        if entry.operation == Some(CreateUser::OPERATION) {
            let _ = sender.send(());
        }
    });
    let program = Program::importing_to(&site.server, &site.fake.api_key(), &file);
    let mut running = program.start();
    receiver.recv().await.expect("a request");
    let interrupt = std::process::Command::new("kill")
        .args(["-INT", &running.id().to_string()])
        .status();
    assert!(interrupt.expect("it runs").success());
    let (status, stdout) = running.end().await;
    assert_eq!(status.code(), Some(1), "{stdout}");
    let goes_on = "The same command goes on from here: ";
    assert!(
        stdout.contains(goes_on) && stdout.contains("users.csv.ledger holds"),
        "{stdout}"
    );
    site.fake.clear_faults();
    let there = users(&site.fake.client()).await.len() as u64;
    assert!(there < 200, "{there}");
    let output = site.import("users.csv", text, &[]).await;
    assert_eq!(
        (output.code, count(&output, "already done")),
        (Some(0), there)
    );
    assert_eq!(count(&output, "created"), 200 - there);
}

/// While one goes on, the same command says which file is in use.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_at_once() {
    let site = Site::new().await;
    let never = FaultRule::new(Fault::delay(Duration::from_secs(3600)));
    let never = never.operation(CreateUser::OPERATION).probability(1.0);
    site.fake.set_faults(FaultScript::new().rule(never));
    let file = site.scratch.file("users.csv");
    fs::write(&file, "email\nada@example.com\nalan@example.com\n").expect("written");
    let key = site.fake.api_key();
    let program = || Program::importing_to(&site.server, &key, &file);
    let mut first = program().arguments(&["--concurrency", "1"]).start();
    // It is made before it is locked, and locked before anything is in it.
    while fs::metadata(site.scratch.file("users.csv.ledger")).map_or(0, |ledger| ledger.len()) == 0
    {
        assert!(first.goes_on());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let second = program().output().await;
    assert_eq!(second.code, Some(2), "{}", second.stderr);
    let says = format!(
        "import_users: the ledger {}.ledger is in use by another run",
        file.display()
    );
    assert_eq!(second.stderr.trim_end(), says);
    // Nothing is left of one that was killed.
    assert!(first.goes_on());
    drop(first);
    site.fake.clear_faults();
    let third = program().output().await;
    assert_eq!((third.code, count(&third, "created")), (Some(0), 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demonstration() {
    let output = Program::alone().output().await;
    assert_eq!(output.code, Some(0), "{}", output.stderr);
    assert!(
        output.stdout.contains("already done       194"),
        "{}",
        output.stdout
    );
}
