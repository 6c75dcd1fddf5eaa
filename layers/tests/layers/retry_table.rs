//! The table of what is sent again, row by row, and what changes it.

use http::header::RETRY_AFTER;
use http::{HeaderValue, Method, StatusCode, Uri};
use idpflare_layers::{
    ApiKey, ApiKeyLayer, BoxError, CollectLayer, NewerCredential, Operation, Origin, RetryClass,
    RetryLayer, RetryOverride, RetryPolicy, Safety, Timeout, TimeoutScope, TransportError,
};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Script, Step, Wrapped, reply, request, secs};

const READ: &Operation = &Operation::new("read", Method::GET, "/read", Safety::ReadOnly);
const SET: &Operation = &Operation::new("set", Method::POST, "/set", Safety::Idempotent);
const CREATE: &Operation = &Operation::new("create", Method::POST, "/create", Safety::Once);

type Outcome = Result<http::Response<()>, BoxError>;

/// How often `operation` is sent where every attempt comes to the same.
async fn sends(
    policy: RetryPolicy,
    operation: &'static Operation,
    own: Option<RetryOverride>,
    outcome: impl Fn() -> Outcome + Clone,
) -> u32 {
    let (mut request, call) = request();
    *request.method_mut() = operation.method.clone();
    request.extensions_mut().insert(operation);
    if let Some(own) = own {
        request.extensions_mut().insert(own);
    }
    let transport = service_fn(|request: http::Request<()>| {
        assert_eq!(Operation::of(&request), Some(operation));
        std::future::ready(outcome())
    });
    let last = RetryLayer::new(policy).layer(transport).oneshot(request);
    let (last, expected) = (last.await, outcome());
    assert_eq!(
        last.map(|reply| reply.status())
            .map_err(|error| error.to_string()),
        expected
            .map(|reply| reply.status())
            .map_err(|error| error.to_string()),
    );
    call.attempts()
}

fn io() -> BoxError {
    std::io::Error::from(std::io::ErrorKind::ConnectionReset).into()
}

fn says_when(status: u16) -> http::Response<()> {
    let mut reply = reply(status);
    reply
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from_static("1"));
    reply
}

fn newer(status: u16) -> http::Response<()> {
    let mut reply = reply(status);
    reply.extensions_mut().insert(NewerCredential::new());
    reply
}

/// A reply whose body broke off, or is larger than can be.
fn cut_off(status: u16, step: fn() -> Step) -> BoxError {
    let service = service_fn(move |_: http::Request<()>| {
        let reply = reply(status).map(|()| Script::new([step()]));
        std::future::ready(Ok::<_, BoxError>(reply))
    });
    let service = CollectLayer::new(1).layer(service);
    let collecting = std::pin::pin!(service.oneshot(http::Request::new(())));
    match crate::support::poll(collecting) {
        std::task::Poll::Ready(Err(error)) => error,
        _ => panic!("it is cut off"),
    }
}

fn broken(status: u16) -> BoxError {
    cut_off(status, || Step::Break(io()))
}

fn mismatch() -> BoxError {
    let origin = Origin::of(&Uri::from_static("https://api.example.com")).expect("an origin");
    let key = ApiKey::new("idk_example").expect("a key");
    let service = service_fn(async |_: http::Request<()>| Ok::<_, BoxError>(reply(200)));
    let service = ApiKeyLayer::new(key, origin).layer(service);
    let refusing = std::pin::pin!(service.oneshot(http::Request::new(())));
    match crate::support::poll(refusing) {
        std::task::Poll::Ready(Err(error)) => error,
        _ => panic!("it is refused"),
    }
}

fn timed_out(scope: TimeoutScope) -> BoxError {
    Timeout::new(scope, secs(1), secs(1)).into()
}

