//! What a client takes from the environment. A process can't change its own without `unsafe`, so
//! each case is a process of its own: this very program, told by a variable to make one client.

use std::process::Command;

use idpflare_management::{Client, GetUserStats, testing::FakeIdpflare};

const ROLE: &str = "IDPFLARE_TEST_ROLE";

/// What comes of `Client::from_env()` with these variables: the authority, or the error.
fn from_env(variables: &[(&str, &str)]) -> String {
    run("from_env_in_a_process_of_its_own", variables)
}

/// Runs one test of this program as a process, and returns what it prints behind a mark.
fn run(test: &str, variables: &[(&str, &str)]) -> String {
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", test, "--nocapture"])
        .env_remove("IDPFLARE_AUTHORITY")
        .env_remove("IDPFLARE_API_KEY")
        .env(ROLE, "child")
        .envs(variables.iter().copied())
        .output()
        .expect("it runs");
    let text = String::from_utf8(output.stdout).expect("text");
    let (_, outcome) = text
        .split_once("outcome: ")
        .unwrap_or_else(|| panic!("no outcome: {text}"));
    outcome.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn from_env_in_a_process_of_its_own() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let outcome = match Client::from_env() {
        Ok(client) => match client.send(GetUserStats::new()).await {
            Ok(stats) => format!("{} users", stats.total),
            Err(error) => error.to_string(),
        },
        Err(error) => error.to_string(),
    };
    println!("outcome: {outcome}");
}

#[test]
fn what_is_missing_is_named() {
    let authority = ("IDPFLARE_AUTHORITY", "http://127.0.0.1:9");
    for (variables, outcome) in [
        (
            [].as_slice(),
            "the environment variable IDPFLARE_AUTHORITY is not set: set it to the URL of the instance",
        ),
        (
            &[("IDPFLARE_AUTHORITY", "")],
            "the environment variable IDPFLARE_AUTHORITY is empty: set it to the URL of the instance",
        ),
        (
            &[authority],
            "the environment variable IDPFLARE_API_KEY is not set: set it to an API key of it",
        ),
        (
            &[authority, ("IDPFLARE_API_KEY", "idk_a\n")],
            "byte 5 of the API key is a control character (a line end left over from a file or variable?)",
        ),
        (
            &[
                ("IDPFLARE_AUTHORITY", "http://idp.example.com"),
                ("IDPFLARE_API_KEY", "idk_a"),
            ],
            "the authority is plain http to another machine, where the API key could be read: use https, or Authority::insecure if the network is trusted",
        ),
    ] {
        assert_eq!(from_env(variables), outcome);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_variables_make_a_client() {
    let fake = FakeIdpflare::new();
    fake.seed(3);
    let server = fake.serve().await.expect("a port");
    let outcome = tokio::task::spawn_blocking(move || {
        from_env(&[
            ("IDPFLARE_AUTHORITY", &server.authority()),
            ("IDPFLARE_API_KEY", &fake.api_key()),
            // Loopback is reached directly, whatever is said here.
            ("HTTPS_PROXY", "http://127.0.0.1:9"),
            ("HTTP_PROXY", "http://127.0.0.1:9"),
        ])
    });
    assert_eq!(outcome.await.expect("it ran"), "3 users");
}
