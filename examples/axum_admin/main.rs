//! An axum service that manages users: with metrics, health checks, problem details and a shutdown
//! that finishes what has begun.
//!
//! `cargo run --example axum_admin` starts a fake IDPFlare on a loopback port, and the service on
//! another. The first line on stdout is the service's URL; the next ones are commands to try. With
//! `IDPFLARE_AUTHORITY` and `IDPFLARE_API_KEY` set, it manages that instance. It listens on this
//! machine only, and lets in everyone there: put authentication of yours before the routes.

mod app;
mod config;
mod stop_signal;
mod upstream;

use std::error::Error;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use idpflare_management::UserId;
use tokio::net::TcpListener;
use tracing::level_filters::LevelFilter;

use app::Stopped;
use config::{Config, USAGE};
use upstream::Upstream;

#[tokio::main]
async fn main() -> ExitCode {
    let config = match Config::from_arguments() {
        Ok(Some(config)) => config,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("axum_admin: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("axum_admin: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(config: Config) -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::INFO)
        .with_writer(io::stderr)
        .init();
    // Before the client, whose recorder tells it the units.
    let metrics = app::metrics::install()?;
    tokio::spawn(app::metrics::keep_small(metrics.clone()));
    let upstream = Upstream::start().await?;
    let client = app::instrumented(upstream.client()?).build()?;

    // Taken before anyone is told where the service is: a signal may come right after.
    let stop = stop_signal::stop_signal()?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, config.port));
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| format!("can't listen on {address}: {error}"))?;
    let user = upstream.sample_user().await;
    announce(listener.local_addr()?, upstream.describe(), user.as_ref())?;
    let router = app::router(client, metrics);
    let stopped = app::serve(listener, router, stop, config.grace).await?;
    upstream.stop().await;
    match stopped {
        Stopped::Drained => Ok(()),
        Stopped::Abandoned => Err("calls in flight took too long, and were given up".into()),
    }
}

/// Says where the service is, and what to try.
fn announce(address: SocketAddr, upstream: &str, user: Option<&UserId>) -> io::Result<()> {
    let user = user.map_or("USER_ID", UserId::as_str);
    let url = format!("http://{address}");
    let mut out = io::stdout().lock();
    writeln!(out, "{url}")?;
    writeln!(out, "It manages {upstream}. Try:")?;
    writeln!(out, "  curl '{url}/users?search=a&limit=5'")?;
    writeln!(out, "  curl {url}/users/{user}")?;
    writeln!(out, "  curl -X POST {url}/users/{user}/block")?;
    writeln!(out, "  curl -X POST {url}/users/{user}/offboard")?;
    writeln!(out, "  curl {url}/readyz")?;
    writeln!(out, "  curl {url}/metrics")?;
    out.flush()
}
