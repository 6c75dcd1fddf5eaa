//! Calls that are held without being polled, of processes that share a quota.

use std::pin::Pin;

use super::*;
use crate::support::poll;

const RATE: u32 = 100;
const LEASE: u32 = 5;

/// The most that a call waits beyond the permits of all calls and leases: 100 ms, and one question.
fn most(calls: usize) -> Duration {
    let permits = u32::try_from(calls).expect("few") + 2 * LEASE;
    permits * (1000 / RATE) * MILLI + 100 * MILLI + 250 * MILLI
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn held_calls_stop_no_others_of_a_shared_quota(
        // When each comes after the one before, in which process, and after how many polls it is held.
        calls in prop::collection::vec(
            (0..30_u64, any::<bool>(), prop::option::of(1..4_u32)),
            2..40,
        ),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let net = Net::new(5 * MILLI);
            let limiter = || net.limiter(rate(RATE, 20), LEASE, WhenAway::FailClosed);
            let processes = [limiter(), limiter()];
            let most = most(calls.len());
            let (mut held, mut others) = (Vec::new(), tokio::task::JoinSet::new());
            for (gap, process, held_after) in &calls {
                sleep(Duration::from_millis(*gap)).await;
                let limiter = processes[usize::from(*process)].clone();
                let mut call: Pin<Box<dyn Future<Output = _> + Send>> =
                    Box::pin(async move { send(&limiter).await });
                if let Some(polls) = held_after {
                    for _ in 0..*polls {
                        if poll(Pin::new(&mut call)).is_ready() {
                            break;
                        }
                        tokio::task::yield_now().await;
                    }
                    held.push(call);
                } else {
                    others.spawn(async move {
                        let served = timeout(most, call).await;
                        served.map_err(|_| format!("not within {most:?}"))?
                            .map_err(|error| error.to_string())
                    });
                }
            }
            let outcomes: Result<Vec<_>, _> = others.join_all().await.into_iter().collect();
            drop(held);
            outcomes.map(drop).map_err(TestCaseError::fail)
        })?;
    }
}
