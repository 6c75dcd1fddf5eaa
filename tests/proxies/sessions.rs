//! HAProxy ends sessions whose requests were performed, over HTTP/2 with REFUSED_STREAM.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use idpflare_management::layers::RetryPolicy;
use idpflare_management::testing::{Fault, FaultRule, FaultScript};
use idpflare_management::*;

use crate::haproxy::Haproxy;
use crate::upstream::Upstream;

const CREATES: usize = 30;

/// Versions of HTTP, by their names in ALPN.
const VERSIONS: [&str; 2] = ["h2", "http/1.1"];

/// How creates ended, and how many there are twice.
struct Interrupted {
    outcomes: Vec<Result<CreatedApiKey, Error>>,
    doubled: usize,
}

pub(crate) async fn creates_are_doubled_if_refused_streams_are_trusted() {
    let trusting = RetryPolicy::new().repeat_once_after_refused_stream(true);
    let Interrupted { outcomes, doubled } = server_goes_down("h2", trusting).await;
    let succeeded = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!((doubled, succeeded), (CREATES, CREATES));
}

pub(crate) async fn creates_in_sessions_that_a_server_going_down_ends_are_not_doubled() {
    for alpn in VERSIONS {
        are_unknown(server_goes_down(alpn, RetryPolicy::new()).await);
    }
}

pub(crate) async fn creates_that_a_hard_stop_ends_are_not_doubled() {
    for alpn in VERSIONS {
        let upstream = Upstream::start().await;
        let server = format!("server only 127.0.0.1:{}", upstream.port());
        let proxy = Haproxy::start(alpn, "hard-stop-after 100ms", &server);
        let interruption = || proxy.end_softly();
        are_unknown(interrupt(&upstream, &proxy, RetryPolicy::new(), interruption).await);
    }
}

fn are_unknown(Interrupted { outcomes, doubled }: Interrupted) {
    assert_eq!(doubled, 0);
    for outcome in outcomes {
        let error = outcome.expect_err("interrupted");
        assert_eq!(error.delivery(), Delivery::Unknown, "{error}");
        assert_eq!((error.attempts(), error.is_retryable()), (1, false));
    }
}

/// Takes a server down while another one is there.
async fn server_goes_down(alpn: &str, policy: RetryPolicy) -> Interrupted {
    let upstream = Upstream::start().await;
    let port = upstream.port();
    let servers = format!(
        "server first 127.0.0.1:{port} on-marked-down shutdown-sessions
    server second 127.0.0.1:{port} backup"
    );
    let proxy = Haproxy::start(alpn, "", &servers);
    let interruption = || proxy.command("set server fake/first state maint");
    interrupt(&upstream, &proxy, policy, interruption).await
}

/// Interrupts creates that were performed and have no reply yet.
async fn interrupt(
    upstream: &Upstream,
    proxy: &Haproxy,
    policy: RetryPolicy,
    interruption: impl FnOnce(),
) -> Interrupted {
    let fault = Fault::delay(Duration::from_secs(600)).after_performing();
    let rule = FaultRule::new(fault).operation(CreateApiKey::OPERATION);
    let rule = rule.times(CREATES as u64);
    upstream.fake.set_faults(FaultScript::new().rule(rule));
    // Far beyond the time until the interruption.
    let limit = Duration::from_secs(120);
    let client = proxy.client(upstream.key(), |builder| {
        builder.retry(policy).deadline(limit).attempt_timeout(limit)
    });
    let creates = (0..CREATES).map(|number| {
        let create = CreateApiKey::new(format!("key {number}")).scopes([Scope::UsersRead]);
        let client = client.clone();
        tokio::spawn(async move { client.send(create).await })
    });
    let creates: Vec<_> = creates.collect();
    let direct = upstream.fake.client();
    while keys(&direct).await.values().sum::<usize>() < CREATES {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    interruption();
    let outcomes = join_all(creates).await.into_iter();
    let keys = keys(&direct).await;
    Interrupted {
        outcomes: outcomes.map(|outcome| outcome.expect("no panic")).collect(),
        doubled: keys.into_values().filter(|count| *count > 1).count(),
    }
}

/// Counts the keys of each name that `interrupt` gives.
async fn keys(direct: &Client) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let all = ListApiKeys::new().limit(100);
    for key in direct.send(all).await.expect("keys") {
        if key.name.starts_with("key ") {
            *counts.entry(key.name).or_default() += 1;
        }
    }
    counts
}
