//! The last look at a request: no layer further out sends it elsewhere, or says where it ends.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Uri};
use http_body_util::Full;
use idpflare_management::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tower::util::MapRequestLayer;

use crate::STATS;
use crate::support::server::Scripted;
use crate::support::tls::{Ca, at, listen, trusting};

type Outgoing = Request<Full<Bytes>>;

/// A client whose innermost layer is `change`.
fn changing(
    client: ClientBuilder,
    change: impl Fn(&mut Outgoing) + Clone + Send + Sync + 'static,
) -> ClientBuilder {
    let layer = MapRequestLayer::new(move |mut request: Outgoing| {
        change(&mut request);
        request
    });
    client.stack(|stack| stack.insert_after(Stack::COLLECT, "change", layer))
}

#[tokio::test]
async fn a_layer_inside_of_auth_does_not_take_the_key_elsewhere() {
    let (here, elsewhere) = (
        Scripted::answering(crate::ok(STATS)).await,
        Scripted::answering(crate::ok(STATS)).await,
    );
    let other: Uri = format!("http://{}/api/v1/stats/users", elsewhere.address)
        .parse()
        .expect("a URI");
    let client = changing(here.client(), move |request| {
        *request.uri_mut() = other.clone();
    });
    let client = client.build().expect("a client");
    let error = client.send(GetUserStats::new()).await;
    let error = error.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Credential);
    assert_eq!((error.attempts(), error.delivery()), (0, Delivery::NotSent));
    assert!(!error.is_retryable());
    let text = format!(
        "getUserStats failed: not sent: the API key is for http://{}, the request for http://{}",
        here.address, elsewhere.address
    );
    assert_eq!(error.to_string(), text);
    assert_eq!((here.connections(), elsewhere.connections()), (0, 0));
}

#[tokio::test]
async fn a_layer_inside_of_auth_can_change_the_path() {
    let server = Scripted::answering(crate::ok(STATS)).await;
    let other: Uri = format!("http://{}/elsewhere", server.address)
        .parse()
        .expect("a URI");
    let client = changing(server.client(), move |request| {
        *request.uri_mut() = other.clone();
    });
    let client = client.build().expect("a client");
    client.send(GetUserStats::new()).await.expect("stats");
    assert_eq!(server.connections(), 1);
}

/// Headers that contradict the transport.
const WRONG: [(&str, &str); 11] = [
    ("host", "evil.example"),
    ("content-length", "3"),
    ("transfer-encoding", "chunked"),
    ("connection", "close, x-wrong"),
    ("keep-alive", "timeout=1"),
    ("proxy-connection", "close"),
    ("proxy-authorization", "Basic eDp5"),
    ("te", "trailers"),
    ("trailer", "x-wrong"),
    ("upgrade", "h2c"),
    ("expect", "100-continue"),
];

fn contradict(headers: &mut HeaderMap) {
    for (name, value) in WRONG {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// The headers of one request over HTTP/1.1, and its body.
async fn sent_over_http1(request: impl AsyncFnOnce(String)) -> (Vec<String>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let received = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut received = String::new();
        // The body is written along with its head, and comes as one or two pieces.
        while !received.ends_with('}') {
            let mut piece = [0; 4096];
            // A message with a wrong end would be waited for without one.
            let read = timeout(Duration::from_secs(20), stream.read(&mut piece)).await;
            let read = read.expect("a whole request").expect("a request");
            assert_ne!(read, 0, "{received}");
            received.push_str(std::str::from_utf8(&piece[..read]).expect("text"));
        }
        let reply = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(reply).await.expect("written");
        received
    });
    request(address).await;
    let received = received.await.expect("no panic");
    let (head, body) = received.split_once("\r\n\r\n").expect("a head");
    let headers = head.lines().skip(1).map(str::to_ascii_lowercase);
    (headers.collect(), body.to_owned())
}

