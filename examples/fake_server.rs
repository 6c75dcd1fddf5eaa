//! A fake IDPFlare on a loopback port, for programs that are not written in Rust, or not to be
//! changed.
//!
//! The first line on stdout is `{"authority":"http://127.0.0.1:PORT","api_key":"idk_…"}`, with a key
//! that has all scopes. Then each request is a line on stderr, until SIGINT or SIGTERM. Those that go
//! wrong by order of a fault script say so, and whether the operation was performed nevertheless.

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use idpflare_management::testing::{FakeIdpflare, FaultScript};
use lexopt::prelude::*;

const USAGE: &str = "\
usage: fake_server [--port N] [--seed-users N] [--quota N/UNIT] [--faults FILE]

  --port N        the port on 127.0.0.1; 0, the default, picks one that is free
  --seed-users N  starts with N demonstration users; the default is 0
  --quota N/UNIT  allows each API key N requests in each s, m or h, such as 50/s
  --faults FILE   has requests go wrong, as this JSON says:

    {\"seed\": 7, \"rules\": [
      {\"operation\": \"createUser\", \"after\": 1, \"times\": 2, \"fault\": {\"kind\": \"reply_lost\"}},
      {\"probability\": 0.2, \"any_of\": [
        {\"kind\": \"edge_page\", \"status\": 522},
        {\"kind\": \"status\", \"status\": 503, \"headers\": {\"retry-after\": \"1\"}, \"delay_ms\": 20}]}]}

  A request has the fault of the first rule that applies: once, or so many times, or with a
  probability; of any operation, or of one. Each fault may have delay_ms, and after_performing: true.
  Kinds, with the members that are theirs ([] may be left out):

    delay               delay_ms
    status              status [headers] [body]
    edge_page           [status]
    too_many_requests   [retry_after [form: seconds, http_date or rate_limit]]
    slow_body           pieces interval_ms
    oversized_body      [bytes]
    reset_before_reply  reply_lost  reset_during_reply  truncated_body
    wrong_content_type  unknown_fields  unknown_values";

#[derive(Default)]
struct Arguments {
    port: u16,
    seed_users: usize,
    quota: Option<(u32, Duration)>,
    faults: Option<FaultScript>,
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
            eprintln!("fake_server: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fake_server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse() -> Result<Option<Arguments>, lexopt::Error> {
    let mut arguments = Arguments::default();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("port") => arguments.port = parser.value()?.parse()?,
            Long("seed-users") => arguments.seed_users = parser.value()?.parse()?,
            Long("quota") => arguments.quota = Some(parser.value()?.parse_with(quota)?),
            Long("faults") => {
                arguments.faults = Some(faults(&PathBuf::from(parser.value()?))?);
            }
            Long("help") | Short('h') => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    Ok(Some(arguments))
}

fn quota(text: &str) -> Result<(u32, Duration), String> {
    let wrong = || format!("{text:?} is no quota: write it like 50/s");
    let (limit, unit) = text.split_once('/').ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        _ => return Err(wrong()),
    };
    let limit = limit.parse().map_err(|_| wrong())?;
    Ok((limit, Duration::from_secs(seconds)))
}

fn faults(path: &Path) -> Result<FaultScript, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("{} can't be read: {error}", path.display()))?;
    FaultScript::from_json(&text).map_err(|error| format!("{}: {error}", path.display()))
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let fake = FakeIdpflare::new();
    fake.seed(arguments.seed_users);
    if let Some((limit, window)) = arguments.quota {
        fake.set_quota(limit, window);
    }
    if let Some(script) = arguments.faults {
        fake.set_faults(script);
    }
    // Not `eprintln!`, which panics where nobody reads the log any more.
    fake.on_request(|entry| {
        let _ = writeln!(std::io::stderr(), "{entry}");
    });
    // Taken before anyone is told where the server is: a signal may come right after.
    let stop = stop_signal()?;
    let server = fake.serve_on(arguments.port).await?;
    let (authority, api_key) = (server.authority(), fake.api_key());
    let mut stdout = std::io::stdout();
    // By hand, because readers see the members in this order.
    writeln!(
        stdout,
        r#"{{"authority":"{authority}","api_key":"{api_key}"}}"#
    )?;
    stdout.flush()?;
    stop.await;
    // A client that never completes its request can't hold it up for longer.
    let _ = tokio::time::timeout(Duration::from_secs(5), server.shutdown()).await;
    Ok(())
}

#[cfg(unix)]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        // Without a handler there is nothing to wait for but the end of the process.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
