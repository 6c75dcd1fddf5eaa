//! Imports users from a file, one a line: NDJSON, a `CreateUser` each, or CSV below the fields' names.
//!
//! `cargo run --example import_users` writes a file with some faults in it and imports it into a fake
//! IDPFlare on a loopback port. With `IDPFLARE_AUTHORITY` and `IDPFLARE_API_KEY` set,
//! `import_users FILE` imports into that instance. What is done is kept in `FILE.ledger`, so after
//! Ctrl-C, or anything else that ends it, the same command goes on.

mod arguments;
#[path = "../support/causes.rs"]
mod causes;
mod csv_rows;
mod csv_values;
mod demo;
mod import;
mod interrupt;
mod lines;
mod ndjson_rows;
mod progress;
mod rows;
mod summary;

use std::error::Error;
use std::process::ExitCode;

use idpflare_management::Client;
use idpflare_management::workflows::KeyRef;

use arguments::Arguments;
use causes::with_causes;
use import::Ending;

/// Nothing was imported, because of what the program was given.
const USAGE: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match arguments::parse() {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("{}", arguments::USAGE);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("import_users: {error}\n{}", arguments::USAGE);
            return ExitCode::from(USAGE);
        }
    };
    match run(arguments).await {
        Ok(Ending::Complete) => ExitCode::SUCCESS,
        Ok(Ending::Incomplete) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("import_users: {}", with_causes(&*error));
            ExitCode::from(USAGE)
        }
    }
}

async fn run(arguments: Arguments) -> Result<Ending, Box<dyn Error>> {
    let set = |name| std::env::var_os(name).is_some();
    let for_an_instance = set("IDPFLARE_AUTHORITY") || set("IDPFLARE_API_KEY");
    match &arguments.file {
        Some(file) => {
            let client = Client::from_env()?;
            let key = KeyRef::prefix(std::env::var("IDPFLARE_API_KEY")?);
            import::import(&client, key, file, &arguments).await
        }
        None if for_an_instance => Err("name the FILE to import".into()),
        None => demo::run(&arguments).await,
    }
}
