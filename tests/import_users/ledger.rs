//! Ledgers in files, whole and otherwise.

use std::fs;
use std::path::Path;

use futures_util::stream;
use idpflare_management::testing::FakeIdpflare;
use idpflare_management::workflows::{
    FileLedger, Fsync, ImportFailure, ImportReport, ImportUsers, Ledger, LedgerEntry,
    LedgerErrorKind, LedgerMark,
};
use idpflare_management::{Client, CreateUser};
use serde_json::Value;

use crate::lenient_server::LenientServer;
use crate::numbers;
use crate::scratch::Scratch;

const EMAILS: [&str; 4] = [
    "ada@example.com",
    "alan@example.com",
    "grace@example.com",
    "jürgen@example.com",
];

async fn run(client: &Client, path: &Path) -> ImportReport {
    ImportUsers::new(client)
        .ledger(FileLedger::new(path), "users.csv")
        .concurrency(1)
        .run(stream::iter(EMAILS.map(|email| {
            CreateUser::new(email).password("correct horse")
        })))
        .await
        .expect("a ledger")
}

/// The ledger of a whole run.
async fn whole(path: &Path) -> Vec<u8> {
    let server = LenientServer::default();
    assert_eq!(run(&server.client(), path).await.created, 4);
    fs::read(path).expect("a ledger")
}

