//! Clients with an environment of their own: that of a process which a test starts.

use std::error::Error as _;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use idpflare_management::*;

use crate::support::tls::Ca;
use crate::{SHORT, client};

const ROOT_FILE: &str = "IDPFLARE_TEST_ROOT_FILE";
/// The certificate of the client's own, and its key, in PEM.
pub(crate) const IDENTITY: &str = "IDPFLARE_TEST_IDENTITY";
pub(crate) const IDENTITY_KEY: &str = "IDPFLARE_TEST_IDENTITY_KEY";
const AUTHORITY: &str = "IDPFLARE_TEST_AUTHORITY";

/// A client with the environment of a process of its own. It is a test so that this program can be
/// told to run it as one.
#[tokio::test]
async fn a_client_in_a_process_of_its_own() {
    let Some(file) = std::env::var_os(ROOT_FILE) else {
        return;
    };
    let root = std::fs::read(file).expect("a file");
    let root = Certificate::from_pem(&root).expect("a certificate");
    let mut transport = Transport::builder().root_certificate(root);
    if std::env::var_os("WITHOUT_PROXY").is_some() {
        transport = transport.without_proxy();
    }
    let authority = std::env::var(AUTHORITY).expect("an authority");
    if let Ok(certificate) = std::env::var(IDENTITY) {
        let key = std::env::var(IDENTITY_KEY).expect("a key");
        let identity = Identity::from_pem(certificate.as_bytes(), key.as_bytes());
        transport = transport.identity(identity.expect("an identity"));
    }
    if std::env::var_os("IMPATIENT").is_some() {
        transport = transport.connect_timeout(SHORT);
    }
    let outcome = client(authority, transport).send(GetUserStats::new()).await;
    match outcome {
        Ok(stats) => println!("outcome: version {}", stats.total),
        Err(error) => {
            let mut chain = error.to_string();
            let mut source = error.source();
            while let Some(error) = source {
                chain.push_str(&format!(": {error}"));
                source = error.source();
            }
            let (delivery, retryable) = (error.delivery(), error.is_retryable());
            println!("outcome: {delivery:?}, retryable: {retryable}: {chain}");
        }
    }
}

/// Runs that test as a process with these variables, and returns what came of it.
pub(crate) async fn in_a_process(ca: &Ca, authority: &str, variables: &[(&str, &str)]) -> String {
    static FILES: AtomicU32 = AtomicU32::new(0);
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    let file = format!("idpflare-root-{}-{number}.pem", std::process::id());
    let file = std::env::temp_dir().join(file);
    std::fs::write(&file, ca.root.pem()).expect("a file");
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command
        .args([
            "--exact",
            "process::a_client_in_a_process_of_its_own",
            "--nocapture",
        ])
        .env(ROOT_FILE, &file)
        .env(AUTHORITY, authority);
    for unset in [
        "ALL_PROXY",
        "all_proxy",
        "https_proxy",
        "NO_PROXY",
        "no_proxy",
    ] {
        command.env_remove(unset);
    }
    command.envs(variables.iter().copied());
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.expect("it ran").expect("it ran");
    std::fs::remove_file(&file).expect("the file is there");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (_, outcome) = text
        .split_once("outcome: ")
        .unwrap_or_else(|| panic!("no outcome: {text}"));
    outcome.lines().next().unwrap_or_default().to_owned()
}
