//! The server that keeps the quota.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// One that was there, or one that was started and ends with this.
pub(crate) struct Redis {
    url: String,
    child: Option<Child>,
}

impl Redis {
    pub(crate) fn find() -> io::Result<Option<Self>> {
        if let Ok(url) = std::env::var("REDIS_URL") {
            return Ok(Some(Self { url, child: None }));
        }
        program().map(|program| Self::start(&program)).transpose()
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    fn start(program: &PathBuf) -> io::Result<Self> {
        let free = TcpListener::bind(("127.0.0.1", 0))?;
        let port = free.local_addr()?.port();
        drop(free);
        let child = Command::new(program)
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .args(["--save", "", "--appendonly", "no"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let redis = Self {
            url: format!("redis://127.0.0.1:{port}"),
            child: Some(child),
        };
        for _ in 0..100 {
            if answers(port).is_ok() {
                return Ok(redis);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(io::Error::other(format!(
            "{} does not start",
            program.display()
        )))
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let names = ["redis-server", "valkey-server"];
    std::env::split_paths(&path)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|program| program.is_file())
}

fn answers(port: u16) -> io::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"PING\r\n")?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer)?;
    if &answer == b"+PONG" {
        Ok(())
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}
