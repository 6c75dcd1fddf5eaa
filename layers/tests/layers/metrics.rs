use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Method, StatusCode};
use idpflare_layers::{
    AttemptFinished, AttemptTimeoutLayer, BoxError, Call, CallFinished, DeliveryLayer, ErrorType,
    MetricsLayer, Operation, Outcome, Rate, RateLimitLayer, RateLimiter, Recorder, RetryLayer,
    Safety, Subject, TransportError,
};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

use crate::support::{poll, request, secs, transport};

const GET_USER: &Operation =
    &Operation::new("getUser", Method::GET, "/users/{user_id}", Safety::ReadOnly);

/// Keeps a line for each event.
#[derive(Default)]
struct Log(Mutex<Vec<String>>);

impl Log {
    fn push(&self, line: String) {
        self.0.lock().expect("no panic").push(line);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().expect("no panic"))
    }
}

fn describe(subject: &Subject) -> String {
    format!(
        "{:?} {} {:?} {:?}",
        subject.operation().map(|operation| operation.id),
        subject.method(),
        subject.server_address(),
        subject.server_port(),
    )
}

impl Recorder for Log {
    fn call_started(&self, subject: &Subject) {
        self.push(format!("call {}", describe(subject)));
    }

    fn call_finished(&self, call: &CallFinished<'_>) {
        let (outcome, attempts) = (call.outcome, call.attempts);
        let (duration, waited) = (call.duration, call.permit_wait);
        self.push(format!(
            "call {outcome:?}, {duration:?}, {attempts} attempts, waited {waited:?}"
        ));
    }

    fn attempt_started(&self, subject: &Subject) {
        self.push(format!("attempt {}", describe(subject)));
    }

    fn attempt_finished(&self, attempt: &AttemptFinished<'_>) {
        let (outcome, duration) = (attempt.outcome, attempt.duration);
        self.push(format!("attempt {outcome:?}, {duration:?}"));
    }
}

fn get_user(id: u32) -> http::Request<()> {
    http::Request::get(format!("https://api.example.com/users/{id}"))
        .extension(GET_USER)
        .body(())
        .expect("a request")
}

