//! A server that refuses what is too much, and says no more than that.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::stream;
use http::{Response, StatusCode};
use idpflare_management::layers::BoxError;
use idpflare_management::testing::FakeIdpflare;
use idpflare_management::workflows::ImportUsers;
use idpflare_management::{Client, CreateUser, ReplyBody};
use tokio::time::{Instant, sleep};
use tower::ServiceExt;

use crate::users;

const USERS: usize = 500;
/// Requests in a second, as nginx counts them with `limit_req`, and how many more at once.
const RATE: f64 = 50.0;
const BURST: f64 = 5.0;

/// A client of a fake behind nginx's `limit_req … nodelay` with status 429.
fn limited(fake: &FakeIdpflare) -> Client {
    let state = Arc::new(Mutex::new((Instant::now(), 0.0_f64)));
    let inner = fake.service();
    let service = tower::service_fn(move |request| {
        let (state, inner) = (Arc::clone(&state), inner.clone());
        async move {
            sleep(Duration::from_millis(10)).await;
            let takes = {
                let (last, excess) = &mut *state.lock().expect("not poisoned");
                let passed = last.elapsed().as_secs_f64();
                let next = (*excess - passed * RATE).max(0.0) + 1.0;
                let takes = next <= BURST + 1.0;
                if takes {
                    (*last, *excess) = (Instant::now(), next);
                }
                takes
            };
            if takes {
                return inner.oneshot(request).await;
            }
            let mut reply = Response::new(ReplyBody::default());
            *reply.status_mut() = StatusCode::TOO_MANY_REQUESTS;
            Ok::<_, BoxError>(reply)
        }
    });
    Client::builder("https://idp.example.com")
        .api_key(fake.api_key())
        .build_with(service)
        .expect("a client")
}

#[tokio::test(start_paused = true)]
async fn an_import_is_whole_and_quick_where_a_server_refuses_without_a_hint() {
    for concurrency in [8, 32] {
        let fake = FakeIdpflare::new();
        let started = Instant::now();
        let lines = (0..USERS).map(|number| CreateUser::new(format!("u{number}@example.com")));
        let report = ImportUsers::new(&limited(&fake))
            .concurrency(concurrency)
            .run(stream::iter(lines.collect::<Vec<_>>()))
            .await
            .expect("there is no ledger");
        let rate = USERS as f64 / started.elapsed().as_secs_f64();
        println!(
            "{concurrency} at once: {} created at {rate:.1}/s",
            report.created
        );
        assert_eq!(report.created, USERS as u64, "{report}");
        assert!(rate >= 25.0, "{concurrency} at once: {rate}/s");
        assert_eq!(users(&fake.client()).await.len(), USERS);
    }
}
