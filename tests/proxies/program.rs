//! Programs of other projects, as child processes with a folder of their own.

use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Where Debian installs servers, which the path of an ordinary user leaves out.
const MORE_FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// How often a server is started before the test fails: its port may be taken by another process
/// before it listens there.
const STARTS: u32 = 20;

const POLL: Duration = Duration::from_millis(5);

/// How many polls a server has to start or to end: a minute.
const POLLS: u32 = 12_000;

/// Finds a program by its name.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(MORE_FOLDERS.map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}

/// Reports whether a missing program is a failure.
pub(crate) fn are_required() -> bool {
    std::env::var_os("IDPFLARE_REQUIRE_PROXIES").is_some_and(|value| value == "1")
}

/// A folder that is removed when it is dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        // Short, because the path of a unix socket is at most 107 bytes long.
        let name = format!("idpflare-proxy-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        std::fs::write(self.file(name), content).expect("a file");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    /// Reports whether this process runs as root, which owns the folder then.
    pub(crate) fn is_owned_by_root(&self) -> bool {
        self.0.metadata().expect("a folder").uid() == 0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A running server. Dropping it ends the process and waits for its end.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    pub(crate) folder: Folder,
}

impl Server {
    /// Starts `name` with the configuration that `prepare` writes and the arguments it returns.
    /// `is_ready` reports whether the process with this id listens on the port.
    pub(crate) fn start(
        name: &str,
        prepare: impl Fn(&Folder, u16) -> Vec<String>,
        is_ready: impl Fn(&Folder, u32) -> bool,
    ) -> Self {
        let mut output = String::new();
        for _ in 0..STARTS {
            let folder = Folder::new();
            let port = free_port();
            let arguments = prepare(&folder, port);
            let log = std::fs::File::create(folder.file("output")).expect("a file");
            let child = Command::new(find(name).expect("looked for before"))
                .args(arguments)
                .current_dir(folder.path())
                .stdin(Stdio::null())
                .stdout(log.try_clone().expect("a file"))
                .stderr(log)
                .spawn()
                .expect("the program starts");
            let mut server = Self {
                child,
                port,
                folder,
            };
            let id = server.child.id();
            if server.polled(|server| is_ready(&server.folder, id)) {
                return server;
            }
            output = server.folder.read("output");
        }
        panic!("{name} does not start: {output}");
    }

    /// Waits until `is_done`, and reports whether that came before the end of the process.
    fn polled(&mut self, mut is_done: impl FnMut(&Self) -> bool) -> bool {
        for _ in 0..POLLS {
            if is_done(self) {
                return true;
            }
            if self.ended().is_some() {
                return false;
            }
            std::thread::sleep(POLL);
        }
        false
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child")
    }

    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status();
        assert!(status.expect("kill").success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.ended().is_none() {
            // nginx's first process ends the others when it is asked to end, not when it is killed.
            let id = self.child.id().to_string();
            let _ = Command::new("kill").args(["-TERM", &id]).status();
            for _ in 0..POLLS {
                if !matches!(self.child.try_wait(), Ok(None)) {
                    break;
                }
                std::thread::sleep(POLL);
            }
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            let output = self.folder.read("output");
            let lines: Vec<_> = output.lines().collect();
            let last = &lines[lines.len().saturating_sub(20)..];
            eprintln!("{}", last.join("\n"));
        }
    }
}

/// Returns a port that was free a moment ago.
fn free_port() -> u16 {
    let free = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    free.local_addr().expect("bound").port()
}
