//! Idle connections over which something arrives while the runtime is busy with other tasks.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use idpflare_management::layers::RetryPolicy;
use idpflare_management::*;
use tokio::runtime::{Builder, Runtime};

use crate::ok;

const STATS: &str = r#"{"total":1,"active":1,"verified":0,"mfa_enabled":0}"#;
const UNSOLICITED: &str = r#"{"total":666,"active":1,"verified":0,"mfa_enabled":0}"#;
const USER: &str = r#"{"id":"usr_1","email":"a@b.c","email_verified":false,"locale":"en","roles":[],
    "mfa_enabled":false,"is_active":true,"is_locked":false,"failed_login_attempts":0,
    "created_at":1700000000000,"updated_at":1700000000000}"#;

const BUSY: Duration = Duration::from_millis(2);

/// The act of a server on an idle connection, when a test asks for it.
#[derive(Clone, Copy)]
enum Act {
    Answers,
    Closes,
}

/// A server on a thread of its own, so that it goes on while the client's runtime stands still.
struct Server {
    address: SocketAddr,
    act: Sender<()>,
    acted: Receiver<()>,
}

impl Server {
    fn new(reply: &'static str, act: Act) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (tell, told) = channel();
        let (done, acted) = channel();
        thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                loop {
                    if !read_request(&mut stream) {
                        break;
                    }
                    let _ = stream.write_all(ok(reply).as_bytes());
                    if told.recv().is_err() {
                        return;
                    }
                    if matches!(act, Act::Answers) {
                        let _ = stream.write_all(ok(UNSOLICITED).as_bytes());
                        let _ = done.send(());
                    } else {
                        drop(stream);
                        let _ = done.send(());
                        break;
                    }
                }
            }
        });
        Self {
            address,
            act: tell,
            acted,
        }
    }

    fn client(&self) -> Client {
        let client = Client::builder(format!("http://{}", self.address))
            .api_key("idk_test")
            .retry(RetryPolicy::new().attempts(1));
        client.build().expect("a client")
    }

    /// Lets the server act while this thread is busy, for longer than between two calls in a row.
    fn act(&self) {
        self.act.send(()).expect("the server runs");
        self.acted.recv().expect("the server runs");
        thread::sleep(BUSY / 10);
    }
}

/// Reads a request, of which the body is whole where it has one of JSON. `false` at the end.
fn read_request(stream: &mut TcpStream) -> bool {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return false,
            Ok(length) => request.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
        if request.ends_with(b"\r\n\r\n") && !request.starts_with(b"POST") {
            return true;
        }
        if request.ends_with(b"}") {
            return true;
        }
    }
}

fn one_thread() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
}

fn many_threads() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    let builder = builder.worker_threads(2).enable_all();
    builder.build().expect("a runtime")
}

/// Runs `call` on the runtime, all of whose threads are kept busy until it is over.
fn on_busy<F: Future<Output: Send + 'static> + Send + 'static>(
    runtime: &Runtime,
    call: impl FnOnce() -> F,
    act: impl FnOnce(),
) -> F::Output {
    let workers = runtime.metrics().num_workers();
    let (begun, has_begun) = channel();
    // There is no other thread where there is one worker, and `act` keeps that busy.
    let busy: Vec<_> = (0..workers)
        .skip_while(|_| workers == 1)
        .map(|_| {
            let begun = begun.clone();
            runtime.spawn(async move {
                let _ = begun.send(());
                thread::sleep(BUSY);
            })
        })
        .collect();
    for _ in &busy {
        has_begun.recv().expect("it begins");
    }
    runtime.block_on(async {
        act();
        let outcome = call().await;
        for task in busy {
            task.await.expect("no panic");
        }
        outcome
    })
}

fn wrong_answers(runtime: &Runtime, rounds: usize) -> usize {
    let server = Server::new(STATS, Act::Answers);
    let client = server.client();
    let send = || {
        let client = client.clone();
        async move { client.send(GetUserStats::new()).await }
    };
    let mut wrong = 0;
    for _ in 0..rounds {
        let first = runtime.block_on(send());
        wrong += usize::from(first.is_ok_and(|stats| stats.total == 666));
        // Its reply has been read, and the connection is idle.
        let second = on_busy(runtime, send, || server.act());
        wrong += usize::from(second.is_ok_and(|stats| stats.total == 666));
        server.act();
    }
    wrong
}

#[test]
fn an_unsolicited_reply_answers_no_call_on_one_thread() {
    assert_eq!(wrong_answers(&one_thread(), 1000), 0);
}

#[test]
fn an_unsolicited_reply_answers_no_call_on_many_threads() {
    assert_eq!(wrong_answers(&many_threads(), 1000), 0);
}

fn unknown_creates(runtime: &Runtime, rounds: usize) -> usize {
    let server = Server::new(USER, Act::Closes);
    let client = server.client();
    let send = || {
        let client = client.clone();
        async move { client.send(CreateUser::new("a@b.c")).await }
    };
    runtime.block_on(send()).expect("a user");
    let mut unknown = 0;
    for _ in 0..rounds {
        match on_busy(runtime, send, || server.act()) {
            Ok(_) => {}
            Err(error) if error.delivery() == Delivery::Unknown => {
                unknown += 1;
                runtime.block_on(send()).expect("a user");
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    unknown
}

#[test]
fn a_connection_that_was_closed_while_idle_makes_no_create_unknown_on_one_thread() {
    assert_eq!(unknown_creates(&one_thread(), 100), 0);
}

#[test]
fn a_connection_that_was_closed_while_idle_makes_no_create_unknown_on_many_threads() {
    assert_eq!(unknown_creates(&many_threads(), 100), 0);
}
