//! A pager and a tail whose futures are held without being polled: other calls through the same client
//! wait no longer for them than promised.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use idpflare_management::layers::Rate;
use idpflare_management::testing::{FakeIdpflare, Fault, FaultRule, FaultScript, RetryAfter};
use idpflare_management::workflows::{AuditTail, AuditTailEvent};
use idpflare_management::{
    ApiRequest, Client, CreateUser, Error, GetUserStats, ListUsers, Operation, Pager,
    QueryAuditLogs, Timestamp,
};
use proptest::prelude::*;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// By how much a call may be late because of futures that are held, beyond the permits that they
/// would have used.
const LATE: Duration = Duration::from_millis(100);

/// How long the probe after a pause may take.
const PROBE: Duration = Duration::from_secs(1);

const USERS: usize = 60;

#[derive(Clone, Debug)]
struct Case {
    /// A call in so many milliseconds, and how many at once.
    interval: u64,
    burst: u32,
    /// How long the held operation takes on the server, in milliseconds, now and then.
    delay: u64,
    /// The pause in seconds that the server asks for by a 429, and after how many requests.
    pause: Option<(u64, u64)>,
    /// When it is held, in milliseconds, or after how many items.
    held_at: u64,
    items: usize,
    concurrency: usize,
    /// The calls that have nothing to do with it, one after the other or all at once.
    calls: u32,
    is_at_once: bool,
    seed: u64,
}

fn case() -> impl Strategy<Value = Case> {
    let limits = (20..400_u64, 1..4_u32, 1..6_usize);
    let server = (
        prop_oneof![Just(0), 1..500_u64],
        proptest::option::of((1..4_u64, 0..6_u64)),
    );
    let held = (0..1500_u64, 1..50_usize);
    (
        limits,
        server,
        held,
        (1..8_u32, any::<bool>()),
        any::<u64>(),
    )
        .prop_map(|(limits, server, held, calls, seed)| Case {
            interval: limits.0,
            burst: limits.1,
            concurrency: limits.2,
            delay: server.0,
            pause: server.1,
            held_at: held.0,
            items: held.1,
            calls: calls.0,
            is_at_once: calls.1,
            seed,
        })
}

impl Case {
    /// A client whose calls of `operation` are slow now and then, and meet the pause.
    fn client(&self, fake: &FakeIdpflare, operation: &'static Operation) -> Client {
        let mut script = FaultScript::new().seed(self.seed);
        if let Some((seconds, after)) = self.pause {
            let busy = Fault::too_many_requests(RetryAfter::Seconds(seconds));
            script = script.rule(FaultRule::new(busy).operation(operation).after(after));
        }
        if self.delay > 0 {
            let slow = Fault::delay(Duration::from_millis(self.delay));
            script = script.rule(FaultRule::new(slow).operation(operation).probability(0.5));
        }
        fake.set_faults(script);
        let rate = Rate::new(1, Duration::from_millis(self.interval));
        let rate = rate.and_then(|rate| rate.with_burst(self.burst));
        Client::builder("https://idp.example.com")
            .api_key(fake.api_key())
            .rate_limit(rate.expect("a rate"))
            .build_with(fake.service())
            .expect("a client")
    }

    /// Makes the other calls while so many futures are held.
    async fn others_go_on(&self, client: &Client, held: u32) {
        let interval = Duration::from_millis(self.interval);
        let pause = self.pause.map(|(seconds, _)| Duration::from_secs(seconds));
        let after_pause = pause.map_or(Duration::ZERO, |pause| pause + PROBE);
        let call = || async {
            let started = Instant::now();
            let sent = client.send(GetUserStats::new()).await;
            sent.unwrap_or_else(|error| panic!("{self:?}: {error}"));
            started.elapsed()
        };
        let mut took = Vec::new();
        if self.is_at_once {
            took = join_all((0..self.calls).map(|_| call())).await;
            took.sort_unstable();
        } else {
            for _ in 0..self.calls {
                took.push(call().await);
            }
        }
        for (before, took) in (0..).zip(took) {
            let before = if self.is_at_once { before } else { 0 };
            let permits = interval * (before + 1 + held);
            let limit = permits + LATE + after_pause;
            assert!(took <= limit, "{self:?}: {took:?} of {limit:?}");
        }
    }
}