#[tokio::test(start_paused = true)]
async fn each_outcome_is_repeated_as_the_table_says() {
    // How often a read, an idempotent operation, and one that must act once are sent.
    type Row = (&'static str, [u32; 3], Box<dyn Fn() -> Outcome>);
    fn row(name: &'static str, sends: [u32; 3], outcome: impl Fn() -> Outcome + 'static) -> Row {
        (name, sends, Box::new(outcome))
    }
    const ANY: [u32; 3] = [3, 3, 3];
    const SAFE: [u32; 3] = [3, 3, 1];
    const ONE_TIME: [u32; 3] = [2, 2, 2];
    const NO: [u32; 3] = [1, 1, 1];

    let mut table = vec![
        row("connect", ANY, || Err(TransportError::connect(io()).into())),
        row("not sent", ANY, || {
            Err(TransportError::not_sent(io()).into())
        }),
        row("connect timeout", ANY, || {
            Err(timed_out(TimeoutScope::Connect))
        }),
        row("421", ONE_TIME, || Ok(reply(421))),
        row("401", NO, || Ok(reply(401))),
        row("401, newer credential", ONE_TIME, || Ok(newer(401))),
        row("403, marked", NO, || Ok(newer(403))),
        row("429", ANY, || Ok(reply(429))),
        row("429, says when", ANY, || Ok(says_when(429))),
        row("503, says when", SAFE, || Ok(says_when(503))),
        row("lost", SAFE, || Err(TransportError::lost(io()).into())),
        row("lost, wrapped", SAFE, || {
            Err(Wrapped(TransportError::lost(io()).into()).into())
        }),
        row("refused stream", SAFE, || {
            Err(TransportError::refused_stream(io()).into())
        }),
        row("untyped", SAFE, || Err(io())),
        row("attempt timeout", SAFE, || {
            Err(timed_out(TimeoutScope::Attempt))
        }),
        row("call timeout", NO, || Err(timed_out(TimeoutScope::Call))),
        row("certificate", NO, || {
            Err(TransportError::connect(io()).permanent().into())
        }),
        row("lost for good", NO, || {
            Err(TransportError::lost(io()).permanent().into())
        }),
        row("another origin", [0, 0, 0], || Err(mismatch())),
        row("200, cut off", SAFE, || Err(broken(200))),
        row("404, cut off", NO, || Err(broken(404))),
        row("429, cut off", ANY, || Err(broken(429))),
        row("502, cut off", SAFE, || Err(broken(502))),
        row("200, too large", NO, || {
            Err(cut_off(200, || Step::DataForEver))
        }),
    ];
    for status in (200..=599_u16).chain([600, 999]) {
        let sends = match status {
            401 | 421 | 429 => continue,
            408 | 425 | 500 | 502..=504 | 520..=524 | 527 => SAFE,
            _ => NO,
        };
        table.push(row("status", sends, move || Ok(reply(status))));
    }
    for (name, expected, outcome) in &table {
        for (operation, expected) in [READ, SET, CREATE].into_iter().zip(expected) {
            let sent = sends(RetryPolicy::new(), operation, None, outcome).await;
            let status = outcome().map(|reply| reply.status());
            assert_eq!(sent, *expected, "{name} {status:?} {}", operation.id);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_be_repeated_can_be_chosen() {
    let limited = || Ok(reply(429));
    let down = || Ok(says_when(503));
    let gone = || Ok(reply(502));
    let policy = RetryPolicy::new;
    let own = |safety| Some(RetryOverride::new().safety(safety));

    let cautious = policy().repeat_once_after_429(false);
    assert_eq!(sends(cautious.clone(), CREATE, None, limited).await, 1);
    assert_eq!(sends(cautious, SET, None, limited).await, 3);
    let daring = policy().repeat_once_after_503(true);
    assert_eq!(sends(daring.clone(), CREATE, None, down).await, 3);
    assert_eq!(sends(daring, CREATE, None, gone).await, 1);
    let refused = || Err(TransportError::refused_stream(io()).into());
    let trusting = policy().repeat_once_after_refused_stream(true);
    assert_eq!(sends(trusting.clone(), CREATE, None, refused).await, 3);
    assert_eq!(sends(trusting, CREATE, None, gone).await, 1);
    let exact = policy().repeat_idempotent(false);
    assert_eq!(sends(exact.clone(), SET, None, gone).await, 1);
    assert_eq!(sends(exact.clone(), SET, None, limited).await, 3);
    assert_eq!(sends(exact, READ, None, gone).await, 3);

    assert_eq!(sends(policy(), SET, own(Safety::Once), gone).await, 1);
    assert_eq!(
        sends(policy(), CREATE, own(Safety::Idempotent), gone).await,
        3
    );
}

#[tokio::test(start_paused = true)]
async fn attempts_can_be_set_for_all_and_for_one() {
    let gone = || Ok(reply(502));
    for (all, one, sent) in [
        (0, None, 1),
        (1, None, 1),
        (2, None, 2),
        (5, None, 5),
        (3, Some(RetryOverride::new().attempts(0)), 1),
        (3, Some(RetryOverride::never()), 1),
        (3, Some(RetryOverride::new().attempts(5)), 5),
        (3, Some(RetryOverride::new()), 3),
        // The budget of 500 ends them: a retry takes 5.
        (u32::MAX, None, 101),
        (3, Some(RetryOverride::new().attempts(u32::MAX)), 101),
    ] {
        let policy = RetryPolicy::new().attempts(all);
        assert_eq!(sends(policy, READ, one, gone).await, sent, "{all} {one:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_classifier_has_the_first_word() {
    let policy = RetryPolicy::new().classify(|outcome| match outcome.status()? {
        StatusCode::NOT_FOUND => Some(RetryClass::NotSent),
        StatusCode::BAD_GATEWAY => Some(RetryClass::Final),
        _ => None,
    });
    for (status, sent) in [(404, 3), (502, 1), (500, 1), (429, 3)] {
        let policy = policy.clone();
        let outcome = move || Ok(reply(status));
        assert_eq!(sends(policy, CREATE, None, outcome).await, sent, "{status}");
    }
}
