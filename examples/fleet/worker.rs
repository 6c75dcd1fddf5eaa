//! One process of the fleet.

use std::error::Error;
use std::process::Command;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use idpflare_management::layers::{
    ApiKey, QuotaKey, Rate, RateLimiter, RedisQuota, RetryPolicy, SharedQuota, WhenAway,
};
use idpflare_management::{Authority, Client, CreateUser};

use super::{USERS_EACH, WORKERS};

const JOB: &str = "FLEET_WORKER";
const AUTHORITY: &str = "FLEET_AUTHORITY";
const API_KEY: &str = "FLEET_API_KEY";
const REDIS_URL: &str = "FLEET_REDIS_URL";

pub(crate) struct Job {
    pub(crate) number: usize,
    pub(crate) authority: String,
    pub(crate) api_key: String,
    /// Where the quota of all is; without, the worker limits itself.
    pub(crate) redis_url: Option<String>,
}

impl Job {
    pub(crate) fn from_env() -> Option<Self> {
        Some(Self {
            number: std::env::var(JOB).ok()?.parse().ok()?,
            authority: std::env::var(AUTHORITY).ok()?,
            api_key: std::env::var(API_KEY).ok()?,
            redis_url: std::env::var(REDIS_URL).ok(),
        })
    }

    /// In the environment: arguments are shown to everybody on the machine.
    pub(crate) fn hand_over(&self, command: &mut Command) {
        command
            .env(JOB, self.number.to_string())
            .env(AUTHORITY, &self.authority)
            .env(API_KEY, &self.api_key);
        match &self.redis_url {
            Some(url) => command.env(REDIS_URL, url),
            None => command.env_remove(REDIS_URL),
        };
    }
}

pub(crate) async fn run(job: &Job) -> Result<(), Box<dyn Error>> {
    // 50 in any second, whenever it begins: the burst, and what comes in a second after it. One is left
    // over, so that nothing is ever used up.
    let rate = Rate::per_second(40)?.with_burst(9)?;
    let authority: Authority = job.authority.parse()?;
    let limiter = match &job.redis_url {
        None => RateLimiter::new(rate),
        Some(url) => {
            let key = QuotaKey::new(authority.origin(), &ApiKey::new(job.api_key.as_str())?);
            let redis = RedisQuota::new(url, key)?;
            let instances = u32::try_from(WORKERS)?;
            let away = WhenAway::LocalShare { instances };
            RateLimiter::from(SharedQuota::new(rate, redis, away)?.lease(5))
        }
    };
    let client = Client::builder(authority)
        .api_key(job.api_key.as_str())
        .rate_limit(limiter)
        .retry(RetryPolicy::new().attempts(20))
        .deadline(Duration::from_secs(60))
        .build()?;
    let users = stream::iter(0..USERS_EACH).map(|user| {
        let email = format!("user-{}-{user}@example.com", job.number);
        let client = client.clone();
        async move { client.send(CreateUser::new(email)).await }
    });
    let mut created = users.buffer_unordered(8);
    while let Some(user) = created.next().await {
        user?;
    }
    Ok(())
}
