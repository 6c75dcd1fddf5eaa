use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Wake};

use tokio::sync::mpsc::unbounded_channel;
use tokio::time::advance;

use super::*;
use crate::permit_wait::PermitWait;
use crate::turnstile::Decision;
use crate::{BoxError, Call};

/// Counts how often it is asked for a permit.
#[derive(Debug)]
struct Counting(Gcra, Arc<AtomicUsize>);

impl PermitSource for Counting {
    fn poll_permit(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<Decision> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.poll_permit(now, cx)
    }

    fn earliest(&self, now: Instant, ahead: usize) -> Duration {
        self.0.earliest(now, ahead)
    }
}

/// Answers as it was told, and is pending after that: what asks another machine may be so.
#[derive(Debug, Default)]
struct Remote(Arc<Mutex<(VecDeque<Decision>, Option<Waker>)>>);

impl PermitSource for Remote {
    fn poll_permit(&mut self, _: Instant, cx: &mut Context<'_>) -> Poll<Decision> {
        let mut state = self.0.lock().expect("not poisoned");
        match state.0.pop_front() {
            Some(decision) => Poll::Ready(decision),
            None => {
                state.1 = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn earliest(&self, _: Instant, _: usize) -> Duration {
        Duration::ZERO
    }
}

fn limiter_of(source: impl PermitSource + 'static) -> RateLimiter {
    RateLimiter::with_source(Box::new(source), None, DEFAULT_MAX_PAUSE)
}

fn wait(limiter: &RateLimiter) -> PermitWait {
    PermitWait::new(limiter, Call::new())
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn line(limiter: &RateLimiter) -> usize {
    limiter.with_turnstile(|turnstile, _| turnstile.len())
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
            wait(&limiter).await.expect("a permit").learned();
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
async fn only_the_first_in_line_has_a_timer() {
    let limiter = RateLimiter::new(Rate::per_second(1).expect("a rate"));
    let mut waits: Vec<_> = (0..5).map(|_| Box::pin(wait(&limiter))).collect();
    for wait in &mut waits {
        let _ = poll(wait.as_mut());
    }
    let timers: Vec<_> = waits.iter().map(|wait| wait.has_timer()).collect();
    assert_eq!(timers, [false, true, false, false, false]);

    // One with a deadline needs it for that.
    let call = Call::new();
    call.shorten_deadline(Instant::now() + Duration::from_secs(30));
    let mut bounded = pin!(PermitWait::new(&limiter, call));
    assert!(poll(bounded.as_mut()).is_pending());
    assert!(bounded.has_timer());
}

#[tokio::test(start_paused = true)]
async fn a_source_that_asks_elsewhere_fits_behind_the_turnstile() {
    let remote = Remote::default();
    let state = Arc::clone(&remote.0);
    let limiter = limiter_of(remote);
    let answer = |decision| {
        let mut state = state.lock().expect("not poisoned");
        state.0.push_back(decision);
        state.1.take()
    };
    assert!(limiter.try_enter(None).is_none());
    let mut first = Box::pin(wait(&limiter));
    let mut second = task(wait(&limiter));
    assert!(poll(first.as_mut()).is_pending());
    assert!(second.poll().is_pending());

    // The one who asked leaves before the answer comes; the next one finds it.
    drop(first);
    assert!(second.is_woken());
    assert!(second.poll().is_pending());
    let asked = answer(Decision::Wait(Duration::from_secs(5)));
    asked.expect("the first in line").wake();
    assert!(second.poll().is_pending());
    advance(Duration::from_secs(5)).await;
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
async fn who_leaves_wakes_the_next_one_and_only_if_it_was_the_first() {
    let limiter = RateLimiter::new(Rate::per_second(1).expect("a rate"));
    let _ = limiter.try_enter(None);
    let mut tasks: Vec<_> = (0..4).map(|_| task(wait(&limiter))).collect();
    for task in &mut tasks {
        assert!(task.poll().is_pending());
    }
    drop(tasks.remove(1));
    assert!(!tasks.iter().any(Task::is_woken));
    drop(tasks.remove(0));
    assert!(tasks[0].is_woken() && !tasks[1].is_woken());
    // Woken and dropped before it could look.
    drop(tasks.remove(0));
    assert!(tasks[0].is_woken());
    advance(Duration::from_secs(1)).await;
    assert!(tasks[0].poll().is_ready());
    assert_eq!(line(&limiter), 0);
}

#[tokio::test(start_paused = true)]
async fn who_comes_later_does_not_overtake_one_whose_permit_is_there() {
    let limiter = RateLimiter::new(Rate::per_second(1).expect("a rate"));
    let _ = limiter.try_enter(None);
    let mut first = task(wait(&limiter));
    assert!(first.poll().is_pending());
    advance(Duration::from_secs(5)).await;
    assert!(limiter.try_enter(None).is_none());
    assert!(task(wait(&limiter)).poll().is_pending());
    assert!(first.poll().is_ready());
    assert_eq!(line(&limiter), 0);
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_begins_while_a_probe_is_out_wakes_who_waits_for_it() {
    let limiter = RateLimiter::new(Rate::per_second(1000).expect("a rate"));
    limiter.pause(Duration::ZERO);
    let probe = limiter.try_enter(None).expect("the probe");
    let mut next = task(wait(&limiter));
    assert!(next.poll().is_pending());
    limiter.pause(Duration::from_secs(10));
    assert!(next.is_woken());
    assert!(next.poll().is_pending());
    // The probe of before has nothing to say about this pause.
    probe.learned();
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
    let _ = limiter.try_enter(None);
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
    wait(&limiter).await?.learned();
    assert_eq!(started.elapsed(), LONGEST_PAUSE);
    Ok(())
}
