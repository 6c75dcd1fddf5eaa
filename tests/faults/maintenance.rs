//! One endpoint in maintenance.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use idpflare_management::layers::BoxError;
use idpflare_management::testing::FakeIdpflare;
use idpflare_management::*;
use tokio::time::{Instant, sleep_until};
use tower::{ServiceExt, service_fn};

/// For ten minutes one endpoint answers 503 with `Retry-After: 3600`, which asks all to come back to it
/// in an hour, and is asked every 15 seconds all the same.
#[tokio::test(start_paused = true)]
async fn one_endpoint_in_maintenance_holds_back_no_call_of_another() {
    let fake = FakeIdpflare::new();
    let service = fake.service();
    let transport = service_fn(move |request: http::Request<_>| {
        let service = service.clone();
        async move {
            let in_maintenance = request.uri().path().ends_with("/stats/users");
            let mut reply = service.oneshot(request).await?;
            if in_maintenance {
                *reply.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                reply
                    .headers_mut()
                    .insert(RETRY_AFTER, HeaderValue::from_static("3600"));
            }
            Ok::<_, BoxError>(reply)
        }
    });
    let client = Client::builder("https://idp.example.com")
        .api_key(fake.api_key())
        .build_with(transport)
        .expect("a client");

    let started = Instant::now();
    let at = move |seconds: f64| sleep_until(started + Duration::from_secs_f64(seconds));
    let asks = tokio::spawn({
        let client = client.clone();
        async move {
            for number in 0..40 {
                at(15.0 * f64::from(number)).await;
                let error = client
                    .send(GetUserStats::new())
                    .await
                    .expect_err("in maintenance");
                assert_eq!(error.status(), Some(StatusCode::SERVICE_UNAVAILABLE));
            }
        }
    });
    let mut served = 0;
    for number in 0..310 {
        at(600.0 / 310.0 * f64::from(number)).await;
        served += u32::from(client.send(ListUsers::new()).await.is_ok());
    }
    asks.await.expect("no panic");
    assert_eq!(served, 310);
}
