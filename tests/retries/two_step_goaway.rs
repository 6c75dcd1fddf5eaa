//! Connections of HTTP/2 that the server ends in two steps, as Go, Envoy and hyper do: the first GOAWAY
//! has the highest stream id, and says nothing of any request (RFC 9113, section 6.8).

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::Full;
use idpflare_management::layers::{BoxError, Call, Delivery, TransportError, find_source};
use idpflare_management::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};
use tower::ServiceExt as _;

use crate::goaway::{ACK, DATA, END_STREAM, GOAWAY, HEADERS, PING, SETTINGS, Stream, frame, reply};
use crate::support::tls::{Ca, at, listen, trusting};

const LIMIT: Duration = Duration::from_secs(20);
/// The time in which a call comes to wait for a stream.
const WAITING: Duration = Duration::from_millis(200);

/// How the first connection goes on when its first request has come.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// The reply and GOAWAY in one write.
    Together,
    /// The same, and the server listens no more.
    TogetherAndLast,
    /// The reply some time after GOAWAY.
    ReplyLater,
    /// GOAWAY and no reply.
    NoReply,
}

struct Server {
    client: Client,
    /// Requests that arrived whole, after the first one.
    performed: Arc<AtomicUsize>,
    /// The first request has come.
    arrived: Arc<Notify>,
    /// Lets the first connection end.
    end: Arc<Notify>,
    ended: mpsc::UnboundedReceiver<()>,
}

impl Server {
    /// A server that allows one stream at once.
    async fn new(end: End) -> Self {
        let ca = Ca::new();
        let (acceptor, listener) = listen(&ca, "localhost", &["h2"], None).await;
        let address = listener.local_addr().expect("an address");
        let (has_ended, ended) = mpsc::unbounded_channel();
        // A quarter of it is how long the first reply is waited for.
        let transport = trusting(&ca).connect_timeout(4 * LIMIT).build();
        let transport = transport.expect("a transport");
        let client = Client::builder(at("localhost", address)).api_key("idk_test");
        let server = Self {
            client: client.build_with(transport).expect("a client"),
            performed: Arc::default(),
            arrived: Arc::default(),
            end: Arc::default(),
            ended,
        };
        let (performed, arrived) = (Arc::clone(&server.performed), Arc::clone(&server.arrived));
        let may_end = Arc::clone(&server.end);
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("a connection");
            let first = acceptor.accept(stream).await.expect("TLS");
            let count = Arc::clone(&performed);
            tokio::spawn(async move {
                // It fails where the client closes the connection.
                let _ = serve(first, Some((end, arrived, may_end)), &count).await;
                let _ = has_ended.send(());
            });
            if end == End::TogetherAndLast {
                return;
            }
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, count) = (acceptor.clone(), Arc::clone(&performed));
                tokio::spawn(async move {
                    let stream = acceptor.accept(stream).await.expect("TLS");
                    let _ = serve(stream, None, &count).await;
                });
            }
        });
        server
    }

    /// How often a request was performed that waits for a stream when the connection ends, and how it
    /// comes out.
    async fn performed<R>(mut self, request: R) -> (Result<R::Response, Error>, usize)
    where
        R: ApiRequest + Send + 'static,
        R::Response: Send,
    {
        let (first, client) = (self.client.clone(), self.client);
        let first = tokio::spawn(async move { first.send(GetUser::new("u")).await });
        self.arrived.notified().await;
        let waiting = tokio::spawn(async move { client.send(request).await });
        sleep(WAITING).await;
        self.end.notify_one();
        let outcome = timeout(LIMIT, waiting).await.expect("in time");
        first.await.expect("no panic").expect("a user");
        let ended = timeout(LIMIT, self.ended.recv()).await;
        ended.expect("in time").expect("the connection ends");
        let performed = self.performed.load(Ordering::SeqCst);
        (outcome.expect("no panic"), performed)
    }
}

type Ending = (End, Arc<Notify>, Arc<Notify>);

