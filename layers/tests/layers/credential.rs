use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{StatusCode, Uri};
use idpflare_layers::{
    ApiKey, ApiKeyLayer, BoxError, Call, Credential, CredentialError, CredentialProvider,
    DeadlineLayer, Delivery, DeliveryLayer, KeyHandle, NewerCredential, Origin, RetryLayer,
    RetryPolicy, TimeoutScope, TransportError, find_source,
};
use tokio::time::{Instant, sleep};
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::support::{poll, secs, transport, typed};

const HERE: &str = "https://api.example.com/users";

pub(crate) fn key(key: &str) -> ApiKey {
    ApiKey::new(key).expect("a key")
}

pub(crate) fn layer(handle: &KeyHandle) -> ApiKeyLayer {
    let origin = Origin::of(&Uri::from_static(HERE)).expect("an origin");
    ApiKeyLayer::new(handle.clone(), origin)
}

pub(crate) fn get() -> http::Request<()> {
    http::Request::get(HERE).body(()).expect("a request")
}

/// What a provider does when it is asked.
#[derive(Clone)]
pub(crate) enum Answer {
    Key(&'static str, Option<Duration>),
    Fail,
    Hang,
}

/// A provider that takes a second for each answer, and then goes on as with the last.
#[derive(Clone)]
pub(crate) struct Slow {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    asked: Arc<AtomicUsize>,
}

impl Slow {
    pub(crate) fn new(answers: impl IntoIterator<Item = Answer>) -> (Self, KeyHandle) {
        let provider = Self {
            answers: Arc::new(Mutex::new(answers.into_iter().collect())),
            asked: Arc::default(),
        };
        (provider.clone(), KeyHandle::from_provider(provider))
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl CredentialProvider for Slow {
    async fn provide(&self) -> Result<Credential, BoxError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = {
            let mut answers = self.answers.lock().expect("no panic");
            let answer = answers.front().cloned();
            if answers.len() > 1 {
                answers.pop_front();
            }
            answer.expect("an answer")
        };
        sleep(secs(1)).await;
        match answer {
            Answer::Key(text, expires_in) => {
                let credential = Credential::new(key(text));
                Ok(match expires_in {
                    Some(time) => credential.expires_in(time),
                    None => credential,
                })
            }
            Answer::Fail => Err(TransportError::lost("vault: reset".into()).into()),
            Answer::Hang => std::future::pending().await,
        }
    }
}

pub(crate) type Checking = BoxCloneSyncService<http::Request<()>, http::Response<()>, BoxError>;
pub(crate) type Seen = Arc<Mutex<Vec<String>>>;

/// A server that takes `valid` keys only, and what it was sent.
pub(crate) fn server(valid: &Arc<Mutex<&'static str>>) -> (Checking, Seen) {
    let seen = Seen::default();
    let (keep, valid) = (Arc::clone(&seen), Arc::clone(valid));
    let service = service_fn(move |request: http::Request<()>| {
        let bearer = request.headers()[AUTHORIZATION].to_str().expect("text");
        keep.lock().expect("no panic").push(bearer.to_owned());
        let mut reply = http::Response::new(());
        if bearer != format!("Bearer {}", valid.lock().expect("no panic")) {
            *reply.status_mut() = StatusCode::UNAUTHORIZED;
        }
        std::future::ready(Ok::<_, BoxError>(reply))
    });
    (BoxCloneSyncService::new(service), seen)
}

#[tokio::test(start_paused = true)]
async fn all_who_need_a_key_at_once_ask_once() {
    let (provider, handle) = Slow::new([Answer::Key("idk_one", None)]);
    let (server, seen) = server(&Arc::new(Mutex::new("idk_one")));
    let service = layer(&handle).layer(server);
    assert_eq!(provider.asked(), 0, "nobody needs one yet");

    let started = Instant::now();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..100 {
        calls.spawn(service.clone().oneshot(get()));
    }
    for reply in calls.join_all().await {
        assert_eq!(reply.expect("a reply").status(), StatusCode::OK);
    }
    assert_eq!((provider.asked(), started.elapsed()), (1, secs(1)));
    assert_eq!(seen.lock().expect("no panic").len(), 100);

    service.oneshot(get()).await.expect("at once");
    assert_eq!((provider.asked(), started.elapsed()), (1, secs(1)));
}

#[tokio::test(start_paused = true)]
async fn who_asked_first_may_go_away() {
    let (provider, handle) = Slow::new([Answer::Key("idk_one", None)]);
    let (server, _) = server(&Arc::new(Mutex::new("idk_one")));
    let service = layer(&handle).layer(server);
    let started = Instant::now();
    {
        let mut first = pin!(service.clone().oneshot(get()));
        assert!(poll(first.as_mut()).is_pending());
        sleep(Duration::from_millis(900)).await;
        let second = service.clone().oneshot(get());
        let mut second = Box::pin(second);
        assert!(poll(second.as_mut()).is_pending());
        tokio::spawn(second);
    }
    service.clone().oneshot(get()).await.expect("a reply");
    assert_eq!((provider.asked(), started.elapsed()), (1, secs(1)));
}

#[tokio::test(start_paused = true)]
async fn a_question_goes_on_when_all_who_waited_are_gone() {
    let (provider, handle) = Slow::new([Answer::Key("idk_one", None)]);
    let (server, seen) = server(&Arc::new(Mutex::new("idk_one")));
    let service = layer(&handle).layer(server);
    let started = Instant::now();
    {
        let mut given_up = pin!(service.clone().oneshot(get()));
        assert!(poll(given_up.as_mut()).is_pending());
        sleep(Duration::from_millis(900)).await;
    }
    service.oneshot(get()).await.expect("a reply");
    assert_eq!((provider.asked(), started.elapsed()), (1, secs(1)));
    assert_eq!(*seen.lock().expect("no panic"), ["Bearer idk_one"]);
}

#[tokio::test(start_paused = true)]
async fn an_expired_key_is_not_sent() {
    let hour = Some(secs(3600));
    let (provider, handle) =
        Slow::new([Answer::Key("idk_one", hour), Answer::Key("idk_two", hour)]);
    let (server, seen) = server(&Arc::new(Mutex::new("idk_one")));
    let service = layer(&handle).layer(server);
    service.clone().oneshot(get()).await.expect("a reply");
    sleep(secs(3599)).await;
    service.clone().oneshot(get()).await.expect("a reply");
    assert_eq!(provider.asked(), 1);
    sleep(secs(1)).await;
    service.clone().oneshot(get()).await.expect("a reply");
    assert_eq!(provider.asked(), 2);
    let sent = ["Bearer idk_one", "Bearer idk_one", "Bearer idk_two"];
    assert_eq!(*seen.lock().expect("no panic"), sent);
}

#[tokio::test(start_paused = true)]
async fn absurd_times_are_no_loop_and_no_panic() {
    for (expires_in, asked) in [(Duration::ZERO, 3), (Duration::MAX, 1)] {
        let (provider, handle) = Slow::new([Answer::Key("idk_one", Some(expires_in))]);
        let (server, seen) = server(&Arc::new(Mutex::new("idk_one")));
        let service = layer(&handle).layer(server);
        for _ in 0..3 {
            let reply = service.clone().oneshot(get()).await.expect("a reply");
            assert_eq!(reply.status(), StatusCode::OK);
        }
        assert_eq!(provider.asked(), asked, "{expires_in:?}");
        assert_eq!(seen.lock().expect("no panic").len(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_told_to_all_who_waited_and_nothing_is_sent() {
    let (provider, handle) = Slow::new([Answer::Fail, Answer::Key("idk_one", None)]);
    let (server, seen) = server(&Arc::new(Mutex::new("idk_one")));
    let service = layer(&handle).layer(server);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..10 {
        calls.spawn(service.clone().oneshot(get()));
    }
    for outcome in calls.join_all().await {
        let error = outcome.expect_err("no key");
        assert_eq!(error.to_string(), "the credential provider failed");
        let credential = typed::<CredentialError>(&error);
        assert!(!credential.is_timeout());
        let source = std::error::Error::source(credential).expect("the provider's");
        assert!(source.is::<TransportError>());
        // It tells of the exchange with the provider, not of this one.
        assert!(find_source::<TransportError>(&*error).is_none());
        assert_eq!(Delivery::of_error(&*error), Delivery::NotSent);
    }
    assert_eq!(provider.asked(), 1);
    assert!(seen.lock().expect("no panic").is_empty());
    service.oneshot(get()).await.expect("it works again");
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_hangs_is_given_up() {
    let (provider, handle) = Slow::new([Answer::Hang]);
    let (server, _) = server(&Arc::new(Mutex::new("idk_one")));
    let service = layer(&handle).layer(server);
    let started = Instant::now();
    let error = service.clone().oneshot(get()).await.expect_err("no answer");
    assert!(typed::<CredentialError>(&error).is_timeout());
    assert_eq!(started.elapsed(), KeyHandle::PROVIDER_LIMIT);

    // Never for longer than the call has.
    let started = Instant::now();
    let mut request = get();
    Call::of_or_insert(&mut request).limit_to(secs(2));
    let error = service.oneshot(request).await.expect_err("no answer");
    let scope = typed::<idpflare_layers::Timeout>(&error).scope();
    assert_eq!((scope, started.elapsed()), (TimeoutScope::Call, secs(2)));
    assert_eq!(provider.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failed_provider_is_asked_again_by_a_retry() {
    let (provider, handle) = Slow::new([Answer::Fail, Answer::Fail, Answer::Key("idk_one", None)]);
    let (server, seen) = server(&Arc::new(Mutex::new("idk_one")));
    let service = ServiceBuilder::new()
        .layer(RetryLayer::default())
        .layer(layer(&handle))
        .layer(DeliveryLayer::new())
        .service(server);
    // Nothing was sent, so that even what must act once is tried again.
    let mut request = http::Request::post(HERE).body(()).expect("a request");
    let call = Call::of_or_insert(&mut request);
    service.oneshot(request).await.expect("the third time");
    assert_eq!((provider.asked(), call.attempts()), (3, 1));
    assert_eq!(seen.lock().expect("no panic").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_is_replaced_and_the_request_sent_once_more() {
    let (provider, handle) =
        Slow::new([Answer::Key("idk_one", None), Answer::Key("idk_two", None)]);
    let valid = Arc::new(Mutex::new("idk_one"));
    let (server, seen) = server(&valid);
    let service = ServiceBuilder::new()
        .layer(DeadlineLayer::new(secs(30)))
        .layer(RetryLayer::default())
        .layer(layer(&handle))
        .layer(DeliveryLayer::new())
        .service(server);
    service.clone().oneshot(get()).await.expect("a reply");
    sleep(secs(60)).await;
    *valid.lock().expect("no panic") = "idk_two";

    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..10 {
        calls.spawn(service.clone().oneshot(get()));
    }
    for reply in calls.join_all().await {
        assert_eq!(reply.expect("a reply").status(), StatusCode::OK);
    }
    assert_eq!(provider.asked(), 2);
    let sent = seen.lock().expect("no panic").clone();
    assert_eq!(sent.len(), 1 + 10 + 10);
    assert!(sent[11..].iter().all(|bearer| bearer == "Bearer idk_two"));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_stays_refused_is_asked_for_now_and_then() {
    let (provider, handle) = Slow::new([Answer::Key("idk_revoked", None)]);
    let (server, seen) = server(&Arc::new(Mutex::new("idk_other")));
    let service = ServiceBuilder::new()
        .layer(RetryLayer::default())
        .layer(layer(&handle))
        .service(server);
    for _ in 0..20 {
        let reply = service.clone().oneshot(get()).await.expect("a reply");
        assert_eq!(reply.status(), StatusCode::UNAUTHORIZED);
        assert!(reply.extensions().get::<NewerCredential>().is_none());
    }
    assert_eq!(provider.asked(), 1, "it has just been asked");
    sleep(KeyHandle::REFUSAL_PAUSE).await;
    for _ in 0..20 {
        service.clone().oneshot(get()).await.expect("a reply");
    }
    assert_eq!(provider.asked(), 2);
    assert_eq!(seen.lock().expect("no panic").len(), 40, "each sent once");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_outlives_a_provider_that_fails_or_hangs() {
    for (then, waited) in [(Answer::Fail, secs(1)), (Answer::Hang, secs(2))] {
        let (_, handle) = Slow::new([Answer::Key("idk_one", None), then]);
        let (server, _) = server(&Arc::new(Mutex::new("idk_other")));
        let service = layer(&handle).layer(server);
        service.clone().oneshot(get()).await.expect("a reply");
        sleep(KeyHandle::REFUSAL_PAUSE).await;

        let started = Instant::now();
        let mut request = get();
        Call::of_or_insert(&mut request).limit_to(secs(2));
        let reply = service.oneshot(request).await.expect("the server's word");
        assert_eq!(reply.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(started.elapsed(), waited);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_outlives_a_timeout_that_comes_while_another_key_is_asked_for() {
    let (_, handle) = Slow::new([Answer::Key("idk_one", None), Answer::Hang]);
    let (server, _) = server(&Arc::new(Mutex::new("idk_other")));
    let service = layer(&handle).layer(server);
    service.clone().oneshot(get()).await.expect("a reply");
    sleep(KeyHandle::REFUSAL_PAUSE).await;

    let mut request = get();
    let call = Call::of_or_insert(&mut request);
    let timed = idpflare_layers::AttemptTimeoutLayer::new(secs(2)).layer(service);
    assert!(timed.oneshot(request).await.is_err());
    let head = call.interrupted_reply().expect("the server's word");
    assert_eq!(head.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_key_that_nobody_would_send() {
    let (provider, handle) = Slow::new([Answer::Key("idk_one", None), Answer::Hang]);
    let (server, _) = server(&Arc::new(Mutex::new("idk_other")));
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::new().attempts(1)))
        .layer(layer(&handle))
        .layer(DeliveryLayer::new())
        .service(server);
    service.clone().oneshot(get()).await.expect("a reply");
    sleep(KeyHandle::REFUSAL_PAUSE).await;
    let started = Instant::now();
    let reply = service.oneshot(get()).await.expect("a reply");
    assert_eq!(reply.status(), StatusCode::UNAUTHORIZED);
    assert_eq!((provider.asked(), started.elapsed()), (1, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_panics_has_failed() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let handle = KeyHandle::from_provider(move || {
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            sleep(secs(1)).await;
            assert!(!first, "the first time");
            ApiKey::new("idk_one")
        }
    });
    let (server, _) = server(&Arc::new(Mutex::new("idk_one")));
    let service = layer(&handle).layer(server);
    let calls = [(); 3].map(|()| tokio::spawn(service.clone().oneshot(get())));
    for call in calls {
        let error = call.await.expect("no panic").expect_err("no key");
        let credential = typed::<CredentialError>(&error);
        let source = std::error::Error::source(credential).expect("why");
        assert_eq!(source.to_string(), "it has panicked");
    }
    service.oneshot(get()).await.expect("the second time");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_threads_ask_once_too() {
    for _ in 0..50 {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let handle = KeyHandle::from_provider(move || {
            count.fetch_add(1, Ordering::SeqCst);
            async { ApiKey::new("idk_one") }
        });
        let (server, _) = server(&Arc::new(Mutex::new("idk_one")));
        let service = layer(&handle).layer(server);
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..32 {
            calls.spawn(service.clone().oneshot(get()));
        }
        assert!(calls.join_all().await.iter().all(Result::is_ok));
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_rotated_in_is_newer_than_an_answer_under_way() {
    let (provider, handle) = Slow::new([Answer::Key("idk_provided", None)]);
    let (server, seen) = server(&Arc::new(Mutex::new("idk_rotated")));
    let service = layer(&handle).layer(server);
    let mut waiting = pin!(service.clone().oneshot(get()));
    assert!(poll(waiting.as_mut()).is_pending());
    handle.rotate(key("idk_rotated"));
    service.clone().oneshot(get()).await.expect("at once");
    waiting.await.expect("a reply");
    service.oneshot(get()).await.expect("a reply");
    assert_eq!(*seen.lock().expect("no panic"), ["Bearer idk_rotated"; 3]);
    assert_eq!(provider.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_service_that_was_ready_is_the_one_that_is_called() {
    let (_, handle) = Slow::new([Answer::Key("idk_one", None)]);
    let (transport, mut server) = transport();
    let mut service = layer(&handle).layer(transport);
    let waiting = service.ready().await.expect("ready").call(get());
    let waiting = tokio::spawn(waiting);
    let (sent, respond) = server.next_request().await.expect("a request");
    assert_eq!(sent.headers()[AUTHORIZATION], "Bearer idk_one");
    assert!(sent.headers()[AUTHORIZATION].is_sensitive());
    respond.send_response(http::Response::new(()));
    waiting.await.expect("no panic").expect("a reply");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_given_up_gives_its_place_back() {
    let (_, handle) = Slow::new([Answer::Key("idk_one", None)]);
    let (server, seen) = server(&Arc::new(Mutex::new("idk_one")));
    let limited = tower::limit::ConcurrencyLimit::new(server, 1);
    let mut service = layer(&handle).layer(limited);
    let waiting = service.ready().await.expect("ready").call(get());
    let mut waiting = Box::pin(waiting);
    assert!(poll(waiting.as_mut()).is_pending());
    assert!(poll(pin!(service.ready()).as_mut()).is_pending());
    drop(waiting);
    let reply = service.ready().await.expect("ready").call(get());
    reply.await.expect("a reply");
    assert_eq!(seen.lock().expect("no panic").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn no_debug_shows_a_provided_key() {
    let (_, handle) = Slow::new([Answer::Key("idk_hidden", None)]);
    let (server, _) = server(&Arc::new(Mutex::new("idk_hidden")));
    let mut service = layer(&handle).layer(server);
    let waiting = service.ready().await.expect("ready").call(get());
    let mut shown = format!("{waiting:?}");
    waiting.await.expect("a reply");
    shown += &format!("{handle:?} {:?}", Credential::new(key("idk_hidden")));
    assert!(!shown.contains("hidden"), "{shown}");
}

#[test]
fn providers_and_closures_fit() {
    fn is_provider(_: impl CredentialProvider) {}
    is_provider(async || ApiKey::new("idk_one"));
    is_provider(async || Ok::<_, BoxError>(Credential::new(key("idk_one"))));
    let shared = Arc::new(String::from("idk_one"));
    is_provider(move || {
        let shared = Arc::clone(&shared);
        async move { ApiKey::new(shared.as_str()) }
    });
    fn is_shared<T: Clone + Send + Sync + 'static>() {}
    is_shared::<KeyHandle>();
    is_shared::<CredentialError>();
}
