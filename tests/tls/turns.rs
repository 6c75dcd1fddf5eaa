//! Many calls at once that find no connection: how many they make, and what becomes of them where
//! making one goes wrong.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use idpflare_management::layers::{RetryPolicy, Timeout, TimeoutScope, find_source};
use idpflare_management::*;
use tokio::net::TcpStream;
use tokio::sync::{Barrier, Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use crate::SHORT;
use crate::support::tls::{Ca, at, listen, trusting};

const STATS: &str = r#"{"total":1,"active":1,"verified":0,"mfa_enabled":0}"#;
/// Out of reach: where the machine is slow, no call has waited so long that a further one connects.
const LONG: Duration = Duration::from_secs(600);
/// As many as a client goes by that has not heard of the server's limit yet.
const STREAMS: u32 = 100;
/// What waits for a test to tell it so.
type Told = Arc<Semaphore>;

/// What a server does with a connection.
#[derive(Clone)]
enum Act {
    Answers,
    /// With this status.
    Refuses(StatusCode),
    /// Once so many requests are there.
    AnswersTogether(Arc<Barrier>),
    /// Answers the first request, and closes it once so many more are there.
    Loses(Arc<Barrier>),
    Hangs,
    /// Each request when it is told so.
    AnswersWhen(Told),
    /// Each request, after a handshake that waits to be told.
    AnswersLate(Told),
    /// Answers, after a handshake that waits for another connection.
    AnswersBeside(Arc<Barrier>),
    /// Goes away after so many requests, and answers those that have begun (RFC 9113, section 6.8).
    Retires(usize),
    /// Closes it, in place of the handshake.
    Fails(Told),
    /// Closes it after the handshake.
    Ends,
}

/// A server that counts its connections.
struct Server {
    address: SocketAddr,
    /// From where.
    connections: watch::Receiver<Vec<SocketAddr>>,
    ca: Ca,
}

impl Server {
    /// `act` is told the number of the connection, from 1 on.
    async fn new(alpn: &[&str], act: impl Fn(usize) -> Act + Send + 'static) -> Self {
        let ca = Ca::new();
        let (acceptor, listener) = listen(&ca, "localhost", alpn, None).await;
        let address = listener.local_addr().expect("an address");
        let (count, connections) = watch::channel(Vec::new());
        tokio::spawn(async move {
            while let Ok((stream, peer)) = listener.accept().await {
                count.send_modify(|peers| peers.push(peer));
                let act = act(count.borrow().len());
                tokio::spawn(serve(acceptor.clone(), stream, act));
            }
        });
        Self {
            address,
            connections,
            ca,
        }
    }

    /// Does `act` with its first connection.
    async fn first(alpn: &[&str], act: Act, others: Act) -> Self {
        let act = move |number| if number == 1 { &act } else { &others }.clone();
        Self::new(alpn, act).await
    }

    /// Speaks HTTP/1.1 over its first connection, where it answers when it is told so, and lets all others
    /// wait.
    async fn with_one_connection() -> (Self, Told) {
        let told = Told::new(Semaphore::new(0));
        let answers = Act::AnswersWhen(Arc::clone(&told));
        (Self::first(&["http/1.1"], answers, Act::Hangs).await, told)
    }

    fn client(&self, connect_timeout: Duration, attempts: u32) -> Client {
        let transport = trusting(&self.ca).connect_timeout(connect_timeout);
        client_with(self.address, transport, attempts)
    }

    /// Waits until there have been so many connections.
    async fn connected(&self, number: usize) {
        let mut connections = self.connections.clone();
        let reached = connections.wait_for(|peers| peers.len() >= number);
        reached.await.expect("the server runs");
    }

    /// How many connections there have been in all, those included that are not accepted yet.
    async fn connections(self) -> usize {
        // They are accepted in turn.
        let last = TcpStream::connect(self.address).await.expect("a server");
        let last = last.local_addr().expect("an address");
        let mut connections = self.connections;
        let reached = connections.wait_for(|peers| peers.contains(&last));
        let peers = reached.await.expect("the server runs");
        let others = peers.iter().take_while(|peer| **peer != last);
        others.count()
    }
}

fn client_with(address: SocketAddr, transport: TransportBuilder, attempts: u32) -> Client {
    Client::builder(at("localhost", address))
        .api_key("idk_test")
        .deadline(LONG)
        .attempt_timeout(LONG)
        .retry(RetryPolicy::new().attempts(attempts))
        .build_with(transport.build().expect("a transport"))
        .expect("a client")
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream, act: Act) {
    match &act {
        Act::Hangs => return std::future::pending().await,
        Act::AnswersLate(told) => told.acquire().await.expect("it is open").forget(),
        Act::AnswersBeside(both) => {
            both.wait().await;
        }
        Act::Fails(told) => {
            let _ = told.acquire().await.expect("it is open");
            return;
        }
        _ => {}
    }
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    if matches!(act, Act::Ends) {
        return;
    }
    let lost = Arc::new(Semaphore::new(0));
    let requests = Arc::new(AtomicUsize::new(0));
    let service = {
        let lost = Arc::clone(&lost);
        let (act, requests) = (act.clone(), Arc::clone(&requests));
        hyper::service::service_fn(move |_: Request<Incoming>| {
            let act = match requests.fetch_add(1, Ordering::SeqCst) {
                0 if matches!(act, Act::Loses(_)) => Act::Answers,
                _ => act.clone(),
            };
            answer(act, Arc::clone(&lost))
        })
    };
    let mut builder = auto::Builder::new(TokioExecutor::new());
    if matches!(act, Act::Retires(_)) {
        builder.http2().max_concurrent_streams(STREAMS);
    }
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let served = poll_fn(|cx| {
        if matches!(act, Act::Retires(after) if requests.load(Ordering::SeqCst) >= after) {
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(cx)
    });
    tokio::select! {
        _ = served => {}
        _ = lost.acquire() => {}
    }
}

async fn answer(act: Act, lost: Told) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut reply = Response::new(Full::from(STATS));
    match act {
        Act::Refuses(status) => *reply.status_mut() = status,
        Act::AnswersTogether(all) => {
            all.wait().await;
        }
        Act::AnswersWhen(told) => told.acquire().await.expect("it is open").forget(),
        Act::Loses(all) => {
            if all.wait().await.is_leader() {
                lost.add_permits(1);
            }
            std::future::pending::<()>().await;
        }
        _ => {}
    }
    Ok(reply)
}

type Outcome = Result<UserStats, Error>;

fn start(client: &Client) -> JoinHandle<Outcome> {
    let client = client.clone();
    tokio::spawn(async move { client.send(GetUserStats::new()).await })
}

/// What becomes of so many calls at once.
async fn at_once(client: &Client, number: usize) -> Vec<Outcome> {
    let mut calls = JoinSet::new();
    for _ in 0..number {
        let client = client.clone();
        calls.spawn(async move { client.send(GetUserStats::new()).await });
    }
    calls.join_all().await
}

/// Calls that have come as far as they can, while the first one is connecting.
async fn followers(client: &Client, number: usize) -> Vec<JoinHandle<Outcome>> {
    let calls: Vec<_> = (0..number).map(|_| start(client)).collect();
    // Each is polled before this is again, as there is one thread.
    tokio::task::yield_now().await;
    calls
}

fn all_are_served(outcomes: Vec<Outcome>) {
    for outcome in outcomes {
        outcome.expect("stats");
    }
}

fn scope(error: &Error) -> Option<TimeoutScope> {
    error.timeout().map(Timeout::scope)
}

async fn share() {
    let server = Server::new(&["h2", "http/1.1"], |_| Act::Answers).await;
    all_are_served(at_once(&server.client(LONG, 1), 200).await);
    assert_eq!(server.connections().await, 1);
}

#[tokio::test]
async fn calls_at_once_share_one_connection_of_http2() {
    share().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_at_once_share_one_connection_of_http2_on_many_threads() {
    share().await;
}

#[tokio::test]
async fn with_http1_only_the_first_handshake_is_waited_for() {
    const CALLS: usize = 20;
    // None is answered unless each has a connection of its own, at the same time.
    let all = Arc::new(Barrier::new(CALLS));
    for alpn in [["http/1.1"].as_slice(), [].as_slice()] {
        let all = Arc::clone(&all);
        let server = Server::new(alpn, move |_| Act::AnswersTogether(Arc::clone(&all))).await;
        all_are_served(at_once(&server.client(LONG, 1), CALLS).await);
        assert_eq!(server.connections().await, CALLS, "{alpn:?}");
    }
}

#[tokio::test]
async fn a_connection_that_becomes_free_serves_a_call_that_is_still_connecting() {
    let (server, told) = Server::with_one_connection().await;
    let client = server.client(LONG, 1);
    let first = start(&client);
    server.connected(1).await;
    let second = start(&client);
    server.connected(2).await;
    told.add_permits(2);
    for call in [first, second] {
        call.await.expect("no panic").expect("stats");
    }
}

#[tokio::test]
async fn a_connection_that_was_given_to_a_call_that_is_dropped_is_the_next_ones() {
    let (server, told) = Server::with_one_connection().await;
    let client = server.client(LONG, 1);
    let mut first = pin!(client.send(GetUserStats::new()));
    tokio::select! {
        outcome = &mut first => panic!("{outcome:?}"),
        () = server.connected(1) => {}
    }
    let second = start(&client);
    tokio::select! {
        outcome = &mut first => panic!("{outcome:?}"),
        () = server.connected(2) => {}
    }
    let third = start(&client);
    server.connected(3).await;
    told.add_permits(2);
    first.await.expect("stats");
    // It has been given the connection by now, and does not know it yet.
    second.abort();
    third.await.expect("no panic").expect("stats");
}

#[tokio::test]
async fn a_handshake_that_ends_late_takes_no_calls_from_a_connection_that_serves_them() {
    let told = Told::new(Semaphore::new(0));
    let late = Arc::clone(&told);
    let server = Server::new(&["h2"], move |number| match number {
        1 => Act::AnswersLate(Arc::clone(&late)),
        2 => Act::Answers,
        _ => Act::Hangs,
    })
    .await;
    let client = server.client(Duration::from_secs(4), 1);
    let first = start(&client);
    server.connected(1).await;
    // One is let on after a quarter of the limit.
    all_are_served(at_once(&client, 10).await);
    first.await.expect("no panic").expect("stats");
    told.add_permits(1);
    for _ in 0..10 {
        client.send(GetUserStats::new()).await.expect("stats");
    }
    assert_eq!(server.connections().await, 2);
}

#[tokio::test]
async fn what_a_server_has_not_begun_with_when_it_goes_away_is_sent_again() {
    let server = Server::new(&["h2"], |_| Act::Retires(20)).await;
    for outcome in at_once(&server.client(LONG, 1), 3 * STREAMS as usize).await {
        // What is on its way when the server goes away is for the retry of the client.
        if let Err(error) = outcome {
            let error = find_source::<hyper::Error>(&error).expect("it is hyper's");
            assert!(!error.is_canceled(), "{error:?}");
        }
    }
    assert!(server.connections().await > 1);
}

#[tokio::test]
async fn a_call_that_is_dropped_while_it_connects_leaves_that_to_one_other() {
    let server = Server::first(&["h2"], Act::Hangs, Act::Answers).await;
    let client = server.client(LONG, 1);
    let first = start(&client);
    server.connected(1).await;
    let others = followers(&client, 50).await;
    first.abort();
    for call in others {
        call.await.expect("no panic").expect("stats");
    }
    assert_eq!(server.connections().await, 2);
}

#[tokio::test]
async fn a_call_that_is_dropped_while_it_waits_holds_up_no_other() {
    let told = Told::new(Semaphore::new(0));
    let server = Server::first(&["h2"], Act::Fails(Arc::clone(&told)), Act::Answers).await;
    let client = server.client(LONG, 1);
    let first = start(&client);
    server.connected(1).await;
    let dropped = followers(&client, 10).await;
    let others = followers(&client, 10).await;
    for call in dropped {
        call.abort();
    }
    told.add_permits(1);
    first.await.expect("no panic").expect_err("no connection");
    for call in others {
        call.await.expect("no panic").expect("stats");
    }
}

#[tokio::test]
async fn a_handshake_that_fails_fails_one_call() {
    let told = Told::new(Semaphore::new(0));
    let server = Server::first(&["h2"], Act::Fails(Arc::clone(&told)), Act::Answers).await;
    let client = server.client(LONG, 1);
    let first = start(&client);
    server.connected(1).await;
    let others = followers(&client, 50).await;
    told.add_permits(1);
    let error = first.await.expect("no panic").expect_err("no connection");
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert_eq!(error.delivery(), Delivery::NotSent);
    for call in others {
        call.await.expect("no panic").expect("stats");
    }
    // After one that failed, two go on.
    assert!((2..=3).contains(&server.connections().await));
}

#[tokio::test]
async fn each_call_is_told_that_a_certificate_is_not_trusted() {
    let server = Server::new(&["h2"], |_| Act::Answers).await;
    let client = client_with(server.address, trusting(&Ca::new()), 1);
    for outcome in at_once(&client, 50).await {
        let error = outcome.expect_err("not trusted");
        assert_eq!(error.kind(), ErrorKind::Connect, "{error:?}");
        assert!(!error.is_retryable(), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_that_ends_each_connection_fails_each_call() {
    let server = Server::new(&["h2"], |_| Act::Ends).await;
    for outcome in at_once(&server.client(LONG, 1), 50).await {
        let error = outcome.expect_err("no reply");
        assert_eq!(error.timeout().map(Timeout::scope), None, "{error:?}");
    }
}

/// Time is paused: it goes on once nothing else can, to the next limit.
#[tokio::test(start_paused = true)]
async fn where_handshakes_hang_each_call_ends_at_its_own_limit() {
    let server = Server::new(&["h2"], |_| Act::Hangs).await;
    let client = server.client(SHORT, 1);
    let first = start(&client);
    server.connected(1).await;
    tokio::time::advance(SHORT / 10).await;
    let mut calls = followers(&client, 20).await;
    calls.push(first);
    for call in calls {
        let error = call.await.expect("no panic").expect_err("it hangs");
        assert_eq!(scope(&error), Some(TimeoutScope::Connect));
        assert_eq!(error.delivery(), Delivery::NotSent);
        let elapsed = error.timeout().expect("a timeout").elapsed();
        // Timers have a resolution of a millisecond, and there are two in a row.
        let latest = SHORT + Duration::from_millis(2);
        assert!((SHORT..=latest).contains(&elapsed), "{elapsed:?}");
    }
}

/// Turns and handshakes together take no more than the limit.
#[tokio::test(start_paused = true)]
async fn a_call_that_waited_for_its_turn_ends_at_the_limit() {
    let server = Server::new(&["h2"], |_| Act::Hangs).await;
    let client = server.client(SHORT, 1);
    let started = Instant::now();
    for outcome in at_once(&client, 20).await {
        let error = outcome.expect_err("it hangs");
        assert_eq!(scope(&error), Some(TimeoutScope::Connect));
        let elapsed = error.timeout().expect("a timeout").elapsed();
        assert!((SHORT..=SHORT * 11 / 10).contains(&elapsed), "{elapsed:?}");
    }
    let elapsed = started.elapsed();
    assert!((SHORT..=SHORT * 11 / 10).contains(&elapsed), "{elapsed:?}");
}

/// Neither of two connections is complete before the other.
#[tokio::test]
async fn two_calls_connect_after_one_handshake_that_failed() {
    let told = Told::new(Semaphore::new(0));
    let both = Arc::new(Barrier::new(2));
    let fails = Arc::clone(&told);
    let server = Server::new(&["h2"], move |number| match number {
        1 => Act::Fails(Arc::clone(&fails)),
        _ => Act::AnswersBeside(Arc::clone(&both)),
    })
    .await;
    let client = server.client(LONG, 1);
    let first = start(&client);
    server.connected(1).await;
    let others = followers(&client, 10).await;
    told.add_permits(1);
    first.await.expect("no panic").expect_err("no connection");
    let served = async {
        for call in others {
            call.await.expect("no panic").expect("stats");
        }
    };
    let limit = Duration::from_secs(60);
    let served = tokio::time::timeout(limit, served).await;
    served.expect("a second call connects at the same time");
    assert_eq!(server.connections().await, 3);
}

/// The first call is polled until it connects, and never again.
#[tokio::test]
async fn a_call_that_is_held_while_it_connects_stops_no_other() {
    for alpn in [["h2"], ["http/1.1"]] {
        let server = Server::new(&alpn, |_| Act::Answers).await;
        let client = server.client(LONG, 1);
        let mut held = pin!(client.send(GetUserStats::new()));
        tokio::select! {
            biased;
            outcome = &mut held => panic!("{outcome:?}"),
            () = server.connected(1) => {}
        }
        let limit = Duration::from_secs(60);
        let others = tokio::time::timeout(limit, at_once(&client, 20)).await;
        all_are_served(others.expect("they are not stopped"));
        held.await.expect("stats");
    }
}

#[tokio::test]
async fn one_handshake_that_hangs_stops_no_call() {
    let server = Server::first(&["h2"], Act::Hangs, Act::Answers).await;
    // A quarter of which is short, and three quarters are long.
    let client = server.client(SHORT * 4, 1);
    let first = start(&client);
    server.connected(1).await;
    all_are_served(at_once(&client, 50).await);
    first.await.expect("no panic").expect("stats");
}

#[tokio::test]
async fn calls_that_lose_their_connection_share_the_next() {
    // No more than the budget of retries allows for.
    const CALLS: usize = 50;
    let all = Arc::new(Barrier::new(CALLS));
    let server = Server::new(&["h2"], move |number| match number {
        1 => Act::Loses(Arc::clone(&all)),
        _ => Act::Answers,
    })
    .await;
    let client = server.client(LONG, 2);
    start(&client).await.expect("no panic").expect("stats");
    all_are_served(at_once(&client, CALLS).await);
    assert_eq!(server.connections().await, 2);
}

#[tokio::test]
async fn calls_that_find_their_connection_poisoned_share_the_next() {
    let server = Server::new(&["h2"], |number| match number {
        1 => Act::Refuses(StatusCode::MISDIRECTED_REQUEST),
        _ => Act::Answers,
    })
    .await;
    let client = server.client(LONG, 1);
    start(&client).await.expect("no panic").expect_err("421");
    all_are_served(at_once(&client, 200).await);
    assert_eq!(server.connections().await, 2);
}