/// Answers requests that come whole, one after the other, and counts those after the first one of a
/// connection that ends.
async fn serve(
    mut stream: Stream,
    mut ending: Option<Ending>,
    count: &AtomicUsize,
) -> io::Result<()> {
    let most = [&[0, 3][..], &1_u32.to_be_bytes()].concat();
    stream.write_all(&frame(SETTINGS, 0, 0, &most)).await?;
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await?;
    loop {
        stream.flush().await?;
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let [l0, l1, l2, kind, flags, id @ ..] = head;
        let id = u32::from_be_bytes(id);
        let mut payload = vec![0; u32::from_be_bytes([0, l0, l1, l2]) as usize];
        stream.read_exact(&mut payload).await?;
        if matches!(kind, SETTINGS | PING) && flags & ACK == 0 {
            let payload = if kind == PING { &payload[..] } else { &[] };
            stream.write_all(&frame(kind, ACK, 0, payload)).await?;
        }
        if !matches!(kind, HEADERS | DATA) || flags & END_STREAM == 0 {
            continue;
        }
        let Some((end, arrived, may_end)) = ending.take() else {
            count.fetch_add(1, Ordering::SeqCst);
            stream.write_all(&reply(id)).await?;
            continue;
        };
        arrived.notify_one();
        may_end.notified().await;
        let highest = [(u32::MAX >> 1).to_be_bytes(), [0; 4]].concat();
        let goaway = frame(GOAWAY, 0, 0, &highest);
        match end {
            End::Together | End::TogetherAndLast => {
                stream.write_all(&[reply(id), goaway].concat()).await?;
            }
            End::ReplyLater => {
                stream.write_all(&goaway).await?;
                stream.flush().await?;
                sleep(WAITING).await;
                stream.write_all(&reply(id)).await?;
            }
            End::NoReply => stream.write_all(&goaway).await?,
        }
    }
}

#[tokio::test]
async fn a_rotation_that_waits_for_a_stream_is_performed_once() {
    for end in [End::Together, End::ReplyLater] {
        let server = Server::new(end).await;
        let (outcome, performed) = server.performed(RotateClientSecret::new("c")).await;
        assert_eq!(performed, 1, "{end:?}");
        let error = outcome.expect_err("its reply is lost");
        assert_eq!(error.delivery(), Delivery::Unknown, "{end:?} {error:?}");
    }
}

/// Its body is not sent over a connection that drops it.
#[tokio::test]
async fn a_create_that_waits_for_a_stream_is_performed_once_and_succeeds() {
    for end in [End::Together, End::ReplyLater] {
        let server = Server::new(end).await;
        let (outcome, performed) = server.performed(CreateUser::new("a@b.c")).await;
        outcome.expect("a user");
        assert_eq!(performed, 1, "{end:?}");
    }
}

#[tokio::test]
async fn a_read_that_waits_for_a_stream_succeeds() {
    for end in [End::Together, End::ReplyLater] {
        let server = Server::new(end).await;
        let (outcome, _) = server.performed(GetUser::new("u")).await;
        outcome.expect("a user");
    }
}

/// The second connection says nothing of what went over the first one.
#[tokio::test]
async fn a_delete_that_waits_for_a_stream_may_have_been_sent() {
    let server = Server::new(End::TogetherAndLast).await;
    let once = CallOptions::new().attempts(1);
    let (outcome, _) = server.performed(DeleteUser::new("u").with(once)).await;
    let error = outcome.expect_err("there is no other connection");
    assert_eq!(error.delivery(), Delivery::Unknown, "{error:?}");
}

