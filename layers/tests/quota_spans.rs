//! How long the spans of a shared quota are open. In a program of its own, because whether anybody
//! listens to them is known for all threads at once, and other tests don't.

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use idpflare_layers::{
    BoxError, LocalQuota, QuotaAsked, QuotaQuestion, Rate, RateLimitLayer, RateLimiter, Recorder,
    SharedQuota, WhenAway,
};
use tower::{Layer as _, ServiceExt, service_fn};
use tracing::span::{Attributes, Id};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// How many spans were opened and closed, and how many questions gave permits back.
#[derive(Clone, Default)]
struct Counts(Arc<[AtomicUsize; 3]>);

impl Counts {
    fn add(&self, which: usize) {
        self.0[which].fetch_add(1, Ordering::SeqCst);
    }

    fn get(&self) -> [usize; 3] {
        [0, 1, 2].map(|which| self.0[which].load(Ordering::SeqCst))
    }
}

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> tracing_subscriber::Layer<S> for Counts {
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        assert_eq!(attributes.metadata().name(), "quota");
        self.add(0);
    }

    fn on_close(&self, _: Id, _: Context<'_, S>) {
        self.add(1);
    }
}

impl Recorder for Counts {
    fn quota_asked(&self, asked: &QuotaAsked<'_>) {
        if asked.question == QuotaQuestion::GiveBack {
            self.add(2);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_span_ends_with_its_question() {
    let counts = Counts::default();
    let subscriber = tracing_subscriber::registry().with(counts.clone());
    let _listening = tracing::subscriber::set_default(subscriber);

    let rate = Rate::per_second(100).and_then(|rate| rate.with_burst(20));
    let quota = SharedQuota::new(rate.expect("a rate"), LocalQuota::new(), WhenAway::FailOpen);
    let quota = quota.expect("a quota").lease(50).recorder(counts.clone());
    let limiter = RateLimiter::from(quota);
    let transport =
        service_fn(|_: http::Request<()>| ready(Ok::<_, BoxError>(http::Response::new(()))));
    let service = RateLimitLayer::new(limiter).layer(transport);
    // The last of its questions is granted more than is used.
    for _ in 0..90 {
        let sent = service.clone().oneshot(http::Request::new(()));
        sent.await.expect("a permit");
    }
    tokio::time::sleep(Duration::from_millis(5)).await;
    let [opened, closed, given_back] = counts.get();
    assert!(opened >= 2, "{opened}");
    assert_eq!((closed, given_back), (opened, 0));
    // What is given back is another question.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(counts.get(), [opened + 1, opened + 1, 1]);
}
