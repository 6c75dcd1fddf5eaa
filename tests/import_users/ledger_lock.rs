//! A ledger's file, which one run has at a time.

use std::fs;
use std::path::Path;

use idpflare_management::workflows::{
    FileLedger, Ledger, LedgerEntry, LedgerError, LedgerErrorKind, LedgerMark,
};

use crate::scratch::Scratch;

const JOB: &str = "users";

fn entry(line: u64) -> LedgerEntry {
    LedgerEntry::new(line, "ada@example.com", LedgerMark::Sending)
}

fn in_use(path: &Path, error: &LedgerError) {
    assert_eq!(error.kind(), LedgerErrorKind::InUse, "{error}");
    let says = format!("the ledger {} is in use by another run", path.display());
    assert_eq!(error.to_string(), says);
}

#[tokio::test]
async fn one_run_at_a_time_has_it() {
    let scratch = Scratch::new();
    let path = scratch.file("ledger");
    let (first, second) = (FileLedger::new(&path), FileLedger::new(&path));
    first.open(JOB).await.expect("it opens");
    first.record(JOB, &entry(1)).await.expect("it is kept");
    in_use(&path, &second.open(JOB).await.expect_err("in use"));
    first.record(JOB, &entry(2)).await.expect("it is kept");
    // The next run of the same program.
    first.open(JOB).await.expect("it opens");
    in_use(&path, &second.open(JOB).await.expect_err("in use"));
    drop(first);
    second.open(JOB).await.expect("it opens");
    second.record(JOB, &entry(3)).await.expect("it is kept");
    let text = fs::read_to_string(&path).expect("a ledger");
    assert_eq!(text.lines().count(), 4);
}

#[tokio::test]
async fn of_two_that_begin_it_one_has_it() {
    let scratch = Scratch::new();
    let path = scratch.file("ledger");
    let (first, second) = (FileLedger::new(&path), FileLedger::new(&path));
    first.open(JOB).await.expect("there is none");
    second.open(JOB).await.expect("there is none");
    first.record(JOB, &entry(1)).await.expect("it is kept");
    let refused = second.record(JOB, &entry(2)).await;
    in_use(&path, &refused.expect_err("in use"));
    let text = fs::read_to_string(&path).expect("a ledger");
    assert_eq!(text.lines().count(), 2);

    // Where the first has ended meanwhile, the second has not seen what it did.
    let third = FileLedger::new(&path);
    fs::remove_file(&path).expect("removed");
    third.open(JOB).await.expect("there is none");
    fs::write(&path, &text).expect("written");
    let refused = third.record(JOB, &entry(2)).await.expect_err("in use");
    assert_eq!(refused.kind(), LedgerErrorKind::InUse, "{refused}");
    assert!(refused.to_string().contains(" was written by another run "));
    assert_eq!(fs::read_to_string(&path).expect("a ledger"), text);
}