/// Runs a test of a property, with time that passes only where all wait.
fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(test);
}

fn entries(event: Option<Result<AuditTailEvent, Error>>) -> usize {
    match event.expect("it goes on").expect("well") {
        AuditTailEvent::Entries(batch) => batch.entries.len(),
        _ => 0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_pager_whose_rows_are_handled_holds_nothing_up(case in case()) {
        run(async {
            let fake = FakeIdpflare::new();
            fake.seed(USERS);
            let client = case.client(&fake, ListUsers::OPERATION);
            let request = ListUsers::new().limit(5);
            let mut pager = Pager::new(&client, request).concurrency(case.concurrency);
            let held = u32::try_from(case.concurrency).expect("few");
            let mut rows = 0;
            let mut fails = 0;
            while rows < USERS {
                match pager.items().next().await {
                    Some(Ok(_)) => rows += 1,
                    Some(Err(error)) => {
                        fails += 1;
                        assert!(fails < 10, "{case:?}: {error}");
                        continue;
                    }
                    None => break,
                }
                // While this row is handled.
                if rows == case.items {
                    case.others_go_on(&client, held).await;
                }
            }
            assert_eq!(rows, USERS, "{case:?}");
        });
    }

    #[test]
    fn a_page_that_is_waited_for_and_held_holds_nothing_up(case in case()) {
        run(async {
            let fake = FakeIdpflare::new();
            fake.seed(USERS);
            let client = case.client(&fake, ListUsers::OPERATION);
            let request = ListUsers::new().limit(5);
            let mut pager = Pager::new(&client, request).concurrency(case.concurrency);
            let held = u32::try_from(case.concurrency).expect("few");
            let mut timer = pin!(sleep_until(Instant::now() + Duration::from_millis(case.held_at)));
            let mut is_held = false;
            let mut rows = 0;
            let mut fails = 0;
            loop {
                let mut page = pin!(pager.next_page());
                let page = tokio::select! {
                    biased;
                    page = &mut page => page,
                    () = &mut timer, if !is_held => {
                        is_held = true;
                        case.others_go_on(&client, held).await;
                        page.await
                    }
                };
                match page {
                    Ok(Some(page)) => rows += page.rows.len(),
                    Ok(None) => break,
                    Err(error) => {
                        fails += 1;
                        assert!(fails < 10, "{case:?}: {error}");
                    }
                }
            }
            assert_eq!(rows, USERS, "{case:?}");
        });
    }

    #[test]
    fn a_tail_that_is_held_holds_nothing_up(case in case()) {
        run(async {
            let fake = FakeIdpflare::new();
            fake.seed(USERS);
            let client = case.client(&fake, QueryAuditLogs::OPERATION);
            let mut tail = AuditTail::new(&client, QueryAuditLogs::new().limit(50))
                .from_time(Timestamp::UNIX_EPOCH);
            let mut timer = pin!(sleep(Duration::from_millis(case.held_at)));
            let mut read = 0;
            let mut is_held = false;
            while !is_held {
                let mut next = tail.next();
                let event = tokio::select! {
                    biased;
                    event = &mut next => event,
                    () = &mut timer => {
                        is_held = true;
                        case.others_go_on(&client, 1).await;
                        // Goes on, and has something new to say.
                        client.send(CreateUser::new("ada@example.com")).await.expect("a user");
                        next.await
                    }
                };
                read += entries(event);
            }
            while let Ok(event) = timeout(Duration::from_secs(300), tail.next()).await {
                read += entries(event);
            }
            fake.clear_faults();
            let log = client.send(QueryAuditLogs::new().limit(1)).await.expect("a page");
            assert_eq!(read as u64, log.total, "{case:?}");
        });
    }
}
