//! How a ledger is written down: JSON, line by line.

use std::io;

use serde::{Deserialize, Serialize};

use super::LedgerEntry;
use crate::one_line::one_line;

pub(super) const VERSION: u64 = 1;
/// Longer than any line with an address that a server takes.
pub(super) const LONGEST_LINE: u64 = 8 * 1024 * 1024;
const NAME: &str = "idpflare-import-users";

#[derive(Serialize, Deserialize)]
struct Header<'a> {
    ledger: &'a str,
    version: u64,
    #[serde(default)]
    job: String,
}

pub(super) enum Line {
    Header,
    Entry(LedgerEntry),
    OtherJob(String),
    UnknownVersion(u64),
    Unreadable,
}

/// The first line of a ledger of this job.
pub(super) fn header(job: &str) -> Vec<u8> {
    let header = Header {
        ledger: NAME,
        version: VERSION,
        job: job.to_owned(),
    };
    // Text and numbers are always JSON.
    let mut line = serde_json::to_vec(&header).unwrap_or_default();
    line.push(b'\n');
    line
}

pub(super) fn read_header(line: &[u8], job: &str) -> Line {
    match serde_json::from_slice::<Header<'_>>(line) {
        Ok(header) if header.ledger != NAME => Line::Unreadable,
        Ok(header) if header.version != VERSION => Line::UnknownVersion(header.version),
        Ok(header) if header.job != job => Line::OtherJob(one_line(&header.job)),
        Ok(_) => Line::Header,
        Err(_) => Line::Unreadable,
    }
}

pub(super) fn entry(entry: &LedgerEntry) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(entry)?;
    line.push(b'\n');
    Ok(line)
}

pub(super) fn read_entry(line: &[u8]) -> Line {
    serde_json::from_slice(line).map_or(Line::Unreadable, Line::Entry)
}
