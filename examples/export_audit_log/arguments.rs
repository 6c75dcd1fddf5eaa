use std::path::PathBuf;

use idpflare_management::{QueryAuditLogs, Timestamp};
use lexopt::prelude::*;

pub(crate) const USAGE: &str = "\
usage: export_audit_log [--from TIME] [--to TIME] [--user ID] [--event-type TYPE]
                        [--output FILE] [--checkpoint FILE] [--follow]

  --from TIME        starts with the entries of this time instead of the oldest
  --to TIME          ends with those of this time
  --user ID          only entries about this user
  --event-type TYPE  only entries of this type, such as login_failure
  --output FILE      appends to this file instead of writing to stdout
  --checkpoint FILE  keeps in this file what is done, and goes on from there
  --follow           waits for new entries, until --to or Ctrl-C

  A TIME is like 2026-01-31T08:00:00Z, or in milliseconds since the Unix epoch.";

#[derive(Default)]
pub(crate) struct Arguments {
    pub(crate) query: QueryAuditLogs,
    pub(crate) from: Option<Timestamp>,
    pub(crate) to: Option<Timestamp>,
    pub(crate) output: Option<PathBuf>,
    pub(crate) checkpoint: Option<PathBuf>,
    pub(crate) follow: bool,
}

impl Arguments {
    pub(crate) fn parse() -> Result<Option<Self>, lexopt::Error> {
        let mut arguments = Self::default();
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("from") => arguments.from = Some(parser.value()?.parse_with(time)?),
                Long("to") => arguments.to = Some(parser.value()?.parse_with(time)?),
                Long("user") => {
                    arguments.query = arguments.query.user_id(parser.value()?.string()?);
                }
                Long("event-type") => {
                    arguments.query = arguments.query.event_type(parser.value()?.string()?);
                }
                Long("output") => arguments.output = Some(parser.value()?.into()),
                Long("checkpoint") => arguments.checkpoint = Some(parser.value()?.into()),
                Long("follow") => arguments.follow = true,
                Long("help") | Short('h') => return Ok(None),
                other => return Err(other.unexpected()),
            }
        }
        Ok(Some(arguments))
    }
}

fn time(text: &str) -> Result<Timestamp, String> {
    let parsed = match text.parse() {
        Ok(millis) => Timestamp::from_millisecond(millis),
        Err(_) => text.parse(),
    };
    parsed.map_err(|error| format!("{text:?} is no time: {error}"))
}
