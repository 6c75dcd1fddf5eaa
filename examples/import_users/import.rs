//! From a file to an instance.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::Path;

use futures_util::{StreamExt, stream};
use idpflare_management::Client;
use idpflare_management::workflows::{FileLedger, ImportReport, ImportUsers, KeyRef, ScopeCheck};

use crate::arguments::Arguments;
use crate::interrupt::Interrupt;
use crate::progress::{self, Progress};
use crate::rows::{Format, rows};
use crate::summary;

#[must_use]
pub(crate) enum Ending {
    Complete,
    /// Lines failed or were left.
    Incomplete,
}

pub(crate) async fn import(
    client: &Client,
    running_key: KeyRef,
    file: &Path,
    arguments: &Arguments,
) -> Result<Ending, Box<dyn Error>> {
    let format = arguments.format.map_or_else(|| Format::of_file(file), Ok)?;
    let unreadable = |error| format!("{} can't be read: {error}", file.display());
    let input = File::open(file).map_err(unreadable)?;
    let bar = progress::bar(input.metadata().map_err(unreadable)?.len());
    let rows = rows(format, BufReader::new(bar.wrap_read(input)))
        .map_err(|error| format!("{}: {error}", file.display()))?;
    let (interrupt, interrupted) = Interrupt::listen(&bar);

    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let ledger = FileLedger::new(arguments.ledger_of(file));
    let mut progress = Progress::new(&bar);
    let report = ImportUsers::new(client)
        .ledger(&ledger, name)
        .running_key(running_key)
        .on_conflict(arguments.on_conflict)
        .concurrency(arguments.concurrency)
        .stop_on_error(arguments.stop_on_error)
        .dry_run(arguments.dry_run)
        .run_with(
            stream::iter(rows).take_until(Box::pin(interrupted)),
            |event| progress.show(event),
        )
        .await;
    bar.finish_and_clear();
    let report = report?;
    if let (ScopeCheck::Missing(_), Some(stop)) = (&report.scopes, &report.stopped) {
        return Err(format!("{stop}; nothing was sent").into());
    }

    let ending = if report.is_complete() && !interrupt.happened() {
        Ending::Complete
    } else {
        Ending::Incomplete
    };
    let goes_on = matches!(ending, Ending::Incomplete) && !report.dry_run;
    let kept = goes_on.then(|| ledger.path()).filter(|path| path.exists());
    // What was done is done, also where nobody reads the numbers.
    if let Err(error) = tell(&report, kept) {
        let _ = writeln!(io::stderr(), "import_users: the summary is lost: {error}");
    }
    Ok(ending)
}

fn tell(report: &ImportReport, kept: Option<&Path>) -> io::Result<()> {
    let mut out = io::stdout();
    summary::print(report, &mut out)?;
    if let Some(ledger) = kept {
        let ledger = ledger.display();
        writeln!(
            out,
            "\nThe same command goes on from here: {ledger} holds what is done."
        )?;
    }
    Ok(())
}
