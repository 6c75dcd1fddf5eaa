//! Panics of layers and others while a secret is on its way, and those that a mistake provokes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use idpflare_management::layers::{
    ApiKey, AttemptFinished, BoxError, CallFinished, MetricsLayer, Recorder, RetryPolicy, Subject,
};
use idpflare_management::testing::FakeIdpflare;
use idpflare_management::*;
use tokio::runtime::Builder;
use tower::util::{MapRequestLayer, MapResultLayer};

use crate::secrets::{API_KEY, NEW_PASSWORD, PASSWORD};
use crate::sites::Site;
use crate::witness::Witness;

/// Panics at one of four occasions.
#[derive(Clone, Copy)]
struct Panicking(u8);

impl Panicking {
    fn at(self, occasion: u8) {
        assert!(self.0 != occasion, "the recorder gave up");
    }
}

impl Recorder for Panicking {
    fn call_started(&self, _: &Subject) {
        self.at(0);
    }

    fn call_finished(&self, _: &CallFinished<'_>) {
        self.at(1);
    }

    fn attempt_started(&self, _: &Subject) {
        self.at(2);
    }

    fn attempt_finished(&self, _: &AttemptFinished<'_>) {
        self.at(3);
    }
}

fn builder() -> ClientBuilder {
    Client::builder("https://idp.example.com").api_key(API_KEY)
}

/// Clients whose calls panic, each in another place.
fn panicking() -> Vec<ClientBuilder> {
    let on_request = MapRequestLayer::new(|request: Request<Full<Bytes>>| {
        assert!(request.method().is_safe(), "the layer gave up");
        request
    });
    let on_result = MapResultLayer::new(
        |result: Result<http::Response<ReplyBody>, BoxError>| -> Result<_, BoxError> {
            assert!(result.is_err(), "the layer gave up on {result:?}");
            result
        },
    );
    let on_decision = RetryPolicy::new().on_decision(|decision| panic!("after {decision:?}"));
    let on_classify = RetryPolicy::new().classify(|outcome| panic!("after {outcome:?}"));
    let mut builders = vec![
        builder().attempt_layer(on_request.clone()),
        builder().layer(on_result),
        builder().stack(|stack| stack.insert_after(Stack::AUTH, "panics", on_request)),
        builder().retry(on_decision),
        builder().retry(on_classify),
    ];
    for occasion in 0..4 {
        let recorder = Panicking(occasion);
        builders.push(
            builder()
                .layer(MetricsLayer::per_call(recorder))
                .attempt_layer(MetricsLayer::per_attempt(recorder)),
        );
    }
    builders
}

#[test]
fn a_layer_recorder_or_hook_that_panics() {
    let mut witness = Witness::start();
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        for builder in panicking() {
            let site = Site::in_process(&witness.notes);
            let client = builder.build_with(site.transport).expect("a client");
            let new = CreateUser::new("ada@example.com").password(PASSWORD);
            let panic = tokio::spawn(client.send(new)).await.expect_err("it panics");
            assert!(panic.is_panic());
            witness.notes.error(&panic);
        }
    });
    witness.assert_discreet("panics of users");
}

#[test]
fn a_provider_that_panics() {
    let mut witness = Witness::start();
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let provider = async || -> Result<ApiKey, BoxError> { panic!("the provider gave up") };
        let site = Site::in_process(&witness.notes);
        let client = builder()
            .retry(RetryPolicy::new().attempts(1))
            .credential_provider(provider)
            .build_with(site.transport)
            .expect("a client");
        let new = CreateUser::new("ada@example.com").password(PASSWORD);
        witness
            .notes
            .error(&client.send(new).await.expect_err("no key"));
    });
    witness.assert_discreet("panics of providers");
}

#[test]
fn a_server_whose_observer_panics() {
    let mut witness = Witness::start();
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let site = Site::over_loopback(&witness.notes).await;
        site.fake.on_request(|entry| panic!("at {entry} {entry:?}"));
        let client = site.client(&witness.notes);
        let call = client.send(UpdateUserPassword::new("usr_1", NEW_PASSWORD));
        witness.notes.error(&call.await.expect_err("no reply"));
    });
    witness.assert_discreet("a panic of the server");
}

/// Catches the panic of a mistake.
fn mistake<T>(mistake: impl FnOnce() -> T) {
    let caught = catch_unwind(AssertUnwindSafe(|| drop(mistake())));
    caught.expect_err("it panics");
}

#[test]
fn mistakes_that_panic() {
    let mut witness = Witness::start();
    let fake = FakeIdpflare::new();
    crate::arriving::note_secret(&witness.notes, &fake.api_key());
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let client = fake.client();

    // What is unwrapped the wrong way is told.
    let create = || runtime.block_on(client.send(CreateApiKey::new("k")));
    let app = || CreateClient::new("app", ["https://app.example.com/cb"]);
    mistake(|| create().expect_err("no key"));
    mistake(|| runtime.block_on(client.send(app())).expect_err("no client"));
    mistake(|| {
        runtime
            .block_on(client.execute(app()))
            .expect_err("no client")
    });
    let stranger = builder().build_with(fake.service()).expect("a client");
    let refused = || runtime.block_on(stranger.send(UpdateUserPassword::new("u", NEW_PASSWORD)));
    mistake(|| refused().unwrap());
    mistake(|| refused().expect("a key that is known"));
    mistake(|| ApiKey::new(PASSWORD).expect("a key"));
    mistake(|| {
        Client::builder("ftp://x")
            .api_key(API_KEY)
            .build()
            .expect("a client")
    });

    // There is no runtime.
    let poll_once = |future: &mut dyn FnMut(&mut Context<'_>)| {
        future(&mut Context::from_waker(Waker::noop()));
    };
    let connecting = Client::builder("http://127.0.0.1:1")
        .api_key(API_KEY)
        .build();
    let connecting = connecting.expect("a client");
    mistake(|| {
        let new = CreateUser::new("ada@example.com").password(PASSWORD);
        let mut call = pin!(connecting.send(new));
        poll_once(&mut |cx| match call.as_mut().poll(cx) {
            Poll::Ready(outcome) => drop(outcome.expect("a user")),
            Poll::Pending => {}
        });
    });
    mistake(|| {
        let mut serving = pin!(fake.serve());
        poll_once(&mut |cx| drop(serving.as_mut().poll(cx)));
    });

    // It is done.
    mistake(|| {
        let mut call = pin!(client.send(CreateApiKey::new("k")));
        runtime.block_on(call.as_mut()).expect("a key");
        runtime.block_on(call.as_mut())
    });
    witness.assert_discreet("mistakes");
}
