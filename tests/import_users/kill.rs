//! The example is killed at any point, again and again: in the end all users of its file are there,
//! once each. A line that is sent again without a look is refused by the fake, and the program does not
//! end well then. `IDPFLARE_KILL_SEED` chooses the points.

use std::fmt::Write as _;
use std::fs;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use idpflare_management::testing::{FakeIdpflare, Fault, FaultRule, FaultScript};
use idpflare_management::workflows::{FileLedger, Ledger, LedgerMark};
use idpflare_management::{ApiRequest, CreateUser, ListApiKeys, ListUsers};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::program::{self, Program};
use crate::scratch::Scratch;
use crate::support::dice::Dice;
use crate::{once, users};

const KILLS: u32 = 50;
const KILLS_OF_A_FILE: u32 = 6;
const USERS: usize = 24;

/// What keeps requests under way for a while, and what loses replies besides.
fn script(loses: bool, seed: u64) -> FaultScript {
    let short = Duration::from_millis;
    let mut faults = vec![
        Fault::delay(short(4)),
        Fault::delay(short(8)).after_performing(),
        Fault::slow_body(3, short(3)),
    ];
    if loses {
        faults.extend([
            Fault::reply_lost(),
            Fault::truncated_body(),
            Fault::status(StatusCode::SERVICE_UNAVAILABLE).after_performing(),
        ]);
    }
    FaultScript::new()
        .rule(
            FaultRule::any_of(faults)
                .operation(CreateUser::OPERATION)
                .probability(1.0),
        )
        .rule(
            FaultRule::new(Fault::delay(short(3)))
                .operation(ListUsers::OPERATION)
                .probability(1.0),
        )
        .seed(seed)
}

#[derive(Default)]
struct Tally {
    kills: u32,
    /// Kills with something sent and no outcome kept.
    in_flight: u32,
    reconciled: usize,
}

async fn one_file(dice: &mut Dice, loses: bool, tally: &mut Tally) {
    let emails: Vec<_> = (0..USERS)
        .map(|number| format!("user-{number}@example.com"))
        .collect();
    let scratch = Scratch::new();
    let file = scratch.file("users.csv");
    let ledger = scratch.file("users.csv.ledger");
    let mut text = String::from("email,given_name,password\n");
    for email in &emails {
        writeln!(text, "{email},Ada,correct horse").expect("written");
    }
    fs::write(&file, text).expect("written");

    let fake = FakeIdpflare::new();
    fake.set_faults(script(loses, dice.below(u64::MAX)));
    let requests = Arc::new(Semaphore::new(0));
    let count = Arc::clone(&requests);
    fake.on_request(move |entry| {
        // Those of the check of scopes come before there is anything to break off.
        if entry.operation != Some(ListApiKeys::OPERATION) {
            count.add_permits(1);
        }
    });
    let server = fake.serve().await.expect("a port");
    let job = format!("users.csv into {}", server.authority());
    let run = || {
        Program::importing_to(&server, &fake.api_key(), &file)
            .arguments(&["--concurrency", "4"])
            .start()
    };

    for _ in 0..KILLS_OF_A_FILE {
        let seen = requests.available_permits();
        let mut program = run();
        // Some before it has sent anything, most soon after a request was carried out.
        if dice.below(6) == 0 {
            sleep(Duration::from_millis(dice.below(40))).await;
        } else {
            let carried_out = |more: u64| {
                let wanted = seen as u64 + more;
                requests.acquire_many(u32::try_from(wanted).expect("few"))
            };
            // It takes a while to start; and there may not be so many left.
            let _ = timeout(Duration::from_secs(10), carried_out(1)).await;
            let more = carried_out(1 + dice.below(8));
            let _ = timeout(Duration::from_millis(300), more).await;
            sleep(Duration::from_micros(dice.below(6_000))).await;
        }
        match program.kill() {
            Some(ended) => {
                assert!(ended.success(), "{ended}");
                break;
            }
            None => tally.kills += 1,
        }
        let state = FileLedger::new(&ledger).open(&job).await;
        let state = state.expect("whatever it ends with");
        let in_flight = |email: &String| state.mark(email) == Some(LedgerMark::Sending);
        tally.in_flight += u32::from(emails.iter().any(in_flight));
    }
    let (status, text) = run().end().await;
    assert!(status.success(), "{status}: {text}");
    let client = fake.client();
    fake.clear_faults();
    assert_eq!(
        users(&client).await,
        once(emails.iter().map(String::as_str))
    );
    if !loses {
        tally.reconciled += program::marks(&ledger, "reconciled");
    }
    assert_eq!(program::marks(&ledger, "failed"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_killed_at_any_point_and_goes_on() {
    let seed =
        std::env::var("IDPFLARE_KILL_SEED").map_or(7, |text| text.parse().expect("a number"));
    // Not `println!`, which is shown only where a test fails; and before anything can go wrong.
    writeln!(std::io::stdout(), "seed {seed}").expect("written");
    let mut dice = Dice::new(seed);
    let mut tally = Tally::default();
    let mut loses = false;
    while tally.kills < KILLS {
        one_file(&mut dice, loses, &mut tally).await;
        loses = !loses;
    }
    let Tally {
        kills,
        in_flight,
        reconciled,
    } = tally;
    let what = format!(
        "{kills} kills, {in_flight} with something under way, {reconciled} users found after that"
    );
    writeln!(std::io::stdout(), "{what}").expect("written");
    // Or else the points are not where they should be.
    assert!(in_flight > 10 && reconciled > 5, "{what}");
}
