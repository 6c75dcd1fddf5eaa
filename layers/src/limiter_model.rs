//! loom runs each of these with every order in which the threads can meet. A waiter that is not woken is a
//! deadlock, which it reports.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use loom::future::block_on;
use loom::thread;
use tokio::time::Instant;

use super::*;
use crate::permits::{Decision, PermitSource};
use crate::queue::Admission;

/// Grants permits while there are some, whatever the time.
#[derive(Debug)]
struct Bucket(u32);

impl PermitSource for Bucket {
    fn take_permit(&mut self, _: Instant) -> Decision {
        match self.0.checked_sub(1) {
            Some(left) => {
                self.0 = left;
                Decision::Granted
            }
            None => Decision::Wait(Duration::MAX),
        }
    }

    fn earliest(&self, _: Instant, _: usize) -> Duration {
        Duration::ZERO
    }
}

/// A limiter that is paused, so that the first request is a probe and others wait for its answer. The
/// clock plays no part: in a model a wait ends only if something wakes it.
fn paused() -> RateLimiter {
    let source = Source::Scripted(Box::new(Bucket(u32::MAX)));
    let limiter = RateLimiter::with(source, None, None, Duration::from_secs(60));
    limiter.pause(Duration::ZERO);
    limiter
}

fn permit(limiter: &RateLimiter) -> Permit {
    let mut ticket = limiter.ticket();
    block_on(poll_fn(|cx| match ticket.poll(cx) {
        Admission::Granted(permit) => Poll::Ready(permit),
        Admission::Wait { .. } => Poll::Pending,
        Admission::Refused(error, _) => unreachable!("{error}"),
    }))
}

#[test]
fn the_answer_to_a_probe_lets_all_others_go() {
    loom::model(|| {
        let limiter = paused();
        let probe = limiter.try_take(None).expect("the probe");
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                let limiter = limiter.clone();
                thread::spawn(move || permit(&limiter).end())
            })
            .collect();
        probe.end();
        for waiter in waiters {
            waiter.join().expect("no panic");
        }
    });
}

#[test]
fn another_answer_lets_those_go_that_wait_for_a_probe() {
    loom::model(|| {
        let limiter = paused();
        let probe = limiter.try_take(None).expect("the probe");
        let waiter = {
            let limiter = limiter.clone();
            thread::spawn(move || permit(&limiter).end())
        };
        limiter.passed();
        waiter.join().expect("no panic");
        drop(probe);
    });
}

#[test]
fn a_probe_that_is_dropped_makes_the_next_one_the_probe() {
    loom::model(|| {
        let limiter = paused();
        let probe = limiter.try_take(None).expect("the probe");
        let waiter = {
            let limiter = limiter.clone();
            thread::spawn(move || drop(permit(&limiter)))
        };
        drop(probe);
        drop(permit(&limiter));
        waiter.join().expect("no panic");
    });
}

#[test]
fn a_waiter_that_leaves_while_it_is_woken_passes_the_permit_on() {
    loom::model(|| {
        let limiter = paused();
        let probe = limiter.try_take(None).expect("the probe");
        // In line before the threads begin.
        let mut leaving = limiter.ticket();
        let cx = &mut std::task::Context::from_waker(std::task::Waker::noop());
        assert!(matches!(leaving.poll(cx), Admission::Wait { .. }));
        let leaves = thread::spawn(move || drop(leaving));
        let waits = {
            let limiter = limiter.clone();
            thread::spawn(move || permit(&limiter).end())
        };
        probe.end();
        leaves.join().expect("no panic");
        waits.join().expect("no panic");
    });
}
