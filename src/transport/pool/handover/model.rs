//! loom runs each of these with every order in which the threads can meet. A waiter that is not woken is a
//! deadlock, which it reports.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use loom::future::block_on;
use loom::thread;

use super::super::line::Reason;
use super::*;

/// A connection of which there is no more to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Connection;

impl Keep for Connection {
    fn is_usable(&self, _: Duration) -> bool {
        true
    }
}

type Connections = Handover<Connection, Connection>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Got {
    Exclusive,
    Shared,
    Dial(u64),
}

const MINUTE: Duration = Duration::from_secs(60);

/// So many connections exist, and there may be no more.
fn connections(number: usize) -> Arc<Connections> {
    let connections = Handover::new(Limits {
        connections: number,
        patience: MINUTE,
        idle: MINUTE,
        has_turns: false,
    });
    for _ in 0..number {
        connections.connected();
    }
    Arc::new(connections)
}

/// Waits in line. The claims of a model are never late.
fn wait(connections: &Arc<Connections>) -> Got {
    let mut place = Place::new(Arc::clone(connections));
    block_on(poll_fn(|cx| {
        Poll::Ready(match place.poll(false, cx.waker()) {
            Step::Exclusive(_) => Got::Exclusive,
            Step::Shared(_) => Got::Shared,
            Step::Dial(generation) => Got::Dial(generation),
            Step::Wait(_) => return Poll::Pending,
        })
    }))
}

fn put(connections: &Connections) {
    connections.put(Connection, MINUTE, None);
}

/// Two waiters take the same connection, one after the other.
#[test]
fn a_connection_that_is_returned_serves_all_waiters() {
    loom::model(|| {
        let connections = connections(1);
        let waiters = [(); 2].map(|()| {
            let connections = Arc::clone(&connections);
            thread::spawn(move || {
                assert_eq!(wait(&connections), Got::Exclusive);
                put(&connections);
            })
        });
        put(&connections);
        for waiter in waiters {
            waiter.join().expect("no panic");
        }
        assert!(connections.take().is_some());
        assert!(!connections.has_waiting());
    });
}

/// One waiter leaves while a connection is returned that it may have been called for.
#[test]
fn a_waiter_that_leaves_takes_no_connection_along() {
    loom::model(|| {
        let connections = connections(1);
        let mut leaving = Place::new(Arc::clone(&connections));
        assert!(matches!(
            leaving.poll(false, Waker::noop()),
            Step::Wait(Reason::Bound)
        ));
        let leaves = thread::spawn(move || drop(leaving));
        let waiter = {
            let connections = Arc::clone(&connections);
            thread::spawn(move || assert_eq!(wait(&connections), Got::Exclusive))
        };
        put(&connections);
        leaves.join().expect("no panic");
        waiter.join().expect("no panic");
        assert!(!connections.has_waiting());
    });
}

/// A connection ends, while two wait at the limit: one makes another, and returns it.
#[test]
fn a_connection_that_ends_makes_room_for_one_waiter() {
    loom::model(|| {
        let connections = connections(1);
        let waiters = [(); 2].map(|()| {
            let connections = Arc::clone(&connections);
            thread::spawn(move || match wait(&connections) {
                Got::Dial(generation) => {
                    connections.connected();
                    put(&connections);
                    connections.dial_over(generation);
                    true
                }
                got => {
                    assert_eq!(got, Got::Exclusive);
                    false
                }
            })
        });
        connections.disconnected();
        let dials = waiters.map(|waiter| waiter.join().expect("no panic"));
        assert_eq!(dials.into_iter().filter(|dial| *dial).count(), 1);
    });
}

/// A connection for all arrives while others get in line.
#[test]
fn a_connection_for_all_serves_each_waiter() {
    loom::model(|| {
        let connections = connections(1);
        let waiters = [(); 2].map(|()| {
            let connections = Arc::clone(&connections);
            thread::spawn(move || assert_eq!(wait(&connections), Got::Shared))
        });
        connections.share(Connection);
        for waiter in waiters {
            waiter.join().expect("no panic");
        }
        assert!(!connections.has_waiting());
    });
}
