use std::collections::HashSet;
use std::time::Duration;

use idpflare_layers::{Backoff, InvalidBackoff, RetryLayer, RetryPolicy};
use tower::{Layer, ServiceExt};

use crate::support::scripted::{Scripted, Turn};
use crate::support::{request, secs};

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn ceilings_double_up_to_the_cap() {
    let backoff = Backoff::default();
    for (attempt, ceiling, rate_limited) in [
        (0, millis(100), secs(1)),
        (1, millis(100), secs(1)),
        (2, millis(200), secs(2)),
        (3, millis(400), secs(4)),
        (5, millis(1600), secs(16)),
        (6, millis(3200), secs(20)),
        (8, millis(12_800), secs(20)),
        (9, secs(20), secs(20)),
        (33, secs(20), secs(20)),
        (128, secs(20), secs(20)),
        (129, secs(20), secs(20)),
        (u32::MAX, secs(20), secs(20)),
    ] {
        assert_eq!(backoff.ceiling(attempt), ceiling, "{attempt}");
        assert_eq!(
            backoff.rate_limited_ceiling(attempt),
            rate_limited,
            "{attempt}"
        );
        for _ in 0..100 {
            assert!(backoff.delay(attempt) <= ceiling);
            assert!(backoff.rate_limited_delay(attempt) <= rate_limited);
        }
    }
}

#[test]
fn extreme_durations_neither_overflow_nor_shrink() {
    let tiny = Duration::from_nanos(1);
    for (base, cap) in [
        (tiny, tiny),
        (tiny, Duration::MAX),
        (Duration::MAX, Duration::MAX),
        (Duration::MAX / 3, Duration::MAX),
    ] {
        let backoff = Backoff::new(base, cap).expect("valid");
        let mut last = Duration::ZERO;
        for attempt in (0..200).chain([u32::MAX - 1, u32::MAX]) {
            let ceiling = backoff.ceiling(attempt);
            assert!(last <= ceiling && base <= ceiling && ceiling <= cap);
            assert!(backoff.delay(attempt) <= ceiling);
            assert!(backoff.rate_limited_delay(attempt) <= cap);
            last = ceiling;
        }
        assert_eq!(last, cap);
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let new = |base, cap| Backoff::new(base, cap).map(|_| ());
    assert_eq!(new(Duration::ZERO, secs(1)), Err(InvalidBackoff::ZeroBase));
    assert_eq!(
        new(Duration::ZERO, Duration::ZERO),
        Err(InvalidBackoff::ZeroBase)
    );
    assert_eq!(new(secs(2), secs(1)), Err(InvalidBackoff::CapBelowBase));
    assert_eq!(new(secs(1), secs(1)), Ok(()));
    let again = |base| Backoff::default().rate_limited_base(base).map(|_| ());
    assert_eq!(again(Duration::ZERO), Err(InvalidBackoff::ZeroBase));
    assert_eq!(again(secs(21)), Err(InvalidBackoff::CapBelowBase));
    assert_eq!(again(secs(20)), Ok(()));
}

fn draws(backoff: &Backoff) -> Vec<Duration> {
    (0..20).map(|_| backoff.delay(9)).collect()
}

#[test]
fn clones_and_sessions_draw_differently() {
    let one = Backoff::default();
    let clone = one.clone();
    let together: HashSet<_> = draws(&one).into_iter().chain(draws(&clone)).collect();
    assert_eq!(together.len(), 40, "a clone draws what the other has drawn");
    assert_ne!(draws(&Backoff::default()), draws(&Backoff::default()));
}

#[test]
fn a_seed_makes_it_repeatable() {
    let seeded = || Backoff::default().seeded(7);
    assert_eq!(draws(&seeded()), draws(&seeded()));
    assert_ne!(draws(&seeded()), draws(&Backoff::default().seeded(8)));
}

#[test]
fn jitter_is_even_and_fine() {
    let backoff = Backoff::default().seeded(1);
    let mut tenths = [0_u32; 10];
    let mut sub_millisecond = 0;
    for _ in 0..100_000 {
        let delay = backoff.delay(1);
        let tenth = usize::try_from(delay.as_nanos() / 10_000_000).expect("small");
        tenths[tenth.min(9)] += 1;
        sub_millisecond += u32::from(delay.subsec_nanos() % 1000 != 0);
    }
    // Five standard deviations.
    for tenth in tenths {
        assert!((9500..10_500).contains(&tenth), "{tenths:?}");
    }
    assert!(sub_millisecond > 99_000, "{sub_millisecond}");
}

#[tokio::test(start_paused = true)]
async fn a_429_is_waited_for_ten_times_as_long() {
    for (status, ceiling) in [(503, millis(100)), (429, secs(1))] {
        let mut longest = Duration::ZERO;
        for seed in 0..100 {
            let policy = RetryPolicy::new().backoff(Backoff::default().seeded(seed));
            let scripted = Scripted::new([Turn::Reply(status), Turn::Reply(200)]);
            let service = RetryLayer::new(policy).layer(scripted.clone());
            service.oneshot(request().0).await.expect("a reply");
            let sent = scripted.sent_at();
            longest = longest.max(sent[1] - sent[0]);
        }
        // The clock of the timers ticks in milliseconds.
        let most = ceiling + millis(1);
        assert!(
            (ceiling / 10 * 9..=most).contains(&longest),
            "{status}: {longest:?}"
        );
    }
}
