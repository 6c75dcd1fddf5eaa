//! The numbers at the end.

use std::io::{self, Write};

use idpflare_management::workflows::{ImportReport, ScopeCheck};

pub(crate) fn print(report: &ImportReport, out: &mut impl Write) -> io::Result<()> {
    let rows = [
        ("created", report.created),
        ("updated", report.updated),
        ("skipped", report.skipped),
        ("reconciled", report.reconciled),
        ("already done", report.already_done),
        ("duplicate", report.duplicates),
        ("failed", report.failed),
        ("all", report.lines),
    ];
    let heading = if report.dry_run {
        "would be"
    } else {
        "outcome"
    };
    writeln!(out, "\n  {heading:<12}     lines")?;
    writeln!(out, "  {}  {}", "-".repeat(12), "-".repeat(8))?;
    for (name, count) in rows {
        writeln!(out, "  {name:<12}  {count:>8}")?;
    }
    if let Some(stop) = &report.stopped {
        writeln!(out, "\nStopped: {stop}.")?;
    }
    if let ScopeCheck::Unknown(_) = report.scopes {
        writeln!(out, "\nScopes: {}.", report.scopes)?;
    }
    Ok(())
}
