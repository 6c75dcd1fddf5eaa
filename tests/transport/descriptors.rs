//! A process that runs out of descriptors.

use std::process::Command;
use std::time::Duration;

use idpflare_management::layers::RetryPolicy;
use idpflare_management::*;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

use crate::support::server::{Scripted, read_request};
use crate::{STATS, ok};

const AUTHORITY: &str = "IDPFLARE_TEST_AUTHORITY";
const CALLS: usize = 1000;
const MOST_FILES: usize = 200;

/// Many calls at once. It is a test so that this program can run it as a process.
#[tokio::test]
async fn many_calls_in_a_process_of_their_own() {
    let Ok(authority) = std::env::var(AUTHORITY) else {
        return;
    };
    let client = Client::builder(authority)
        .api_key("idk_test")
        .deadline(Duration::from_secs(120))
        .attempt_timeout(Duration::from_secs(120))
        .retry(RetryPolicy::new().attempts(1))
        .build()
        .expect("a client");
    let mut calls = JoinSet::new();
    for _ in 0..CALLS {
        let client = client.clone();
        calls.spawn(async move { client.send(GetUserStats::new()).await });
    }
    let mut succeeded = 0;
    while let Some(outcome) = calls.join_next().await {
        match outcome.expect("no panic") {
            Ok(_) => succeeded += 1,
            Err(error) => eprintln!("{error:?}"),
        }
    }
    println!("succeeded: {succeeded}");
}

#[tokio::test]
async fn calls_for_which_no_descriptor_is_left_wait_for_a_connection() {
    let server = Scripted::new(|mut stream| async move {
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            if stream.write_all(ok(STATS).as_bytes()).await.is_err()
                || read_request(&mut stream).await.is_none()
            {
                return;
            }
        }
    })
    .await;
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("ulimit -n {MOST_FILES}; exec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().expect("this program"))
        .args([
            "--exact",
            "descriptors::many_calls_in_a_process_of_their_own",
        ])
        .arg("--nocapture")
        .env(AUTHORITY, format!("http://{}", server.address));
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.expect("no panic").expect("it ran");
    let text = String::from_utf8_lossy(&output.stdout);
    let all = format!("succeeded: {CALLS}");
    assert!(text.contains(&all), "{output:?}");
    assert!(server.connections() < MOST_FILES);
}
