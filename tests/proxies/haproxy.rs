//! HAProxy.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use idpflare_management::{Client, ClientBuilder};

use crate::program::Server;
use crate::support::tls::{Ca, trusting};

/// A running HAProxy that speaks one version of HTTP over TLS, with a certificate for 127.0.0.1.
pub(crate) struct Haproxy {
    server: Server,
    ca: Ca,
}

impl Haproxy {
    /// Starts it with the name of that version in ALPN, and with these lines in its `global` section
    /// and in that of the servers behind it.
    pub(crate) fn start(alpn: &str, global: &str, backend: &str) -> Self {
        let ca = Ca::new();
        let (certificate, key) = ca.issue("127.0.0.1");
        let identity = certificate.pem() + &key.serialize_pem();
        let server = Server::start(
            "haproxy",
            |folder, port| {
                folder.write("identity.pem", &identity);
                let configuration = configuration(alpn, global, backend, port);
                folder.write("haproxy.cfg", &configuration);
                ["-db", "-f", "haproxy.cfg"].map(str::to_owned).to_vec()
            },
            // It answers when all ports are open.
            |folder, id| {
                let socket = folder.file("admin");
                UnixStream::connect(socket)
                    .and_then(|stream| ask(stream, "show info"))
                    .is_ok_and(|answer| answer.contains(&format!("Pid: {id}\n")))
            },
        );
        Self { server, ca }
    }

    /// A client of the default settings, but for `set`.
    pub(crate) fn client(
        &self,
        key: String,
        set: impl FnOnce(ClientBuilder) -> ClientBuilder,
    ) -> Client {
        let transport = trusting(&self.ca).without_platform_roots().build();
        let authority = format!("https://127.0.0.1:{}", self.server.port);
        set(Client::builder(authority).api_key(key))
            .build_with(transport.expect("a transport"))
            .expect("a client")
    }

    /// Gives the running process a command.
    pub(crate) fn command(&self, command: &str) {
        let stream = UnixStream::connect(self.server.folder.file("admin"));
        let answer = ask(stream.expect("it listens"), command).expect("an answer");
        assert_eq!(answer.trim(), "", "{command}");
    }

    /// Tells it to end when its connections do.
    pub(crate) fn end_softly(&self) {
        self.server.signal("-USR1");
    }
}

fn ask(mut stream: UnixStream, command: &str) -> std::io::Result<String> {
    writeln!(stream, "{command}")?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn configuration(alpn: &str, global: &str, backend: &str, port: u16) -> String {
    format!(
        "global
    stats socket unix@admin mode 600 level admin
    noreuseport
    {global}
defaults
    mode http
    timeout connect 10s
    timeout client 60s
    timeout server 60s
frontend clients
    bind 127.0.0.1:{port} ssl crt identity.pem alpn {alpn}
    default_backend fake
backend fake
    {backend}
"
    )
}
