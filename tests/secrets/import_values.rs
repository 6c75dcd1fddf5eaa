//! What an import of users with passwords shows.

use futures_util::stream;
use http::StatusCode;
use idpflare_management::testing::{Fault, FaultRule, FaultScript};
use idpflare_management::workflows::*;
use idpflare_management::{ApiRequest, CreateUser, ListUsers};

use crate::secrets::PASSWORD;
use crate::sites::Site;
use crate::witness::Notes;

pub(crate) async fn imports(notes: &Notes) {
    let site = Site::in_process(notes);
    let client = site.client(notes);
    let user = |email: &str| CreateUser::new(email).password(PASSWORD);
    let rows = || {
        let rows = [
            ImportRow::new(user("ada@example.com")),
            ImportRow::new(user("Ada@example.com")),
            ImportRow::new(user("no address")),
            ImportRow::invalid("it is not JSON"),
        ];
        rows.iter().for_each(|row| notes.debug(row));
        stream::iter(rows)
    };
    let unavailable = Fault::status(StatusCode::SERVICE_UNAVAILABLE).after_performing();
    let lost = FaultRule::new(unavailable).operation(CreateUser::OPERATION);
    let refused = Fault::status(StatusCode::FORBIDDEN);
    let refused = FaultRule::new(refused).operation(ListUsers::OPERATION);
    site.fake
        .set_faults(FaultScript::new().rule(lost).rule(refused));

    let path = std::env::temp_dir().join(format!("idpflare-secrets-{}", std::process::id()));
    let ledger = FileLedger::new(&path).fsync(Fsync::Always);
    notes.debug(&ledger);
    notes.debug(&Fsync::Never);
    notes.debug(&NoLedger);
    notes.debug(&OnConflict::Skip);
    notes.debug(&LedgerEntry::new(1, "ada@example.com", LedgerMark::Sending));
    notes.debug(&LedgerMark::Sending);
    // Stopped by the refusal, then with nothing in the way.
    for _ in 0..2 {
        let import = ImportUsers::new(&client)
            .concurrency(1)
            .running_key(KeyRef::prefix(&*site.key))
            .ledger(&ledger, "users");
        notes.debug(&import);
        let report = import.run_with(rows(), |event| {
            notes.debug(event);
            notes.debug(&event.kind);
        });
        let report = report.await.expect("a ledger");
        notes.debug(&report);
        notes.display(&report);
        for failed in &report.failures {
            notes.debug(failed);
            notes.display(failed);
            notes.error(&failed.failure);
        }
        if let Some(stop) = &report.stopped {
            notes.debug(stop);
            notes.display(stop);
        }
    }
    let error = ledger
        .open("users into another")
        .await
        .expect_err("another job");
    notes.debug(&error.kind());
    notes.error(&error);
    let written = std::fs::read_to_string(&path).expect("a ledger");
    std::fs::remove_file(&path).expect("removed");
    assert!(written.contains("ada@example.com"));
    notes.display(&written);
    notes.debug(&LedgerState::new());
}
