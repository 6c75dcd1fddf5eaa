//! The example that exports the log, as a process that is killed and started again.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use idpflare_management::testing::{FakeIdpflare, FakeServer, Fault, FaultRule, FaultScript};
use idpflare_management::{AuditLogEntry, CreateUser, Pager, QueryAuditLogs};

use crate::support::dice::Dice;
use crate::support::server::Scripted;

const KILLS: u32 = 25;

/// A directory that goes away with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("export-audit-log-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The example, which is built with the tests.
fn example() -> Command {
    let test = std::env::current_exe().expect("this program");
    let target = test.ancestors().nth(2).expect("where it is built");
    let path = target.join("examples").join("export_audit_log");
    let mut command = Command::new(path.with_extension(std::env::consts::EXE_EXTENSION));
    command
        .env_remove("IDPFLARE_AUTHORITY")
        .env_remove("IDPFLARE_API_KEY")
        .stdin(Stdio::null());
    command
}

fn against(fake: &FakeIdpflare, server: &FakeServer) -> Command {
    let mut command = example();
    command
        .env("IDPFLARE_AUTHORITY", server.authority())
        .env("IDPFLARE_API_KEY", fake.api_key());
    command
}

async fn run(mut command: Command) -> Output {
    let output = tokio::task::spawn_blocking(move || command.output());
    output.await.expect("it ran").expect("it ran")
}

fn succeeded(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    errors.into_owned()
}

/// The entries of whole lines.
fn entries(text: &[u8]) -> Vec<AuditLogEntry> {
    let text = String::from_utf8_lossy(text);
    let lines = text
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    lines
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

async fn log(fake: &FakeIdpflare) -> Vec<AuditLogEntry> {
    let mut pager = Pager::new(&fake.client(), QueryAuditLogs::new().limit(100));
    let mut all = Vec::new();
    while let Some(page) = pager.next_page().await.expect("a page") {
        all.extend(page.rows);
    }
    all.reverse();
    all
}

fn seed() -> u64 {
    let seed = std::env::var("IDPFLARE_KILL_SEED").ok();
    let seed = seed.map(|seed| seed.parse().expect("a number"));
    let seed = seed.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        now.expect("after 1970").subsec_nanos().into()
    });
    println!("IDPFLARE_KILL_SEED={seed}");
    seed
}

/// Starts it, kills it at some point, and again and again, and then lets it go through.
async fn killed_again_and_again(
    fake: &FakeIdpflare,
    server: &FakeServer,
    dice: &mut Dice,
    arguments: &[&Path],
    stdout: Option<&Path>,
) -> u32 {
    let mut killed = 0;
    let start = || {
        let mut command = against(fake, server);
        command.args(arguments).stderr(Stdio::null());
        match stdout {
            Some(path) => {
                let file = File::options().create(true).append(true).open(path);
                command.stdout(file.expect("a file"));
            }
            None => {
                command.stdout(Stdio::null());
            }
        }
        command
    };
    for number in 0..KILLS {
        let mut child = start().spawn().expect("it starts");
        tokio::time::sleep(Duration::from_millis(dice.below(120))).await;
        let email = format!("new-{number}@example.com");
        let created = fake.client().send(CreateUser::new(email)).await;
        created.expect("the log grows meanwhile");
        let has_ended = child.try_wait().expect("a child").is_some();
        child.kill().expect("it can be killed");
        child.wait().expect("it has ended");
        killed += u32::from(!has_ended);
    }
    succeeded(&run(start()).await);
    killed
}

