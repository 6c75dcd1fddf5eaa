//! A fleet of a thousand instances under paused time, for leases of 1 to 100: what goes too much (nothing
//! may), what is not used, and how many round trips a permit takes.
//!
//! Each instance has a network that takes 0.2 to 50 ms for an exchange, and a clock that is off by hours
//! and slow by up to 400 parts in a million. Half of them want more than the quota allows, the others
//! call now and then. 1 % a minute die with what they hold, and others take their places.

use std::future::ready;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dice::Dice;
use idpflare_management::layers::{
    BoxError, Call, Lease, LeaseRequest, LocalQuota, QuotaBackend, QuotaError, Rate,
    RateLimitLayer, RateLimiter, SharedQuota, WhenAway,
};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};
use tower::{Layer, ServiceExt, service_fn};

#[path = "support/dice.rs"]
mod dice;

const INSTANCES: u64 = 1000;
const CALLS_PER_SECOND: u32 = 2000;
const BURST: u32 = 800;
const SPAN: Duration = Duration::from_secs(30);
const SEED: u64 = 20_261_124;

/// What all instances share, and what is counted.
#[derive(Debug)]
struct World {
    quota: LocalQuota,
    dice: Mutex<DiceOf>,
    trips: AtomicU64,
    granted: AtomicU64,
    returned: AtomicU64,
    used: Mutex<Vec<Instant>>,
}

struct DiceOf(Dice);

impl std::fmt::Debug for DiceOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DiceOf")
    }
}

impl World {
    fn below(&self, limit: u64) -> u64 {
        self.dice.lock().expect("not poisoned").0.below(limit)
    }

    /// Half of an exchange.
    async fn trip(&self) {
        // As many are fast as are slow: 100 us, doubled up to eight times, and a part of that.
        let least = 100 << self.below(8);
        sleep(Duration::from_micros(
            (least + self.below(least)).min(25_000),
        ))
        .await;
    }
}

/// The backend as one instance sees it.
#[derive(Debug)]
struct Seen {
    world: Arc<World>,
    /// By how much the clock of the backend is ahead of the instance's, and how many millionths faster.
    offset: Duration,
    drift: u32,
    is_alive: Arc<AtomicBool>,
}

impl Seen {
    fn seen(&self, time: Duration) -> Duration {
        self.offset + time + time * self.drift / 1_000_000
    }

    fn unseen(&self, time: Duration) -> Duration {
        let nanos = (time - self.offset).as_nanos() * 1_000_000;
        let nanos = nanos.div_ceil(1_000_000 + u128::from(self.drift));
        Duration::from_nanos(u64::try_from(nanos).expect("years"))
    }
}

impl QuotaBackend for Seen {
    async fn lease(&self, request: LeaseRequest) -> Result<Lease, QuotaError> {
        self.world.trips.fetch_add(1, Ordering::Relaxed);
        self.world.trip().await;
        let lease = self.world.quota.lease(request).await?;
        let granted = lease.permits().len() as u64;
        self.world.granted.fetch_add(granted, Ordering::Relaxed);
        self.world.trip().await;
        let permits = lease.permits().iter().map(|from| self.seen(*from));
        Ok(Lease::new(self.seen(lease.now()), permits.collect()))
    }

    async fn give_back(&self, rate: Rate, unused: Vec<Duration>) -> Result<(), QuotaError> {
        // The dead return nothing.
        if self.is_alive.load(Ordering::Relaxed) {
            self.world.trips.fetch_add(1, Ordering::Relaxed);
            self.world.trip().await;
            let number = unused.len() as u64;
            self.world.returned.fetch_add(number, Ordering::Relaxed);
            let unused = unused.into_iter().map(|from| self.unseen(from)).collect();
            self.world.quota.give_back(rate, unused).await?;
        }
        Ok(())
    }

    async fn pause(&self, rate: Rate, wait: Duration) -> Result<(), QuotaError> {
        self.world.quota.pause(rate, wait).await
    }
}

fn rate() -> Rate {
    let rate = Rate::per_second(CALLS_PER_SECOND).and_then(|rate| rate.with_burst(BURST));
    rate.expect("a rate")
}

/// Calls and waits, until it is dropped.
async fn caller(world: Arc<World>, limiter: RateLimiter, pause: u64) {
    loop {
        sleep(Duration::from_millis(world.below(2 * pause))).await;
        let used = Arc::clone(&world);
        let transport = service_fn(move |_: http::Request<()>| {
            used.used.lock().expect("not poisoned").push(Instant::now());
            ready(Ok::<_, BoxError>(http::Response::new(())))
        });
        let mut request = http::Request::new(());
        Call::of_or_insert(&mut request).limit_to(Duration::from_secs(10));
        let service = RateLimitLayer::new(limiter.clone()).layer(transport);
        let reply: futures_util::future::BoxFuture<'static, _> = Box::pin(service.oneshot(request));
        // One that would wait for longer is refused: the instance has other things to do then.
        drop(reply.await);
    }
}

