//! A layer of one's own: it counts by operation, once around each call and once around each attempt.
//!
//! `cargo run --example custom_layer`

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::{Request, Response, StatusCode};
use idpflare_management::testing::FakeIdpflare;
use idpflare_management::{
    Client, CreateUser, DeleteUser, GetUser, GetUserStats, ListUsers, Operation, ReplyBody, Scope,
};
use pin_project_lite::pin_project;
use tower::util::MapResponseLayer;
use tower::{Layer, Service};

/// What was counted, by operation and outcome.
#[derive(Clone, Default)]
struct Counts(Arc<Mutex<BTreeMap<(&'static str, String), Count>>>);

#[derive(Clone, Copy, Default)]
struct Count {
    requests: u32,
    time: Duration,
}

impl Counts {
    fn add(&self, operation: &'static str, outcome: String, time: Duration) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry((operation, outcome)).or_default();
        count.requests += 1;
        count.time += time;
    }

    fn print(&self, heading: &str) {
        println!("{heading}");
        println!("  {:<14}{:<10}{:>8}  mean", "operation", "outcome", "count");
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for ((operation, outcome), Count { requests, time }) in &*counts {
            let mean = *time / *requests;
            println!("  {operation:<14}{outcome:<10}{requests:>8}  {mean:.0?}");
        }
    }
}

/// The layer: no more than what it hands to its service.
#[derive(Clone)]
struct CountLayer {
    counts: Counts,
}

impl<S> Layer<S> for CountLayer {
    type Service = Counting<S>;

    fn layer(&self, inner: S) -> Counting<S> {
        Counting {
            inner,
            counts: self.counts.clone(),
        }
    }
}

#[derive(Clone)]
struct Counting<S> {
    inner: S,
    counts: Counts,
}

impl<S, ReqB, ResB> Service<Request<ReqB>> for Counting<S>
where
    S: Service<Request<ReqB>, Response = Response<ResB>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = CountFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqB>) -> Self::Future {
        // Every request says which operation it performs: a label of which there are only 30.
        let operation = Operation::of(&request).map_or("other", |operation| operation.id);
        CountFuture {
            future: self.inner.call(request),
            counts: self.counts.clone(),
            operation,
            started: Instant::now(),
        }
    }
}

pin_project! {
    struct CountFuture<F> {
        #[pin]
        future: F,
        counts: Counts,
        operation: &'static str,
        started: Instant,
    }
}

impl<F, B, E> Future for CountFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = F::Output;

    fn poll(self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let outcome = std::task::ready!(this.future.poll(cx));
        let label = outcome.as_ref().map(Response::status);
        let label = label.as_ref().map_or("error", StatusCode::as_str);
        this.counts
            .add(this.operation, label.to_owned(), this.started.elapsed());
        Poll::Ready(outcome)
    }
}

/// Stands for a gateway that drops the first answer: the same call then has two attempts.
fn spoil_the_first() -> impl Fn(Response<ReplyBody>) -> Response<ReplyBody> + Clone {
    let spoilt = Arc::new(AtomicBool::new(false));
    move |mut reply| {
        if !spoilt.swap(true, Ordering::Relaxed) {
            *reply.status_mut() = StatusCode::BAD_GATEWAY;
        }
        reply
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let fake = FakeIdpflare::new();
    fake.seed(5);
    let server = fake.serve().await?;
    let (calls, attempts) = (Counts::default(), Counts::default());
    let client = Client::builder(server.authority())
        .api_key(fake.api_key_with_scopes([Scope::UsersRead, Scope::UsersWrite, Scope::StatsRead]))
        .layer(CountLayer {
            counts: calls.clone(),
        })
        .attempt_layer(CountLayer {
            counts: attempts.clone(),
        })
        .attempt_layer(MapResponseLayer::new(spoil_the_first()))
        .build()?;

    let page = client.send(ListUsers::new()).await?;
    for user in &page.users {
        client.send(GetUser::new(&user.id)).await?;
    }
    client.send(CreateUser::new("ada@example.com")).await?;
    client.send(GetUserStats::new()).await?;
    // The key lacks the scope for this one, and there is no user for that one.
    for refused in [
        client.send(DeleteUser::new("usr_1")).await.err(),
        client.send(GetUser::new("usr_0")).await.err(),
    ] {
        println!("{}", refused.ok_or("it should have been refused")?);
    }

    calls.print("\nCalls");
    attempts.print("\nAttempts");
    server.shutdown().await;
    Ok(())
}
