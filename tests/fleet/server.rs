//! A server of the test's own, on a loopback port.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The program of the server, if one is on the path.
pub(crate) fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let names = ["redis-server", "valkey-server"];
    let mut found =
        std::env::split_paths(&path).flat_map(|folder| names.map(|name| folder.join(name)));
    found.find(|program| program.is_file())
}

/// Whether a server that can't be had is a failure.
pub(crate) fn is_required() -> bool {
    std::env::var_os("IDPFLARE_REQUIRE_REDIS").is_some_and(|value| value == "1")
}

/// One that nobody had a moment ago.
pub(crate) fn free_port() -> u16 {
    let free = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    free.local_addr().expect("bound").port()
}

/// A server that keeps nothing on disk, and ends with this.
pub(crate) struct Server {
    port: u16,
    /// Arguments beyond those that every server has.
    more: Vec<OsString>,
    child: Option<Child>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with(|_| Vec::new()).expect("the server starts")
    }

    /// Starts one with the arguments that `more` has for its port, unless it refuses them.
    pub(crate) fn start_with(mut more: impl FnMut(u16) -> Vec<OsString>) -> Option<Self> {
        // Another process may take the port before the server does.
        for _ in 0..20 {
            let port = free_port();
            let more = more(port);
            let mut server = Self {
                port,
                more,
                child: None,
            };
            if server.try_restart() {
                return Some(server);
            }
        }
        None
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Starts it again, with nothing in it.
    pub(crate) fn restart(&mut self) {
        for _ in 0..100 {
            if self.try_restart() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("the server does not start again");
    }

    fn try_restart(&mut self) -> bool {
        let port = self.port.to_string();
        let arguments = [
            "--port",
            &port,
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--daemonize",
            "no",
        ];
        // A replica writes what it is sent, and whoever starts there reads it.
        let folder = self.folder();
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder of the test's own");
        let mut child = Command::new(program().expect("looked for before"))
            .args(arguments)
            .args(&self.more)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server");
        for _ in 0..500 {
            if child.try_wait().expect("a child").is_some() {
                return false;
            }
            // Whoever answers there is this child only as long as that runs.
            if let Ok(answer) = self.try_command("PING")
                && answer == "+PONG"
            {
                self.child = Some(child);
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = child.kill();
        let _ = child.wait();
        false
    }

    fn folder(&self) -> PathBuf {
        let folder = format!("fleet-{}-{}", std::process::id(), self.port);
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder)
    }

    /// The first line of the answer to a command on one line.
    pub(crate) fn command(&self, command: &str) -> String {
        self.try_command(command).expect("the server answers")
    }

    fn try_command(&self, command: &str) -> std::io::Result<String> {
        Ok(self.lines(command, 1)?.remove(0))
    }

    /// The first lines of the answer.
    pub(crate) fn lines(&self, command: &str, count: usize) -> std::io::Result<Vec<String>> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(format!("{command}\r\n").as_bytes())?;
        let mut reader = BufReader::new(stream);
        let mut lines = Vec::new();
        for _ in 0..count {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            lines.push(line.trim_end().to_owned());
        }
        Ok(lines)
    }

    /// A number of the quota's state.
    pub(crate) fn field(&self, key: &str, field: &str) -> i64 {
        let lines = self.lines(&format!("HGET {key} {field}"), 2);
        lines.expect("the server answers")[1]
            .parse()
            .expect("a number")
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// It does not run until it is told to go on.
    pub(crate) fn stop(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let child = self.child.as_ref().expect("it runs");
        let status = Command::new("kill")
            .arg(signal)
            .arg(child.id().to_string())
            .status();
        assert!(status.expect("kill").success());
    }

    pub(crate) fn is_read_only(&self, read_only: bool) {
        // A primary that is not there: what it has stays.
        let command = if read_only {
            "REPLICAOF 127.0.0.1 1"
        } else {
            "REPLICAOF NO ONE"
        };
        assert_eq!(self.command(command), "+OK");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(self.folder());
    }
}
