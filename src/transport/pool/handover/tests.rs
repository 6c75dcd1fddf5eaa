//! Code that comes back to the line while a waker is woken or dropped, or a connection is dropped.

use std::sync::Weak;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::task::Wake;
use std::thread;

use super::super::line::CLAIM;
use super::*;

const LONG: Duration = Duration::from_secs(60);

/// A connection that comes back to the line when it is dropped, as its calls may when they learn of its
/// end.
#[derive(Clone)]
struct Connection {
    line: Weak<Connections>,
    is_usable: Arc<AtomicBool>,
}

type Connections = Handover<Connection, Connection>;

impl Keep for Connection {
    fn is_usable(&self, _: Duration) -> bool {
        self.is_usable.load(Ordering::SeqCst)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(line) = self.line.upgrade() {
            line.has_waiting();
        }
    }
}

/// A waker that holds a place in line itself, as that of a task which it keeps alive does.
struct Keeps(#[allow(dead_code)] std::sync::Mutex<Option<Place<Connection, Connection>>>);

impl Wake for Keeps {
    fn wake(self: Arc<Self>) {}
}

fn line() -> Arc<Connections> {
    let line = Handover::new(Limits {
        connections: 1,
        patience: LONG,
        idle: LONG,
        has_turns: false,
    });
    line.connected();
    Arc::new(line)
}

fn connection(line: &Arc<Connections>) -> Connection {
    Connection {
        line: Arc::downgrade(line),
        is_usable: Arc::new(AtomicBool::new(true)),
    }
}

fn waiting(line: &Arc<Connections>, waker: &Waker) -> Place<Connection, Connection> {
    let mut place = Place::new(Arc::clone(line));
    assert!(matches!(place.poll(false, waker), Step::Wait(_)));
    place
}

fn keeping(line: &Arc<Connections>) -> Waker {
    let place = waiting(line, Waker::noop());
    Waker::from(Arc::new(Keeps(std::sync::Mutex::new(Some(place)))))
}

/// Runs a test that would stand still instead of failing.
fn in_time(test: impl FnOnce() + Send + 'static) {
    let (done, is_done) = channel();
    let test = thread::spawn(move || {
        test();
        let _ = done.send(());
    });
    if is_done.recv_timeout(LONG / 3) == Err(RecvTimeoutError::Timeout) {
        panic!("the lock is held while code runs that comes back");
    }
    test.join().expect("no panic");
}

#[test]
fn a_waker_that_comes_back_when_it_is_replaced_does_no_harm() {
    in_time(|| {
        let line = line();
        let mut place = waiting(&line, &keeping(&line));
        assert!(matches!(place.poll(false, Waker::noop()), Step::Wait(_)));
        drop(place);
        assert!(!line.has_waiting());
    });
}

#[test]
fn a_waker_that_comes_back_when_its_place_is_left_does_no_harm() {
    in_time(|| {
        let line = line();
        let place = waiting(&line, &keeping(&line));
        // It has the only waker now.
        drop(place);
        assert!(!line.has_waiting());
    });
}

#[test]
fn a_waker_that_comes_back_when_it_is_passed_by_does_no_harm() {
    in_time(|| {
        let line = line();
        let first = waiting(&line, Waker::noop());
        let held = waiting(&line, &keeping(&line));
        line.put(connection(&line), LONG, None);
        // The first has a claim that is late, so the others are asked to show that they are polled.
        thread::sleep(CLAIM);
        line.tick();
        thread::sleep(CLAIM);
        line.tick();
        drop((first, held));
        assert!(!line.has_waiting());
    });
}

#[test]
fn a_connection_that_comes_back_when_it_is_dropped_does_no_harm() {
    in_time(|| {
        let line = line();
        let takes: [fn(&Arc<Connections>); 3] = [
            |line| assert!(line.take().is_none()),
            |line| drop(waiting(line, Waker::noop())),
            |line| assert!(line.close_expired().is_none()),
        ];
        for take in takes {
            let (exclusive, shared) = (connection(&line), connection(&line));
            let are_usable = [&exclusive, &shared].map(|it| Arc::clone(&it.is_usable));
            line.put(exclusive, LONG, None);
            line.share(shared);
            for is_usable in are_usable {
                is_usable.store(false, Ordering::SeqCst);
            }
            take(&line);
        }
        line.share(connection(&line));
        line.share(connection(&line));
        line.forget(|_| true);
        assert!(line.take().is_none());
    });
}
