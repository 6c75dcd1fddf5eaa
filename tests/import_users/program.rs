//! The example, as a program.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use idpflare_management::testing::FakeServer;

use crate::support::example::example;

pub(crate) struct Program(Command);

pub(crate) struct Output {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Program {
    /// It as it is without a place to import to.
    pub(crate) fn alone() -> Self {
        Self(example("import_users"))
    }

    pub(crate) fn importing_to(server: &FakeServer, api_key: &str, file: &Path) -> Self {
        let mut program = Self::alone();
        program
            .0
            .env("IDPFLARE_AUTHORITY", server.authority())
            .env("IDPFLARE_API_KEY", api_key)
            .arg(file);
        program
    }

    pub(crate) fn arguments(mut self, arguments: &[&str]) -> Self {
        self.0.args(arguments);
        self
    }

    pub(crate) async fn output(mut self) -> Output {
        let output = tokio::task::spawn_blocking(move || self.0.output());
        let output = output.await.expect("no panic").expect("it runs");
        Output {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// With which code it ends where nobody reads what it says.
    pub(crate) async fn unread(mut self) -> Option<i32> {
        let child = self.0.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = child.spawn().expect("it runs");
        drop((child.stdout.take(), child.stderr.take()));
        let ended = tokio::task::spawn_blocking(move || child.wait());
        ended.await.expect("no panic").expect("it ends").code()
    }

    pub(crate) fn start(mut self) -> Running {
        let child = self.0.stdout(Stdio::piped()).stderr(Stdio::null());
        Running(child.spawn().expect("it runs"))
    }
}

#[cfg(unix)]
fn was_killed(status: ExitStatus) -> bool {
    const SIGKILL: i32 = 9;
    std::os::unix::process::ExitStatusExt::signal(&status) == Some(SIGKILL)
}

#[cfg(not(unix))]
fn was_killed(status: ExitStatus) -> bool {
    status.code() == Some(1)
}

/// It is killed when it is dropped.
pub(crate) struct Running(Child);

impl Running {
    #[cfg(unix)]
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn goes_on(&mut self) -> bool {
        self.0.try_wait().expect("a child").is_none()
    }

    /// Kills it, with SIGKILL where there are signals. Where it ended by itself before, how.
    pub(crate) fn kill(&mut self) -> Option<ExitStatus> {
        let _ = self.0.kill();
        let status = self.0.wait().expect("a child");
        (!was_killed(status)).then_some(status)
    }

    pub(crate) async fn end(&mut self) -> (ExitStatus, String) {
        loop {
            if let Some(status) = self.0.try_wait().expect("a child") {
                let mut text = String::new();
                let mut stdout = self.0.stdout.take().expect("it is piped");
                stdout.read_to_string(&mut text).expect("text");
                return (status, text);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// How often a mark is in a ledger.
pub(crate) fn marks(ledger: &Path, mark: &str) -> usize {
    let text = fs::read_to_string(ledger).expect("a ledger");
    text.matches(&format!("\"mark\":\"{mark}\"")).count()
}
