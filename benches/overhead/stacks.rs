//! Whole stacks, and whole calls.

use std::sync::Mutex;

use idpflare_management::layers::{FacadeRecorder, MetricsLayer};
use idpflare_management::{BoxService, Client, ClientBuilder, GetUser, Stack};

use crate::measure::Bench;
use crate::mock::{Mock, now, request, send, start};

fn client(change: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Client {
    let builder =
        Client::builder("https://idp.example.com").api_key("idk_1f3870be274f6c49b3e31a0c6728957f");
    change(builder).build_with(Mock).expect("a client")
}

/// The service below a client.
fn service(client: Client) -> BoxService {
    let taken = Mutex::new(None);
    client.map_service(|service| *taken.lock().expect("not poisoned") = Some(service));
    taken
        .into_inner()
        .expect("not poisoned")
        .expect("a service")
}

fn standard(builder: ClientBuilder) -> ClientBuilder {
    builder
}

fn reordered(builder: ClientBuilder) -> ClientBuilder {
    builder.stack(|stack| stack.move_before(Stack::RATE_LIMIT, Stack::RETRY))
}

fn measured(builder: ClientBuilder) -> ClientBuilder {
    builder
        .layer(MetricsLayer::per_call(FacadeRecorder::new()))
        .stack(|stack| {
            let layer = MetricsLayer::per_attempt(FacadeRecorder::new());
            stack.insert_after(Stack::AUTH, "attempt metrics", layer)
        })
}

pub(crate) fn run(bench: &mut Bench) {
    let request = request();
    bench.excess(
        "call_start",
        || request.clone(),
        || {
            let mut request = request.clone();
            start(&mut request);
            request
        },
    );
    cases(bench, "", standard);
    cases(bench, "_with_metrics", measured);
    stack(bench, "reordered_stack", reordered);
    // It keeps spans, and writes nothing.
    let _listening = tracing::subscriber::set_default(tracing_subscriber::registry());
    cases(bench, "_with_tracing", standard);
}

fn cases(bench: &mut Bench, suffix: &str, change: fn(ClientBuilder) -> ClientBuilder) {
    stack(bench, &format!("standard_stack{suffix}"), change);
    let client = client(change);
    bench.case(&format!("send_get{suffix}"), || {
        now(client.send(GetUser::new("usr_1f3870be274f6c49"))).expect("a user")
    });
}

fn stack(bench: &mut Bench, name: &str, change: fn(ClientBuilder) -> ClientBuilder) {
    let request = request();
    let (mut bare, mut service) = (Mock, service(client(change)));
    bench.excess(
        name,
        || send(&mut bare, &request),
        || send(&mut service, &request),
    );
}
