//! Memory does not grow with the number of calls, nor with what a server sends.

use std::time::Duration;

use allocation_counter::{AllocationInfo, measure};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use idpflare_management::layers::BoxError;
use idpflare_management::testing::{FakeIdpflare, Fault, FaultRule, FaultScript};
use idpflare_management::*;
use tower::service_fn;

const KIB: u64 = 1024;

/// What `future` allocates, on this thread alone.
fn allocated(future: impl Future<Output = ()>) -> AllocationInfo {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let mut future = Box::pin(future);
    measure(|| runtime.block_on(&mut future))
}

#[test]
fn a_hundred_thousand_calls_leave_nothing_behind() {
    const STATS: &str = r#"{"total":2,"active":1,"verified":1,"mfa_enabled":0}"#;
    let transport = service_fn(async |request: Request<Full<Bytes>>| {
        let (status, body) = match request.method().as_str() {
            "GET" => (200, STATS),
            _ => (403, r#"{"error":"Insufficient scope"}"#),
        };
        let body = Full::new(Bytes::from_static(body.as_bytes()));
        Ok::<_, BoxError>(Response::builder().status(status).body(body)?)
    });
    let client = Client::builder("https://idp.example.com")
        .api_key("idk_test")
        .build_with(transport)
        .expect("a client");
    let calls = async |number: u32| {
        for _ in 0..number {
            client.send(GetUserStats::new()).await.expect("stats");
            client.send(DeleteUser::new("u")).await.expect_err("403");
        }
    };
    // What is set up once is not counted.
    allocated(calls(100));
    let allocated = allocated(calls(50_000));
    assert!(allocated.count_total > 100_000, "{allocated:?}");
    assert!(allocated.bytes_current < 16 * KIB as i64, "{allocated:?}");
    assert!(allocated.bytes_max < 64 * KIB, "{allocated:?}");
}

#[test]
fn a_body_without_end_costs_no_more_than_its_limit() {
    const LIMIT: u64 = 1024 * KIB;
    let allocated = allocated(async {
        let fake = FakeIdpflare::new();
        let endless = FaultRule::new(Fault::oversized_body(u64::MAX)).times(u64::MAX);
        fake.set_faults(FaultScript::new().rule(endless));
        let server = fake.serve().await.expect("a port");
        let client = Client::builder(server.authority())
            .api_key(fake.api_key())
            .max_reply_bytes(usize::try_from(LIMIT).expect("it fits"))
            .attempt_timeout(Duration::from_secs(30))
            .build()
            .expect("a client");
        for _ in 0..20 {
            let error = client.send(GetUserStats::new()).await.expect_err("no end");
            assert_eq!(error.kind(), ErrorKind::TooLarge);
        }
    });
    assert!(allocated.bytes_total > 20 * LIMIT, "{allocated:?}");
    // Twice the limit while the buffer is moved to a larger one, and what both sides of the
    // connections take.
    assert!(allocated.bytes_max < 4 * LIMIT, "{allocated:?}");
}
