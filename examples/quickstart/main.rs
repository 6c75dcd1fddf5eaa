//! A tour of all nine areas of the API, through the default client and over real HTTP.
//!
//! `cargo run --example quickstart` starts a fake IDPFlare on a loopback port and changes things in
//! it. With `IDPFLARE_AUTHORITY` and `IDPFLARE_API_KEY` set, the tour goes to that instance, and
//! only reads.

#[path = "../support/broken_pipe.rs"]
mod broken_pipe;
#[path = "../support/causes.rs"]
mod causes;
mod read;
mod table;
mod write;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use broken_pipe::is_broken_pipe;
use causes::with_causes;
use idpflare_management::testing::FakeIdpflare;
use idpflare_management::{Client, Scope};

type Outcome = Result<(), Box<dyn Error>>;

#[tokio::main]
async fn main() -> ExitCode {
    let out = &mut io::stdout().lock();
    let set = |name| std::env::var_os(name).is_some();
    let outcome = if set("IDPFLARE_AUTHORITY") || set("IDPFLARE_API_KEY") {
        tour_of_an_instance(out).await
    } else {
        tour_of_the_fake(out).await
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has seen enough.
        Err(error) if is_broken_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quickstart: {}", with_causes(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn tour_of_the_fake(out: &mut impl Write) -> Outcome {
    let fake = FakeIdpflare::new();
    fake.seed(12);
    let server = fake.serve().await?;
    let client = Client::builder(server.authority())
        .api_key(fake.api_key())
        .build()?;
    writeln!(out, "A fake IDPFlare listens on {}.", server.authority())?;

    let user = read::users(&client, out).await?;
    let user = user.ok_or("the fake has no users")?;
    write::users(&client, out).await?;
    read::what_belongs_to(&user, &client, out).await?;
    write::what_belongs_to(&user, &client, out).await?;
    let limited = Client::builder(server.authority())
        .api_key(fake.api_key_with_scopes([Scope::UsersRead]))
        .build()?;
    write::without_the_scope(&user, &limited, out).await?;
    read::api_keys(&client, out).await?;
    write::api_keys(&client, out).await?;
    read::clients(&client, out).await?;
    write::clients(&client, out).await?;
    read::audit_log(&client, out).await?;
    read::audit_log_of(&user, &client, out).await?;
    read::stats(&client, out).await?;

    server.shutdown().await;
    writeln!(
        out,
        "\nThat was the fake. Set IDPFLARE_AUTHORITY and IDPFLARE_API_KEY to read from an instance of yours."
    )?;
    Ok(())
}

async fn tour_of_an_instance(out: &mut impl Write) -> Outcome {
    let client = Client::from_env()?;
    writeln!(
        out,
        "Reading from {}; nothing is changed.",
        client.authority()
    )?;

    let user = match read::users(&client, out).await {
        Ok(user) => user,
        Err(error) => {
            carry_on(Err(error), out)?;
            None
        }
    };
    if let Some(user) = &user {
        let outcome = read::what_belongs_to(user, &client, out).await;
        carry_on(outcome, out)?;
    }
    let outcome = read::api_keys(&client, out).await;
    carry_on(outcome, out)?;
    let outcome = read::clients(&client, out).await;
    carry_on(outcome, out)?;
    let outcome = read::audit_log(&client, out).await;
    carry_on(outcome, out)?;
    if let Some(user) = &user {
        let outcome = read::audit_log_of(user, &client, out).await;
        carry_on(outcome, out)?;
    }
    let outcome = read::stats(&client, out).await;
    carry_on(outcome, out)
}

/// A key may lack the scope for one area and have that for the next; any other failure ends it.
fn carry_on(outcome: Outcome, out: &mut impl Write) -> Outcome {
    match outcome {
        Err(error) => match error.downcast::<idpflare_management::Error>() {
            Ok(error) if error.required_scope().is_some() => {
                writeln!(out, "  {error}")?;
                Ok(())
            }
            Ok(error) => Err(error),
            Err(error) => Err(error),
        },
        Ok(()) => Ok(()),
    }
}
