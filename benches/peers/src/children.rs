//! This program once more, as other processes.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use idpflare_management::layers::BoxError;

use crate::sample::{Order, Sample};

pub(crate) const AS_SERVER: &str = "--as-server";
pub(crate) const AS_CONTENDER: &str = "--as-contender";

/// A server that ends when its stdin does, which is when this is dropped or this process is gone.
pub(crate) struct Server {
    child: Child,
    pub(crate) origin: String,
}

impl Server {
    pub(crate) fn start() -> Result<Self, BoxError> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(AS_SERVER)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("there is no pipe")?;
        let mut server = Self {
            child,
            origin: String::new(),
        };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let port: u16 = line.trim_end().parse()?;
        server.origin = format!("http://127.0.0.1:{port}");
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // There is nobody to tell.
        _ = self.child.wait();
    }
}

/// Has a process of its own carry out `order`.
pub(crate) fn run(name: &str, server: &Server, order: &Order) -> Result<Sample, BoxError> {
    let output = Command::new(std::env::current_exe()?)
        .args([AS_CONTENDER, name, &server.origin])
        .args(order.arguments())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(format!("the process of {name} failed: {}", output.status).into());
    }
    String::from_utf8(output.stdout)?.parse()
}