/// It waits for a reply to another call, which shows that the server is at work.
#[tokio::test]
async fn a_create_that_looks_for_another_connection_was_not_sent() {
    let server = Server::new(End::NoReply).await;
    let client = server.client.clone();
    let first = tokio::spawn(async move { client.send(GetUser::new("u")).await });
    server.arrived.notified().await;
    let limit = CallOptions::new().deadline(10 * WAITING);
    let create = server.client.send(CreateUser::new("a@b.c").with(limit));
    let end = async {
        sleep(WAITING).await;
        server.end.notify_one();
    };
    let (outcome, ()) = tokio::join!(create, end);
    let error = outcome.expect_err("its deadline is over");
    assert_eq!(error.delivery(), Delivery::NotSent, "{error:?}");
    assert_eq!(server.performed.load(Ordering::SeqCst), 0);
    first.abort();
}

/// The connection ends, and its runtime before anything else happens there. hyper says the same of a
/// request that was sent as of one that was not.
#[test]
fn a_create_whose_runtime_ends_is_not_repeated() {
    let (sender, server) = std::sync::mpsc::channel();
    let (created, end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let acts = (Arc::clone(&created), Arc::clone(&end));
    let of_server = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime
            .expect("a runtime")
            .block_on(serve_until_created(sender, acts));
    });
    let (transport, uri) = server.recv().expect("a server");
    // After each step of a task, the main future is asked.
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().event_interval(1).build();
    let runtime = runtime.expect("a runtime");
    let send = |operation: &'static Operation, body: &'static str| {
        let mut request = http::Request::post(&uri).body(Full::from(body));
        let request = request.as_mut().expect("a request");
        request.extensions_mut().insert(operation);
        request.extensions_mut().insert(Call::new());
        transport.clone().oneshot(std::mem::take(request))
    };
    let first = runtime.block_on(send(GetUser::OPERATION, ""));
    drop(first.expect("a user"));
    let mut create = Box::pin(send(CreateUser::OPERATION, "{}"));
    let metrics = runtime.metrics();
    runtime.block_on(async {
        tokio::select! {
            _ = &mut create => panic!("it is not answered"),
            () = created.notified() => {}
        }
        let tasks = metrics.num_alive_tasks();
        end.notify_one();
        let has_ended = async {
            while metrics.num_alive_tasks() == tasks {
                tokio::task::yield_now().await;
            }
        };
        timeout(LIMIT, has_ended).await.expect("in time");
    });
    runtime.shutdown_background();
    let other = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let other = other.expect("a runtime");
    let outcome = other.block_on(async { timeout(LIMIT, create).await });
    let error: BoxError = outcome.expect("in time").expect_err("its reply is lost");
    let failure = find_source::<TransportError>(&*error).expect("it is typed");
    assert_eq!(failure.delivery(), Delivery::Unknown);
    let cause = failure
        .source()
        .and_then(|it| it.downcast_ref::<hyper::Error>());
    assert!(cause.is_some_and(hyper::Error::is_user), "{error:?}");
    drop(transport);
    of_server.join().expect("no panic");
}

/// Answers the first request, and ends the connection after the second one.
async fn serve_until_created(
    sender: std::sync::mpsc::Sender<(Transport, String)>,
    (created, end): (Arc<Notify>, Arc<Notify>),
) {
    let ca = Ca::new();
    let (acceptor, listener) = listen(&ca, "localhost", &["h2"], None).await;
    let address = listener.local_addr().expect("an address");
    let transport = trusting(&ca).build().expect("a transport");
    let sent = sender.send((transport, at("localhost", address)));
    sent.expect("the test waits for it");
    let (stream, _) = listener.accept().await.expect("a connection");
    let stream = acceptor.accept(stream).await.expect("TLS");
    let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
    let (_, mut respond) = connection.accept().await.expect("one").expect("whole");
    let reply = http::Response::new(());
    respond.send_response(reply, true).expect("it is open");
    let (request, _respond) = connection.accept().await.expect("one").expect("whole");
    let mut body = request.into_body();
    let create = async { while body.data().await.is_some() {} };
    tokio::select! {
        () = create => {}
        _ = connection.accept() => panic!("one request"),
    }
    created.notify_one();
    end.notified().await;
}
