//! A server behind TLS.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::fleet::Fleet;
use crate::law::task;
use crate::server::{Server, free_port, is_required};
use crate::worker::Task;

/// A server with a certificate of its own for `name`, that certificate, and the URL of the server; none
/// where the program was built without TLS.
fn start(name: &str) -> Option<(Server, PathBuf, String)> {
    let issued = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    let files = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let [certificate, key] = [
        ("certificate", issued.cert.pem()),
        ("key", issued.signing_key.serialize_pem()),
    ]
    .map(|(what, pem)| {
        let file = files.join(format!("fleet-{what}-{name}.pem"));
        std::fs::write(&file, pem).expect("a folder of the test's own");
        file
    });
    let mut tls_port = 0;
    let server = Server::start_with(|_| {
        tls_port = free_port();
        let port = tls_port.to_string();
        let arguments: [OsString; 8] = [
            "--tls-port".into(),
            port.into(),
            "--tls-cert-file".into(),
            certificate.clone().into(),
            "--tls-key-file".into(),
            key.clone().into(),
            "--tls-auth-clients".into(),
            "no".into(),
        ];
        let mut arguments = arguments.to_vec();
        arguments.extend(["--tls-ca-cert-file".into(), certificate.clone().into()]);
        arguments
    })?;
    let url = format!("rediss://127.0.0.1:{tls_port}");
    Some((server, certificate, url))
}

/// A process that trusts nobody else.
fn worker(task: &Task, roots: &Path) -> Fleet {
    Fleet::start_with(task, 1, |command| {
        let command = command.env_remove("SSL_CERT_DIR");
        command.env("SSL_CERT_FILE", roots)
    })
}

pub(crate) fn a_certificate_is_checked_against_the_roots() {
    let (Some(started), Some(other)) = (start("127.0.0.1"), start("redis.example.com")) else {
        let missing = "the server on the path was built without TLS";
        assert!(!is_required(), "{missing}");
        println!("skipped, {missing}");
        return;
    };
    let (server, certificate, url) = started;
    let (other, other_certificate, other_url) = other;
    let of = |server: &Server, url: &str| Task {
        url: url.to_owned(),
        calls: Some(10),
        callers: 1,
        ..task(server, "tls")
    };

    let mut fleet = worker(&of(&server, &url), &certificate);
    fleet.listen_until(|told| told[0].has_ended);
    assert_eq!(fleet.told[0].calls.len(), 10);

    // Somebody else's certificate, and one that is trusted but has another name in it.
    for (server, url, roots) in [
        (&server, &url, &other_certificate),
        (&other, &other_url, &other_certificate),
    ] {
        let mut fleet = worker(&of(server, url), roots);
        fleet.listen_until(|told| told[0].refused >= 3);
        assert!(fleet.told[0].calls.is_empty());
    }
    assert_eq!(other.command("DBSIZE"), ":0");
}
