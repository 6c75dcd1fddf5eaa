use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);
const STEP: Duration = Duration::from_millis(1);

#[derive(Clone, Debug)]
struct Connection;

impl Keep for Connection {
    fn is_usable(&self, _: Duration) -> bool {
        true
    }
}

type TestLine = Line<Connection, Connection>;

fn line(connections: usize, patience: Duration) -> TestLine {
    Line::new(Limits {
        connections,
        patience,
        idle: HOUR,
        has_turns: false,
    })
}

/// A task that is polled when it was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Chance from a seed (splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

#[derive(Default)]
struct Caller {
    arrives: u64,
    /// From when on it is not polled, and until when.
    held: Option<(u64, u64)>,
    dropped: Option<u64>,
    uses: u64,
    woken: Arc<Woken>,
    ticket: Option<u64>,
    /// When it gives its connection back.
    until: Option<u64>,
    is_done: bool,
}

impl Caller {
    fn by(chance: &mut Chance) -> Self {
        let arrives = chance.below(500);
        let held = (chance.below(5) < 2).then(|| {
            let from = arrives + chance.below(300);
            let until = match chance.below(3) {
                0 => from + chance.below(600),
                _ => u64::MAX,
            };
            (from.max(arrives + 1), until)
        });
        Self {
            arrives,
            held,
            dropped: (chance.below(6) == 0).then(|| arrives + 1 + chance.below(400)),
            uses: 1 + chance.below(40),
            ..Self::default()
        }
    }

    fn is_held(&self, now: u64) -> bool {
        self.held
            .is_some_and(|(from, until)| (from..until).contains(&now))
    }

    fn waits(&self) -> bool {
        self.ticket.is_some()
    }
}

/// Runs callers until all that are polled are served, and returns the longest time for which one of these
/// waited beside a connection that was free. It is a tenth of a second, for each future that was held
/// when its turn came and had been polled since the one before.
fn longest_wait_beside_a_free_connection(seed: u64) -> Duration {
    let mut chance = Chance(seed);
    let connections = 1 + chance.below(4);
    let mut line = line(connections as usize, HOUR);
    let start = Instant::now();
    let mut wakes = Wakes::new();
    for _ in 0..connections {
        line.connected();
        line.put(Connection, HOUR, None, start, &mut wakes);
    }
    let mut callers: Vec<_> = (0..30).map(|_| Caller::by(&mut chance)).collect();
    let mut free_since = None;
    let mut longest = 0;
    for at in 0..10_000 {
        let now = start + STEP * at;
        let at = u64::from(at);
        if at % 50 == 0 {
            line.tick(now, &mut wakes);
        }
        for caller in &mut callers {
            if caller.until == Some(at) {
                caller.until = None;
                line.put(Connection, HOUR, None, now, &mut wakes);
            }
            if caller.dropped == Some(at) && caller.until.is_none() {
                line.leave(&mut caller.ticket, now, &mut wakes);
                caller.is_done = true;
            }
        }
        std::mem::replace(&mut wakes, Wakes::new()).wake();
        for caller in &mut callers {
            let is_new = caller.arrives == at;
            let is_resumed = caller.held.is_some_and(|(_, until)| until == at);
            let is_woken = caller.woken.0.load(Ordering::SeqCst) || is_resumed;
            if caller.is_done || caller.is_held(at) || !(is_new || caller.waits() && is_woken) {
                continue;
            }
            caller.woken.0.store(false, Ordering::SeqCst);
            let waker = Waker::from(Arc::clone(&caller.woken));
            let step = line.poll(&mut caller.ticket, false, &waker, now, &mut wakes);
            if let Step::Exclusive(_) = step {
                caller.until = Some(at + caller.uses);
                caller.is_done = true;
                free_since = None;
            }
        }
        std::mem::replace(&mut wakes, Wakes::new()).wake();
        let is_waited_for = |caller: &Caller| caller.waits() && !caller.is_held(at);
        if line.free.is_empty() || !callers.iter().any(is_waited_for) {
            free_since = None;
        } else {
            let since = *free_since.get_or_insert(at);
            let began = |caller: &&Caller| {
                caller
                    .held
                    .is_some_and(|(from, _)| (since..=at).contains(&from))
            };
            let holds = 1 + callers.iter().filter(began).count() as u64;
            let waited = at - since;
            // All that were held before are passed by at once.
            assert!(waited <= 100 * holds, "seed {seed}: {waited} ms at {at}");
            longest = longest.max(waited);
        }
        if callers
            .iter()
            .all(|caller| caller.is_done || caller.is_held(at) && at > 2_000)
        {
            break;
        }
    }
    let ends = 10_000;
    let is_served = |caller: &Caller| caller.is_done || caller.is_held(ends);
    assert!(callers.iter().all(is_served), "seed {seed}");
    Duration::from_millis(longest)
}

