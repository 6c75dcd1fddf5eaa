use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use tokio::sync::mpsc::unbounded_channel;
use tokio::time::advance;

use super::*;
use crate::gcra::Gcra;
use crate::permit_wait::PermitWait;
use crate::permits::{Decision, PermitSource};
use crate::{BoxError, Call};

/// Counts how often it is asked for a permit.
#[derive(Debug)]
struct Counting(Gcra, Arc<AtomicUsize>);

impl PermitSource for Counting {
    fn take_permit(&mut self, now: Instant) -> Decision {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.take_permit(now)
    }

    fn earliest(&self, now: Instant, ahead: usize) -> Duration {
        self.0.earliest(now, ahead)
    }
}

/// Answers as scripted, in order.
#[derive(Debug, Default)]
struct Scripted(Arc<Mutex<VecDeque<Decision>>>);

impl PermitSource for Scripted {
    fn take_permit(&mut self, _: Instant) -> Decision {
        let next = self.0.lock().expect("not poisoned").pop_front();
        next.expect("another decision")
    }

    fn earliest(&self, _: Instant, _: usize) -> Duration {
        Duration::ZERO
    }
}

fn limiter_of(source: impl PermitSource + 'static) -> RateLimiter {
    let source = Source::Scripted(Box::new(source));
    RateLimiter::with(source, None, None, Duration::from_secs(60))
}

