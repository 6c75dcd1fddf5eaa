//! Futures that are held and not polled.

use std::sync::{Arc, Mutex};

use super::*;

/// What the law allows beyond the permits of those that are held: see `RateLimiter`.
const LATE: Duration = Duration::from_millis(100);
/// How long others wait for the answer to a probe.
const PROBE: Duration = Duration::from_secs(1);

/// The life of one call.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// It is polled whenever it is woken.
    Polled,
    /// It is polled once, and never again.
    Held,
    /// It is not polled between these times.
    Resumed(u64, u64),
    /// It is dropped then.
    Dropped(u64),
}

fn fates() -> impl Strategy<Value = Vec<(u64, Fate)>> {
    let fate = prop_oneof![
        3 => Just(Fate::Polled),
        3 => Just(Fate::Held),
        1 => (0..3000_u64, 0..3000_u64).prop_map(|(from, time)| Fate::Resumed(from, from + time)),
        2 => (0..3000_u64).prop_map(Fate::Dropped),
    ];
    // When each comes after the one before.
    let gap = prop_oneof![4 => Just(0_u64), 1 => 0..300_u64];
    prop::collection::vec((gap, fate), 1..60)
}

/// A pause of the limiter, and how long the probe takes after it.
#[derive(Clone, Copy, Debug)]
struct Paused {
    at: Duration,
    time: Duration,
    probe_takes: Duration,
}

impl Paused {
    fn new(at: u64, time: u64, has_slow_probe: bool) -> Self {
        Self {
            at: Duration::from_millis(at),
            time: Duration::from_millis(time),
            probe_takes: if has_slow_probe {
                secs(300)
            } else {
                50 * MILLI
            },
        }
    }

    /// When calls go on that would have gone then. A call that is late may miss the time before it.
    fn after(&self, turn: Duration) -> Duration {
        if turn + LATE < self.at {
            return turn;
        }
        turn.max(self.at + self.time + PROBE)
    }
}

/// Runs the calls, and returns for each when it was sent; all times are of the paused clock.
async fn sent(
    limiter: &RateLimiter,
    fates: &[(u64, Fate)],
    pause: Option<Paused>,
) -> Vec<Option<Instant>> {
    let sent: Arc<Mutex<Vec<_>>> = Arc::new(Mutex::new(vec![None; fates.len()]));
    let started = Instant::now();
    let probe = Arc::new(Mutex::new(pause));
    let log = Arc::clone(&sent);
    let service = RateLimitLayer::new(limiter.clone()).layer(tower::service_fn(
        move |request: http::Request<usize>| {
            log.lock().expect("not poisoned")[*request.body()] = Some(Instant::now());
            let is_probe = |pause: &mut Paused| started.elapsed() >= pause.at + pause.time;
            let probe = probe.lock().expect("not poisoned").take_if(is_probe);
            async move {
                if let Some(pause) = probe {
                    sleep(pause.probe_takes).await;
                }
                Ok::<_, BoxError>(Response::new(()))
            }
        },
    ));
    if let Some(pause) = pause {
        let limiter = limiter.clone();
        let pauses = async move {
            tokio::time::sleep_until(started + pause.at).await;
            limiter.pause(pause.time);
        };
        if pause.at.is_zero() {
            pauses.await;
        } else {
            tokio::spawn(pauses);
        }
    }
    let at = move |millis: u64| started + Duration::from_millis(millis);
    let mut held = Vec::new();
    let mut come = 0;
    for (number, (gap, fate)) in fates.iter().enumerate() {
        come += gap;
        tokio::time::sleep_until(at(come)).await;
        let mut reply: Pin<Box<dyn Future<Output = Reply> + Send>> =
            Box::pin(service.clone().oneshot(http::Request::new(number)));
        let fate = *fate;
        match fate {
            Fate::Held => {
                let _ = poll(Pin::new(&mut reply));
                held.push(reply);
            }
            Fate::Polled => drop(tokio::spawn(reply)),
            Fate::Dropped(then) => drop(tokio::spawn(tokio::time::timeout_at(at(then), reply))),
            Fate::Resumed(from, until) => drop(tokio::spawn(async move {
                if tokio::time::timeout_at(at(from), &mut reply).await.is_err() {
                    tokio::time::sleep_until(at(until)).await;
                    drop(reply.await);
                }
            })),
        }
        // As tasks are polled in the order in which they were spawned.
        tokio::task::yield_now().await;
    }
    sleep(secs(600)).await;
    drop(held);
    let sent = sent.lock().expect("not poisoned");
    sent.clone()
}

/// A bucket of permits, by the time at which it is full again.
struct Turns {
    interval: Duration,
    burst: u32,
    full_at: Duration,
}