#[test]
fn held_waiters_delay_others_by_a_tenth_of_a_second() {
    let mut longest = Duration::ZERO;
    for seed in 0..2_000 {
        longest = longest.max(longest_wait_beside_a_free_connection(seed));
    }
    // Some were held when their turn came.
    assert!(longest >= CLAIM);
}

/// A waiter that is polled when it was called.
fn poll(line: &mut TestLine, ticket: &mut Option<u64>) -> Step<Connection, Connection> {
    line.poll(
        ticket,
        false,
        Waker::noop(),
        Instant::now(),
        &mut Wakes::new(),
    )
}

fn waits_for(step: &Step<Connection, Connection>) -> Option<Reason> {
    match step {
        Step::Wait(reason) => Some(*reason),
        _ => None,
    }
}

#[test]
fn waiters_that_are_polled_keep_their_order() {
    let mut line = line(1, HOUR);
    line.connected();
    let mut tickets = [None; 5];
    for ticket in &mut tickets {
        assert_eq!(waits_for(&poll(&mut line, ticket)), Some(Reason::Bound));
    }
    for first in 0..5 {
        line.put(Connection, HOUR, None, Instant::now(), &mut Wakes::new());
        // Neither a new call nor a later one takes it.
        assert!(line.take(Instant::now(), &mut Wakes::new()).is_none());
        for later in tickets.iter_mut().skip(first + 1) {
            let step = poll(&mut line, later);
            assert_eq!(waits_for(&step), Some(Reason::Bound));
        }
        let step = poll(&mut line, &mut tickets[first]);
        assert!(matches!(step, Step::Exclusive(_)));
    }
    assert!(!line.has_waiting());
}

#[test]
fn a_hundred_held_waiters_delay_the_next_no_more_than_one() {
    let mut line = line(1, HOUR);
    line.connected();
    let mut held = [None; 100];
    for ticket in &mut held {
        poll(&mut line, ticket);
    }
    let mut wakes = Wakes::new();
    let start = Instant::now();
    let mut ticket = None;
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    line.poll(&mut ticket, false, &waker, start, &mut wakes);
    line.put(Connection, HOUR, None, start, &mut wakes);
    line.tick(start + CLAIM, &mut wakes);
    std::mem::replace(&mut wakes, Wakes::new()).wake();
    assert!(woken.0.load(Ordering::SeqCst));
    let step = line.poll(&mut ticket, false, &waker, start + CLAIM, &mut wakes);
    assert!(matches!(step, Step::Exclusive(_)));
    // Those that were not polled have left the line; each gets in line again when it is polled.
    line.tick(start + CLAIM * 2, &mut wakes);
    assert!(!line.has_waiting());
}

#[test]
fn one_connection_beyond_the_limit_is_made_where_nothing_moves() {
    let patience = Duration::from_secs(1);
    let mut line = line(1, patience);
    line.connected();
    let (mut first, mut second) = (None, None);
    let mut wakes = Wakes::new();
    let start = Instant::now();
    for ticket in [&mut first, &mut second] {
        line.poll(ticket, false, Waker::noop(), start, &mut wakes);
    }
    let mut dials = |at: Duration, ticket: &mut Option<u64>| {
        line.tick(start + at, &mut Wakes::new());
        let step = line.poll(ticket, false, Waker::noop(), start + at, &mut Wakes::new());
        matches!(step, Step::Dial(_))
    };
    assert!(!dials(patience - STEP, &mut first));
    assert!(dials(patience, &mut first));
    assert!(!dials(patience * 2 - STEP, &mut second));
    assert!(dials(patience * 2, &mut second));
}

#[test]
fn without_descriptors_as_many_connections_are_made_as_there_are() {
    let mut line = line(10, HOUR);
    let start = Instant::now();
    let mut wakes = Wakes::new();
    let mut tickets = [None; 4];
    for ticket in &mut tickets[..2] {
        assert!(matches!(poll(&mut line, ticket), Step::Dial(0)));
    }
    line.connected();
    line.dial_over(0, start, &mut wakes);
    assert!(line.dial_starved(start));
    line.dial_over(0, start, &mut wakes);
    let step = poll(&mut line, &mut tickets[2]);
    assert_eq!(waits_for(&step), Some(Reason::Bound));
    // After a while they are tried again, and at once where no connection is left to wait for.
    line.tick(start + tick::RECOVERY, &mut wakes);
    assert!(matches!(poll(&mut line, &mut tickets[2]), Step::Dial(0)));
    line.disconnected(start, &mut wakes);
    assert!(!line.dial_starved(start));
}