fn check_http1((headers, body): &(Vec<String>, String), address: &str) {
    for (name, _) in WRONG {
        let prefix = format!("{name}: ");
        let values = headers.iter().filter_map(|line| line.strip_prefix(&prefix));
        let values: Vec<_> = values.collect();
        match name {
            "host" => assert_eq!(values, [address]),
            "content-length" => assert_eq!(values, [body.len().to_string()]),
            _ => assert!(values.is_empty(), "{name}: {values:?}"),
        }
    }
}

#[tokio::test]
async fn a_layer_does_not_say_where_a_message_ends_or_goes() {
    let mut expected = String::new();
    let sent = sent_over_http1(async |address| {
        let client = Client::builder(format!("http://{address}")).api_key("idk_test");
        let client = changing(client, |request| contradict(request.headers_mut()));
        let client = client.build().expect("a client");
        let outcome = client.send(CreateUser::new("a@b.c")).await;
        assert_eq!(
            outcome.expect_err("400").status(),
            Some(http::StatusCode::BAD_REQUEST)
        );
        expected = address;
    });
    check_http1(&sent.await, &expected);
}

#[tokio::test]
async fn a_transport_of_ones_own_stack_does_not_let_a_layer_say_so_either() {
    let mut expected = String::new();
    let sent = sent_over_http1(async |address| {
        let transport = Transport::builder().without_tls().build().expect("one");
        let service = tower::ServiceBuilder::new()
            .map_request(|mut request: Outgoing| {
                contradict(request.headers_mut());
                request
            })
            .service(transport);
        let client = Client::from_service(format!("http://{address}"), service);
        let outcome = client
            .expect("a client")
            .send(CreateUser::new("a@b.c"))
            .await;
        assert_eq!(
            outcome.expect_err("400").status(),
            Some(http::StatusCode::BAD_REQUEST)
        );
        expected = address;
    });
    check_http1(&sent.await, &expected);
}

#[tokio::test]
async fn nor_over_http2() {
    let ca = Ca::new();
    let (acceptor, listener) = listen(&ca, "localhost", &["h2"], None).await;
    let address = listener.local_addr().expect("an address");
    let arrived = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&arrived);
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        let stream = acceptor.accept(stream).await.expect("TLS");
        let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            *seen.lock().expect("no panic") = Some(request.into_parts().0);
            let mut reply = http::Response::new(());
            *reply.status_mut() = http::StatusCode::BAD_REQUEST;
            respond.send_response(reply, true).expect("sent");
        }
    });
    let client = Client::builder(at("localhost", address)).api_key("idk_test");
    let client = changing(client, |request| contradict(request.headers_mut()));
    let client = client.build_with(trusting(&ca).build().expect("a transport"));
    let outcome = client
        .expect("a client")
        .send(CreateUser::new("a@b.c"))
        .await;
    assert_eq!(
        outcome.expect_err("400").status(),
        Some(http::StatusCode::BAD_REQUEST)
    );
    let head = arrived.lock().expect("no panic").take().expect("a request");
    let authority = head.uri.authority().map(ToString::to_string);
    assert_eq!(authority, Some(format!("localhost:{}", address.port())));
    for (name, wrong) in WRONG {
        let value = head.headers.get(name);
        assert!(
            value.is_none_or(|value| value != wrong),
            "{name}: {value:?}"
        );
        assert!(value.is_none() || name == "content-length", "{name}");
    }
}

/// A transport of another make may send the headers that it is given.
#[tokio::test]
async fn nor_over_a_transport_of_another_make() {
    let arrived = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&arrived);
    let other = tower::service_fn(move |request: Outgoing| {
        *seen.lock().expect("no panic") = Some(request.into_parts().0.headers);
        std::future::ready(Ok::<_, layers::BoxError>(http::Response::new(
            Full::<Bytes>::from(STATS),
        )))
    });
    let client = Client::builder("https://idp.example.com").api_key("idk_test");
    let client = changing(client, |request| contradict(request.headers_mut()));
    let client = client.build_with(other).expect("a client");
    client.send(GetUserStats::new()).await.expect("stats");
    let headers = arrived.lock().expect("no panic").take().expect("a request");
    for (name, _) in WRONG {
        assert_eq!(headers.get(name), None, "{name}");
    }
}
