//! What the command line says.

use std::time::Duration;

use lexopt::prelude::*;

pub(crate) const USAGE: &str = "\
usage: axum_admin [--port N] [--grace SECONDS]

  --port N         the port on 127.0.0.1; 0, the default, picks one that is free
  --grace SECONDS  how long calls in flight may take when it is told to stop; the default is 35

  It manages the IDPFlare at IDPFLARE_AUTHORITY, with IDPFLARE_API_KEY. Where neither is set, that is
  a fake with 20 users.";

pub(crate) struct Config {
    pub(crate) port: u16,
    pub(crate) grace: Duration,
}

impl Config {
    /// `None` where help was asked for.
    pub(crate) fn from_arguments() -> Result<Option<Self>, lexopt::Error> {
        let mut config = Self {
            port: 0,
            // More than one call of the client can take.
            grace: Duration::from_secs(35),
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("port") => config.port = parser.value()?.parse()?,
                Long("grace") => config.grace = Duration::from_secs(parser.value()?.parse()?),
                Long("help") | Short('h') => return Ok(None),
                other => return Err(other.unexpected()),
            }
        }
        Ok(Some(config))
    }
}
