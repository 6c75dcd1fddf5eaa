//! The example that exports the log is killed at any point, and started again. `IDPFLARE_KILL_SEED`
//! chooses the points.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use idpflare_management::testing::{FakeIdpflare, FakeServer, Fault, FaultRule, FaultScript};
use idpflare_management::{ApiRequest, AuditLogEntry, CreateUser, QueryAuditLogs};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::program::{Scratch, against, entries, log, run, succeeded};
use crate::support::dice::Dice;

const KILLS: u32 = 15;
/// An export is over after fewer.
const KILLS_OF_AN_EXPORT: u32 = 50;

fn seed() -> u64 {
    let seed = std::env::var("IDPFLARE_KILL_SEED").ok();
    let seed = seed.map(|seed| seed.parse().expect("a number"));
    let seed = seed.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        now.expect("after 1970").subsec_nanos().into()
    });
    // Not `println!`, which is shown only where a test fails; and before anything can go wrong.
    writeln!(std::io::stdout(), "IDPFLARE_KILL_SEED={seed}").expect("written");
    seed
}

/// A server whose log is exported by one process after the other.
struct Killing {
    fake: FakeIdpflare,
    server: FakeServer,
    /// One permit for each page that was asked for.
    asked: Arc<Semaphore>,
    dice: Dice,
    /// How many processes were killed before they had ended.
    killed: u32,
    users: u32,
}

impl Killing {
    async fn new() -> Self {
        let fake = FakeIdpflare::new();
        fake.seed(900);
        let asked = Arc::new(Semaphore::new(0));
        let count = Arc::clone(&asked);
        fake.on_request(move |entry| {
            if entry.operation == Some(QueryAuditLogs::OPERATION) {
                count.add_permits(1);
            }
        });
        let server = fake.serve().await.expect("a port");
        Self {
            fake,
            server,
            asked,
            dice: Dice::new(seed()),
            killed: 0,
            users: 0,
        }
    }

    /// Starts it, kills it at some point, and again and again until it ends before that, and once more.
    async fn run(&mut self, arguments: &[&Path], stdout: Option<&Path>) {
        for number in 0..KILLS_OF_AN_EXPORT {
            // Some are stopped while they wait for a page, others anywhere else. With the first it is
            // certain, and that it has written something by then.
            let is_first = number == 0;
            let pages = if is_first { 40 } else { self.dice.below(40) };
            let hangs = is_first || self.dice.below(2) == 0;
            self.slow_down(hangs.then_some(pages));
            let seen = self.asked.available_permits();
            let mut child = self.start(arguments, stdout);
            self.wait_for(&mut child, seen as u64 + pages).await;
            sleep(Duration::from_micros(self.dice.below(6_000))).await;
            let has_ended = child.try_wait().expect("a child").is_some();
            child.kill().expect("it can be killed");
            child.wait().expect("it has ended");
            self.users += 1;
            let email = format!("new-{}@example.com", self.users);
            let created = self.fake.client().send(CreateUser::new(email)).await;
            created.expect("the log grows meanwhile");
            if has_ended {
                assert!(!is_first, "it has more to read than that");
                break;
            }
            self.killed += 1;
        }
        self.slow_down(None);
        let mut command = against(&self.fake, &self.server);
        command.args(arguments).stdout(to(stdout));
        succeeded(&run(command).await);
    }

    /// Has each page take a while, and the one behind these for ever.
    fn slow_down(&self, hangs_behind: Option<u64>) {
        let rule = |fault| FaultRule::new(fault).operation(QueryAuditLogs::OPERATION);
        let mut script = FaultScript::new();
        if let Some(pages) = hangs_behind {
            let hangs = rule(Fault::delay(Duration::from_secs(600)));
            script = script.rule(hangs.after(pages).times(u64::MAX));
        }
        let short = rule(Fault::delay(Duration::from_millis(3)));
        self.fake.set_faults(script.rule(short.probability(1.0)));
    }

    fn start(&self, arguments: &[&Path], stdout: Option<&Path>) -> Child {
        let mut command = against(&self.fake, &self.server);
        command.args(arguments).stdout(to(stdout));
        command.stderr(Stdio::null()).spawn().expect("it starts")
    }

