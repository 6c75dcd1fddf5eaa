//! nginx.

use std::process::{Command, Stdio};

use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use idpflare_management::layers::ApiKey;
use idpflare_management::*;
use tower::ServiceExt;

use crate::program::{self, Server};
use crate::support::tls::{Ca, trusting};

/// One `server` of a configuration.
#[derive(Default)]
pub(crate) struct Site {
    /// Directives beside the server.
    pub(crate) http: String,
    /// Parameters of `listen`, such as `ssl http2`.
    pub(crate) listen: &'static str,
    /// Directives in the server.
    pub(crate) server: String,
}

impl Site {
    /// A site that passes all requests on to this port, over connections that are kept.
    pub(crate) fn of(upstream: u16) -> Self {
        Self {
            http: format!(
                "upstream fake {{ server 127.0.0.1:{upstream}; keepalive 32; }}
                proxy_http_version 1.1;
                proxy_set_header Connection '';"
            ),
            listen: "",
            server: "location / { proxy_pass http://fake; }".to_owned(),
        }
    }

    /// The same over TLS with HTTP/2.
    pub(crate) fn http2(self) -> Self {
        Self {
            listen: "ssl http2",
            ..self
        }
    }

    pub(crate) fn with(mut self, directives: &str) -> Self {
        self.server.push_str(directives);
        self
    }
}

/// A running nginx, with a certificate for 127.0.0.1.
pub(crate) struct Nginx {
    server: Server,
    ca: Ca,
    scheme: &'static str,
}

impl Nginx {
    pub(crate) fn start(site: &Site) -> Self {
        let ca = Ca::new();
        let issued = ca.issue("127.0.0.1");
        let server = Server::start(
            "nginx",
            |folder, port| {
                let (certificate, key) = &issued;
                folder.write("cert.pem", &certificate.pem());
                folder.write("key.pem", &key.serialize_pem());
                let user = if folder.is_owned_by_root() {
                    "user root root;"
                } else {
                    ""
                };
                folder.write("nginx.conf", &configuration(site, user, port));
                let prefix = format!("{}/", folder.path().display());
                ["-p", &prefix, "-c", "nginx.conf", "-e", "stderr"]
                    .map(str::to_owned)
                    .to_vec()
            },
            // It is written when all ports are open.
            |folder, id| folder.read("nginx.pid").trim() == id.to_string(),
        );
        let scheme = if site.listen.contains("ssl") {
            "https"
        } else {
            "http"
        };
        Self { server, ca, scheme }
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.port
    }

    pub(crate) fn authority(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme, self.port())
    }

    /// A transport that trusts the certificate.
    pub(crate) fn transport(&self) -> TransportBuilder {
        trusting(&self.ca).without_platform_roots()
    }

    /// A client of the default settings, but for `set`.
    pub(crate) fn client(
        &self,
        key: String,
        set: impl FnOnce(ClientBuilder) -> ClientBuilder,
    ) -> Client {
        let transport = self.transport().build().expect("a transport");
        set(Client::builder(self.authority()).api_key(key))
            .build_with(transport)
            .expect("a client")
    }

    /// Returns the headers of a success, which only the transport shows, once its body is read.
    pub(crate) async fn headers(&self, transport: &Transport, key: &str) -> HeaderMap {
        let authority: Authority = self.authority().parse().expect("an authority");
        let mut request = GetUserStats::new().to_http(&authority).expect("a request");
        let key = ApiKey::new(key).expect("a key");
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, key.authorization().clone());
        let reply = transport.clone().oneshot(request).await.expect("a reply");
        assert_eq!(reply.status(), StatusCode::OK);
        let (head, body) = reply.into_parts();
        body.collect().await.expect("a body");
        head.headers
    }

    /// Returns the error log.
    pub(crate) fn log(&self) -> String {
        self.server.folder.read("output")
    }

    /// Reads the configuration again: other processes take over, the old ones finish their requests.
    pub(crate) fn reload(&self) {
        let prefix = format!("{}/", self.server.folder.path().display());
        let status = Command::new(program::find("nginx").expect("looked for before"))
            .args(["-p", &prefix, "-c", "nginx.conf", "-e", "stderr"])
            .args(["-s", "reload"])
            .stderr(Stdio::null())
            .status();
        assert!(status.expect("nginx").success());
    }
}

fn configuration(site: &Site, user: &str, port: u16) -> String {
    let Site {
        http,
        listen,
        server,
    } = site;
    format!(
        "{user}
        daemon off;
        worker_processes 1;
        pid nginx.pid;
        error_log stderr notice;
        events {{ worker_connections 2000; }}
        http {{
            access_log off;
            client_body_temp_path body;
            proxy_temp_path proxy;
            fastcgi_temp_path fastcgi;
            uwsgi_temp_path uwsgi;
            scgi_temp_path scgi;
            {http}
            server {{
                listen 127.0.0.1:{port} {listen};
                ssl_certificate cert.pem;
                ssl_certificate_key key.pem;
                {server}
            }}
        }}"
    )
}