#[tokio::test(start_paused = true)]
async fn calls_and_attempts_are_told_when_they_start_and_how_they_end() {
    let log = Arc::new(Log::default());
    let (transport, mut server) = transport();
    let attempts = ServiceBuilder::new()
        .layer(MetricsLayer::per_attempt(Arc::clone(&log)))
        .layer(DeliveryLayer::new())
        .service(transport);
    let twice = service_fn(move |request: http::Request<()>| {
        let attempts = attempts.clone();
        async move {
            let call = Call::of(&request).expect("a call").clone();
            call.record_permit_wait(secs(2));
            let first = attempts.clone().oneshot(request.clone()).await;
            assert!(first.is_err());
            attempts.oneshot(request).await
        }
    });
    let service = MetricsLayer::per_call(Arc::clone(&log)).layer(twice);
    let serve = async {
        let (_, respond) = server.next_request().await.expect("a request");
        tokio::time::sleep(secs(1)).await;
        respond.send_error(TransportError::lost("reset".into()));
        let (_, respond) = server.next_request().await.expect("a request");
        tokio::time::sleep(secs(3)).await;
        respond.send_response(http::Response::new(()));
    };
    let (reply, ()) = tokio::join!(service.oneshot(get_user(7)), serve);
    assert!(reply.is_ok());
    let subject = "Some(\"getUser\") GET Some(\"api.example.com\") Some(443)";
    assert_eq!(
        log.take(),
        [
            format!("call {subject}"),
            format!("attempt {subject}"),
            "attempt Failed { error: ConnectionLost, status: None }, 1s".to_owned(),
            format!("attempt {subject}"),
            "attempt Replied(200), 3s".to_owned(),
            "call Replied(200), 4s, 2 attempts, waited Some(2s)".to_owned(),
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_dropped_is_counted_as_cancelled_once() {
    let log = Arc::new(Log::default());
    let (transport, _server) = transport();
    let service = ServiceBuilder::new()
        .layer(MetricsLayer::per_call(Arc::clone(&log)))
        .layer(MetricsLayer::per_attempt(Arc::clone(&log)))
        .service(transport);
    {
        let mut reply = pin!(service.clone().oneshot(get_user(7)));
        // Not even started.
        drop(service.oneshot(get_user(8)));
        assert!(poll(reply.as_mut()).is_pending());
        tokio::time::advance(secs(5)).await;
    }
    let ends = log.take().split_off(2);
    assert_eq!(
        ends,
        [
            "attempt Cancelled, 5s",
            "call Cancelled, 5s, 0 attempts, waited None",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_timeout_gave_up_is_not_cancelled() {
    let log = Arc::new(Log::default());
    let (transport, _server) = transport();
    let service = ServiceBuilder::new()
        .layer(AttemptTimeoutLayer::new(secs(10)))
        .layer(MetricsLayer::per_attempt(Arc::clone(&log)))
        .service(transport);
    assert!(service.oneshot(request().0).await.is_err());
    let end = log.take().pop().expect("an end");
    assert!(end.contains("Timeout"), "{end}");
}

#[tokio::test(start_paused = true)]
async fn who_goes_away_after_a_timeout_has_cancelled() {
    let log = Arc::new(Log::default());
    let (transport, _server) = transport();
    let service = ServiceBuilder::new()
        .layer(MetricsLayer::per_call(Arc::clone(&log)))
        .layer(RetryLayer::default())
        .layer(AttemptTimeoutLayer::new(secs(10)))
        .layer(MetricsLayer::per_attempt(Arc::clone(&log)))
        .service(transport);
    let sending = tokio::time::timeout(secs(15), service.oneshot(request().0));
    assert!(sending.await.is_err());
    let ends: Vec<_> = log
        .take()
        .into_iter()
        .filter(|line| line.contains("Timeout") || line.contains("Cancelled"))
        .collect();
    let [first, second, call] = &ends[..] else {
        panic!("{ends:?}");
    };
    assert!(
        first.starts_with("attempt Failed") && first.contains("Timeout"),
        "{first}"
    );
    assert!(second.starts_with("attempt Cancelled"), "{second}");
    assert!(call.starts_with("call Cancelled"), "{call}");
}

#[tokio::test(start_paused = true)]
async fn a_wait_in_vain_is_one() {
    for (deadline, cancelled_after, waited) in [
        (secs(3), None, Duration::ZERO),
        (secs(60), Some(secs(4)), secs(4)),
    ] {
        let limiter = RateLimiter::new(Rate::MAX);
        limiter.pause(secs(30));
        let (transport, _server) = transport();
        let service = RateLimitLayer::new(limiter).layer(transport);
        let (request, call) = request();
        call.limit_to(deadline);
        let sending = service.oneshot(request);
        let cancelled_after = cancelled_after.unwrap_or(secs(100));
        let _ = tokio::time::timeout(cancelled_after, sending).await;
        assert_eq!(call.permit_wait(), Some(waited));
    }
}

#[tokio::test]
async fn what_panics_is_finished_too() {
    let log = Arc::new(Log::default());
    let service = MetricsLayer::per_call(Arc::clone(&log)).layer(service_fn(
        async |_: http::Request<()>| -> Result<http::Response<()>, BoxError> {
            panic!("in the service below")
        },
    ));
    let mut reply = Box::pin(service.oneshot(get_user(7)));
    let polled = catch_unwind(AssertUnwindSafe(|| poll(reply.as_mut())));
    assert!(polled.is_err());
    drop(reply);
    assert_eq!(log.take().len(), 2);
}

#[test]
fn an_arc_of_any_recorder_is_one() {
    fn is_recorder<R: Recorder + Clone>(_: R) {}
    let log: Arc<dyn Recorder> = Arc::new(Log::default());
    is_recorder(log);
}

#[test]
fn outcomes_are_of_few_classes() {
    let replied = |status| Outcome::Replied(StatusCode::from_u16(status).expect("a status"));
    let mut classes = HashSet::new();
    for status in 100..1000 {
        classes.insert(replied(status).class());
    }
    assert_eq!(classes.len(), 6);
    assert_eq!(Outcome::Cancelled.class(), "cancelled");
    assert_eq!(ErrorType::Other.as_str(), "_OTHER");
}

/// What [`send_for_ten_thousand_ids`] makes. Of the call: active, and attempts and durations by 3
/// outcomes. Of the attempt: active by 2 methods, and durations by 3 outcomes and 2 methods.
#[cfg(any(feature = "metrics", feature = "opentelemetry"))]
pub(crate) const SERIES_OF_TEN_THOUSAND_IDS: usize = 1 + 2 * 3 + 2 + 3 * 2;

/// Sends requests with all that callers and servers can make up.
#[cfg(any(feature = "metrics", feature = "opentelemetry"))]
pub(crate) async fn send_for_ten_thousand_ids(recorder: impl Recorder + Clone) {
    let service = ServiceBuilder::new()
        .layer(MetricsLayer::per_call(recorder.clone()))
        .layer(MetricsLayer::per_attempt(recorder))
        .service(service_fn(async |request: http::Request<()>| {
            // The status, the error and the method are of the server's and the caller's making.
            let id: u32 = request.uri().path()["/users/".len()..].parse()?;
            match id % 3 {
                0 => Err(BoxError::from(format!("user {id}"))),
                rest => Ok(http::Response::builder()
                    .status(if rest == 1 { 200 } else { 404 })
                    .body(())?),
            }
        }));
    for id in 0..10_000 {
        let mut request = get_user(id);
        if id % 2 == 0 {
            let method = format!("M{id}");
            *request.method_mut() = Method::from_bytes(method.as_bytes()).expect("a method");
        }
        let _ = service.clone().oneshot(request).await;
    }
}

#[cfg(feature = "metrics")]
mod facade {
    use std::collections::BTreeMap;

    use idpflare_layers::FacadeRecorder;
    use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

    use super::*;

    /// All that was recorded: names with labels, and the values.
    fn lines(snapshotter: &Snapshotter) -> Vec<String> {
        let mut lines: Vec<_> = snapshotter
            .snapshot()
            .into_vec()
            .into_iter()
            .map(|(key, _, _, value)| {
                let key = key.key();
                let labels: BTreeMap<_, _> = key
                    .labels()
                    .map(|label| (label.key().to_owned(), label.value().to_owned()))
                    .collect();
                let value = match value {
                    DebugValue::Gauge(value) => value.to_string(),
                    DebugValue::Histogram(values) => format!("{values:?}"),
                    DebugValue::Counter(value) => value.to_string(),
                };
                format!("{} {labels:?} {value}", key.name())
            })
            .collect();
        lines.sort();
        lines
    }

    #[tokio::test(start_paused = true)]
    async fn names_and_labels_are_those_of_the_conventions() {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        let _installed = ::metrics::set_default_local_recorder(&recorder);
        let (transport, mut server) = transport();
        let service = ServiceBuilder::new()
            .layer(MetricsLayer::per_call(FacadeRecorder::new()))
            .layer(MetricsLayer::per_attempt(FacadeRecorder::new()))
            .layer(DeliveryLayer::new())
            .service(transport);
        let mut request = get_user(7);
        Call::of_or_insert(&mut request).record_permit_wait(secs(1));
        let serve = async {
            let (_, respond) = server.next_request().await.expect("a request");
            tokio::time::sleep(secs(2)).await;
            let reply = http::Response::builder().status(404).body(());
            respond.send_response(reply.expect("a reply"));
        };
        let (reply, ()) = tokio::join!(service.clone().oneshot(request), serve);
        assert!(reply.is_ok());
        {
            let mut reply = pin!(service.oneshot(get_user(8)));
            assert!(poll(reply.as_mut()).is_pending());
        }
        let subject = r#""http.request.method": "GET""#;
        let server = r#""server.address": "api.example.com", "server.port": "443""#;
        assert_eq!(
            lines(&snapshotter),
            [
                r#"client.active_calls {"operation": "getUser"} 0"#.to_owned(),
                r#"client.call.attempts {"error.type": "404", "operation": "getUser", "outcome": "4xx"} [1.0]"#.to_owned(),
                r#"client.call.attempts {"operation": "getUser", "outcome": "cancelled"} [1.0]"#.to_owned(),
                r#"client.call.duration {"error.type": "404", "operation": "getUser", "outcome": "4xx"} [2.0]"#.to_owned(),
                r#"client.call.duration {"operation": "getUser", "outcome": "cancelled"} [0.0]"#.to_owned(),
                r#"client.call.permit_wait {"operation": "getUser"} [1.0]"#.to_owned(),
                format!(r#"http.client.active_requests {{{subject}, "operation": "getUser", {server}}} 0"#),
                format!(r#"http.client.request.duration {{"error.type": "404", {subject}, "http.response.status_code": "404", "network.protocol.version": "1.1", "operation": "getUser", "outcome": "4xx", {server}}} [2.0]"#),
                format!(r#"http.client.request.duration {{{subject}, "operation": "getUser", "outcome": "cancelled", {server}}} [0.0]"#),
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn questions_for_a_shared_quota_are_counted() {
        use idpflare_layers::{LocalQuota, Rate, RateLimitLayer, SharedQuota, WhenAway};

        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        let _installed = ::metrics::set_default_local_recorder(&recorder);
        let rate = Rate::per_second(10).and_then(|rate| rate.with_burst(4));
        let quota = SharedQuota::new(rate.expect("a rate"), LocalQuota::new(), WhenAway::FailOpen);
        let quota = quota.expect("a quota").recorder(FacadeRecorder::new());
        let service =
            RateLimitLayer::new(quota.into()).layer(service_fn(async |_: http::Request<()>| {
                Ok::<_, BoxError>(http::Response::new(()))
            }));
        let reply = service.oneshot(http::Request::new(())).await;
        assert!(reply.is_ok());
        assert_eq!(
            lines(&snapshotter),
            [
                r#"client.quota.duration {"outcome": "ok", "question": "lease"} [0.0]"#,
                r#"client.quota.permits {"state": "granted"} 1"#,
            ]
        );
    }

    #[tokio::test]
    async fn ten_thousand_ids_share_their_labels() {
        let recorder = DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        let _installed = ::metrics::set_default_local_recorder(&recorder);
        send_for_ten_thousand_ids(FacadeRecorder::new()).await;
        assert_eq!(lines(&snapshotter).len(), SERIES_OF_TEN_THOUSAND_IDS);
    }
}