/// A log that takes a while to be read.
async fn slow() -> (FakeIdpflare, FakeServer) {
    let fake = FakeIdpflare::new();
    fake.seed(900);
    let delay = FaultRule::new(Fault::delay(Duration::from_millis(3)));
    let delay = delay.operation(<QueryAuditLogs as idpflare_management::ApiRequest>::OPERATION);
    fake.set_faults(FaultScript::new().rule(delay.probability(1.0)));
    let server = fake.serve().await.expect("a port");
    (fake, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_has_every_entry_once_after_any_kills() {
    let (fake, server) = slow().await;
    let scratch = Scratch::new("file");
    let output = scratch.file("audit.ndjson");
    let arguments = [
        Path::new("--output"),
        &output,
        Path::new("--checkpoint"),
        &scratch.file("audit.checkpoint"),
    ];
    let mut dice = Dice::new(seed());
    let killed = killed_again_and_again(&fake, &server, &mut dice, &arguments, None).await;
    println!("killed {killed} times");
    let text = std::fs::read(&output).expect("the output");
    let exported = entries(&text);
    let lines = text.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(exported.len(), lines, "no line is broken");
    let mut ids = HashSet::new();
    assert!(exported.iter().all(|entry| ids.insert(&entry.id)), "once");
    let expected = log(&fake).await;
    assert_eq!(exported.len(), expected.len());
    assert!(expected.iter().all(|entry| ids.contains(&entry.id)));
}

#[tokio::test(flavor = "multi_thread")]
async fn stdout_has_every_entry_after_any_kills() {
    let (fake, server) = slow().await;
    let scratch = Scratch::new("stdout");
    let output = scratch.file("audit.ndjson");
    let arguments = [Path::new("--checkpoint"), &scratch.file("audit.checkpoint")];
    let mut dice = Dice::new(seed());
    killed_again_and_again(&fake, &server, &mut dice, &arguments, Some(&output)).await;
    let exported = entries(&std::fs::read(&output).expect("the output"));
    let ids: HashSet<_> = exported.iter().map(|entry| &entry.id).collect();
    let expected = log(&fake).await;
    assert!(expected.iter().all(|entry| ids.contains(&entry.id)));
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_and_times_apply() {
    let fake = FakeIdpflare::new();
    fake.seed(40);
    let server = fake.serve().await.expect("a port");
    let all = log(&fake).await;
    let failures: Vec<_> = all
        .iter()
        .filter(|entry| entry.event_type == "login_failure")
        .collect();
    let (from, to) = (failures[5].created_at, failures[20].created_at);
    let mut command = against(&fake, &server);
    command
        .args(["--event-type", "login_failure", "--from", &from.to_string()])
        .args(["--to", &to.as_millisecond().to_string()]);
    let exported = run(command).await;
    assert!(succeeded(&exported).contains("done: 16 entries exported"));
    assert!(
        entries(&exported.stdout)
            .iter()
            .eq(failures[5..=20].iter().copied())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_arguments_it_exports_the_log_of_a_fake() {
    let exported = run(example()).await;
    succeeded(&exported);
    let exported = entries(&exported.stdout);
    assert!(exported.len() > 100);
    assert!(exported.is_sorted_by_key(|entry| entry.created_at));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_is_told() {
    let scratch = Scratch::new("told");
    let checkpoint = scratch.file("audit.checkpoint");
    let tell = async |arguments: &[&str]| {
        let mut command = example();
        command.args(arguments).arg("--checkpoint").arg(&checkpoint);
        let output = run(command).await;
        assert!(!output.status.success());
        String::from_utf8(output.stderr).expect("text")
    };
    assert!(
        tell(&["--from", "noon"])
            .await
            .contains("\"noon\" is no time")
    );
    std::fs::write(&checkpoint, "{\"query\":{},").expect("written");
    assert!(
        tell(&[])
            .await
            .contains("audit.checkpoint is no checkpoint")
    );
    std::fs::write(&checkpoint, "{\"query\":{\"event_type\":\"a\"}}").expect("written");
    assert!(
        tell(&["--event-type", "b"])
            .await
            .contains("with other filters")
    );
    std::fs::write(
        &checkpoint,
        "{\"query\":{},\"authority\":\"https://other.example\"}",
    )
    .expect("written");
    assert!(tell(&[]).await.contains("from another instance"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_that_is_not_the_one_of_the_checkpoint_is_left_alone() {
    let scratch = Scratch::new("outputs");
    let (checkpoint, output) = (
        scratch.file("audit.checkpoint"),
        scratch.file("audit.ndjson"),
    );
    let fake = FakeIdpflare::new();
    fake.seed(5);
    let server = fake.serve().await.expect("a port");
    let export_to = async |output: &Path| {
        let mut command = against(&fake, &server);
        command.arg("--checkpoint").arg(&checkpoint);
        command.arg("--output").arg(output);
        run(command).await
    };
    succeeded(&export_to(&output).await);

    let other = scratch.file("other");
    let content = "x".repeat(1 << 20);
    std::fs::write(&other, &content).expect("written");
    let refused = export_to(&other).await;
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("to another output"));
    assert_eq!(std::fs::read_to_string(&other).expect("read"), content);

    std::fs::write(&output, "{}").expect("written");
    let refused = export_to(&output).await;
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("was it replaced?"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_can_not_be_decoded_keeps_no_other_from_being_exported() {
    use idpflare_management::testing::Fixture;

    let entry = AuditLogEntry::fixture();
    let page = serde_json::json!({
        "entries": [{"id": "log_odd"}, entry], "total": 2, "limit": 100, "offset": 0
    });
    let body = page.to_string();
    let length = body.len();
    let reply = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    );
    let server = Scripted::answering(reply).await;
    let mut command = example();
    command
        .env("IDPFLARE_AUTHORITY", format!("http://{}", server.address))
        .env("IDPFLARE_API_KEY", "idk_test");
    let output = run(command).await;
    assert_eq!(entries(&output.stdout), [entry]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).expect("text");
    assert!(told.contains("left out: "), "{told}");
    assert!(told.contains("entries[0]"), "{told}");
    assert!(
        told.contains("1 entry could not be decoded, and is not in the output"),
        "{told}"
    );
}

/// Reads the first line, then closes the pipe.
#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    use std::io::{BufRead, BufReader, Read};

    let mut child = example()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe"))
        .read_line(&mut line)
        .expect("a line");
    assert_eq!(entries(line.as_bytes()).len(), 1);
    let mut errors = String::new();
    let mut stderr = child.stderr.take().expect("a pipe");
    stderr.read_to_string(&mut errors).expect("text");
    assert!(child.wait().expect("it ends").success(), "{errors}");
    assert!(!errors.contains("export_audit_log:"), "{errors}");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_ends_it_with_a_summary() {
    use std::io::Read;

    let fake = FakeIdpflare::new();
    fake.seed(20);
    let server = fake.serve().await.expect("a port");
    let mut command = against(&fake, &server);
    let child = command.arg("--follow").stdout(Stdio::null());
    let mut child = child.stderr(Stdio::piped()).spawn().expect("it starts");
    let told = tokio::task::spawn_blocking(move || {
        let mut stderr = child.stderr.take().expect("a pipe");
        let mut told = String::new();
        let mut byte = [0];
        while !told.contains("waiting for more") {
            assert_eq!(stderr.read(&mut byte).expect("text"), 1, "{told}");
            told.push(char::from(byte[0]));
        }
        let kill = Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status();
        assert!(kill.expect("kill").success());
        stderr.read_to_string(&mut told).expect("text");
        assert!(child.wait().expect("it ends").success(), "{told}");
        told
    });
    let told = told.await.expect("it ran");
    assert!(told.contains("interrupted: "), "{told}");
}
