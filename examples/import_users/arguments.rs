use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use idpflare_management::workflows::OnConflict;
use lexopt::prelude::*;

use crate::rows::Format;

pub(crate) const USAGE: &str = "\
usage: import_users [FILE] [--format ndjson|csv] [--on-conflict skip|update|fail]
                    [--concurrency N] [--stop-on-error] [--dry-run] [--ledger FILE]

  FILE                 the users; without one, a demonstration against a fake IDPFlare
  --format FORMAT      ndjson or csv; otherwise the file's extension says it (.ndjson, .jsonl, .csv)
  --on-conflict WHAT   what becomes of users who are there already: skip leaves them alone, update
                       changes what differs, fail, the default, fails the line
  --concurrency N      how many lines are under way at once; the default is 8
  --stop-on-error      reads no more lines once one has failed
  --dry-run            changes nothing, and says what would happen
  --ledger FILE        where to keep what is done; the default is FILE.ledger. It holds e-mail addresses

  IDPFLARE_AUTHORITY and IDPFLARE_API_KEY say where to. The key needs users:read and users:write; with
  api-keys:read as well, that is checked before anything is sent.
  CSV has one line for each user, below a line with the fields' names: email, password, given_name,
  family_name, picture_url, locale, email_verified, roles (separated by ;), is_active, metadata (JSON).
  The exit code is 0 where all lines are done, 1 where some are not, 2 where nothing was begun.";

pub(crate) struct Arguments {
    pub(crate) file: Option<PathBuf>,
    pub(crate) format: Option<Format>,
    pub(crate) on_conflict: OnConflict,
    pub(crate) concurrency: usize,
    pub(crate) stop_on_error: bool,
    pub(crate) dry_run: bool,
    ledger: Option<PathBuf>,
}

impl Arguments {
    /// Where to keep what is done of `file`.
    pub(crate) fn ledger_of(&self, file: &Path) -> PathBuf {
        self.ledger.clone().unwrap_or_else(|| {
            let mut path = file.as_os_str().to_owned();
            path.push(".ledger");
            path.into()
        })
    }
}

pub(crate) fn parse() -> Result<Option<Arguments>, lexopt::Error> {
    let mut arguments = Arguments {
        file: None,
        format: None,
        on_conflict: OnConflict::Fail,
        concurrency: 8,
        stop_on_error: false,
        dry_run: false,
        ledger: None,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Value(file) if arguments.file.is_none() => arguments.file = Some(file.into()),
            Long("format") => {
                arguments.format = Some(parser.value()?.parse_with(Format::of_name)?);
            }
            Long("on-conflict") => arguments.on_conflict = parser.value()?.parse_with(policy)?,
            Long("concurrency") => {
                arguments.concurrency = parser.value()?.parse::<NonZeroUsize>()?.get();
            }
            Long("stop-on-error") => arguments.stop_on_error = true,
            Long("dry-run") => arguments.dry_run = true,
            Long("ledger") => arguments.ledger = Some(parser.value()?.into()),
            Long("help") | Short('h') => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(arguments))
}

fn policy(text: &str) -> Result<OnConflict, String> {
    match text {
        "skip" => Ok(OnConflict::Skip),
        "update" => Ok(OnConflict::Update),
        "fail" => Ok(OnConflict::Fail),
        _ => Err(format!("{text:?} is none of skip, update and fail")),
    }
}
