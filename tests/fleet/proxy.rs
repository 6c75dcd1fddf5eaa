//! What is between a process and the server, and may fail.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

/// Hands on what it is sent, on a loopback port of its own, until the test ends.
pub(crate) struct Proxy {
    port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// The port of the server.
    server: AtomicU16,
    connections: AtomicUsize,
    /// Connections with a smaller number are to another server than this, and are closed.
    oldest: AtomicUsize,
    /// So many of the first connections hand on no answer any more.
    silent: AtomicUsize,
    /// Whether answers have to wait.
    holds: Mutex<bool>,
    goes_on: Condvar,
    given_back: AtomicUsize,
}

impl Proxy {
    pub(crate) fn start(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let state = Arc::new(State {
            server: AtomicU16::new(server),
            ..State::default()
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.expect("a connection");
                let server = shared.server.load(Ordering::SeqCst);
                let server = TcpStream::connect(("127.0.0.1", server)).expect("the server");
                hand_on(client, server, &shared);
            }
        });
        Self { port, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The connections that there are go on, without another answer.
    pub(crate) fn silence(&self) {
        let connections = self.state.connections.load(Ordering::SeqCst);
        self.state.silent.store(connections, Ordering::SeqCst);
    }

    /// Hands on to another server from now on, as a name does that was pointed to it.
    pub(crate) fn fail_over(&self, server: u16) {
        self.state.server.store(server, Ordering::SeqCst);
        let connections = self.state.connections.load(Ordering::SeqCst);
        self.state.oldest.store(connections, Ordering::SeqCst);
    }

    /// Every answer comes late: when this holds them no more.
    pub(crate) fn hold(&self, holds: bool) {
        *self.state.holds.lock().expect("not poisoned") = holds;
        self.state.goes_on.notify_all();
    }

    /// How often permits were given back. The answer to that is lost, each time, with the connection.
    pub(crate) fn given_back(&self) -> usize {
        self.state.given_back.load(Ordering::SeqCst)
    }
}

fn hand_on(client: TcpStream, server: TcpStream, state: &Arc<State>) {
    let number = state.connections.fetch_add(1, Ordering::SeqCst);
    let is_cut = Arc::new(AtomicBool::new(false));
    let clone = |stream: &TcpStream| stream.try_clone().expect("a handle");
    let (from, to) = (clone(&client), clone(&server));
    let (asked, cut) = (Arc::clone(state), Arc::clone(&is_cut));
    std::thread::spawn(move || {
        pump(from, to, |bytes| {
            if number < asked.oldest.load(Ordering::SeqCst) {
                return None;
            }
            // The question, not the script that has the word too.
            if bytes.windows(13).any(|word| word == b"\r\ngive_back\r\n") {
                asked.given_back.fetch_add(1, Ordering::SeqCst);
                cut.store(true, Ordering::SeqCst);
            }
            Some(true)
        });
    });
    let state = Arc::clone(state);
    std::thread::spawn(move || {
        pump(server, client, |_| {
            let holds = state.holds.lock().expect("not poisoned");
            drop(state.goes_on.wait_while(holds, |holds| *holds));
            let is_silent = number < state.silent.load(Ordering::SeqCst);
            (!is_cut.load(Ordering::SeqCst)).then_some(!is_silent)
        });
    });
}

/// Hands on the bytes for which `look` says so, until it says nothing or an end closes.
fn pump(mut from: TcpStream, mut to: TcpStream, mut look: impl FnMut(&[u8]) -> Option<bool>) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        match look(&bytes[..length]) {
            Some(true) if to.write_all(&bytes[..length]).is_ok() => {}
            Some(false) => {}
            _ => break,
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