impl Turns {
    fn new(rate: Rate) -> Self {
        Self {
            interval: rate.interval(),
            burst: rate.burst(),
            full_at: Duration::ZERO,
        }
    }

    /// When a caller that arrives then gets its permit.
    fn next(&mut self, arrives: Duration, pause: Option<Paused>) -> Duration {
        let turn = self
            .full_at
            .saturating_sub(self.interval * (self.burst - 1));
        let turn = turn.max(arrives);
        let turn = pause.map_or(turn, |pause| pause.after(turn));
        self.full_at = self.full_at.max(turn) + self.interval;
        turn
    }
}

fn law(calls: u32, burst: u32, pause: Option<Paused>, fates: &[(u64, Fate)]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let rate = rate(calls).with_burst(burst).expect("a burst");
    let (started, sent) = runtime.block_on(async {
        let limiter = RateLimiter::new(rate);
        (Instant::now(), sent(&limiter, fates, pause).await)
    });
    let mut come = Duration::ZERO;
    // The turns of callers that are never held, if each ahead of them uses a permit.
    let mut turns = Turns::new(rate);
    let mut last = None;
    let mut all: Vec<_> = sent.iter().flatten().map(|at| *at - started).collect();
    for (number, (gap, fate)) in fates.iter().enumerate() {
        come += Duration::from_millis(*gap);
        let sent = sent[number].map(|at| at - started);
        if let (Fate::Dropped(_), None) = (fate, sent) {
            continue;
        }
        let turn = turns.next(come, pause);
        match fate {
            Fate::Polled => {
                let at = sent.expect("a call that is polled is sent");
                let late = at.saturating_sub(turn);
                assert!(late <= LATE, "call {number} of {fates:?} is {late:?} late");
                assert!(
                    last <= Some(at),
                    "call {number} of {fates:?} is out of order"
                );
                last = Some(at);
            }
            // It has lost its place, and gets another one.
            Fate::Resumed(..) if sent.is_some_and(|at| at > turn + LATE) => {
                turns.next(turn, pause);
            }
            _ => {}
        }
    }
    all.sort();
    for (first, from) in all.iter().enumerate() {
        for (last, to) in all.iter().enumerate().skip(first) {
            let share = (*to - *from).as_nanos() / rate.interval().as_nanos();
            let granted = u128::try_from(last - first + 1).expect("fits");
            assert!(
                granted <= u128::from(burst) + share,
                "{granted} permits within {:?}",
                *to - *from
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn a_held_call_costs_others_at_most_its_permit_and_100_ms(
        calls in prop_oneof![1..=5_u32, 5..=100_u32, 100..=3000_u32],
        burst in prop_oneof![Just(1_u32), 2..=10_u32],
        pause in prop::option::of((
            prop_oneof![Just(0), 0..3000_u64], 0..2000_u64, any::<bool>(),
        )),
        fates in fates(),
    ) {
        let pause = pause.map(|(at, time, is_slow)| Paused::new(at, time, is_slow));
        law(calls, burst, pause, &fates);
    }
}

/// Cases that earlier versions of the queue got wrong.
#[test]
fn a_delay_does_not_add_up_nor_cost_a_polled_call_its_place() {
    use Fate::{Dropped, Held, Polled, Resumed};
    let at_once = |fates: &[Fate]| fates.iter().map(|fate| (0, *fate)).collect::<Vec<_>>();
    let (polled, held) = (Polled, Held);
    // A reply to the probe lets turns come earlier than the timers of those that wait.
    let fates = [
        polled,
        polled,
        Resumed(301, 301),
        polled,
        held,
        polled,
        polled,
        polled,
        Resumed(301, 301),
        polled,
        polled,
    ];
    law(101, 1, Some(Paused::new(0, 250, false)), &at_once(&fates));
    // The probe is held, and the next one too.
    let fates = [held, held, polled, polled, held, Resumed(350, 350), polled];
    law(101, 1, Some(Paused::new(0, 260, false)), &at_once(&fates));
    let fates = [held, held, polled, polled];
    law(1, 6, Some(Paused::new(0, 269, true)), &at_once(&fates));
    // Each second one is held.
    let fates = [[polled, held]; 30].concat();
    law(590, 8, Some(Paused::new(0, 0, false)), &at_once(&fates));
    law(590, 1, None, &at_once(&fates));
    // Some give up while there are permits at once for others.
    let fates = [
        held,
        held,
        held,
        Resumed(1, 1),
        polled,
        held,
        held,
        Dropped(0),
        Dropped(1),
        Dropped(59),
        polled,
        polled,
        polled,
        polled,
        polled,
    ];
    law(1, 3, Some(Paused::new(0, 269, true)), &at_once(&fates));
}
