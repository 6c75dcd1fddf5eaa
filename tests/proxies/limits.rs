//! Limits of requests: nginx's `limit_req`, which says nothing of when to come back.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::stream;
use http::StatusCode;
use idpflare_management::layers::RetryPolicy;
use idpflare_management::workflows::ImportUsers;
use idpflare_management::*;

use crate::nginx::{Nginx, Site};
use crate::upstream::Upstream;

/// A site that grants this rate over HTTP/2, and answers all others with this status.
fn limited(upstream: &Upstream, rate: &str, burst: &str, status: u16) -> Site {
    let site = Site::of(upstream.port()).http2();
    let zone = format!("limit_req_zone $binary_remote_addr zone=all:1m rate={rate};");
    Site {
        http: site.http + &zone,
        ..site
    }
    .with(&format!(
        "limit_req zone=all {burst} nodelay; limit_req_status {status};
        limit_req_log_level info;"
    ))
}

pub(crate) async fn an_import_succeeds_as_a_whole_under_a_limit_without_a_hint() {
    let upstream = Upstream::start().await;
    let nginx = Nginx::start(&limited(&upstream, "50r/s", "burst=5", 429));
    let client = nginx.client(upstream.key(), |builder| builder);
    let users = (0..500).map(|number| CreateUser::new(format!("user{number}@example.com")));
    let start = Instant::now();
    let report = ImportUsers::new(&client).run(stream::iter(users)).await;
    let report = report.expect("no ledger");
    let seconds = start.elapsed().as_secs_f64();
    let rate = report.created as f64 / seconds;
    println!(
        "    {} created, {} failed, in {seconds:.1} s: {rate:.1}/s",
        report.created, report.failed
    );
    assert!(report.is_complete(), "{report}");
    assert_eq!(report.created, 500);
    let total = upstream.fake.client().send(GetUserStats::new()).await;
    assert_eq!(total.expect("stats").total, 500);
}

pub(crate) async fn a_503_of_a_limit_is_retried_for_reads_alone() {
    let upstream = Upstream::start().await;
    // One request a minute.
    let nginx = Nginx::start(&limited(&upstream, "1r/m", "", 503));
    let client = nginx.client(upstream.key(), |builder| builder);
    client.send(GetUserStats::new()).await.expect("stats");
    for (outcome, attempts) in [
        (client.send(GetUserStats::new()).await.map(drop), 3),
        (
            client
                .send(CreateUser::new("ada@example.com"))
                .await
                .map(drop),
            1,
        ),
    ] {
        let error = outcome.expect_err("one too many");
        assert_eq!(error.status(), Some(StatusCode::SERVICE_UNAVAILABLE));
        assert_eq!(
            (error.attempts(), error.delivery()),
            (attempts, Delivery::Unknown)
        );
    }
    assert_eq!(upstream.requests().len(), 1);
}

pub(crate) async fn reads_outlast_a_503_of_a_limit() {
    let upstream = Upstream::start().await;
    let nginx = Nginx::start(&limited(&upstream, "5r/s", "", 503));
    let client = nginx.client(upstream.key(), |builder| {
        builder.retry(RetryPolicy::new().attempts(50))
    });
    let reads = (0..4).map(|_| client.send(GetUserStats::new()));
    for outcome in join_all(reads).await {
        outcome.expect("stats");
    }
    assert_eq!(upstream.requests().len(), 4);
}

/// A `Retry-After` of a 503 is for the resource that it comes from.
pub(crate) async fn maintenance_of_one_endpoint_stops_no_other() {
    let upstream = Upstream::start().await;
    let site = Site::of(upstream.port())
        .http2()
        .with("location = /api/v1/users { add_header Retry-After 3600 always; return 503; }");
    let nginx = Nginx::start(&site);
    let client = nginx.client(upstream.key(), |builder| builder);
    for _ in 0..5 {
        let error = client
            .send(ListUsers::new())
            .await
            .expect_err("maintenance");
        assert_eq!(error.status(), Some(StatusCode::SERVICE_UNAVAILABLE));
        assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)));
        client.send(GetUserStats::new()).await.expect("stats");
    }
}
