//! One API key, one quota, several processes: what each limiting itself does, and what limiting them
//! together does.
//!
//! `cargo run --features redis --example fleet` starts a fake IDPFlare that allows its key 50 requests a
//! second, and eight worker processes that import users, twice: first each with a limiter of its own,
//! then with one quota in Redis or Valkey. That is the server at `REDIS_URL`, or else one that is started
//! for this on a loopback port, if there is a `redis-server` or `valkey-server` on the path.

#[path = "../support/causes.rs"]
mod causes;
mod redis_server;
mod worker;

use std::error::Error;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use idpflare_management::testing::FakeIdpflare;

use causes::with_causes;
use redis_server::Redis;

/// What the server allows the key.
const QUOTA: (u32, Duration) = (50, Duration::from_secs(1));
const WORKERS: usize = 8;
const USERS_EACH: usize = 40;

#[tokio::main]
async fn main() -> ExitCode {
    let result = match worker::Job::from_env() {
        Some(job) => worker::run(&job).await,
        None => compare().await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fleet: {}", with_causes(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn compare() -> Result<(), Box<dyn Error>> {
    let Some(redis) = Redis::find()? else {
        println!(
            "fleet: there is no redis-server or valkey-server on the path, and REDIS_URL is not set.\n\
             Install one (apt-get install redis-server, or brew install valkey), or run one\n\
             (docker run -p 6379:6379 valkey/valkey) and set REDIS_URL=redis://127.0.0.1:6379."
        );
        return Ok(());
    };
    println!(
        "{WORKERS} processes import {USERS_EACH} users each; the key may make 50 requests a second"
    );
    println!("                    requests      429   seconds");
    for (name, redis_url) in [("each by itself", None), ("as a fleet", Some(redis.url()))] {
        let (requests, refused, took) = run(redis_url).await?;
        println!(
            "{name:18} {requests:9} {refused:8} {:9.1}",
            took.as_secs_f64()
        );
    }
    Ok(())
}

/// How many requests the server saw, how many of them it refused, and how long it took.
async fn run(redis_url: Option<&str>) -> Result<(u32, u32, Duration), Box<dyn Error>> {
    let fake = FakeIdpflare::new();
    let (limit, window) = QUOTA;
    fake.set_quota(limit, window);
    let counted = Arc::new([AtomicU32::new(0), AtomicU32::new(0)]);
    let counting = Arc::clone(&counted);
    fake.on_request(move |entry| {
        let refused = entry.status.is_some_and(|status| status == 429);
        counting[0].fetch_add(1, Ordering::Relaxed);
        counting[1].fetch_add(u32::from(refused), Ordering::Relaxed);
    });
    let server = fake.serve().await?;

    let started = Instant::now();
    let mut workers = Vec::new();
    for number in 0..WORKERS {
        let job = worker::Job {
            number,
            authority: server.authority().clone(),
            api_key: fake.api_key(),
            redis_url: redis_url.map(str::to_owned),
        };
        let mut command = Command::new(std::env::current_exe()?);
        job.hand_over(&mut command);
        let mut child = command.stdin(Stdio::null()).spawn()?;
        workers.push(tokio::task::spawn_blocking(move || child.wait()));
    }
    for worker in workers {
        let status = worker.await??;
        if !status.success() {
            return Err(format!("a worker has failed: {status}").into());
        }
    }
    let took = started.elapsed();
    server.shutdown().await;
    let [requests, refused] = [&counted[0], &counted[1]].map(|count| count.load(Ordering::Relaxed));
    Ok((requests, refused, took))
}
