//! Values at the key that the script did not write.

use std::time::Duration;

use idpflare_management::layers::{
    QuotaKey, QuotaNotice, Rate, RateLimiter, RedisQuota, SharedQuota, WhenAway,
};

use crate::away::{Told, recovers};
use crate::order::block_on;
use crate::server::Server;

const NAME: &str = "hostile";

const VALUES: [&str; 14] = [
    "9007199254740991",
    "9007199254740993",
    "-9007199254740991",
    "9223372036854775807",
    "18446744073709551616",
    "1e300",
    "-1e300",
    "inf",
    "-inf",
    "nan",
    "-nan",
    "0x1fffffffffffff",
    "text",
    "1.5",
];

fn limiter(server: &Server, told: &Told) -> RateLimiter {
    let redis = RedisQuota::new(server.url(), QuotaKey::named(NAME)).expect("a URL");
    let rate = Rate::per_second(10_000).and_then(|rate| rate.with_burst(10_000));
    let quota = SharedQuota::new(rate.expect("a rate"), redis, WhenAway::FailClosed);
    let quota = quota.expect("a quota").horizon(Duration::from_millis(50));
    RateLimiter::from(
        quota
            .timeout(Duration::from_secs(60))
            .recorder(told.clone()),
    )
}

pub(crate) fn no_value_at_the_key_stops_calls() {
    let server = Server::start();
    let key = QuotaKey::named(NAME);
    let key = key.as_str();
    block_on(async {
        for field in ["next", "paused", "now", "granted"] {
            for value in VALUES {
                server.command(&format!("DEL {key}"));
                let told = Told::default();
                // The state is there before it is spoilt, and the second process has never seen it.
                recovers(&limiter(&server, &told)).await;
                server.command(&format!("HSET {key} {field} {value}"));
                server.command(&format!("PERSIST {key}"));
                told.take();
                let other = limiter(&server, &told);
                for _ in 0..3 {
                    recovers(&other).await;
                }
                let notices = told.take();
                let is_ahead = !value.starts_with('-') && value != "1.5";
                if is_ahead && ["next", "paused"].contains(&field) {
                    let is_told = notices.contains(&QuotaNotice::StateLost);
                    assert!(is_told, "{field} {value}: {notices:?}");
                }
                let expires = server.command(&format!("PTTL {key}"));
                let expires: i64 = expires[1..].parse().expect("a number");
                assert!((0..70_000).contains(&expires), "{field} {value}: {expires}");
                let (next, now) = (server.field(key, "next"), server.field(key, "now"));
                assert!(next - now < 3_000_000, "{field} {value}");
            }
        }
    });
}
