//! The example that exports the log: what it takes and what it says.

use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

use idpflare_management::AuditLogEntry;
use idpflare_management::testing::FakeIdpflare;

use crate::program::{Scratch, against, entries, example, log, run, succeeded};
use crate::support::server::Scripted;

/// Where a checkpoint and an output can be.
fn files(scratch: &Scratch) -> (PathBuf, PathBuf) {
    let [checkpoint, output] = ["audit.checkpoint", "audit.ndjson"].map(|name| scratch.file(name));
    (checkpoint, output)
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
    let (checkpoint, output) = files(&scratch);
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

/// Starts it, and lets it write all that there is; with what it says meanwhile.
fn follow(mut command: Command) -> (Child, ChildStderr, String) {
    use std::io::Read;

    command.arg("--follow").stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut stderr = child.stderr.take().expect("a pipe");
    let mut told = String::new();
    let mut byte = [0];
    while !told.contains("waiting for more") {
        assert_eq!(stderr.read(&mut byte).expect("text"), 1, "{told}");
        told.push(char::from(byte[0]));
    }
    (child, stderr, told)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_run_at_a_time_has_a_checkpoint_and_an_output() {
    let scratch = Scratch::new("locks");
    let (checkpoint, output) = files(&scratch);
    let fake = FakeIdpflare::new();
    fake.seed(5);
    let server = fake.serve().await.expect("a port");
    let export = |checkpoint: &Path, output: &Path| {
        let mut command = against(&fake, &server);
        command.arg("--checkpoint").arg(checkpoint);
        command.arg("--output").arg(output);
        command
    };
    let first = export(&checkpoint, &output);
    let first = tokio::task::spawn_blocking(|| follow(first));
    // Held to its end: what it says is of no more interest, but has to go somewhere.
    let (mut first, _stderr, _) = first.await.expect("it follows");
    let content = std::fs::read(&output).expect("the output");
    let state = std::fs::read(&checkpoint).expect("a checkpoint");

    let other = scratch.file("other");
    for (command, in_use) in [
        (export(&checkpoint, &output), &checkpoint),
        (export(&checkpoint, &other), &checkpoint),
        (export(&other, &output), &output),
    ] {
        let refused = run(command).await;
        assert_eq!(refused.status.code(), Some(1));
        assert_eq!(
            String::from_utf8_lossy(&refused.stderr).trim_end(),
            format!(
                "export_audit_log: {} is in use by another run",
                in_use.display()
            )
        );
        assert!(!other.exists());
    }
    assert_eq!(std::fs::read(&output).expect("the output"), content);
    assert_eq!(std::fs::read(&checkpoint).expect("a checkpoint"), state);

    first.kill().expect("it can be killed");
    first.wait().expect("it has ended");
    succeeded(&run(export(&checkpoint, &output)).await);
    assert!(entries(&std::fs::read(&output).expect("the output")) == log(&fake).await);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_ends_it_with_a_summary() {
    use std::io::Read;

    let fake = FakeIdpflare::new();
    fake.seed(20);
    let server = fake.serve().await.expect("a port");
    let mut command = against(&fake, &server);
    command.stdout(Stdio::null());
    let told = tokio::task::spawn_blocking(move || {
        let (mut child, mut stderr, mut told) = follow(command);
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
