//! Replaces the API key of a running client: create, probe, store in a file, swap, drain, revoke.
//!
//! `cargo run --example rotate_api_key` runs against a fake. With `IDPFLARE_AUTHORITY` and
//! `IDPFLARE_API_KEY` set it is about that instance and that key, and says only what it would do
//! unless `--yes` is given.

#[path = "support/causes.rs"]
mod causes;

use std::error::Error;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use idpflare_management::layers::{ApiKey, BoxError};
use idpflare_management::testing::FakeIdpflare;
use idpflare_management::workflows::{NewApiKey, RotateApiKey, RotateApiKeyReport, StepOutcome};
use idpflare_management::{Client, ExposeSecret, GetUserStats, KeyHandle};
use lexopt::prelude::*;

use causes::with_causes;

const USAGE: &str = "\
usage: rotate_api_key [--yes] [--store FILE] [--drain SECONDS] [--may-outlive] [--revoke-leftovers]

  --yes               changes a real instance; without, it only says what it would do
  --store FILE        where the new key is written to; must not exist yet
  --drain SECONDS     how long the old key is left alone after the swap; the default is 1
  --may-outlive       keeps the new key even if it lives longer than the old one was made to
  --revoke-leftovers  revokes what a run that broke off has left: the other keys with this name and
                      these scopes

  Ctrl-C finishes what has begun; once more leaves at once. If a run broke off, look whether there is
  a key in FILE: go on from that one, or else from the old one, with another FILE and
  --revoke-leftovers.
  The exit code is 0 where the old key is replaced or could be, 1 where not.";

struct Arguments {
    yes: bool,
    store: Option<PathBuf>,
    drain: Duration,
    may_outlive: bool,
    revoke_leftovers: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match parse() {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("rotate_api_key: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(arguments).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("rotate_api_key: {}", with_causes(&*error));
            ExitCode::FAILURE
        }
    }
}

fn parse() -> Result<Option<Arguments>, lexopt::Error> {
    let mut arguments = Arguments {
        yes: false,
        store: None,
        drain: Duration::from_secs(1),
        may_outlive: false,
        revoke_leftovers: false,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("yes") => arguments.yes = true,
            Long("store") => arguments.store = Some(parser.value()?.into()),
            Long("drain") => arguments.drain = Duration::from_secs(parser.value()?.parse()?),
            Long("may-outlive") => arguments.may_outlive = true,
            Long("revoke-leftovers") => arguments.revoke_leftovers = true,
            Long("help") | Short('h') => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(arguments))
}

/// Whether it went as it should.
async fn run(arguments: Arguments) -> Result<bool, Box<dyn Error>> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    match (variable("IDPFLARE_AUTHORITY"), variable("IDPFLARE_API_KEY")) {
        (Some(authority), Some(key)) => {
            let dry_run = !arguments.yes;
            // Before a key is created that could not be kept.
            match &arguments.store {
                None if !dry_run => {
                    return Err("say where the new key goes to, with --store FILE".into());
                }
                Some(store) if store.try_exists()? => {
                    let store = store.display();
                    return Err(format!(
                        "{store} is there already: if it holds a key that works, go on from that one"
                    )
                    .into());
                }
                _ => {}
            }
            let key = ApiKey::new(key)?;
            let rotation = Rotation::new(authority, key, arguments)?;
            if dry_run {
                let report = rotation.run(true).await;
                println!("{report}\nnothing was changed; --yes does it");
                return Ok(matches!(report.create, StepOutcome::WouldDo));
            }
            tokio::select! {
                biased;
                () = interrupted_twice() => {
                    let store = rotation.store.display();
                    Err(format!("left half-way: the new key may be in {store}").into())
                }
                report = rotation.run(false) => {
                    println!("{report}");
                    Ok(report.is_complete())
                }
            }
        }
        (None, None) => with_the_fake(arguments).await,
        _ => Err("set both IDPFLARE_AUTHORITY and IDPFLARE_API_KEY, or neither".into()),
    }
}

async fn with_the_fake(mut arguments: Arguments) -> Result<bool, Box<dyn Error>> {
    let fake = FakeIdpflare::new();
    let server = fake.serve().await?;
    arguments.store.get_or_insert_with(|| {
        std::env::temp_dir().join(format!("rotate_api_key-{}", std::process::id()))
    });
    let old = ApiKey::new(fake.api_key())?;
    let rotation = Rotation::new(server.authority(), old.clone(), arguments)?;
    println!("{}\n", rotation.run(true).await);

    let report = rotation.run(false).await;
    println!("{report}\n");
    let stored = rotation.store.exists();
    println!("the new key is in the file: {stored}");
    let _ = std::fs::remove_file(&rotation.store);

    let stats = rotation.client.send(GetUserStats::new()).await?;
    println!("the running client goes on: {} users", stats.total);
    let with_old = rotation.connect(old.into())?;
    let refused = with_old.send(GetUserStats::new()).await;
    if let Err(error) = &refused {
        println!("with the old key: {error}");
    }
    Ok(report.is_complete() && stored && refused.is_err())
}

/// Ctrl-C, the second time: what a rotation leaves half-way takes somebody to put it in order.
async fn interrupted_twice() {
    for is_first in [true, false] {
        if tokio::signal::ctrl_c().await.is_err() {
            // Where nobody listens for Ctrl-C, none comes.
            std::future::pending::<()>().await;
        }
        if is_first {
            let text = "Finishing what has begun. Ctrl-C once more leaves at once.";
            let _ = writeln!(io::stderr(), "{text}");
        }
    }
}

/// A running client, and what it takes to give it another key.
struct Rotation {
    authority: String,
    client: Client,
    store: PathBuf,
    job: RotateApiKey,
}

impl Rotation {
    fn new(
        authority: String,
        key: ApiKey,
        arguments: Arguments,
    ) -> Result<Self, idpflare_management::Error> {
        let job = RotateApiKey::new(&key)
            .drain(arguments.drain)
            .may_outlive(arguments.may_outlive)
            .revoke_leftovers(arguments.revoke_leftovers);
        let handle = KeyHandle::new(key);
        Ok(Self {
            client: connect(&authority, handle.clone())?,
            authority,
            store: arguments.store.unwrap_or_default(),
            job: job.swap(handle),
        })
    }

    /// A client besides the running one.
    fn connect(&self, handle: KeyHandle) -> Result<Client, idpflare_management::Error> {
        connect(&self.authority, handle)
    }

    async fn run(&self, dry_run: bool) -> RotateApiKeyReport {
        let job = self.job.clone().dry_run(dry_run);
        job.run(
            &self.client,
            async |new: NewApiKey| {
                let candidate = self.connect(new.key().into())?;
                new.probe(&candidate).await?;
                Ok::<_, BoxError>(())
            },
            async |new: NewApiKey| write_private(&self.store, new.secret().expose_secret()),
        )
        .await
    }
}

fn connect(authority: &str, handle: KeyHandle) -> Result<Client, idpflare_management::Error> {
    Client::builder(authority).key_handle(handle).build()
}

/// Writes a new file that nobody else may read. It is on the disk when this returns, because the old
/// key ends soon after.
fn write_private(path: &Path, secret: &str) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(secret.as_bytes())?;
    file.sync_all()
}