fn wait(limiter: &RateLimiter) -> PermitWait {
    PermitWait::new(limiter, Call::new())
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn line(limiter: &RateLimiter) -> usize {
    limiter.with_queue(|queue, _, _| queue.len())
}

#[tokio::test(start_paused = true)]
async fn a_thousand_are_served_in_order_and_look_no_more_often_than_they_must() {
    let looks = Arc::new(AtomicUsize::new(0));
    let gcra = Gcra::new(Rate::per_second(100).expect("a rate"), Instant::now());
    let limiter = limiter_of(Counting(gcra, Arc::clone(&looks)));
    let (done, mut order) = unbounded_channel();
    for number in 0..1000 {
        let (limiter, done) = (limiter.clone(), done.clone());
        tokio::spawn(async move {
            wait(&limiter).await.expect("a permit").end();
            done.send((number, Instant::now())).expect("open");
        });
    }
    let started = Instant::now();
    for number in 0..1000_u32 {
        let (served, at) = order.recv().await.expect("another");
        assert_eq!(served, number);
        let due = started + number * Duration::from_millis(10);
        assert!(at >= due && at <= due + Duration::from_millis(1));
    }
    // The first one looks once; each other when its turn comes, and when its permit does.
    assert_eq!(looks.load(Ordering::SeqCst), 1 + 999 * 2);
    assert_eq!(line(&limiter), 0);
}

#[tokio::test(start_paused = true)]
async fn each_waiter_has_a_timer_for_its_turn_or_for_the_one_ahead() {
    let limiter = RateLimiter::new(Rate::per_second(1).expect("a rate"));
    let started = Instant::now();
    let mut waits: Vec<_> = (0..4).map(|_| Box::pin(wait(&limiter))).collect();
    for wait in &mut waits {
        let _ = poll(wait.as_mut());
    }
    let timers: Vec<_> = waits.iter().map(|wait| wait.timer()).collect();
    let millis = |millis| Some(started + Duration::from_millis(millis));
    assert_eq!(timers, [None, millis(1000), millis(1020), millis(2020)]);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_asks_elsewhere_is_asked_again_when_it_said_so() {
    let source = Scripted::default();
    let script = Arc::clone(&source.0);
    let limiter = limiter_of(source);
    let answer = |decision| script.lock().expect("not poisoned").push_back(decision);
    let five = Duration::from_secs(5);
    answer(Decision::Wait(five));
    let mut first = Box::pin(wait(&limiter));
    let mut second = task(wait(&limiter));
    assert!(poll(first.as_mut()).is_pending());
    assert!(second.poll().is_pending());

    // The first leaves before the answer comes; the next one finds it.
    drop(first);
    assert!(second.is_woken());
    answer(Decision::Wait(five));
    assert!(second.poll().is_pending());
    advance(five).await;
    assert!(second.is_woken());
    answer(Decision::Granted);
    assert!(second.poll().is_ready());
}

/// A future in a task of its own, which tells whether it was woken.
struct Task<F> {
    future: Pin<Box<F>>,
    woken: Arc<Woken>,
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn task<F: Future>(future: F) -> Task<F> {
    Task {
        future: Box::pin(future),
        woken: Arc::default(),
    }
}

impl<F: Future> Task<F> {
    fn poll(&mut self) -> Poll<F::Output> {
        let waker = Arc::clone(&self.woken).into();
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    fn is_woken(&self) -> bool {
        self.woken.0.swap(0, Ordering::SeqCst) > 0
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_leaves_wakes_the_next_one_and_those_whose_turn_comes_earlier() {
    for (calls, wakes_all) in [(1, true), (1000, false)] {
        let limiter = RateLimiter::new(Rate::per_second(calls).expect("a rate"));
        let _ = limiter.try_take(None);
        let mut tasks: Vec<_> = (0..4).map(|_| task(wait(&limiter))).collect();
        for task in &mut tasks {
            assert!(task.poll().is_pending());
        }
        drop(tasks.remove(1));
        for task in &mut tasks {
            assert_eq!(task.is_woken(), wakes_all);
            assert!(task.poll().is_pending());
        }
        drop(tasks.remove(0));
        assert!(tasks[0].is_woken());
        // Woken and dropped before it could look.
        drop(tasks.remove(0));
        assert!(tasks[0].is_woken());
        advance(Duration::from_secs(1)).await;
        assert!(tasks[0].poll().is_ready());
        assert_eq!(line(&limiter), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_that_leave_together_cost_one_pass_over_the_line() {
    let limiter = RateLimiter::new(Rate::per_second(50).expect("a rate"));
    let _ = limiter.try_take(None);
    let leaving: Vec<_> = (0..1000).map(|_| Box::pin(wait(&limiter))).collect();
    let mut leaving: Vec<_> = leaving.into_iter().map(task).collect();
    let mut staying: Vec<_> = (0..1000).map(|_| task(wait(&limiter))).collect();
    for task in &mut leaving {
        assert!(task.poll().is_pending());
    }
    for task in &mut staying {
        assert!(task.poll().is_pending());
    }
    drop(leaving);
    for task in &mut staying {
        assert_eq!(task.woken.0.load(Ordering::SeqCst), 1);
        assert!(task.poll().is_pending());
        task.woken.0.store(0, Ordering::SeqCst);
    }
    // Each has a timer for its own turn now, as those ahead may be held.
    advance(Duration::from_millis(20)).await;
    assert!(staying[0].poll().is_ready());
    advance(Duration::from_millis(20 * 500 + 40)).await;
    tokio::task::yield_now().await;
    assert!(staying[500].is_woken());
}

#[tokio::test(start_paused = true)]
async fn a_late_waiter_keeps_its_place_for_a_while() {
    let limiter = RateLimiter::new(Rate::per_second(1).expect("a rate"));
    let _ = limiter.try_take(None);
    for (late, keeps) in [(19, true), (21, false)] {
        let mut first = task(wait(&limiter));
        assert!(first.poll().is_pending());
        advance(Duration::from_millis(1000 + late)).await;
        let mut other = task(wait(&limiter));
        assert_eq!(other.poll().is_pending(), keeps);
        assert_eq!(first.poll().is_ready(), keeps);
        assert_eq!(line(&limiter), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_begins_while_a_probe_is_out_wakes_who_waits_for_it() {
    let limiter = RateLimiter::new(Rate::per_second(1000).expect("a rate"));
    limiter.pause(Duration::ZERO);
    let probe = limiter.try_take(None).expect("the probe");
    let mut next = task(wait(&limiter));
    assert!(next.poll().is_pending());
    limiter.pause(Duration::from_secs(10));
    assert!(next.is_woken());
    assert!(next.poll().is_pending());
    // The probe of before has nothing to say about this pause.
    probe.end();
    assert!(next.poll().is_pending());
    advance(Duration::from_secs(10)).await;
    assert!(next.poll().is_ready());
}

/// A waker that holds a place in the line itself, as that of a task which it keeps alive does.
struct Keeps(#[allow(dead_code)] Mutex<Option<Pin<Box<PermitWait>>>>);

impl Wake for Keeps {
    fn wake(self: Arc<Self>) {}
}

#[tokio::test(start_paused = true)]
async fn a_waker_that_comes_back_when_it_is_dropped_does_no_harm() {
    let limiter = RateLimiter::new(Rate::per_second(1).expect("a rate"));
    let _ = limiter.try_take(None);
    let queued = || {
        let mut queued = Box::pin(wait(&limiter));
        assert!(poll(queued.as_mut()).is_pending());
        Waker::from(Arc::new(Keeps(Mutex::new(Some(queued)))))
    };
    let mut wait = Box::pin(wait(&limiter));
    assert!(poll(wait.as_mut()).is_pending());
    assert!(
        wait.as_mut()
            .poll(&mut Context::from_waker(&queued()))
            .is_pending()
    );
    assert!(
        wait.as_mut()
            .poll(&mut Context::from_waker(&queued()))
            .is_pending()
    );
    assert_eq!(line(&limiter), 2, "the first waker was dropped");
    drop(wait);
    assert_eq!(line(&limiter), 0);
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_no_longer_than_a_day_whatever_was_set() -> Result<(), BoxError> {
    let limiter = RateLimiter::builder(Rate::per_second(1)?)
        .max_pause(Duration::MAX)
        .build();
    limiter.pause(Duration::MAX);
    let started = Instant::now();
    wait(&limiter).await?.end();
    assert_eq!(started.elapsed(), Duration::from_secs(24 * 3600));
    Ok(())
}
