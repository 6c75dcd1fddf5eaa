//! Writes the audit log as NDJSON, oldest first, to stdout or a file; progress goes to stderr.
//!
//! `cargo run --example export_audit_log` exports the log of a fake IDPFlare with some users. With
//! `IDPFLARE_AUTHORITY` and `IDPFLARE_API_KEY` set, it is that instance's log. It goes on where it
//! was, after Ctrl-C, a crash or a kill, if it is given a checkpoint file:
//!
//! ```sh
//! export_audit_log --follow --output audit.ndjson --checkpoint audit.checkpoint
//! ```
//!
//! The checkpoint is replaced, as a whole, once what it stands for is in the output. So no entry is
//! lost. Of a file, what came behind the checkpoint is cut off when it goes on, so that none is there
//! twice. On stdout, the last batch may come again, and its first copy may break off in a line; that
//! line is ended before anything else is written, so that no other is lost to it. Where none broke off,
//! it is an empty one.
//!
//! One run at a time has a checkpoint and an output file; any other is refused. An empty file beside
//! each, such as `audit.checkpoint.lock`, stays for that.
//!
//! An entry that can't be decoded is told on stderr and left out; the export goes on, and fails in the
//! end.

mod arguments;
#[path = "../support/broken_pipe.rs"]
mod broken_pipe;
#[path = "../support/causes.rs"]
mod causes;
mod export;
mod lock;
mod output;
mod state;

use std::error::Error;
use std::process::ExitCode;

use arguments::{Arguments, USAGE};
use broken_pipe::is_broken_pipe;
use causes::with_causes;
use idpflare_management::Client;
use idpflare_management::testing::FakeIdpflare;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = match Arguments::parse() {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("export_audit_log: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has seen enough.
        Err(error) if is_broken_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("export_audit_log: {}", with_causes(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let set = |name| std::env::var_os(name).is_some();
    if set("IDPFLARE_AUTHORITY") || set("IDPFLARE_API_KEY") {
        return export::run(&Client::from_env()?, arguments).await;
    }
    let fake = FakeIdpflare::new();
    fake.seed(40);
    let server = fake.serve().await?;
    let client = Client::builder(server.authority())
        .api_key(fake.api_key())
        .build()?;
    export::run(&client, arguments).await
}