/// Lives until `dies`.
async fn instance(world: Arc<World>, lease: u32, is_busy: bool, dies: Instant) {
    let is_alive = Arc::new(AtomicBool::new(true));
    let seen = Seen {
        offset: Duration::from_secs(world.below(100_000)),
        drift: u32::try_from(world.below(400)).expect("small"),
        is_alive: Arc::clone(&is_alive),
        world: Arc::clone(&world),
    };
    let quota = SharedQuota::new(rate(), seen, WhenAway::FailClosed).expect("a quota");
    let limiter = RateLimiter::from(quota.lease(lease));
    let (callers, pause) = if is_busy { (4, 200) } else { (1, 5000) };
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        tasks.spawn(caller(Arc::clone(&world), limiter.clone(), pause));
    }
    let _ = timeout_at(dies, tasks.join_next()).await;
    is_alive.store(false, Ordering::Relaxed);
}

struct Figures {
    used: u64,
    overshoot: u128,
    unused: f64,
    trips: f64,
}

async fn simulate(lease: u32) -> Figures {
    let world = Arc::new(World {
        quota: LocalQuota::new(),
        dice: Mutex::new(DiceOf(Dice::new(SEED))),
        trips: AtomicU64::new(0),
        granted: AtomicU64::new(0),
        returned: AtomicU64::new(0),
        used: Mutex::new(Vec::new()),
    });
    let end = Instant::now() + SPAN;
    let mut fleet = JoinSet::new();
    for number in 0..INSTANCES {
        let world = Arc::clone(&world);
        fleet.spawn(async move {
            let is_busy = number % 2 == 0;
            // One of a hundred dies in a minute: so many in this span, each at some time.
            let share = u128::from(INSTANCES) * SPAN.as_millis() / (100 * 60_000);
            if u128::from(number) < share {
                let dies = end - SPAN + Duration::from_millis(world.below(30_000));
                instance(Arc::clone(&world), lease, is_busy, dies).await;
            }
            instance(world, lease, is_busy, end).await;
        });
    }
    while fleet.join_next().await.is_some() {}
    let used = std::mem::take(&mut *world.used.lock().expect("not poisoned"));
    let number = used.len() as u64;
    let granted = world.granted.load(Ordering::Relaxed) - world.returned.load(Ordering::Relaxed);
    Figures {
        used: number,
        overshoot: overshoot(&used),
        unused: 1.0 - number as f64 / granted as f64,
        trips: world.trips.load(Ordering::Relaxed) as f64 / number as f64,
    }
}

/// How many calls too many the worst window sees.
fn overshoot(used: &[Instant]) -> u128 {
    assert!(used.is_sorted());
    let interval = rate().interval().as_nanos();
    let first = used[0];
    // count - burst <= window / interval, for each call and the one that most of them come after.
    let mut least = i128::MAX;
    let mut worst = 0;
    for (index, at) in used.iter().enumerate() {
        let at = i128::try_from((*at - first).as_nanos()).expect("fits");
        let ahead = i128::try_from(index as u128 * interval).expect("fits") - at;
        least = least.min(ahead);
        let burst = i128::try_from(u128::from(BURST - 1) * interval).expect("fits");
        worst = worst.max(ahead - least - burst);
    }
    worst.unsigned_abs().div_ceil(interval)
}

#[tokio::test(start_paused = true)]
async fn no_lease_lets_too_much_through_and_a_larger_one_takes_fewer_round_trips() {
    println!(
        "seed {SEED}: {INSTANCES} instances, {CALLS_PER_SECOND} calls/s, burst {BURST}, {SPAN:?}"
    );
    println!("lease    calls  overshoot  unused  round trips per call");
    let mut trips = Vec::new();
    for lease in [1, 3, 10, 30, 100] {
        let figures = simulate(lease).await;
        println!(
            "{lease:5} {:8} {:10} {:6.1}% {:21.3}",
            figures.used,
            figures.overshoot,
            100.0 * figures.unused,
            figures.trips
        );
        assert_eq!(figures.overshoot, 0);
        assert!(figures.used > 0);
        trips.push(figures.trips);
    }
    assert!(trips[4] < trips[0], "{trips:?}");
}