#[tokio::test]
async fn it_holds_what_is_needed_and_no_more() {
    let scratch = Scratch::new();
    let path = scratch.file("ledger");
    let text = String::from_utf8(whole(&path).await).expect("text");
    let mut lines = text.lines();
    assert_eq!(
        lines.next(),
        Some(
            r#"{"ledger":"idpflare-import-users","version":1,"job":"users.csv into https://idp.example.com"}"#
        )
    );
    assert_eq!(
        lines.next(),
        Some(r#"{"line":1,"email":"ada@example.com","mark":"sending"}"#)
    );
    assert_eq!(
        lines.next(),
        Some(r#"{"line":1,"email":"ada@example.com","mark":"created"}"#)
    );
    assert_eq!(lines.count(), 6);
    assert!(!text.contains("horse"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

/// Of a ledger that ends anywhere there is a state of the server that goes with it, or two where
/// something was about to be sent. Neither ends in a user who is missing or there twice.
#[tokio::test]
async fn it_goes_on_from_a_ledger_that_ends_at_any_byte() {
    let scratch = Scratch::new();
    let path = scratch.file("ledger");
    let whole = whole(&path).await;
    for length in 0..=whole.len() {
        let prefix = &whole[..length];
        let lines = prefix.split_inclusive(|byte| *byte == b'\n').skip(1);
        let entries = lines.filter_map(|line| line.strip_suffix(b"\n"));
        let entries: Vec<Value> = entries
            .map(|line| serde_json::from_slice(line).expect("an entry"))
            .collect();
        let sent = entries.len().div_ceil(2);
        let done = entries.len() / 2;
        for there in done..=sent {
            let server = LenientServer::default();
            EMAILS[..there].iter().for_each(|email| server.add(email));
            fs::write(&path, prefix).expect("written");
            let report = run(&server.client(), &path).await;
            assert!(report.is_complete(), "{length} bytes: {report}");
            assert_eq!(server.emails(), EMAILS, "{length} bytes, {there} there");
            assert_eq!(report.already_done, done as u64);
            assert_eq!(report.reconciled, (there - done) as u64);
            // What it went on with can be read again.
            assert_eq!(run(&server.client(), &path).await.already_done, 4);
        }
    }
}

#[tokio::test]
async fn what_is_not_the_ledger_of_this_job_is_refused_and_left_alone() {
    let scratch = Scratch::new();
    let path = scratch.file("ledger");
    let whole = String::from_utf8(whole(&path).await).expect("text");
    let other_input = whole.replacen("users.csv", "staff.csv", 1);
    let other_instance = whole.replacen("idp.example.com", "staging.example.com", 1);
    let later = whole.replacen("\"version\":1", "\"version\":2", 1);
    let corrupt = whole.replacen("\"mark\":\"created\"", "\"mark\":7", 1);
    for (text, kind, says) in [
        (
            &*other_input,
            LedgerErrorKind::OtherJob,
            "is that of another job (staff.csv into https://idp.example.com, not users.csv into https://idp.example.com)",
        ),
        (
            &*other_instance,
            LedgerErrorKind::OtherJob,
            "is that of another job (users.csv into https://staging.example.com, not users.csv into https://idp.example.com)",
        ),
        (
            &*later,
            LedgerErrorKind::UnknownVersion,
            "is of version 2, and this program knows version 1",
        ),
        (
            &*corrupt,
            LedgerErrorKind::Corrupt,
            "can't be understood from line 3 on",
        ),
        (
            "email,given_name\nada@example.com,Ada\n",
            LedgerErrorKind::NotALedger,
            "is no ledger: it is left as it is, name another file",
        ),
        (
            "without a line's end",
            LedgerErrorKind::NotALedger,
            "is no ledger: it is left as it is, name another file",
        ),
        (
            "{\"ledger\":\"of another program\",\"version\":1,\"job\":\"x\"}\n",
            LedgerErrorKind::NotALedger,
            "is no ledger: it is left as it is, name another file",
        ),
    ] {
        fs::write(&path, text).expect("written");
        let server = LenientServer::default();
        let error = ImportUsers::new(&server.client())
            .ledger(FileLedger::new(&path), "users.csv")
            .run(stream::iter(EMAILS.map(CreateUser::new)))
            .await
            .expect_err("it is refused");
        assert_eq!(error.kind(), kind, "{error}");
        assert_eq!(
            error.to_string(),
            format!("the ledger {} {says}", path.display())
        );
        assert!(server.emails().is_empty());
        assert_eq!(fs::read_to_string(&path).expect("a file"), text);
    }
}

#[tokio::test]
async fn what_was_lost_of_the_end_may_be_anything() {
    let scratch = Scratch::new();
    let path = scratch.file("ledger");
    let whole = whole(&path).await;
    for tail in [&[0_u8; 4096][..], b"{\"line\":", b"\xff\xfe", b"{}"] {
        fs::write(&path, [&whole, tail].concat()).expect("written");
        let server = LenientServer::default();
        assert_eq!(run(&server.client(), &path).await.already_done, 4);
        // Nothing was written, so nothing was cut off.
        assert_eq!(
            fs::read(&path).expect("a file").len(),
            whole.len() + tail.len()
        );
        let ledger = FileLedger::new(&path).fsync(Fsync::Always);
        let job = "users.csv into https://idp.example.com";
        ledger.open(job).await.expect("it opens");
        let entry = LedgerEntry::new(5, "new@example.com", LedgerMark::Failed);
        ledger.record(job, &entry).await.expect("it is kept");
        drop(ledger);
        let state = FileLedger::new(&path).open(job).await.expect("it opens");
        assert_eq!((state.len(), state.is_empty()), (5, false));
        assert_eq!(state.mark("NEW@example.com"), Some(LedgerMark::Failed));
        assert_eq!(state.mark("JüRGEN@example.com"), Some(LedgerMark::Created));
        assert_eq!(state.mark("JÜRGEN@example.com"), None, "not beyond ASCII");
    }
}

#[tokio::test]
async fn a_dry_run_reads_it_and_writes_nothing() {
    let scratch = Scratch::new();
    let path = scratch.file("ledger");
    let server = LenientServer::default();
    let dry_run = || {
        ImportUsers::new(&server.client())
            .ledger(FileLedger::new(&path), "users.csv")
            .dry_run(true)
            .run(stream::iter(EMAILS.map(CreateUser::new)))
    };
    assert_eq!(dry_run().await.expect("a report").created, 4);
    assert!(!path.exists());
    let whole = whole(&path).await;
    assert_eq!(dry_run().await.expect("a report").already_done, 4);
    assert_eq!(fs::read(&path).expect("a file"), whole);
}

#[tokio::test]
async fn lines_may_move_and_failed_ones_may_be_corrected() {
    let scratch = Scratch::new();
    let ledger = FileLedger::new(scratch.file("ledger"));
    let client = FakeIdpflare::new().client();
    let run = |emails: Vec<&str>| {
        let users: Vec<_> = emails.into_iter().map(CreateUser::new).collect();
        ImportUsers::new(&client)
            .ledger(&ledger, "users.csv")
            .run(stream::iter(users))
    };
    let report = run(vec!["ada@example.com", "grace at example.com"]).await;
    assert_eq!(report.expect("a report").failed, 1);
    let report = run(vec![
        "alan@example.com",
        "grace@example.com",
        "ada@example.com",
    ])
    .await;
    let report = report.expect("a report");
    assert_eq!(numbers(&report), "3 lines: 2 created, 1 already done");
}

#[tokio::test]
async fn a_place_that_can_not_be_written_is_named_before_anything_is_sent() {
    let scratch = Scratch::new();
    let client = FakeIdpflare::new().client();
    let path = scratch.path().join("missing").join("ledger");
    let report = run(&client, &path).await;
    assert_eq!((report.lines, report.failed), (1, 1));
    let text = report.to_string();
    let stopped = format!(
        "; stopped: the ledger {} can't be written: ",
        path.display()
    );
    assert!(text.contains(&stopped), "{text}");
    assert!(crate::users(&client).await.is_empty());
    // A folder is no file.
    let error = FileLedger::new(scratch.path())
        .open("users.csv")
        .await
        .expect_err("a folder");
    assert_eq!(error.kind(), LedgerErrorKind::Io);
}

const JOB: &str = "users";

fn entry(line: u64) -> LedgerEntry {
    LedgerEntry::new(line, "ada@example.com", LedgerMark::Sending)
}

#[tokio::test]
async fn what_could_not_be_read_again_is_not_written() {
    let scratch = Scratch::new();
    let path = scratch.file("ledger");
    let ledger = FileLedger::new(&path);
    let huge = "a".repeat(8 * 1024 * 1024);
    let refused = ledger
        .record(&huge, &entry(1))
        .await
        .expect_err("too large");
    assert_eq!(refused.kind(), LedgerErrorKind::TooLarge, "{refused}");
    assert!(!path.exists());

    ledger.record(JOB, &entry(1)).await.expect("it is kept");
    let before = fs::read(&path).expect("a ledger");
    let large = LedgerEntry::new(2, &huge, LedgerMark::Sending);
    let refused = ledger.record(JOB, &large).await.expect_err("too large");
    assert_eq!(refused.kind(), LedgerErrorKind::TooLarge, "{refused}");
    assert_eq!(fs::read(&path).expect("a ledger"), before);
    ledger.record(JOB, &entry(3)).await.expect("it is kept");

    // The longest that is taken can be read.
    let rest = r#"{"line":4,"email":"","mark":"sending"}"#.len() + 1;
    let longest = LedgerEntry::new(4, &huge[rest..], LedgerMark::Sending);
    ledger.record(JOB, &longest).await.expect("it is kept");
    let longer = LedgerEntry::new(5, &huge[rest - 1..], LedgerMark::Sending);
    ledger.record(JOB, &longer).await.expect_err("too large");
    let state = ledger.open(JOB).await.expect("it opens");
    assert_eq!(state.mark(&huge[rest..]), Some(LedgerMark::Sending));
}

#[tokio::test]
async fn a_line_that_is_too_large_for_it_stops_no_others() {
    let scratch = Scratch::new();
    let client = FakeIdpflare::new().client();
    let users = [
        CreateUser::new("ada@example.com"),
        CreateUser::new("a".repeat(9 << 20)),
        CreateUser::new("alan@example.com"),
    ];
    let report = ImportUsers::new(&client)
        .ledger(FileLedger::new(scratch.file("ledger")), JOB)
        .run(stream::iter(users))
        .await
        .expect("a ledger");
    assert_eq!((report.created, report.failed), (2, 1));
    let failure = &report.failures[0].failure;
    assert!(matches!(failure, ImportFailure::Invalid(_)), "{failure}");
    assert_eq!(
        failure.to_string(),
        "the address is too long for the ledger"
    );
    assert!(report.stopped.is_none());
}