    /// Waits until so many pages have been asked for, in all, or there is nothing more to ask for.
    async fn wait_for(&self, child: &mut Child, pages: u64) {
        let pages = u32::try_from(pages).expect("few");
        let ended = async {
            while child.try_wait().expect("a child").is_none() {
                sleep(Duration::from_millis(1)).await;
            }
        };
        let asked = async {
            drop(self.asked.acquire_many(pages).await.expect("open"));
        };
        let either = async {
            tokio::select! {
                () = asked => {}
                () = ended => {}
            }
        };
        let minute = Duration::from_secs(60);
        timeout(minute, either).await.expect("it asks or ends");
    }
}

/// What it writes is added to the file.
fn to(stdout: Option<&Path>) -> Stdio {
    stdout.map_or_else(Stdio::null, |path| {
        let file = File::options().create(true).append(true).open(path);
        file.expect("a file").into()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_has_every_entry_once_after_any_kills() {
    let mut killing = Killing::new().await;
    while killing.killed < KILLS {
        let scratch = Scratch::new("file");
        let output = scratch.file("audit.ndjson");
        let arguments = [
            Path::new("--output"),
            &output,
            Path::new("--checkpoint"),
            &scratch.file("audit.checkpoint"),
        ];
        killing.run(&arguments, None).await;
        let text = std::fs::read_to_string(&output).expect("whole characters");
        assert!(text.ends_with('\n'));
        let lines = text.lines();
        let mut exported: Vec<AuditLogEntry> = lines
            .map(|line| serde_json::from_str(line).expect("no line is broken"))
            .collect();
        let mut expected = log(&killing.fake).await;
        // Those of one millisecond may be in another order.
        exported.sort_by(|one, other| one.id.cmp(&other.id));
        expected.sort_by(|one, other| one.id.cmp(&other.id));
        assert!(exported == expected, "each as it is in the log, once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stdout_has_every_entry_after_any_kills() {
    let mut killing = Killing::new().await;
    while killing.killed < KILLS {
        let scratch = Scratch::new("stdout");
        let output = scratch.file("audit.ndjson");
        let arguments = [Path::new("--checkpoint"), &scratch.file("audit.checkpoint")];
        let before = killing.killed;
        killing.run(&arguments, Some(&output)).await;
        let text = std::fs::read_to_string(&output).expect("whole characters");
        assert!(text.ends_with('\n'));
        let expected = log(&killing.fake).await;
        let mut lines: HashMap<String, u32> = HashMap::new();
        for entry in &expected {
            lines.insert(serde_json::to_string(entry).expect("JSON"), 0);
        }
        let mut broken = 0;
        for line in text.lines() {
            match lines.get_mut(line) {
                Some(times) => *times += 1,
                // It has no part of another line in it.
                None => {
                    assert!(lines.keys().any(|whole| whole.starts_with(line)), "{line}");
                    broken += 1;
                }
            }
        }
        assert!(lines.values().all(|times| *times > 0), "each at least once");
        // A kill can break one line, or none, which leaves an empty one. The last process ends the
        // line of the one before it, too.
        assert!(broken <= killing.killed - before + 1);
    }
}

/// A process was killed before it had kept how far it had come, in the middle of a line.
#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_broke_off_takes_no_other_with_it() {
    let fake = FakeIdpflare::new();
    fake.seed(5);
    let server = fake.serve().await.expect("a port");
    let scratch = Scratch::new("broken");
    let (checkpoint, output) = (
        scratch.file("audit.checkpoint"),
        scratch.file("audit.ndjson"),
    );
    let export = async || {
        let mut command = against(&fake, &server);
        command.arg("--checkpoint").arg(&checkpoint);
        command.stdout(to(Some(&output)));
        succeeded(&run(command).await);
        std::fs::read_to_string(&output).expect("the output")
    };
    let state = serde_json::json!({"query": {}, "authority": server.authority()});
    std::fs::write(&checkpoint, state.to_string()).expect("written");
    let broken = r#"{"id":"log_7","user_id"#;
    std::fs::write(&output, broken).expect("written");

    let text = export().await;
    assert_eq!(text.lines().next(), Some(broken));
    let all = log(&fake).await;
    assert!(entries(text.as_bytes()) == all);
    assert_eq!(text.lines().count(), 1 + all.len());

    // That one has ended by itself, and left no line that must be ended.
    fake.client()
        .send(CreateUser::new("ada@example.com"))
        .await
        .expect("a user");
    let more = export().await;
    assert_eq!(more.lines().count(), 2 + all.len());
    assert!(entries(more.as_bytes()) == log(&fake).await);
}
