//! The example that exports the log, as a process.

use std::path::PathBuf;
use std::process::{Command, Output};

use idpflare_management::testing::{FakeIdpflare, FakeServer};
use idpflare_management::{AuditLogEntry, Pager, QueryAuditLogs};

/// A directory that goes away with it.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let name = format!("export-audit-log-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn example() -> Command {
    crate::support::example::example("export_audit_log")
}

pub(crate) fn against(fake: &FakeIdpflare, server: &FakeServer) -> Command {
    let mut command = example();
    command
        .env("IDPFLARE_AUTHORITY", server.authority())
        .env("IDPFLARE_API_KEY", fake.api_key());
    command
}

pub(crate) async fn run(mut command: Command) -> Output {
    let output = tokio::task::spawn_blocking(move || command.output());
    output.await.expect("it ran").expect("it ran")
}

pub(crate) fn succeeded(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    errors.into_owned()
}

/// The entries of whole lines.
pub(crate) fn entries(text: &[u8]) -> Vec<AuditLogEntry> {
    let text = String::from_utf8_lossy(text);
    let lines = text
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    lines
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

pub(crate) async fn log(fake: &FakeIdpflare) -> Vec<AuditLogEntry> {
    let mut pager = Pager::new(&fake.client(), QueryAuditLogs::new().limit(100));
    let mut all = Vec::new();
    while let Some(page) = pager.next_page().await.expect("a page") {
        all.extend(page.rows);
    }
    all.reverse();
    all
}
